/** Users and sessions in the SQLite file of the log. */

import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import { transaction, type Database } from './sqlite.ts'
import {
  toSession,
  TOUCH_MS,
  type Accounts,
  type Role,
  type SessionRow,
  type Session,
} from './accounts.ts'
import { isNameLike, namesLike } from '../auth/names.ts'

export function createSqliteAccounts(
  { db }: Pick<Database, 'db'>,
  { idleSessionMs, longestSessionMs }: Limits,
  clock: Clock,
): Accounts {
  const sql = {
    owner: db.prepare('SELECT id, kind, banned FROM users WHERE name_key = ?'),
    bySubject: db.prepare('SELECT id, name, banned FROM users WHERE subject = ?'),
    addUser: db.prepare(
      'INSERT INTO users (id, name, name_key, kind, subject) VALUES (?, ?, ?, ?, ?)',
    ),
    rename: db.prepare('UPDATE users SET name = ?, name_key = ? WHERE id = ?'),
    ban: db.prepare('UPDATE users SET banned = 1 WHERE id = ?'),
    addSession: db.prepare('INSERT INTO sessions VALUES (?, ?, ?, ?, ?)'),
    session: db.prepare(
      `SELECT sessions.*, users.name FROM sessions JOIN users ON users.id = user_id
       WHERE hash = ? AND seen_at > ? AND (expires_at IS NULL OR expires_at > ?)`,
    ),
    touch: db.prepare('UPDATE sessions SET seen_at = ? WHERE hash = ?'),
    endOne: db.prepare('DELETE FROM sessions WHERE hash = ?'),
    endAll: db.prepare('DELETE FROM sessions WHERE user_id = ? RETURNING hash'),
    endOver: db.prepare(
      'DELETE FROM sessions WHERE user_id = ? AND (seen_at <= ? OR expires_at <= ?)',
    ),
    freeName: db.prepare(
      `UPDATE users SET name_key = NULL WHERE kind = 'guest' AND NOT banned AND id = ?
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id)`,
    ),
  }
  const now = () => clock.date().getTime()

  const find = (hash: string): Session | null => {
    const row = sql.session.get(hash, now() - idleSessionMs, now()) as SessionRow | undefined
    return row ? toSession(row, idleSessionMs) : null
  }

  const add = (hash: string, user: string, role: Role, expiresAt: Date | null) => {
    sql.addSession.run(hash, user, role, now(), expiresAt?.getTime() ?? null)
    return find(hash)
  }

  /** Who owns a name; a guest whose sessions are all over has lost it. */
  const ownerOf = (key: string) => {
    const owner = sql.owner.get(key) as { id: string; kind: string; banned: number } | undefined
    if (!owner) return undefined
    sql.endOver.run(owner.id, now() - idleSessionMs, now())
    return sql.freeName.run(owner.id).changes > 0 ? undefined : owner
  }

  const addUser = (name: string, key: string, kind: string, subject: string | null = null) => {
    const id = crypto.randomUUID()
    sql.addUser.run(id, name, key, kind, subject)
    return id
  }

  const endAll = (user: string) =>
    (sql.endAll.all(user) as { hash: string }[]).map((row) => row.hash)

  return {
    addGuest: async (name, key, hash) =>
      transaction(db, () => {
        if (ownerOf(key)) return null
        return add(hash, addUser(name, key, 'guest'), 'member', null)
      }),

    addAdmin: async (name, key, hash) =>
      transaction(db, () => {
        const owner = ownerOf(key)
        if (owner && (owner.kind !== 'admin' || owner.banned)) return null
        const id = owner?.id ?? addUser(name, key, 'admin')
        return add(hash, id, 'admin', new Date(now() + longestSessionMs))
      }),

    addForeign: async (subject, wanted, hash, expiresAt) =>
      transaction(db, () => {
        const known = sql.bySubject.get(subject) as
          { id: string; name: string; banned: number } | undefined
        if (known?.banned) return null
        if (known && isNameLike(known.name, wanted)) return add(hash, known.id, 'member', expiresAt)
        for (const { name, key } of namesLike(wanted)) {
          const owner = ownerOf(key)
          if (owner && owner.id !== known?.id) continue
          if (known) sql.rename.run(name, key, known.id)
          return add(hash, known?.id ?? addUser(name, key, 'member', subject), 'member', expiresAt)
        }
        throw new Error('no name like this is free')
      }),

    addDevice: async (session, hash) =>
      transaction(db, () => {
        const known = find(session)
        return known && add(hash, known.user.id, known.role, known.expiresAt)
      }),

    session: async (hash) => {
      const session = find(hash)
      if (session && session.idleUntil.getTime() - now() < idleSessionMs - TOUCH_MS) {
        sql.touch.run(now(), hash)
      }
      return session
    },

    endSessions: async ({ hash, user }, all) =>
      transaction(db, () => {
        const hashes = all ? endAll(user.id) : [hash]
        if (!all) sql.endOne.run(hash)
        sql.freeName.run(user.id)
        return hashes
      }),

    ban: async (user) =>
      transaction(db, () => (sql.ban.run(user).changes > 0 ? endAll(user) : null)),
  }
}
