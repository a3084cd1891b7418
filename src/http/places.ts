/** Who may hold a connection open, a socket or an event stream: so many for each address and user. */

import type { ErrorCode } from '../protocol.ts'
import type { ProblemOptions } from './problem.ts'
import type { Services } from './services.ts'
import { createCounts, createShares } from './shares.ts'

/**
 * For each place of an address, sockets that we closed and whose peers have not gone: Deno cannot
 * end them. A network that broke under all places at once must not lock its people out.
 */
const LINGERING_PER_PLACE = 4
export const OVERLOAD_RETRY_MS = 5_000
const LIMIT_RETRY_MS = 10_000

/** The arguments of `problem`, behind its context. */
export type Refusal = [code: ErrorCode, options?: ProblemOptions]

export interface Places {
  /** Why nobody may come from this address now; null when one may. */
  obstacle(address: string): Refusal | null
  /** Takes a place of the node and of the address. */
  take(address: string): Place
}

export interface Place {
  /** Takes one of the user's places as well. @returns why there is none; null when it is taken */
  assign(user: string): Refusal | null
  /** Gives all of it back. Idempotent. */
  leave(): void
  /** Counts for the address until it is called back: a closed socket whose peer is still there. */
  linger(): () => void
}

export function createPlaces({ config, hub }: Pick<Services, 'config' | 'hub'>): Places {
  const { limits } = config
  const { connections: inAll, connectionsPerIp: ofAddress, networksPerSite } = limits
  const places = createShares({ inAll, ofAddress, networksPerSite })
  const lingering = createShares({
    inAll: Infinity,
    ofAddress: ofAddress * LINGERING_PER_PLACE,
    networksPerSite,
  })
  const users = createCounts()
  return {
    obstacle: (address) => {
      if (hub.isDraining) return later('unavailable', 'the server restarts', OVERLOAD_RETRY_MS)
      if (places.isFullFor(address) || lingering.isFullFor(address)) {
        return later('too_many', 'too many connections of this address', LIMIT_RETRY_MS)
      }
      return places.isFull()
        ? later('unavailable', 'too many connections', OVERLOAD_RETRY_MS)
        : null
    },
    take: (address) => {
      const leaves = [places.take(address)]
      return {
        assign: (user) => {
          if (users.count(user) >= limits.connectionsPerUser) {
            return later('too_many', 'too many connections of this user', LIMIT_RETRY_MS)
          }
          leaves.push(users.take(user))
          return null
        },
        leave: () => {
          for (const giveBack of leaves) giveBack()
        },
        linger: () => lingering.take(address),
      }
    },
  }
}

/** Answers what comes too early; try again then. */
export function later(code: ErrorCode, detail: string, retryAfterMs: number): Refusal {
  return [code, { detail, retryAfterMs }]
}
