/** The log in Postgres keeps all that any log promises. */

import { test } from 'node:test'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { TestClock } from '../helpers.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { logContract, type OpenedLog } from './contract.ts'
import { openLog } from './opened.ts'

void test('Postgres', async (t) => {
  const server = await startPostgres(t)
  await logContract(
    'Postgres',
    async (each) => {
      const url = await server.lendDatabase(each)
      const open = async (): Promise<OpenedLog> => {
        const db = await openDatabase(each, url)
        const clock = new TestClock()
        const log = await openLog(db, clock)
        const reopen = async () => {
          await log.close()
          return open()
        }
        return { log, accounts: createAccounts(db.sql, DEFAULT_LIMITS, clock), reopen }
      }
      return open()
    },
    t,
  )
})
