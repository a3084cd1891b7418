/** Users and sessions in Postgres, for all nodes. What decides about a user locks its row first. */

import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { Postgres, Query } from '../cluster/postgres.ts'
import { toSession, TOUCH_MS, type Accounts, type Role, type SessionRow } from './accounts.ts'
import { isNameLike, namesLike } from '../auth/names.ts'

export function createPostgresAccounts(
  { query, transaction }: Pick<Postgres, 'query' | 'transaction'>,
  { idleSessionMs, longestSessionMs }: Pick<Limits, 'idleSessionMs' | 'longestSessionMs'>,
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

  const add = async (
    ask: Query,
    hash: string,
    user: string,
    role: Role,
    expiresAt: Date | null,
  ) => {
    const values = [hash, user, role, clock.date(), expiresAt]
    await ask('INSERT INTO sessions VALUES ($1, $2, $3, $4, $5)', values)
    return find(ask, hash)
  }

  /** @returns whether the name was freed */
  const freeName = async (ask: Query, user: string) => {
    const freed = await ask(
      `UPDATE users SET name_key = NULL WHERE kind = 'guest' AND NOT banned AND id = $1
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id) RETURNING id`,
      [user],
    )
    return freed.length > 0
  }

  /** Who owns a name; a guest whose sessions are all over has lost it. */
  const ownerOf = async (ask: Query, key: string) => {
    const [owner] = await ask<{ id: string; kind: string; banned: boolean }>(
      'SELECT id, kind, banned FROM users WHERE name_key = $1 FOR UPDATE',
      [key],
    )
    if (!owner) return undefined
    await ask('DELETE FROM sessions WHERE user_id = $1 AND (seen_at <= $2 OR expires_at <= $3)', [
      ...[owner.id, idleSince(), clock.date()],
    ])
    return (await freeName(ask, owner.id)) ? undefined : owner
  }

  /** @returns the id; null when another node was first, with the name or with the subject */
  const addUser = async (
    ask: Query,
    { name, key }: { name: string; key: string },
    kind: string,
    subject: string | null = null,
  ) => {
    const [added] = await ask<{ id: string }>(
      `INSERT INTO users (id, name, name_key, kind, subject)
       VALUES (gen_random_uuid(), $1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id`,
      [name, key, kind, subject],
    )
    return added?.id ?? null
  }

  const bySubject = async (ask: Query, subject: string) => {
    const [user] = await ask<{ id: string; name: string; banned: boolean }>(
      'SELECT id, name, banned FROM users WHERE subject = $1 FOR UPDATE',
      [subject],
    )
    return user
  }

  /** Ends sessions and tells the other nodes. @returns hashes */
  const end = async (ask: Query, user: string, hash: string | null, banned = false) => {
    const ended = await ask<{ hash: string }>(
      `WITH ended AS (DELETE FROM sessions WHERE user_id = $1 AND ($2::text IS NULL OR hash = $2)
         RETURNING hash)
       INSERT INTO revocations (session, banned) SELECT hash, $3 FROM ended
       RETURNING session AS hash`,
      [user, hash, banned],
    )
    return ended.map((row) => row.hash)
  }

  return {
    addGuest: (name, key, hash) =>
      transaction(async (ask) => {
        if (await ownerOf(ask, key)) return null
        const id = await addUser(ask, { name, key }, 'guest')
        return id === null ? null : add(ask, hash, id, 'member', null)
      }),

    addAdmin: (name, key, hash) =>
      transaction(async (ask) => {
        const owner = await ownerOf(ask, key)
        if (owner && (owner.kind !== 'admin' || owner.banned)) return null
        const id = owner?.id ?? (await addUser(ask, { name, key }, 'admin'))
        return id === null ? null : add(ask, hash, id, 'admin', new Date(now() + longestSessionMs))
      }),

    addForeign: (subject, wanted, hash, expiresAt) =>
      transaction(async (ask) => {
        for (const variant of namesLike(wanted)) {
          // Looked up each time: another node may have been first.
          const known = await bySubject(ask, subject)
          if (known?.banned) return null
          const isNamed = known && isNameLike(known.name, wanted)
          if (isNamed) return add(ask, hash, known.id, 'member', expiresAt)
          const owner = await ownerOf(ask, variant.key)
          if (owner && owner.id !== known?.id) continue
          if (known) {
            const values = [variant.name, variant.key, known.id]
            await ask('UPDATE users SET name = $1, name_key = $2 WHERE id = $3', values)
          }
          const id = known?.id ?? (await addUser(ask, variant, 'member', subject))
          if (id) return add(ask, hash, id, 'member', expiresAt)
        }
        throw new Error('no name like this is free')
      }),

    addDevice: (session, hash) =>
      transaction(async (ask) => {
        await ask(
          `SELECT 1 FROM users WHERE id = (SELECT user_id FROM sessions WHERE hash = $1)
           FOR UPDATE`,
          [session],
        )
        const known = await find(ask, session)
        return known && add(ask, hash, known.user.id, known.role, known.expiresAt)
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
        const ended = await end(ask, user.id, all ? null : hash)
        await freeName(ask, user.id)
        return all ? ended : [hash]
      }),

    ban: (user) =>
      transaction(async (ask) => {
        const banned = await ask('UPDATE users SET banned = true WHERE id = $1 RETURNING id', [
          user,
        ])
        return banned.length > 0 ? end(ask, user, null, true) : null
      }),
  }
}
