/** Accounts: users, the names they own, and their signed-in devices. */

import { nameKeys } from '../auth/names.ts'
import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import { devicesOf, idIs, keep, type Device } from './devices.ts'
import { addUser, adminOf, foreigner, freeName, ownersOf } from './name-owners.ts'
import { forgetAdded, revoke } from './nodes.ts'
import { endInvitesOf } from './owners.ts'
import { erasePast, notePast } from './past-members.ts'
import { replacing } from './replacing.ts'
import {
  add,
  addAnother,
  ALL,
  countSessions,
  end,
  find,
  holds,
  idleSince,
  lockUser,
  type Book,
  type Origin,
  type Session,
} from './sessions.ts'
import { did, exec, rows, type Sql, type Work } from './sql.ts'

export type { Origin, Role, Session } from './sessions.ts'

/** How somebody signs in. */
export interface Arrival extends Origin {
  /** Hashes of sessions that end with it. When one of them is over, nothing is done: null. */
  instead?: readonly string[]
}

/**
 * Kept in the database of the log; each method is atomic. A user has so many sessions at most: of
 * who proves anew to be the user, the one that is unused longest ends; a device lets no other in.
 */
export interface Accounts {
  /** A new guest, who owns the name from now on, and its first session. null: the name is taken. */
  addGuest(name: string, hash: string, from?: Arrival): Promise<Session | null>
  /**
   * The admin of this name, new or known, and a session with that role; from others a reserved name
   * is taken away. null: taken by somebody who is no admin.
   */
  addAdmin(name: string, hash: string, from?: Arrival): Promise<Session | null>
  /** The user that an issuer vouches for, new or known, by this name or one like it. null: banned. */
  addForeign(
    subject: string,
    name: string,
    hash: string,
    expiresAt: Date,
    from?: Arrival,
  ): Promise<Session | null>
  /** Another session of the user of a session that still holds, as long; null when it does not. */
  addDevice(session: string, hash: string, from?: Arrival): Promise<Session | 'too_many' | null>
  /** The session, if it holds; using it keeps it alive. */
  session(hash: string): Promise<Session | null>
  /** Whether the end of this session frees its user's name: the last one of a guest. */
  freesName(session: Session): Promise<boolean>
  /** Ends a session, or all of its user's. A guest's name is freed with the last. @returns hashes */
  endSessions(session: Session, all: boolean): Promise<string[]>
  /** Ends the one of this id (see `deviceId`), or without one all but this. @returns hashes */
  endDevices(session: Session, id?: string): Promise<string[]>
  /** The user's sessions that hold, newest first. */
  devices(user: string): Promise<Device[]>
  /** Keeps these sessions, which are in use, from idling out. @returns those that hold */
  keep(hashes: readonly string[]): Promise<string[]>
  /** Keeps a user out for good: sessions and name. @returns hashes; null when there is no such user */
  ban(user: string): Promise<string[] | null>
}

const UNKNOWN: Arrival = { address: null, agent: null }

export function createAccounts(
  sql: Sql,
  limits: Pick<Limits, 'idleSessionMs' | 'longestSessionMs' | 'touchMs' | 'sessionsPerUser'>,
  clock: Clock,
): Accounts {
  const book: Book = { sql, limits, clock, lock: sql.dialect.lock('users') }
  const { lock } = book
  const signIn = <T extends Session | string | null>(
    { instead = [] }: Arrival,
    make: () => Work<T>,
  ) => sql.transaction(() => replacing(book, instead, make))

  return {
    addGuest: (name, hash, from = UNKNOWN) =>
      signIn(from, function* () {
        const own = { name, ...nameKeys(name) }
        if ((yield* ownersOf(book, own)).length > 0) return null
        const user = yield* addUser(own, 'guest')
        if (user === null) return null
        return yield* add(book, { hash, user, role: 'member', expiresAt: null, ...from })
      }),

    addAdmin: (name, hash, from = UNKNOWN) =>
      signIn(from, function* () {
        const own = { name, ...nameKeys(name) }
        const known = yield* adminOf(book, own)
        if (known === 'taken') return null
        const id = known?.id ?? (yield* addUser(own, 'admin'))
        const expiresAt = new Date(clock.date().getTime() + limits.longestSessionMs)
        if (id === null) return null
        return yield* addAnother(book, { hash, user: id, role: 'admin', expiresAt, ...from })
      }),

    addForeign: (subject, wanted, hash, expiresAt, from = UNKNOWN) =>
      signIn(from, function* () {
        const user = yield* foreigner(book, subject, wanted)
        if (user === null) return null
        return yield* addAnother(book, { hash, user, role: 'member', expiresAt, ...from })
      }),

    addDevice: (session, hash, from = UNKNOWN) =>
      signIn(from, function* () {
        const ofSession = '(SELECT user_id FROM sessions WHERE hash = $1)'
        yield* exec(`SELECT id FROM users WHERE id = ${ofSession} ${lock}`, session)
        const known = yield* find(book, session)
        if (!known) return null
        const { user, role, expiresAt } = known
        if ((yield* countSessions(book, user.id)) >= limits.sessionsPerUser) return 'too_many'
        return yield* addAnother(book, { hash, user: user.id, role, expiresAt, ...from })
      }),

    session: (hash) =>
      sql.run(function* () {
        const session = yield* find(book, hash)
        const left = (session?.idleUntil.getTime() ?? 0) - clock.date().getTime()
        if (session && left < limits.idleSessionMs - limits.touchMs) {
          yield* exec('UPDATE sessions SET seen_at = $1 WHERE hash = $2', clock.date(), hash)
        }
        return session
      }),

    freesName: ({ hash, user }) =>
      sql.run(function* () {
        return yield* did(
          `SELECT id FROM users WHERE id = $1 AND kind = 'guest' AND NOT EXISTS (
             SELECT 1 FROM sessions WHERE user_id = users.id AND hash <> $2
               AND ${holds('$3', '$4')})`,
          ...[user.id, hash, idleSince(book), clock.date()],
        )
      }),

    endSessions: ({ hash, user }, all) =>
      sql.transaction(function* () {
        yield* lockUser(sql, user.id)
        const ended = yield* end(sql, user.id, all ? ALL : ['hash = $2', hash])
        yield* freeName(book, user.id)
        return all ? ended : [hash]
      }),

    endDevices: ({ hash, user }, id) =>
      sql.transaction(function* () {
        yield* lockUser(sql, user.id)
        const which = id === undefined ? (['hash <> $2', hash] as const) : idIs(id)
        const ended = yield* end(sql, user.id, which)
        yield* freeName(book, user.id)
        return ended
      }),

    devices: (user) => sql.run(() => devicesOf(user, idleSince(book), clock.date())),

    keep: (hashes) => {
      const touched = new Date(clock.date().getTime() - limits.touchMs)
      const dates = { now: clock.date(), idle: idleSince(book), touched }
      return sql.run(() => keep(sql, hashes, dates))
    },

    ban: (user) =>
      sql.transaction(function* () {
        const text = 'UPDATE users SET banned = $2 WHERE id = $1 RETURNING id'
        if (!(yield* did(text, user, true))) return null
        yield* notePast(sql, user)
        yield* endInvitesOf(user)
        return yield* end(sql, user, ALL, true)
      }),
  }
}

/**
 * Ends what keeps a user in, on every node: sessions, which tickets hang on, and memberships; and
 * invitations into rooms that the user owns.
 * @returns how many sessions and memberships there were
 */
export function* expel(sql: Sql, user: string) {
  const sessions = yield* end(sql, user, ALL)
  const ended = 'DELETE FROM members WHERE user_id = $1 RETURNING room, user_id'
  const memberships = yield* rows<{ room: string; user_id: string }>(ended, user)
  yield* revoke(sql, memberships)
  yield* erasePast(user)
  yield* forgetAdded(user)
  yield* endInvitesOf(user)
  return { sessions: sessions.length, memberships: memberships.length }
}
