import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { openDataFile } from '../../src/store/file.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { logContract, type OpenedLog, type OpenLog } from './contract.ts'
import { openLog } from './opened.ts'

/** A log in a file, so that it can be opened again. */
const open: OpenLog = async (t) => {
  const name = `${tempFolder(t)}/hearth.db`
  let isOver = false
  const openFile = async (): Promise<OpenedLog> => {
    const clock = new TestClock()
    const file = openDataFile(name, clock)
    const log = await openLog(file, clock)
    const close = () => log.close()
    if (!isOver) t.after(close)
    const reopen = async () => {
      await close()
      return openFile()
    }
    return { log, accounts: createAccounts(file.sql, DEFAULT_LIMITS, clock), reopen }
  }
  t.after(() => (isOver = true))
  return openFile()
}

void logContract('SQLite', open)
