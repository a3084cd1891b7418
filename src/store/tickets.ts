/** Values that are good once and for a short time: tickets for the socket, links for a device. */

import type { Clock } from '../clock.ts'
import { hashSecret, newSecret } from '../auth/secrets.ts'

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
}

/**
 * Kept in memory beside the SQLite log: a server that starts anew has no sockets either, and every
 * client makes a new ticket for each try.
 */
export function createTickets(lifetimeMs: number, clock: Clock): Tickets {
  const passes = new Map<string, Pass & { until: number }>()

  // Insertion order is the order of expiry, as all live equally long.
  const forgetExpired = (now: number) => {
    for (const [hash, { until }] of passes) {
      if (until > now) return
      passes.delete(hash)
    }
  }

  return {
    issue: async (pass) => {
      const now = clock.now()
      forgetExpired(now)
      const ticket = newSecret()
      passes.set(hashSecret(ticket), { ...pass, until: now + lifetimeMs })
      return { ticket, expiresAt: new Date(clock.date().getTime() + lifetimeMs) }
    },
    redeem: async (ticket) => {
      const hash = hashSecret(ticket)
      const pass = passes.get(hash)
      passes.delete(hash)
      return pass && pass.until > clock.now() ? pass : null
    },
  }
}
