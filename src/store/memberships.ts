/** Private rooms: who owns one, who may come in, who must go. Public rooms need nobody's leave. */

import { hashSecret, newSecret } from '../auth/secrets.ts'
import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import { lookAt, type InvitedRoom } from './invitations.ts'
import { revoke } from './nodes.ts'
import { did, exec, first, rows, type Sql, type Work } from './sql.ts'
import { addMember, countMembers, isMember, readMembers } from './members.ts'
import type { MembersOptions, MembersPage } from './members.ts'
import { canCome, giveRoom, isPrivate, owns } from './owners.ts'
import { notePast } from './past-members.ts'
import { lockUser } from './sessions.ts'

/** Kept in the database of the log; each method is atomic. */
export interface Memberships {
  /**
   * A new private room, whose owner is its first member.
   * @returns false when the room is there; null when this would be one too many for the user
   */
  create(room: string, owner: string): Promise<boolean | null>
  /** A public room of a name that nobody used, so that it becomes nobody's. @returns what is there */
  reserve(room: string): Promise<'made' | 'public' | 'private'>
  /**
   * An invitation, good for anybody and any number of times, or `once`.
   * @returns null when this user does not own the room
   */
  invite(
    room: string,
    owner: string,
    lifetimeMs: number,
    once?: boolean,
  ): Promise<Invitation | null>
  /** Ends all invitations into a room. @returns null when this user may not */
  revokeInvites(room: string, by: string, as?: Rights): Promise<Revoked | null>
  /** What an invitation opens, for this user. null: it is not good for this room. */
  look(room: string, user: string, invite: string): Promise<InvitedRoom | null>
  /** Makes a user a member by an invitation, which one for one person is used up by. */
  admit(room: string, user: string, invite: string): Promise<Admission>
  /** Members of a private room, its owner among them, as a member sees them, or past ones; by id. */
  members(room: string, asker: string, options: MembersOptions): Promise<MembersPage>
  /** Takes a member out, and ends all invitations with it, one of which it may still hold. */
  remove(room: string, by: string, user: string, as?: Rights): Promise<Removal>
  /** Gives a room to a member; an admin may take it, too, and is a member then. */
  handOver(room: string, by: string, user: string, as?: Rights): Promise<Handover>
}

/** What somebody may do as the owner of a room, or as an admin to any private one. */
export type Rights = 'owner' | 'admin'

export interface Revoked {
  /** Invitations that would still have been good. */
  ended: number
  members: number
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

/** `forbidden`: not by its owner, or the owner itself. */
export type Removal = 'removed' | 'forbidden' | 'not_found'

/** `taken`: with it, the user came in. `not_found`: not a member. `too_many`: owns enough, or is in enough. */
export type Handover = 'given' | 'taken' | 'forbidden' | 'not_found' | 'too_many'

export function createMemberships(
  sql: Sql,
  limits: Pick<Limits, 'membershipsPerUser' | 'ownedPerUser'> = DEFAULT_LIMITS,
): Memberships {
  const { membershipsPerUser, ownedPerUser } = limits
  const { fromNow, lock } = sql.dialect
  const isOver = `expires_at <= ${fromNow('0')}`
  const rules = (room: string, user: string, as: Rights) =>
    as === 'admin' ? isPrivate(room) : owns(room, user)
  const ownsEnough = function* (user: string) {
    return (yield* count('rooms WHERE owner = $1', user)) >= ownedPerUser
  }

  return {
    create: (room, owner) =>
      sql.transaction(function* () {
        if (yield* isFull(sql, owner, membershipsPerUser)) return null
        if (yield* ownsEnough(owner)) return null
        const isMade = yield* did(
          `INSERT INTO rooms (room, private, owner) VALUES ($1, $2, $3)
           ON CONFLICT DO NOTHING RETURNING room`,
          ...[room, true, owner],
        )
        if (isMade) yield* addMember(sql, room, owner)
        return isMade
      }),

    reserve: (room) =>
      sql.run(function* () {
        const look = 'SELECT private FROM rooms WHERE room = $1'
        const known = yield* first<{ private: boolean | number }>(look, room)
        const make = 'INSERT INTO rooms (room) VALUES ($1) ON CONFLICT DO NOTHING RETURNING room'
        if (!known && (yield* did(make, room))) return 'made'
        const found = known ?? (yield* first<{ private: boolean | number }>(look, room))
        return found?.private ? 'private' : 'public'
      }),

    invite: (room, owner, lifetimeMs, once = false) =>
      sql.transaction(function* () {
        if (!(yield* canCome(sql, owner)) || !(yield* owns(room, owner))) return null
        const invite = newSecret()
        yield* exec(`DELETE FROM invites WHERE room = $1 AND ${isOver}`, room)
        const made = yield* first<{ expires_at: number | string }>(
          `INSERT INTO invites (hash, room, expires_at, once, made_by)
           VALUES ($1, $2, ${fromNow('$3')}, $4, $5) RETURNING expires_at`,
          ...[hashSecret(invite), room, lifetimeMs, once, owner],
        )
        return { invite, expiresAt: new Date(made!.expires_at) }
      }),

    revokeInvites: (room, by, as = 'owner') =>
      sql.transaction(function* () {
        if (!(yield* rules(room, by, as))) return null
        const text = `DELETE FROM invites WHERE room = $1 RETURNING ${isOver} AS over`
        const gone = yield* rows<{ over: boolean | number }>(text, room)
        return {
          ended: gone.filter(({ over }) => !over).length,
          members: yield* countMembers(room),
        }
      }),

    look: (room, user, invite) => sql.run(() => lookAt(sql, room, user, invite)),

    admit: (room, user, invite) =>
      sql.transaction(function* () {
        // Locked, so that whoever removes or revokes at this moment waits for it.
        const found = yield* first<{ once: boolean | number }>(
          `SELECT once FROM invites WHERE hash = $1 AND room = $2 AND NOT ${isOver}
           ${lock('invites')}`,
          ...[hashSecret(invite), room],
        )
        if (yield* isMember(room, user)) return 'member'
        if (!found) return 'refused'
        if (yield* isFull(sql, user, membershipsPerUser)) return 'too_many'
        // A guest who is signing out at this moment would come in behind the trace of going.
        if (!(yield* canCome(sql, user))) return 'refused'
        if (!(yield* addMember(sql, room, user))) return 'member'
        if (found.once) yield* exec('DELETE FROM invites WHERE hash = $1', hashSecret(invite))
        return 'admitted'
      }),

    members: (room, asker, options) => sql.run(() => readMembers(room, asker, options)),

    remove: (room, by, user, as = 'owner') =>
      sql.transaction(function* () {
        if (!(yield* rules(room, by, as)) || (yield* owns(room, user))) return 'forbidden'
        // Who is being admitted is waited for, and then removed.
        yield* exec(`SELECT hash FROM invites WHERE room = $1 ${lock('invites')}`, room)
        if (!(yield* endMembership(sql, room, user))) return 'not_found'
        yield* exec('DELETE FROM invites WHERE room = $1', room)
        return 'removed'
      }),

    handOver: (room, by, user, as = 'owner') =>
      sql.transaction(function* () {
        if (!(yield* rules(room, by, as))) return 'forbidden'
        const isIn = (yield* owns(room, user)) || (yield* isMember(room, user))
        const takesIt = as === 'admin' && by === user
        if (!(yield* canCome(sql, user)) || !(isIn || takesIt)) return 'not_found'
        if (!isIn && (yield* isFull(sql, user, membershipsPerUser))) return 'too_many'
        if (!(yield* owns(room, user)) && (yield* ownsEnough(user))) return 'too_many'
        const isNew = yield* giveRoom(sql, room, user, as === 'owner' ? by : null)
        if (isNew === null) return 'forbidden'
        return isNew ? 'taken' : 'given'
      }),
  }
}

/** Ends a membership, of which a private room keeps that there was one, and tells the other nodes. @returns whether there was one */
export function* endMembership(sql: Sql, room: string, user: string): Work<boolean> {
  yield* notePast(sql, user, room)
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
export function* isFull(sql: Sql, user: string, most: number): Work<boolean> {
  yield* lockUser(sql, user)
  return (yield* roomCountOf(user)) >= most
}

/** @param rows  a table and which of its rows, as SQL; $1 the user */
function* count(rows: string, user: string): Work<number> {
  return (yield* first<{ count: number }>(`SELECT count(*) AS count FROM ${rows}`, user))!.count
}
