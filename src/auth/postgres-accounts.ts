/** Users and sessions in Postgres, for all nodes. What decides about a user locks its row first. */

import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { Postgres, Query } from '../log/postgres.ts'
import { toSession, TOUCH_MS, type Accounts, type Role, type SessionRow } from './accounts.ts'

export function createPostgresAccounts(
  { query, transaction }: Pick<Postgres, 'query' | 'transaction'>,
  { idleSessionMs, adminSessionMs }: Pick<Limits, 'idleSessionMs' | 'adminSessionMs'>,
  clock: Clock,
): Accounts {
  const now = () => clock.date().getTime()
  const idleSince = () => new Date(now() - idleSessionMs)

  const find = async (ask: Query, hash: string) => {
    const [row] = await ask<SessionRow>(
      `SELECT sessions.*, users.name FROM sessions JOIN users ON users.id = user_id
       WHERE hash = $1 AND seen_at > $2 AND (expires_at IS NULL OR expires_at > $3)`,
      [hash, idleSince(), clock.date()],
    )
    return row ? toSession(row, idleSessionMs) : null
  }

  const add = async (ask: Query, hash: string, user: string, role: Role) => {
    const expiresAt = role === 'admin' ? new Date(now() + adminSessionMs) : null
    const values = [hash, user, role, clock.date(), expiresAt]
    await ask('INSERT INTO sessions VALUES ($1, $2, $3, $4, $5)', values)
    return find(ask, hash)
  }

  /** @returns whether the name was freed */
  const freeName = async (ask: Query, user: string) => {
    const freed = await ask(
      `UPDATE users SET name_key = NULL WHERE kind = 'guest' AND id = $1
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id) RETURNING id`,
      [user],
    )
    return freed.length > 0
  }

  /** Who owns a name; a guest whose sessions are all over has lost it. */
  const ownerOf = async (ask: Query, key: string) => {
    const [owner] = await ask<{ id: string; kind: string }>(
      'SELECT id, kind FROM users WHERE name_key = $1 FOR UPDATE',
      [key],
    )
    if (!owner) return undefined
    await ask('DELETE FROM sessions WHERE user_id = $1 AND (seen_at <= $2 OR expires_at <= $3)', [
      ...[owner.id, idleSince(), clock.date()],
    ])
    return (await freeName(ask, owner.id)) ? undefined : owner
  }

  /** @returns the id; null when another node was first */
  const addUser = async (ask: Query, name: string, key: string, kind: string) => {
    const [added] = await ask<{ id: string }>(
      `INSERT INTO users (id, name, name_key, kind) VALUES (gen_random_uuid(), $1, $2, $3)
       ON CONFLICT (name_key) DO NOTHING RETURNING id`,
      [name, key, kind],
    )
    return added?.id ?? null
  }

  /** Signs in the owner of a name; a free name gets a new one, a foreign one is refused. */
  const claim = (name: string, key: string, hash: string, kind: 'guest' | 'admin') =>
    transaction(async (ask) => {
      const owner = await ownerOf(ask, key)
      if (owner && (kind === 'guest' || owner.kind !== 'admin')) return null
      const id = owner?.id ?? (await addUser(ask, name, key, kind))
      return id === null ? null : add(ask, hash, id, kind === 'admin' ? 'admin' : 'member')
    })

  return {
    addGuest: (name, key, hash) => claim(name, key, hash, 'guest'),
    addAdmin: (name, key, hash) => claim(name, key, hash, 'admin'),

    addDevice: (session, hash) =>
      transaction(async (ask) => {
        await ask(
          `SELECT 1 FROM users WHERE id = (SELECT user_id FROM sessions WHERE hash = $1)
           FOR UPDATE`,
          [session],
        )
        const known = await find(ask, session)
        return known && add(ask, hash, known.user.id, known.role)
      }),

    session: async (hash) => {
      const session = await find(query, hash)
      if (session && session.idleUntil.getTime() - now() < idleSessionMs - TOUCH_MS) {
        await query('UPDATE sessions SET seen_at = $1 WHERE hash = $2', [clock.date(), hash])
      }
      return session
    },

    endSessions: ({ hash, user }, all) =>
      transaction(async (ask) => {
        await ask('SELECT 1 FROM users WHERE id = $1 FOR UPDATE', [user.id])
        const ended = await ask<{ hash: string }>(
          `WITH ended AS (DELETE FROM sessions WHERE user_id = $1 AND ($2 OR hash = $3)
             RETURNING hash)
           INSERT INTO revocations (session) SELECT hash FROM ended RETURNING session AS hash`,
          [user.id, all, hash],
        )
        await freeName(ask, user.id)
        return all ? ended.map((row) => row.hash) : [hash]
      }),
  }
}
