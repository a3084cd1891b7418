/** Who was in a private room, for those in it: whoever reads there and goes again leaves a trace. */

import { exec, type Sql, type Work } from './sql.ts'

/** How long it is kept who was there. ms */
const KEPT_MS = 30 * 24 * 3_600_000

/**
 * Writes down that a user is going from a private room, or from all. Once for each user and room,
 * and the last time counts. There is no limit besides the time: it would push out the oldest, and
 * so let a reader cover the trace of the one before.
 */
export function notePast({ dialect }: Sql, user: string, room: string | null = null): Work<void> {
  return exec(
    `INSERT INTO past_members (room, user_id, since, until)
     SELECT members.room, user_id, since, ${dialect.fromNow('0')}
     FROM members JOIN rooms ON rooms.room = members.room
     WHERE user_id = $1 AND private ${room === null ? '' : 'AND members.room = $2'}
     ON CONFLICT (room, user_id) DO UPDATE SET since = excluded.since, until = excluded.until`,
    ...(room === null ? [user] : [user, room]),
  )
}

export function forgetPast({ dialect }: Sql): Work<void> {
  return exec(`DELETE FROM past_members WHERE until < ${dialect.fromNow('$1')}`, -KEPT_MS)
}

/** A user who is forgotten was nowhere. */
export function erasePast(user: string): Work<void> {
  return exec('DELETE FROM past_members WHERE user_id = $1', user)
}
