import { createSqliteAccounts } from '../../src/store/sqlite-accounts.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { openDatabase } from '../../src/store/sqlite.ts'
import { createSqliteLog } from '../../src/store/sqlite-log.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { logContract, type OpenedLog, type OpenLog } from './contract.ts'

/** A log in a file, so that it can be opened again. */
const open: OpenLog = async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  let isOver = false
  const openFile = (): OpenedLog => {
    const database = openDatabase(file)
    const clock = new TestClock()
    const log = createSqliteLog(database, clock)
    const close = () => log.close()
    if (!isOver) t.after(close)
    const reopen = async () => {
      await close()
      return openFile()
    }
    return { log, accounts: createSqliteAccounts(database, DEFAULT_LIMITS, clock), reopen }
  }
  t.after(() => (isOver = true))
  return openFile()
}

void logContract('SQLite', open)
