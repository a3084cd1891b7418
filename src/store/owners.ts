/** Who owns a private room, and may invite into it: one who can still come there. */

import { addMember, CAN_COME } from './members.ts'
import { did, exec, type Sql, type Work } from './sql.ts'

export function owns(room: string, user: string) {
  return did('SELECT room FROM rooms WHERE room = $1 AND owner = $2', room, user)
}

export function isPrivate(room: string) {
  return did('SELECT room FROM rooms WHERE room = $1 AND private', room)
}

/** Whether the user may still come here; a ban, or the end of a guest, waits until we are done. */
export function canCome({ dialect }: Sql, user: string) {
  const text = `SELECT id FROM users WHERE id = $1 AND ${CAN_COME} ${dialect.lock('users')}`
  return did(text, user)
}

/**
 * Gives a private room to a user, who is a member of it from then on.
 * @param from  only while this user owns it; default: whoever does
 * @returns whether the user is new in it; null: there is no such private room
 */
export function* giveRoom(
  sql: Sql,
  room: string,
  user: string,
  from: string | null = null,
): Work<boolean | null> {
  const isGiven = yield* did(
    `UPDATE rooms SET owner = $2 WHERE room = $1 AND private AND (owner = $3 OR $3 IS NULL)
     RETURNING room`,
    ...[room, user, from],
  )
  return isGiven ? yield* addMember(sql, room, user) : null
}

/** Nobody comes in for a user who is gone for good: nobody could end that any more. */
export function* endInvitesOf(user: string): Work<void> {
  // By whom one from before version 7 was made is not known.
  yield* exec('DELETE FROM invites WHERE room IN (SELECT room FROM rooms WHERE owner = $1)', user)
  yield* exec('DELETE FROM invites WHERE made_by = $1', user)
}
