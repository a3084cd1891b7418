/** The tables in Postgres, on one connection without deadlines. */

import { systemClock } from '../src/clock.ts'
import { DEFAULT_LIMITS } from '../src/limits.ts'
import { createPostgresLog } from '../src/store/postgres-log.ts'
import { openPostgres, SETTINGS } from '../src/cluster/postgres.ts'
import { ToolError } from './command.ts'
import type { Query, Store } from './store.ts'

const LIVING = `SELECT count(*) AS count FROM nodes
  WHERE seen_at > clock_timestamp() - $1 * interval '1 ms'`
/** From the floor on: what was dropped before still stands in the index until it is vacuumed. */
const DROP_WORDS = `DELETE FROM words WHERE room = $1 AND seq <= $2
  AND seq > (SELECT floor FROM rooms WHERE rooms.room = $1)`

/**
 * Makes the tables when they are not there, as a server does. Tools that write need no turns here:
 * each step locks the rows that it is about.
 * @throws {ToolError} when servers live and none may
 * @throws {import('../src/store/log.ts').DatabaseError} when it cannot be opened
 */
export async function openPostgresStore(url: string, isAlone: boolean): Promise<Store> {
  const limits = DEFAULT_LIMITS
  const options = { limits, clock: systemClock, onFault: () => {}, isPatient: false }
  const db = await openPostgres(url, options)
  const client = await db.connect()
  const query: Query = async (text, values) =>
    (await client.query(text, values && [...values])).rows
  const close = async () => {
    await client.end()
    await db.close()
  }
  await client.query(SETTINGS)
  const { host, pathname } = new URL(url)
  const place = `Postgres at ${host}${pathname}`
  const [living] = await query<{ count: number }>(LIVING, [limits.aliveMs])
  if (isAlone && living!.count > 0) {
    await close()
    throw new ToolError(`${place} is in use: a server was seen within ${limits.aliveMs / 1_000} s`)
  }
  return {
    place,
    query,
    begin: { write: 'BEGIN', read: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' },
    toTime: (time) => time,
    // It checks its pages itself when they are read, where `data_checksums` is on.
    damage: async () => [],
    holdRoom: async (room) => {
      // In the order of a delete.
      await query('SELECT 1 FROM rooms WHERE room = $1 FOR NO KEY UPDATE', [room])
      await query(
        `INSERT INTO indexed AS i VALUES ($1, 0) ON CONFLICT (room) DO UPDATE SET seq = i.seq`,
        [room],
      )
    },
    dropWords: async (room, seq) => void (await query(DROP_WORDS, [room, seq])),
    expel: (user) => expel(query, user),
    openLog: async () => createPostgresLog(db, systemClock),
    settle: async () => {},
    close,
  }
}

/** Every node hears of it within seconds, as of a sign-out and a removal. */
async function expel(query: Query, user: string) {
  const count = async (text: string) => (await query(text, [user])).length
  const sessions = await count(`
    WITH ended AS (DELETE FROM sessions WHERE user_id = $1 RETURNING hash)
    INSERT INTO revocations (session) SELECT hash FROM ended RETURNING session`)
  const memberships = await count(`
    WITH gone AS (DELETE FROM members WHERE user_id = $1 RETURNING room, user_id)
    INSERT INTO revocations (room, user_id) SELECT room, user_id FROM gone RETURNING room`)
  await query('DELETE FROM tickets WHERE user_id = $1', [user])
  await query('DELETE FROM presence WHERE user_id = $1', [user])
  return { sessions, memberships }
}
