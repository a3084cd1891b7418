/** Which nodes live and who is on them, in Postgres, by its clock. */

import type { Limits } from '../limits.ts'
import type { Postgres } from '../cluster/postgres.ts'
import type { User } from '../protocol.ts'
import type { Directory } from './nodes.ts'

/** How far back revocations are told, and how long they are kept. ms */
const REVOKED_MS = 60_000
const REVOKED_KEPT_MS = 600_000
/** After so many times `aliveMs` others take away what a dead node left. */
const GONE = 10

/** `n` milliseconds ago. */
const ago = (n: string) => `clock_timestamp() - ${n} * interval '1 ms'`

/** @param node  a new one for every start */
export function createPostgresDirectory(
  { query }: Pick<Postgres, 'query'>,
  { aliveMs, retiredMs }: Pick<Limits, 'aliveMs' | 'retiredMs'>,
  node: string = crypto.randomUUID(),
): Directory {
  return {
    renew: async (isBusUp) => {
      const [renewed] = await query<{ known: boolean }>(
        `WITH gone AS (DELETE FROM nodes WHERE node IN (
           SELECT node FROM nodes WHERE node <> $1 AND seen_at < ${ago('$2')}
           FOR UPDATE SKIP LOCKED) RETURNING node),
         ghosts AS (DELETE FROM presence WHERE node IN (SELECT node FROM gone)),
         old AS (DELETE FROM revocations WHERE at < ${ago('$3')})
         INSERT INTO nodes VALUES ($1, clock_timestamp(), NOT $4)
         ON CONFLICT (node) DO UPDATE SET seen_at = excluded.seen_at, is_mute = excluded.is_mute
         RETURNING EXISTS (SELECT 1 FROM nodes AS before WHERE before.node = $1) AS known`,
        [node, GONE * aliveMs, REVOKED_KEPT_MS, isBusUp],
      )
      return renewed!.known
    },

    savePresence: async (changes) => {
      const last = [
        ...new Map(changes.map((row) => [`${row.room} ${row.user.id}`, row] as const)).values(),
      ]
      // A forgotten node writes nothing: it tells all its people again once it knows.
      await query(
        `WITH told AS (
           SELECT * FROM unnest($2::text[], $3::uuid[], $4::text[], $5::boolean[])
             AS t (room, user_id, name, is_here) WHERE EXISTS (SELECT 1 FROM nodes WHERE node = $1)),
         left_us AS (DELETE FROM presence USING told WHERE presence.node = $1 AND NOT told.is_here
           AND presence.room = told.room AND presence.user_id = told.user_id)
         INSERT INTO presence SELECT $1, room, user_id, name FROM told WHERE is_here
         ON CONFLICT DO NOTHING`,
        [
          ...[node, last.map(({ room }) => room), last.map(({ user }) => user.id)],
          ...[last.map(({ user }) => user.name), last.map(({ isHere }) => isHere)],
        ],
      )
    },

    presence: async (rooms) => {
      const here = await query<{ room: string; id: string; name: string }>(
        `SELECT DISTINCT ON (room, user_id) room, user_id AS id, name
         FROM presence JOIN nodes USING (node)
         WHERE room = ANY ($1) AND node <> $2 AND seen_at > ${ago('$3')} ORDER BY room, user_id`,
        [rooms, node, aliveMs],
      )
      const byRoom = new Map<string, User[]>()
      for (const { room, ...user } of here) byRoom.set(room, [...(byRoom.get(room) ?? []), user])
      return byRoom
    },

    news: async () => {
      // A node that is mute is a row without an ending.
      const rows = await query<{
        session: string | null
        banned: boolean | null
        room: string | null
        user: string | null
      }>(
        `SELECT DISTINCT session, banned, room, user_id AS user FROM revocations
         WHERE at > ${ago('$1')} AND NOT EXISTS (SELECT 1 FROM members
           WHERE members.room = revocations.room AND members.user_id = revocations.user_id)
         UNION ALL
         SELECT NULL, NULL, NULL, NULL WHERE EXISTS (
           SELECT 1 FROM nodes WHERE is_mute AND node <> $2 AND seen_at > ${ago('$3')})`,
        [REVOKED_MS, node, aliveMs],
      )
      return {
        sessions: rows.flatMap(({ session: hash, banned }) =>
          hash === null ? [] : [{ hash, banned: banned === true }],
        ),
        memberships: rows.flatMap(({ room, user }) => (room && user ? { room, user } : [])),
        isSomebodyMute: rows.some(({ session, room }) => session === null && room === null),
      }
    },

    retire: async () => {
      await query(`UPDATE nodes SET seen_at = ${ago('$2')} WHERE node = $1`, [
        ...[node, aliveMs - retiredMs],
      ])
    },
  }
}
