/** The devices that a user is signed in on, which are sessions: to be seen, ended, kept in use. */

import { holds } from './sessions.ts'
import { exec, rows, type Sql, type Work } from './sql.ts'

/** A session as its user sees it. */
export interface Device {
  hash: string
  /** null: from before that was kept. */
  madeAt: Date | null
  seenAt: Date
  address: string | null
  agent: string | null
}

/** Of the hash of a session, so that it can be named and opens nothing. */
const ID_LENGTH = 16

/** What a session is called by its user. @param hash  its */
export function deviceId(hash: string): string {
  return hash.slice(0, ID_LENGTH)
}

/** A condition on `$2`. */
export function idIs(id: string) {
  return [`substr(hash, 1, ${ID_LENGTH}) = $2`, id] as const
}

/** What was used since `idle` and is not over; newest first. */
export function* devicesOf(user: string, idle: Date, now: Date): Work<Device[]> {
  const found = yield* rows<{
    hash: string
    made_at: number | string | null
    seen_at: number | string
    address: string | null
    agent: string | null
  }>(
    `SELECT hash, made_at, seen_at, address, agent FROM sessions
     WHERE user_id = $1 AND ${holds('$2', '$3')}
     ORDER BY made_at IS NULL, made_at DESC, hash`,
    ...[user, idle, now],
  )
  return found.map(({ made_at: madeAt, seen_at: seenAt, ...device }) => {
    return {
      ...device,
      madeAt: madeAt === null ? null : new Date(madeAt),
      seenAt: new Date(seenAt),
    }
  })
}

/**
 * Writes down that sessions are in use; what idled out meanwhile stays over. One that somebody else
 * changes at this moment is left to them: two nodes may have sockets of one session.
 * @param dates  before `idle` unused for too long, before `touched` not written down of late
 * @returns those that hold
 */
export function* keep(
  { dialect }: Sql,
  hashes: readonly string[],
  { now, idle, touched }: { now: Date; idle: Date; touched: Date },
): Work<string[]> {
  const given = JSON.stringify(hashes.map((hash) => ({ hash })))
  const good = `hash IN (SELECT value ->> 'hash' FROM ${dialect.each('$1')})
    AND ${holds('$2', '$3')}`
  const stale = `SELECT hash FROM sessions WHERE ${good} AND seen_at <= $4`
  yield* exec(
    `UPDATE sessions SET seen_at = $3 WHERE hash IN (${stale} ${dialect.lock('sessions', 'left out')})`,
    ...[given, idle, now, touched],
  )
  const text = `SELECT hash FROM sessions WHERE ${good}`
  return (yield* rows<{ hash: string }>(text, given, idle, now)).map(({ hash }) => hash)
}
