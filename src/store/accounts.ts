/** Accounts: users, the names they own, and their signed-in devices. */

import { isNameLike, namesLike, type Name } from '../auth/names.ts'
import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { User } from '../protocol.ts'
import { revoke } from './nodes.ts'
import { did, exec, first, rows, type Sql, type Work } from './sql.ts'

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

/** Kept in the database of the log; each method is atomic. */
export interface Accounts {
  /** A new guest, who owns the name from now on, and its first session. null: the name is taken. */
  addGuest(name: string, key: string, hash: string): Promise<Session | null>
  /** The admin of this name, new or known, and a session with that role. null: taken by a guest. */
  addAdmin(name: string, key: string, hash: string): Promise<Session | null>
  /** The user that an issuer vouches for, new or known, by this name or one like it. null: banned. */
  addForeign(subject: string, name: string, hash: string, expiresAt: Date): Promise<Session | null>
  /** Another session of the user of a session that still holds, as long; null when it does not. */
  addDevice(session: string, hash: string): Promise<Session | null>
  /** The session, if it holds; using it keeps it alive. */
  session(hash: string): Promise<Session | null>
  /** Ends a session, or all of its user's. A guest's name is freed with the last. @returns hashes */
  endSessions(session: Session, all: boolean): Promise<string[]>
  /** Keeps a user out for good: sessions and name. @returns hashes; null when there is no such user */
  ban(user: string): Promise<string[] | null>
}

/** A session in use is written down this often, not at every request. ms */
const TOUCH_MS = 3_600_000

/** A row of `sessions` with its user's name; times are milliseconds in SQLite, text in Postgres. */
interface SessionRow {
  hash: string
  user_id: string
  name: string
  role: Role
  seen_at: number | string
  expires_at: number | string | null
}

interface UserRow {
  id: string
  name: string
  kind: string
  banned: boolean | number
}

export function createAccounts(
  sql: Sql,
  limits: Pick<Limits, 'idleSessionMs' | 'longestSessionMs'>,
  clock: Clock,
): Accounts {
  const book: Book = { sql, limits, clock, lock: sql.dialect.lock('users') }
  const { lock } = book

  return {
    addGuest: (name, key, hash) =>
      sql.transaction(function* () {
        if (yield* ownerOf(book, key)) return null
        const id = yield* addUser({ name, key }, 'guest')
        return id === null ? null : yield* add(book, hash, id, 'member', null)
      }),

    addAdmin: (name, key, hash) =>
      sql.transaction(function* () {
        const owner = yield* ownerOf(book, key)
        if (owner && (owner.kind !== 'admin' || owner.banned)) return null
        const id = owner?.id ?? (yield* addUser({ name, key }, 'admin'))
        const end = new Date(clock.date().getTime() + limits.longestSessionMs)
        return id === null ? null : yield* add(book, hash, id, 'admin', end)
      }),

    addForeign: (subject, wanted, hash, expiresAt) =>
      sql.transaction(function* () {
        const id = yield* foreigner(book, subject, wanted)
        return id === null ? null : yield* add(book, hash, id, 'member', expiresAt)
      }),

    addDevice: (session, hash) =>
      sql.transaction(function* () {
        const ofSession = '(SELECT user_id FROM sessions WHERE hash = $1)'
        yield* exec(`SELECT id FROM users WHERE id = ${ofSession} ${lock}`, session)
        const known = yield* find(book, session)
        return known && (yield* add(book, hash, known.user.id, known.role, known.expiresAt))
      }),

    session: (hash) =>
      sql.run(function* () {
        const session = yield* find(book, hash)
        const left = (session?.idleUntil.getTime() ?? 0) - clock.date().getTime()
        if (session && left < limits.idleSessionMs - TOUCH_MS) {
          yield* exec('UPDATE sessions SET seen_at = $1 WHERE hash = $2', clock.date(), hash)
        }
        return session
      }),

    endSessions: ({ hash, user }, all) =>
      sql.transaction(function* () {
        yield* exec(`SELECT id FROM users WHERE id = $1 ${lock}`, user.id)
        const ended = yield* end(sql, user.id, { hash: all ? null : hash })
        yield* freeName(user.id)
        return all ? ended : [hash]
      }),

    ban: (user) =>
      sql.transaction(function* () {
        const text = 'UPDATE users SET banned = $2 WHERE id = $1 RETURNING id'
        return (yield* did(text, user, true)) ? yield* end(sql, user, { banned: true }) : null
      }),
  }
}

/** What the works about accounts need. */
interface Book {
  sql: Sql
  limits: Pick<Limits, 'idleSessionMs'>
  clock: Clock
  /** What decides about a user locks its row first. */
  lock: string
}

function idleSince({ clock, limits }: Book) {
  return new Date(clock.date().getTime() - limits.idleSessionMs)
}

function* find(book: Book, hash: string): Work<Session | null> {
  const row = yield* first<SessionRow>(
    `SELECT sessions.*, users.name FROM sessions JOIN users ON users.id = user_id
     WHERE hash = $1 AND seen_at > $2 AND (expires_at IS NULL OR expires_at > $3)`,
    ...[hash, idleSince(book), book.clock.date()],
  )
  return row ? toSession(row, book.limits.idleSessionMs) : null
}

function* add(book: Book, hash: string, user: string, role: Role, expiresAt: Date | null) {
  yield* exec(
    `INSERT INTO sessions (hash, user_id, role, seen_at, expires_at)
     VALUES ($1, $2, $3, $4, $5)`,
    ...[hash, user, role, book.clock.date(), expiresAt],
  )
  return yield* find(book, hash)
}

/** The user that owns a name; a guest whose sessions are all over has lost it. */
function* ownerOf(book: Book, key: string): Work<UserRow | undefined> {
  const owner = yield* first<UserRow>(`SELECT * FROM users WHERE name_key = $1 ${book.lock}`, key)
  if (!owner) return undefined
  yield* exec(
    'DELETE FROM sessions WHERE user_id = $1 AND (seen_at <= $2 OR expires_at <= $3)',
    ...[owner.id, idleSince(book), book.clock.date()],
  )
  return (yield* freeName(owner.id)) ? undefined : owner
}

/** The user that an issuer vouches for, by a name that is wanted or like it. null: banned. */
function* foreigner(book: Book, subject: string, wanted: string): Work<string | null> {
  for (const variant of namesLike(wanted)) {
    // Looked up each time: another node may have been first.
    const text = `SELECT * FROM users WHERE subject = $1 ${book.lock}`
    const known = yield* first<UserRow>(text, subject)
    if (known?.banned) return null
    if (known && isNameLike(known.name, wanted)) return known.id
    const owner = yield* ownerOf(book, variant.key)
    if (owner && owner.id !== known?.id) continue
    if (known) yield* rename(known.id, variant)
    const id = known?.id ?? (yield* addUser(variant, 'member', subject))
    if (id) return id
  }
  throw new Error('no name like this is free')
}

/**
 * Ends what keeps a user in, on every node: sessions, which tickets hang on, and memberships.
 * @returns how many sessions and memberships there were
 */
export function* expel(sql: Sql, user: string) {
  const sessions = yield* end(sql, user, {})
  const ended = 'DELETE FROM members WHERE user_id = $1 RETURNING room, user_id'
  const memberships = yield* rows<{ room: string; user_id: string }>(ended, user)
  yield* revoke(sql, memberships)
  return { sessions: sessions.length, memberships: memberships.length }
}

/** Ends sessions, all or the one, and tells the other nodes. @returns hashes */
function* end(sql: Sql, user: string, of: { hash?: string | null; banned?: boolean }) {
  const { hash = null, banned = false } = of
  const ended = yield* rows<{ hash: string }>(
    `DELETE FROM sessions WHERE user_id = $1 AND (CAST($2 AS text) IS NULL OR hash = $2)
     RETURNING hash`,
    ...[user, hash],
  )
  yield* revoke(
    sql,
    ended.map(({ hash: session }) => ({ session, banned })),
  )
  return ended.map((row) => row.hash)
}

/** @returns the id; null when another node was first, with the name or with the subject */
function* addUser({ name, key }: Name, kind: string, subject: string | null = null) {
  const added = yield* first<{ id: string }>(
    `INSERT INTO users (id, name, name_key, kind, subject) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING RETURNING id`,
    ...[crypto.randomUUID(), name, key, kind, subject],
  )
  return added?.id ?? null
}

function rename(id: string, { name, key }: Name) {
  return exec('UPDATE users SET name = $1, name_key = $2 WHERE id = $3', name, key, id)
}

/** Frees the name of a guest without sessions. @returns whether it did */
function freeName(user: string) {
  return did(
    `UPDATE users SET name_key = NULL WHERE kind = 'guest' AND NOT banned AND id = $1
       AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id) RETURNING id`,
    user,
  )
}

function toSession(row: SessionRow, idleSessionMs: number): Session {
  return {
    hash: row.hash,
    user: { id: row.user_id, name: row.name },
    role: row.role,
    expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    idleUntil: new Date(new Date(row.seen_at).getTime() + idleSessionMs),
  }
}
