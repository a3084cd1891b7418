/** Sessions of users: found, added, ended. */

import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { User } from '../protocol.ts'
import { revoke } from './nodes.ts'
import { toUser } from './rows.ts'
import { exec, first, rows, type Sql, type Value, type Work } from './sql.ts'

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

/** What the works about accounts need. */
export interface Book {
  sql: Sql
  limits: Pick<Limits, 'idleSessionMs' | 'sessionsPerUser'>
  clock: Clock
  /** What decides about a user locks its row first. */
  lock: string
}

/** What was used later than this holds. */
export function idleSince({ clock, limits }: Book) {
  return new Date(clock.date().getTime() - limits.idleSessionMs)
}

/** That a session holds: used since `idle`, and not over by `now`; both places of values. */
export function holds(idle: string, now: string) {
  return `seen_at > ${idle} AND (expires_at IS NULL OR expires_at > ${now})`
}

/** Locks the user's row, behind which is decided what the user has. */
export function lockUser({ dialect }: Pick<Sql, 'dialect'>, user: string): Work<void> {
  return exec(`SELECT id FROM users WHERE id = $1 ${dialect.lock('users')}`, user)
}

/** The session, if it holds. */
export function* find(book: Book, hash: string): Work<Session | null> {
  const row = yield* first<SessionRow>(
    `SELECT sessions.*, users.name, users.kind FROM sessions JOIN users ON users.id = user_id
     WHERE hash = $1 AND ${holds('$2', '$3')}`,
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

/** A session of a user, whatever others there are. */
export function* add(book: Book, session: NewSession, at = book.clock.date()) {
  const { hash, user, role, expiresAt, address, agent } = session
  yield* exec(
    `INSERT INTO sessions (hash, user_id, role, made_at, seen_at, expires_at, address, agent)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    ...[hash, user, role, at, at, expiresAt, address, agent],
  )
  return yield* find(book, hash)
}

/** A session of a user who may have some: those unused longest make way, the others hear of it. */
export function* addAnother(book: Book, session: NewSession) {
  const { user, hash, address, agent } = session
  const at = book.clock.date()
  const others = yield* countSessions(book, user)
  if (others >= book.limits.sessionsPerUser) {
    const stay = 'SELECT hash FROM sessions WHERE user_id = $1 ORDER BY seen_at DESC LIMIT $2'
    yield* end(book.sql, user, [`hash NOT IN (${stay})`, book.limits.sessionsPerUser - 1])
  }
  const device = { hash, at, address, agent }
  if (others > 0) yield* revoke(book.sql, [{ device, user_id: user }])
  return yield* add(book, session, at)
}

/** Those that hold; what is over is ended. */
export function* countSessions(book: Book, user: string) {
  yield* endIdle(book, user)
  const text = 'SELECT count(*) AS count FROM sessions WHERE user_id = $1'
  return Number((yield* first<{ count: number | string }>(text, user))!.count)
}

/** Ends those that were not used for long, or whose time is over. */
export function endIdle(book: Book, user: string) {
  const which = ['(seen_at <= $2 OR expires_at <= $3)', idleSince(book), book.clock.date()] as const
  return end(book.sql, user, which)
}

/** A condition, and its values from $2 on. */
type Which = readonly [condition: string, ...values: Value[]]

/** All of a user's. */
export const ALL: Which = ['hash <> $2', '']

/** Ends sessions of a user, and tells every node. @returns hashes */
export function* end(sql: Sql, user: string, [condition, ...values]: Which, banned = false) {
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

function toSession(row: SessionRow, idleSessionMs: number): Session {
  return {
    hash: row.hash,
    user: toUser(row.user_id, row.name, row.kind),
    role: row.role,
    expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    idleUntil: new Date(new Date(row.seen_at).getTime() + idleSessionMs),
  }
}
