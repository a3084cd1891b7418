/** Values that are good once and for a short time: tickets for the socket, links for a device. */

import { hashSecret, newSecret } from '../auth/secrets.ts'
import { first, type Sql } from './sql.ts'

/** What a ticket stands for. */
export interface Pass {
  user: string
  /** Hash of the session it was made with. */
  session: string
  /** The only client address that may use it; null: any. */
  address: string | null
}

export interface Tickets {
  /** @returns the ticket and when it ends */
  issue(pass: Pass): Promise<{ ticket: string; expiresAt: Date }>
  /** The pass of a ticket, once; null for one that is unknown, used or over. */
  redeem(ticket: string): Promise<Pass | null>
  /** The same, and it stays good. */
  look(ticket: string): Promise<Pass | null>
}

/**
 * Good once, on whichever node. A crash of the database loses them, and so does a restart on
 * SQLite: every client makes a new one for each try.
 * @param kind  one kind cannot be redeemed as another
 */
export function createTickets(sql: Sql, kind: 'ticket' | 'link', lifetimeMs: number): Tickets {
  const { fromNow, lock } = sql.dialect
  const old = `SELECT hash FROM tickets WHERE expires_at <= ${fromNow('0')}
    ORDER BY expires_at LIMIT 10 ${lock('tickets', 'left out')}`
  const pass = `user_id AS "user", session, address, expires_at > ${fromNow('0')} AS is_good`
  const add = `INSERT INTO tickets (hash, kind, user_id, session, address, expires_at)
    VALUES ($1, $2, $3, $4, $5, ${fromNow('$6')}) RETURNING expires_at`
  return {
    issue: ({ user, session, address }) =>
      sql.run(function* () {
        const ticket = newSecret()
        const values = [hashSecret(ticket), kind, user, session, address, lifetimeMs]
        // Together, and some old ones away, so that those that nobody used never pile up.
        const [, found] = yield [
          { text: `DELETE FROM tickets WHERE hash IN (${old})`, values: [] },
          { text: add, values },
        ]
        const [issued] = found as { expires_at: number | string }[]
        return { ticket, expiresAt: new Date(issued!.expires_at) }
      }),

    redeem: (ticket) =>
      sql.run(function* () {
        const text = `DELETE FROM tickets WHERE hash = $1 AND kind = $2 RETURNING ${pass}`
        return ifGood(yield* first<Found>(text, hashSecret(ticket), kind))
      }),

    look: (ticket) =>
      sql.run(function* () {
        const text = `SELECT ${pass} FROM tickets WHERE hash = $1 AND kind = $2`
        return ifGood(yield* first<Found>(text, hashSecret(ticket), kind))
      }),
  }
}

type Found = Pass & { is_good: boolean | number }

function ifGood(found: Found | undefined): Pass | null {
  if (!found?.is_good) return null
  const { user, session, address } = found
  return { user, session, address }
}
