/** Private rooms: who owns one, who may come in, who must go. Public rooms need nobody's leave. */

import { hashSecret, newSecret } from '../auth/secrets.ts'
import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import { revoke } from './nodes.ts'
import { did, exec, first, type Sql, type Work } from './sql.ts'

/** Kept in the database of the log; each method is atomic. */
export interface Memberships {
  /**
   * A new private room, whose owner is its first member.
   * @returns false when the room is there; null when this would be one too many for the user
   */
  create(room: string, owner: string): Promise<boolean | null>
  /** An invitation, good for anybody and any number of times. null: this user does not own the room. */
  invite(room: string, owner: string, lifetimeMs: number): Promise<Invitation | null>
  /** Ends all invitations into a room. @returns false when this user does not own it */
  revokeInvites(room: string, owner: string): Promise<boolean>
  /**
   * Makes a user a member.
   * @returns false when the invitation is not good for this room; null when the user is in too many
   */
  admit(room: string, user: string, invite: string): Promise<boolean | null>
  /** Takes a member out, and ends all invitations with it, one of which it may still hold. */
  remove(room: string, owner: string, user: string): Promise<Removal>
}

export interface Invitation {
  invite: string
  expiresAt: Date
}

/** `forbidden`: not by its owner, or the owner itself. */
export type Removal = 'removed' | 'forbidden' | 'not_found'

export function createMemberships(
  sql: Sql,
  limits: Pick<Limits, 'membershipsPerUser' | 'ownedPerUser'> = DEFAULT_LIMITS,
): Memberships {
  const { membershipsPerUser, ownedPerUser } = limits
  const { fromNow, lock } = sql.dialect
  const isOver = `expires_at <= ${fromNow('0')}`

  return {
    create: (room, owner) =>
      sql.transaction(function* () {
        if (yield* isFull(sql, owner, membershipsPerUser)) return null
        if ((yield* count('rooms WHERE owner = $1', owner)) >= ownedPerUser) return null
        const isMade = yield* did(
          `INSERT INTO rooms (room, private, owner) VALUES ($1, $2, $3)
           ON CONFLICT DO NOTHING RETURNING room`,
          ...[room, true, owner],
        )
        if (isMade) yield* addMember(room, owner)
        return isMade
      }),

    invite: (room, owner, lifetimeMs) =>
      sql.transaction(function* () {
        if (!(yield* owns(room, owner))) return null
        const invite = newSecret()
        yield* exec(`DELETE FROM invites WHERE room = $1 AND ${isOver}`, room)
        const made = yield* first<{ expires_at: number | string }>(
          `INSERT INTO invites (hash, room, expires_at) VALUES ($1, $2, ${fromNow('$3')})
           RETURNING expires_at`,
          ...[hashSecret(invite), room, lifetimeMs],
        )
        return { invite, expiresAt: new Date(made!.expires_at) }
      }),

    revokeInvites: (room, owner) =>
      sql.transaction(function* () {
        if (!(yield* owns(room, owner))) return false
        yield* exec('DELETE FROM invites WHERE room = $1', room)
        return true
      }),

    admit: (room, user, invite) =>
      sql.transaction(function* () {
        // Locked, so that whoever removes or revokes at this moment waits for it.
        const isGood = yield* did(
          `SELECT hash FROM invites WHERE hash = $1 AND room = $2 AND NOT ${isOver}
           ${lock('invites')}`,
          ...[hashSecret(invite), room],
        )
        if (!isGood || (yield* isMember(room, user))) return isGood
        if (yield* isFull(sql, user, membershipsPerUser)) return null
        yield* addMember(room, user)
        return true
      }),

    remove: (room, owner, user) =>
      sql.transaction(function* () {
        if (owner === user || !(yield* owns(room, owner))) return 'forbidden'
        // Who is being admitted is waited for, and then removed.
        yield* exec(`SELECT hash FROM invites WHERE room = $1 ${lock('invites')}`, room)
        if (!(yield* endMembership(sql, room, user))) return 'not_found'
        yield* exec('DELETE FROM invites WHERE room = $1', room)
        return 'removed'
      }),
  }
}

/** Ends a membership, and tells the other nodes. @returns whether there was one */
export function* endMembership(sql: Sql, room: string, user: string): Work<boolean> {
  const text = 'DELETE FROM members WHERE room = $1 AND user_id = $2 RETURNING room'
  const isGone = yield* did(text, room, user)
  if (isGone) yield* revoke(sql, [{ room, user_id: user }])
  return isGone
}

/** How many rooms a user is a member of. */
export function roomCountOf(user: string): Work<number> {
  return count('members WHERE user_id = $1', user)
}

/** Whether a user may be in no more rooms. Who joins one elsewhere at this moment is waited for. */
export function* isFull({ dialect }: Sql, user: string, most: number): Work<boolean> {
  yield* exec(`SELECT id FROM users WHERE id = $1 ${dialect.lock('users')}`, user)
  return (yield* roomCountOf(user)) >= most
}

/** @param rows  a table and which of its rows, as SQL; $1 the user */
function* count(rows: string, user: string): Work<number> {
  return (yield* first<{ count: number }>(`SELECT count(*) AS count FROM ${rows}`, user))!.count
}

function isMember(room: string, user: string) {
  return did('SELECT room FROM members WHERE room = $1 AND user_id = $2', room, user)
}

function owns(room: string, user: string) {
  return did('SELECT room FROM rooms WHERE room = $1 AND owner = $2', room, user)
}

function addMember(room: string, user: string) {
  const text = 'INSERT INTO members (room, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING'
  return exec(text, room, user)
}
