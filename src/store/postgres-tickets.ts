/** Tickets in Postgres: good once, on whichever node; its clock says how long. */

import type { Postgres } from '../cluster/postgres.ts'
import { hashSecret, newSecret } from '../auth/secrets.ts'
import type { Pass, Tickets } from './tickets.ts'

/**
 * A crash of Postgres loses them: every client makes a new one for each try.
 * @param kind  one kind cannot be redeemed as another
 */
export function createPostgresTickets(
  { query }: Pick<Postgres, 'query'>,
  kind: 'ticket' | 'link',
  lifetimeMs: number,
): Tickets {
  return {
    issue: async ({ user, session, address }) => {
      const ticket = newSecret()
      // Takes some old ones away, so that they never pile up.
      const [issued] = await query<{ expires_at: string }>(
        `WITH over AS (DELETE FROM tickets WHERE hash IN (
           SELECT hash FROM tickets WHERE expires_at <= clock_timestamp()
           ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED))
         INSERT INTO tickets
         VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 ms')
         RETURNING expires_at`,
        [hashSecret(ticket), kind, user, session, address, lifetimeMs],
      )
      return { ticket, expiresAt: new Date(issued!.expires_at) }
    },
    redeem: async (ticket) => {
      const [pass] = await query<Pass & { is_good: boolean }>(
        `DELETE FROM tickets WHERE hash = $1 AND kind = $2
         RETURNING user_id AS user, session, address, expires_at > clock_timestamp() AS is_good`,
        [hashSecret(ticket), kind],
      )
      if (!pass?.is_good) return null
      const { user, session, address } = pass
      return { user, session, address }
    },
  }
}
