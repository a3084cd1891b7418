import { createSqliteAccounts } from '../../src/store/sqlite-accounts.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { openDatabase } from '../../src/store/sqlite.ts'
import { TestClock } from '../helpers.ts'
import { accountsContract } from './accounts-contract.ts'

void accountsContract('SQLite', async (t) => {
  const database = openDatabase(':memory:')
  t.after(() => database.close())
  const clock = new TestClock()
  return { clock, accounts: createSqliteAccounts(database, DEFAULT_LIMITS, clock) }
})
