/** Private rooms: who owns one, who may come in, who must go. Public rooms need nobody's leave. */

import { hashSecret, newSecret } from '../auth/secrets.ts'
import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import type { User } from '../protocol.ts'
import { revoke } from './nodes.ts'
import { did, exec, first, rows, type Sql, type Work } from './sql.ts'

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
  /** Makes a user a member by an invitation, which one for one person is used up by. */
  admit(room: string, user: string, invite: string): Promise<Admission>
  /** Members of a private room, its owner among them, as a member sees them; by id. */
  members(room: string, asker: string, options: MembersOptions): Promise<MembersPage>
  /** Takes a member out, and ends all invitations with it, one of which it may still hold. */
  remove(room: string, owner: string, user: string): Promise<Removal>
}

export interface Invitation {
  invite: string
  expiresAt: Date
}

/**
 * `member`: was in already, whatever it shows. `refused`: the invitation is not good for this room.
 * `too_many`: the user is in as many rooms as one may be.
 */
export type Admission = 'admitted' | 'member' | 'refused' | 'too_many'

export interface MembersOptions {
  limit: number
  /** Those whose id comes after this one; default: from the beginning. */
  after?: string | undefined
  /** Those who came in then or later; default: all. */
  since?: Date | undefined
}

/** `public`: a room that has no list. `forbidden`: the asker is not in it. */
export type MembersPage =
  | { members: Member[]; more: boolean; refusal?: undefined }
  | { members?: undefined; refusal: 'forbidden' | 'public' }

export interface Member {
  user: User
  /** null: from before this was written down. */
  since: Date | null
  owner?: true
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
        if (isMade) yield* addMember(sql, room, owner)
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
        if (yield* isMember(room, user)) return 'member'
        if (!isGood) return 'refused'
        if (yield* isFull(sql, user, membershipsPerUser)) return 'too_many'
        return (yield* addMember(sql, room, user)) ? 'admitted' : 'member'
      }),

    members: (room, asker, options) => sql.run(() => readMembers(room, asker, options)),

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

/** @returns whether the user is new there */
function addMember({ dialect }: Sql, room: string, user: string) {
  return did(
    `INSERT INTO members (room, user_id, since) VALUES ($1, $2, ${dialect.fromNow('0')})
     ON CONFLICT DO NOTHING RETURNING room`,
    ...[room, user],
  )
}

/** Whether the user $2 may see the members of the room $1: those in it may. */
const IS_IN = `EXISTS (SELECT 1 FROM rooms WHERE room = $1 AND private AND (owner = $2
  OR EXISTS (SELECT 1 FROM members WHERE room = $1 AND user_id = $2)))`

/** A user who was banned, or whose name was freed, never comes back. */
const CAN_COME = 'NOT banned AND name_key IS NOT NULL'

/** The room $1 as $2 finds it, and its owner where that left, as it may come back. */
const LIST_DOOR = `
  SELECT private, ${IS_IN} AS inside, users.id, users.name FROM rooms LEFT JOIN users
    ON users.id = owner AND ${CAN_COME}
    AND NOT EXISTS (SELECT 1 FROM members WHERE room = $1 AND user_id = users.id)
  WHERE room = $1`

/** Members of the room $1: $3 after which id, $4 how many. */
const listing = (since?: Date) => `
  SELECT users.id, users.name, members.since, rooms.owner = users.id AS owner
  FROM members JOIN users ON users.id = members.user_id JOIN rooms ON rooms.room = members.room
  WHERE members.room = $1 AND ${IS_IN} AND members.user_id > $3 AND ${CAN_COME}
    ${since ? 'AND members.since >= $5' : ''}
  ORDER BY members.user_id LIMIT $4`

interface MemberRow {
  id: string
  name: string
  since: number | string | null
  owner: boolean | number
}

function* readMembers(
  room: string,
  asker: string,
  { limit, after = NO_ID, since }: MembersOptions,
): Work<MembersPage> {
  const door = yield* first<{
    private: boolean | number
    inside: boolean | number
    id: string | null
    name: string | null
  }>(LIST_DOOR, room, asker)
  if (!door?.private) return { refusal: 'public' }
  if (!door.inside) return { refusal: 'forbidden' }
  const values = [room, asker, after, limit + 1, ...(since ? [since] : [])]
  const found = yield* rows<MemberRow>(listing(since), ...values)
  const { id, name } = door
  if (id && name && id > after && !since) {
    found.push({ id, name, since: null, owner: true })
    found.sort((a, b) => (a.id < b.id ? -1 : 1))
  }
  return { members: found.slice(0, limit).map(toMember), more: found.length > limit }
}

function toMember({ id, name, since, owner }: MemberRow): Member {
  return {
    user: { id, name },
    since: since === null ? null : new Date(since),
    ...(owner ? { owner: true as const } : {}),
  }
}

/** The lowest. */
const NO_ID = '00000000-0000-0000-0000-000000000000'
