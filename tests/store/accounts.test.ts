import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { openDataFile } from '../../src/store/file.ts'
import { TestClock } from '../helpers.ts'
import { accountsContract } from './accounts-contract.ts'

void accountsContract('SQLite', async (t) => {
  const clock = new TestClock()
  const { sql, close } = openDataFile(':memory:', clock)
  t.after(close)
  return { clock, accounts: createAccounts(sql, DEFAULT_LIMITS, clock) }
})
