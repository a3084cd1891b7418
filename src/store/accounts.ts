/** Accounts: users, the names they own, and their signed-in devices. */

import {
  isNameLike,
  isReserved,
  nameKeys,
  namesLike,
  NOBODY,
  type NameKeys,
} from '../auth/names.ts'
import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { User } from '../protocol.ts'
import { devicesOf, idIs, keep, type Device } from './devices.ts'
import { toUser } from './rows.ts'
import { revoke } from './nodes.ts'
import { endInvitesOf } from './owners.ts'
import { did, exec, first, rows, type Sql, type Value, type Work } from './sql.ts'

export type Role = 'member' | 'admin'

/** A signed-in device. */
export interface Session {
  /** Under this its token is kept. */
  hash: string
  user: User
  role: Role
  /** When it ends whatever happens, other devices included; null for a guest's. */
  expiresAt: Date | null
  /** When it would end if it were not used again. */
  idleUntil: Date
}

/** What is known of who signs in, for the user to see; null: not known. */
export interface Origin {
  address: string | null
  agent: string | null
}

/**
 * Kept in the database of the log; each method is atomic. A user has so many sessions at most: of
 * who proves anew to be the user, the one that is unused longest ends; a device lets no other in.
 */
export interface Accounts {
  /** A new guest, who owns the name from now on, and its first session. null: the name is taken. */
  addGuest(name: string, hash: string, from?: Origin): Promise<Session | null>
  /**
   * The admin of this name, new or known, and a session with that role; from others a reserved name
   * is taken away. null: taken by somebody who is no admin.
   */
  addAdmin(name: string, hash: string, from?: Origin): Promise<Session | null>
  /** The user that an issuer vouches for, new or known, by this name or one like it. null: banned. */
  addForeign(
    subject: string,
    name: string,
    hash: string,
    expiresAt: Date,
    from?: Origin,
  ): Promise<Session | null>
  /** Another session of the user of a session that still holds, as long; null when it does not. */
  addDevice(session: string, hash: string, from?: Origin): Promise<Session | 'too_many' | null>
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

const UNKNOWN: Origin = { address: null, agent: null }

/** A row of `sessions` with its user's name; times are milliseconds in SQLite, text in Postgres. */
interface SessionRow {
  hash: string
  user_id: string
  name: string
  kind: string
  role: Role
  seen_at: number | string
  expires_at: number | string | null
}

interface UserRow {
  id: string
  name: string
  /** Null: the name is free. */
  name_key: string | null
  kind: string
  banned: boolean | number
}

export function createAccounts(
  sql: Sql,
  limits: Pick<Limits, 'idleSessionMs' | 'longestSessionMs' | 'touchMs' | 'sessionsPerUser'>,
  clock: Clock,
): Accounts {
  const book: Book = { sql, limits, clock, lock: sql.dialect.lock('users') }
  const { lock } = book

  return {
    addGuest: (name, hash, from = UNKNOWN) =>
      sql.transaction(function* () {
        const own = { name, ...nameKeys(name) }
        if ((yield* ownersOf(book, own)).length > 0) return null
        const user = yield* addUser(own, 'guest')
        if (user === null) return null
        return yield* add(book, { hash, user, role: 'member', expiresAt: null, ...from })
      }),

    addAdmin: (name, hash, from = UNKNOWN) =>
      sql.transaction(function* () {
        const own = { name, ...nameKeys(name) }
        const known = yield* adminOf(book, own)
        if (known === 'taken') return null
        const id = known?.id ?? (yield* addUser(own, 'admin'))
        const expiresAt = new Date(clock.date().getTime() + limits.longestSessionMs)
        if (id === null) return null
        return yield* addAnother(book, { hash, user: id, role: 'admin', expiresAt, ...from })
      }),

    addForeign: (subject, wanted, hash, expiresAt, from = UNKNOWN) =>
      sql.transaction(function* () {
        const user = yield* foreigner(book, subject, wanted)
        if (user === null) return null
        return yield* addAnother(book, { hash, user, role: 'member', expiresAt, ...from })
      }),

    addDevice: (session, hash, from = UNKNOWN) =>
      sql.transaction(function* () {
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
             SELECT 1 FROM sessions WHERE user_id = users.id AND hash <> $2 AND seen_at > $3
               AND (expires_at IS NULL OR expires_at > $4))`,
          ...[user.id, hash, idleSince(book), clock.date()],
        )
      }),

    endSessions: ({ hash, user }, all) =>
      sql.transaction(function* () {
        yield* exec(`SELECT id FROM users WHERE id = $1 ${lock}`, user.id)
        const ended = yield* end(sql, user.id, all ? ALL : ['hash = $2', hash])
        yield* freeName(user.id)
        return all ? ended : [hash]
      }),

    endDevices: ({ hash, user }, id) =>
      sql.transaction(function* () {
        yield* exec(`SELECT id FROM users WHERE id = $1 ${lock}`, user.id)
        const which = id === undefined ? (['hash <> $2', hash] as const) : idIs(id)
        const ended = yield* end(sql, user.id, which)
        yield* freeName(user.id)
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
        yield* endInvitesOf(user)
        return yield* end(sql, user, ALL, true)
      }),
  }
}

/** What the works about accounts need. */
interface Book {
  sql: Sql
  limits: Pick<Limits, 'idleSessionMs' | 'sessionsPerUser'>
  clock: Clock
  /** What decides about a user locks its row first. */
  lock: string
}

function idleSince({ clock, limits }: Book) {
  return new Date(clock.date().getTime() - limits.idleSessionMs)
}

function* find(book: Book, hash: string): Work<Session | null> {
  const row = yield* first<SessionRow>(
    `SELECT sessions.*, users.name, users.kind FROM sessions JOIN users ON users.id = user_id
     WHERE hash = $1 AND seen_at > $2 AND (expires_at IS NULL OR expires_at > $3)`,
    ...[hash, idleSince(book), book.clock.date()],
  )
  return row ? toSession(row, book.limits.idleSessionMs) : null
}

interface NewSession extends Origin {
  hash: string
  user: string
  role: Role
  expiresAt: Date | null
}

function* add(book: Book, { hash, user, role, expiresAt, address, agent }: NewSession) {
  yield* exec(
    `INSERT INTO sessions (hash, user_id, role, made_at, seen_at, expires_at, address, agent)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    ...[hash, user, role, book.clock.date(), book.clock.date(), expiresAt, address, agent],
  )
  return yield* find(book, hash)
}

/** A session of a user who may have some: those unused longest make way, the others hear of it. */
function* addAnother(book: Book, session: NewSession) {
  const { user } = session
  const others = yield* countSessions(book, user)
  if (others >= book.limits.sessionsPerUser) {
    const stay = 'SELECT hash FROM sessions WHERE user_id = $1 ORDER BY seen_at DESC LIMIT $2'
    yield* end(book.sql, user, [`hash NOT IN (${stay})`, book.limits.sessionsPerUser - 1])
  }
  if (others > 0) yield* revoke(book.sql, [{ device: session.hash, user_id: user }])
  return yield* add(book, session)
}

/** Those that hold; what is over is ended. */
function* countSessions(book: Book, user: string) {
  yield* endIdle(book, user)
  const text = 'SELECT count(*) AS count FROM sessions WHERE user_id = $1'
  return Number((yield* first<{ count: number | string }>(text, user))!.count)
}

/** A name as it is shown, and what it is owned by. */
interface OwnName extends NameKeys {
  name: string
}

/**
 * The users that own what this name is told by: two at most, one by its key and one by its look.
 * Guests whose sessions are all over have lost it.
 */
function* ownersOf(book: Book, { key, look }: NameKeys): Work<UserRow[]> {
  // Each by its index: an OR of both would be looked for in all of the table.
  const found = yield* rows<UserRow>(
    `SELECT * FROM users WHERE id IN (SELECT id FROM users WHERE name_key = $1
       UNION SELECT id FROM users WHERE name_look = $2) ORDER BY id ${book.lock}`,
    ...[key, look],
  )
  const owners: UserRow[] = []
  for (const owner of found) {
    yield* endIdle(book, owner.id)
    if (!(yield* freeName(owner.id))) owners.push(owner)
  }
  return owners
}

/** The admin of this name, if there is one; of a reserved name nobody else stays the owner. */
function* adminOf(book: Book, own: OwnName): Work<UserRow | 'taken' | undefined> {
  let known: UserRow | undefined
  for (const owner of yield* ownersOf(book, own)) {
    const isAdmin = owner.kind === 'admin'
    if (isAdmin && !owner.banned && owner.name_key === own.key) known = owner
    else if (isAdmin || !isReserved(own.name)) return 'taken'
    else yield* renameAway(book, owner.id)
  }
  return known
}

/** Gives a user another name than the one that was not theirs to have. */
function* renameAway(book: Book, id: string) {
  for (const name of namesLike(NOBODY)) {
    const own = { name, ...nameKeys(name) }
    if ((yield* ownersOf(book, own)).length === 0) return yield* rename(id, own)
  }
  throw new Error('no name like this is free')
}

/** The user that an issuer vouches for, by a name that is wanted or like it. null: banned. */
function* foreigner(book: Book, subject: string, wanted: string): Work<string | null> {
  for (const variant of namesLike(wanted)) {
    // Looked up each time: another node may have been first.
    const text = `SELECT * FROM users WHERE subject = $1 ${book.lock}`
    const known = yield* first<UserRow>(text, subject)
    if (known?.banned) return null
    if (known && isNameLike(known.name, wanted)) return known.id
    const own = { name: variant, ...nameKeys(variant) }
    const owners = yield* ownersOf(book, own)
    if (owners.some(({ id }) => id !== known?.id)) continue
    if (known) yield* rename(known.id, own)
    const id = known?.id ?? (yield* addUser(own, 'member', subject))
    if (id) return id
  }
  throw new Error('no name like this is free')
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
  yield* endInvitesOf(user)
  return { sessions: sessions.length, memberships: memberships.length }
}

/** Ends those that were not used for long, or whose time is over. */
function endIdle(book: Book, user: string) {
  const which = ['(seen_at <= $2 OR expires_at <= $3)', idleSince(book), book.clock.date()] as const
  return end(book.sql, user, which)
}

/** A condition, and its values from $2 on. */
type Which = readonly [condition: string, ...values: Value[]]
const ALL: Which = ['hash <> $2', '']

/** Ends sessions of a user, and tells every node. @returns hashes */
function* end(sql: Sql, user: string, [condition, ...values]: Which, banned = false) {
  const ended = yield* rows<{ hash: string }>(
    `DELETE FROM sessions WHERE user_id = $1 AND ${condition} RETURNING hash`,
    ...[user, ...values],
  )
  yield* revoke(
    sql,
    ended.map(({ hash: session }) => ({ session, banned })),
  )
  return ended.map((row) => row.hash)
}

/** @returns the id; null when another node was first, with the name or with the subject */
function* addUser({ name, key, look }: OwnName, kind: string, subject: string | null = null) {
  const added = yield* first<{ id: string }>(
    `INSERT INTO users (id, name, name_key, name_look, kind, subject)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id`,
    ...[crypto.randomUUID(), name, key, look, kind, subject],
  )
  return added?.id ?? null
}

function rename(id: string, { name, key, look }: OwnName) {
  const text = 'UPDATE users SET name = $1, name_key = $2, name_look = $3 WHERE id = $4'
  return exec(text, name, key, look, id)
}

/** Frees the name of a guest without sessions, which can never come back. @returns whether it did */
function* freeName(user: string) {
  const isFreed = yield* did(
    `UPDATE users SET name_key = NULL, name_look = NULL
     WHERE kind = 'guest' AND NOT banned AND id = $1
       AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id) RETURNING id`,
    user,
  )
  if (isFreed) yield* endInvitesOf(user)
  return isFreed
}

function toSession(row: SessionRow, idleSessionMs: number): Session {
  return {
    hash: row.hash,
    user: toUser(row.user_id, row.name, row.kind),
    role: row.role,
    expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    idleUntil: new Date(new Date(row.seen_at).getTime() + idleSessionMs),
  }
}
