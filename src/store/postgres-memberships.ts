/** Private rooms in Postgres, for all nodes; by its clock. */

import type { Postgres } from '../cluster/postgres.ts'
import type { Memberships } from './memberships.ts'
import { hashSecret, newSecret } from '../auth/secrets.ts'

export function createPostgresMemberships({ query }: Pick<Postgres, 'query'>): Memberships {
  /** Whether a statement that returns a row for what it did, did it. */
  const did = async (text: string, values: unknown[]) => (await query(text, values)).length > 0

  return {
    create: (room, owner) =>
      did(
        `WITH made AS (INSERT INTO rooms (room, private, owner) VALUES ($1, true, $2)
           ON CONFLICT DO NOTHING RETURNING room, owner)
         INSERT INTO members (room, user_id) SELECT room, owner FROM made RETURNING room`,
        [room, owner],
      ),

    invite: async (room, owner, lifetimeMs) => {
      const invite = newSecret()
      const [made] = await query<{ expires_at: string }>(
        `WITH over AS (DELETE FROM invites WHERE room = $2 AND expires_at <= clock_timestamp())
         INSERT INTO invites
         SELECT $1, room, clock_timestamp() + $4 * interval '1 ms' FROM rooms
         WHERE room = $2 AND owner = $3 RETURNING expires_at`,
        [hashSecret(invite), room, owner, lifetimeMs],
      )
      return made ? { invite, expiresAt: new Date(made.expires_at) } : null
    },

    revokeInvites: (room, owner) =>
      did(
        `WITH owned AS (SELECT room FROM rooms WHERE room = $1 AND owner = $2),
         gone AS (DELETE FROM invites WHERE room IN (SELECT room FROM owned))
         SELECT room FROM owned`,
        [room, owner],
      ),

    // The lock on the invitation makes whoever removes or revokes at this moment wait for it.
    admit: (room, user, invite) =>
      did(
        `WITH good AS (SELECT room FROM invites
           WHERE hash = $3 AND room = $1 AND expires_at > clock_timestamp() FOR UPDATE),
         added AS (INSERT INTO members (room, user_id) SELECT room, $2 FROM good
           ON CONFLICT DO NOTHING)
         SELECT room FROM good`,
        [room, user, hashSecret(invite)],
      ),

    remove: async (room, owner, user) => {
      const [found] = await query<{ removed: boolean }>(
        `WITH owned AS (SELECT room FROM rooms WHERE room = $1 AND owner = $2 AND owner <> $3),
         gone AS (DELETE FROM members WHERE user_id = $3 AND room IN (SELECT room FROM owned)
           RETURNING room, user_id),
         uninvited AS (DELETE FROM invites WHERE room IN (SELECT room FROM gone)),
         told AS (INSERT INTO revocations (room, user_id) SELECT room, user_id FROM gone)
         SELECT EXISTS (SELECT 1 FROM gone) AS removed FROM owned`,
        [room, owner, user],
      )
      if (!found) return 'forbidden'
      return found.removed ? 'removed' : 'not_found'
    },
  }
}
