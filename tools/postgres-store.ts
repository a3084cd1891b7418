/** The tables in Postgres, on one connection without deadlines. */

import { dialect, sqlOn } from '../src/cluster/driver.ts'
import { openPostgres, SETTINGS } from '../src/cluster/postgres.ts'
import { systemClock } from '../src/clock.ts'
import { DEFAULT_LIMITS } from '../src/limits.ts'
import type { Dialect, Query } from '../src/store/sql.ts'
import { ToolError } from './command.ts'
import { queryOf, type Store } from './store.ts'

/** Of an answer. ms */
const LONG_MS = 5_000

const LIVING = `SELECT count(*) AS count FROM nodes
  WHERE seen_at > clock_timestamp() - $1 * interval '1 ms'`

/** What a tool holds it may hold for longer than a server, which has others behind it. */
const patient: Dialect = {
  ...dialect,
  hold: (rooms) => [
    ...dialect.hold(rooms),
    { text: "SET LOCAL idle_in_transaction_session_timeout = '5s'", values: [] },
  ],
}

/**
 * Makes the tables when they are not there, as a server does. Tools that write need no turns here:
 * each step locks the rows that it is about.
 * @throws {ToolError} when servers live and none may
 * @throws {import('../src/store/log.ts').DatabaseError} when it cannot be opened
 */
export async function openPostgresStore(
  url: string,
  isAlone: boolean,
  tell: (line: string) => void,
): Promise<Store> {
  const limits = DEFAULT_LIMITS
  const { host, pathname } = new URL(url)
  const place = `Postgres at ${host}${pathname}`
  const awaited = patiently(place, tell)
  const options = {
    limits,
    clock: systemClock,
    onFault: () => {},
    isPatient: false,
    makes: isAlone,
  }
  const db = await awaited(openPostgres(url, options))
  const client = await db.connect()
  const ask: Query = async (text, values) => {
    try {
      return (await awaited(client.query(text, values && [...values]))).rows
    } catch (error) {
      throw new ToolError(`${place}: ${(error as Error).message}`, { cause: error })
    }
  }
  const sql = { ...sqlOn((work) => work(ask)), dialect: patient }
  const close = async () => {
    await client.end()
    await db.close()
  }
  const assertAlone = async () => {
    const [living] = await ask<{ count: number }>(LIVING, [limits.aliveMs])
    if (living!.count === 0) return
    throw new ToolError(`${place} is in use: a server was seen within ${limits.aliveMs / 1_000} s`)
  }
  try {
    await client.query(SETTINGS)
    if (isAlone) await assertAlone()
  } catch (error) {
    await close()
    throw error
  }
  return {
    ...{ place, sql, query: queryOf(sql), close },
    seize: async () => {
      // Whoever opens the log reads it.
      await ask('LOCK TABLE meta IN ACCESS EXCLUSIVE MODE')
      await assertAlone()
    },
    begin: { write: 'BEGIN', read: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' },
    // It checks its pages itself when they are read, where `data_checksums` is on.
    damage: async () => [],
    ofTheMoment: ['tickets', 'presence'],
    settle: async () => {},
  }
}

/** Waits as long as it takes; the person is told once, when an answer takes long. */
function patiently(place: string, tell: (line: string) => void) {
  let isTold = false
  return async <T>(answer: Promise<T>): Promise<T> => {
    const cancel = systemClock.after(LONG_MS, () => {
      if (!isTold) tell(`${place} takes long to answer: it is waited for`)
      isTold = true
    })
    return answer.finally(cancel)
  }
}
