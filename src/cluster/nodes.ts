/** Which nodes live and who is on them, in Postgres, by its clock. */

import type { Limits } from '../limits.ts'
import type { User } from '../protocol.ts'
import { ended, forgetEnded, type Directory, type NewsLimits } from '../store/nodes.ts'
import { forgetPast } from '../store/past-members.ts'
import { toUser } from '../store/rows.ts'
import { did, exec, first, rows } from '../store/sql.ts'
import type { Postgres } from './postgres.ts'

/** After so many times `aliveMs` others take away what a dead node left. */
const GONE = 10

/** @param node  a new one for every start */
export function createDirectory(
  { sql }: Pick<Postgres, 'sql'>,
  limits: Pick<Limits, 'aliveMs' | 'retiredMs'> & NewsLimits,
  node: string = crypto.randomUUID(),
): Directory {
  const { aliveMs, retiredMs } = limits
  const { fromNow } = sql.dialect
  return {
    renew: (isBusUp) =>
      sql.run(function* () {
        yield* forgetEnded(sql, limits)
        yield* forgetPast(sql)
        const renewed = yield* first<{ known: boolean }>(
          `WITH gone AS (DELETE FROM nodes WHERE node IN (
             SELECT node FROM nodes WHERE node <> $1 AND seen_at < ${fromNow('$2')}
             FOR UPDATE SKIP LOCKED) RETURNING node),
           ghosts AS (DELETE FROM presence WHERE node IN (SELECT node FROM gone))
           INSERT INTO nodes VALUES ($1, clock_timestamp(), NOT $3)
           ON CONFLICT (node) DO UPDATE SET seen_at = excluded.seen_at, is_mute = excluded.is_mute
           RETURNING EXISTS (SELECT 1 FROM nodes AS before WHERE before.node = $1) AS known`,
          ...[node, -GONE * aliveMs, isBusUp],
        )
        return renewed!.known
      }),

    savePresence: (changes) => {
      const last = new Map(changes.map((row) => [`${row.room} ${row.user.id}`, row] as const))
      const told = [...last.values()].map(({ room, user, isHere }) => {
        return { room, user_id: user.id, name: user.name, is_here: isHere }
      })
      // A forgotten node writes nothing: it tells all its people again once it knows.
      const save = exec(
        `WITH told AS (
           SELECT * FROM json_to_recordset(CAST($2 AS json))
             AS t (room text, user_id uuid, name text, is_here boolean)
           WHERE EXISTS (SELECT 1 FROM nodes WHERE node = $1)),
         left_us AS (DELETE FROM presence USING told WHERE presence.node = $1 AND NOT told.is_here
           AND presence.room = told.room AND presence.user_id = told.user_id)
         INSERT INTO presence SELECT $1, room, user_id, name FROM told WHERE is_here
         ON CONFLICT (node, room, user_id) DO UPDATE SET name = excluded.name`,
        ...[node, JSON.stringify(told)],
      )
      return sql.run(() => save)
    },

    presence: (rooms) =>
      sql.run(function* () {
        const here = yield* rows<{ room: string; id: string; name: string; kind: string | null }>(
          `SELECT DISTINCT ON (room, user_id) room, user_id AS id, presence.name, users.kind
           FROM presence JOIN nodes USING (node) LEFT JOIN users ON users.id = user_id
           WHERE room = ANY ($1) AND node <> $2 AND seen_at > ${fromNow('$3')} ORDER BY room, user_id`,
          ...[rooms, node, -aliveMs],
        )
        const byRoom = new Map<string, User[]>()
        for (const { room, id, name, kind } of here) {
          byRoom.set(room, [...(byRoom.get(room) ?? []), toUser(id, name, kind)])
        }
        return byRoom
      }),

    news: (since) =>
      sql.run(function* () {
        const isSomebodyMute = yield* did(
          `SELECT 1 FROM nodes WHERE is_mute AND node <> $1 AND seen_at > ${fromNow('$2')}`,
          ...[node, -aliveMs],
        )
        return { ...(yield* ended(sql, limits, since)), isSomebodyMute }
      }),

    retire: () => {
      const text = `UPDATE nodes SET seen_at = ${fromNow('$2')} WHERE node = $1`
      return sql.run(() => exec(text, node, retiredMs - aliveMs))
    },
  }
}
