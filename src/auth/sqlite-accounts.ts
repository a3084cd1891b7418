/** Users and sessions in the SQLite file of the log. */

import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import { transaction, type Database } from '../log/sqlite.ts'
import {
  toSession,
  TOUCH_MS,
  type Accounts,
  type Role,
  type SessionRow,
  type Session,
} from './accounts.ts'

export function createSqliteAccounts(
  { db }: Pick<Database, 'db'>,
  { idleSessionMs, adminSessionMs }: Limits,
  clock: Clock,
): Accounts {
  const sql = {
    owner: db.prepare('SELECT id, kind FROM users WHERE name_key = ?'),
    addUser: db.prepare('INSERT INTO users (id, name, name_key, kind) VALUES (?, ?, ?, ?)'),
    addSession: db.prepare('INSERT INTO sessions VALUES (?, ?, ?, ?, ?)'),
    session: db.prepare(
      `SELECT sessions.*, users.name FROM sessions JOIN users ON users.id = user_id
       WHERE hash = ? AND seen_at > ? AND (expires_at IS NULL OR expires_at > ?)`,
    ),
    touch: db.prepare('UPDATE sessions SET seen_at = ? WHERE hash = ?'),
    hashes: db.prepare('SELECT hash FROM sessions WHERE user_id = ?'),
    endOne: db.prepare('DELETE FROM sessions WHERE hash = ?'),
    endAll: db.prepare('DELETE FROM sessions WHERE user_id = ?'),
    endOver: db.prepare(
      'DELETE FROM sessions WHERE user_id = ? AND (seen_at <= ? OR expires_at <= ?)',
    ),
    freeName: db.prepare(
      `UPDATE users SET name_key = NULL WHERE kind = 'guest' AND id = ?
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id)`,
    ),
  }
  const now = () => clock.date().getTime()

  const find = (hash: string): Session | null => {
    const row = sql.session.get(hash, now() - idleSessionMs, now()) as SessionRow | undefined
    return row ? toSession(row, idleSessionMs) : null
  }

  const add = (hash: string, user: string, role: Role) => {
    const expiresAt = role === 'admin' ? now() + adminSessionMs : null
    sql.addSession.run(hash, user, role, now(), expiresAt)
    return find(hash)
  }

  /** Who owns a name; a guest whose sessions are all over has lost it. */
  const ownerOf = (key: string) => {
    const owner = sql.owner.get(key) as { id: string; kind: string } | undefined
    if (!owner) return undefined
    sql.endOver.run(owner.id, now() - idleSessionMs, now())
    return sql.freeName.run(owner.id).changes > 0 ? undefined : owner
  }

  /** Signs in the owner of a name; a free name gets a new one, a foreign one is refused. */
  const claim = (name: string, key: string, hash: string, kind: 'guest' | 'admin') =>
    transaction(db, () => {
      const owner = ownerOf(key)
      if (owner && (kind === 'guest' || owner.kind !== 'admin')) return null
      const id = owner?.id ?? crypto.randomUUID()
      if (!owner) sql.addUser.run(id, name, key, kind)
      return add(hash, id, kind === 'admin' ? 'admin' : 'member')
    })

  return {
    addGuest: async (name, key, hash) => claim(name, key, hash, 'guest'),
    addAdmin: async (name, key, hash) => claim(name, key, hash, 'admin'),

    addDevice: async (session, hash) =>
      transaction(db, () => {
        const known = find(session)
        return known && add(hash, known.user.id, known.role)
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
        const hashes = all
          ? (sql.hashes.all(user.id) as { hash: string }[]).map((row) => row.hash)
          : [hash]
        if (all) sql.endAll.run(user.id)
        else sql.endOne.run(hash)
        sql.freeName.run(user.id)
        return hashes
      }),
  }
}
