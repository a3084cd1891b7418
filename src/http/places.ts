/** Who may hold a connection open, a socket or an event stream: so many for each address and user. */

import { siteOf } from '../auth/addresses.ts'
import type { ErrorCode } from '../protocol.ts'
import type { ProblemOptions } from './problem.ts'
import type { Services } from './services.ts'

/** The key under which all connections count. */
export const NODE = 'node'
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
  const places = createCounts()
  const lingering = createCounts()
  /** An address and the IPv6 site around it, with what each may hold. */
  const networksOf = (address: string): [network: string, most: number][] => {
    const { connectionsPerIp: most, networksPerSite } = limits
    const site = siteOf(address)
    return site === null
      ? [[address, most]]
      : [
          [address, most],
          [site, most * networksPerSite],
        ]
  }
  return {
    obstacle: (address) => {
      if (hub.isDraining) return later('unavailable', 'the server restarts', OVERLOAD_RETRY_MS)
      const isFull = networksOf(address).some(([network, most]) => {
        const isStaying = lingering.count(network) >= most * LINGERING_PER_PLACE
        return places.count(network) >= most || isStaying
      })
      if (isFull) return later('too_many', 'too many connections of this address', LIMIT_RETRY_MS)
      if (places.count(NODE) < limits.connections) return null
      return later('unavailable', 'too many connections', OVERLOAD_RETRY_MS)
    },
    take: (address) => {
      const networks = networksOf(address).map(([network]) => network)
      const leaves = [NODE, ...networks].map((key) => places.take(key))
      return {
        assign: (user) => {
          if (places.count(user) >= limits.connectionsPerUser) {
            return later('too_many', 'too many connections of this user', LIMIT_RETRY_MS)
          }
          leaves.push(places.take(user))
          return null
        },
        leave: () => {
          for (const giveBack of leaves) giveBack()
        },
        linger: () => {
          const ends = networks.map((key) => lingering.take(key))
          return () => {
            for (const end of ends) end()
          }
        },
      }
    },
  }
}

/** Answers what comes too early; try again then. */
export function later(code: ErrorCode, detail: string, retryAfterMs: number): Refusal {
  return [code, { detail, retryAfterMs }]
}

/** How many there are for each key: an address, a user, the node. */
export function createCounts() {
  const counts = new Map<string, number>()
  const count = (key: string) => counts.get(key) ?? 0
  /** @returns what gives it back; idempotent */
  const take = (key: string, amount = 1) => {
    let isTaken = true
    counts.set(key, count(key) + amount)
    return () => {
      if (!isTaken) return
      isTaken = false
      if (count(key) > amount) counts.set(key, count(key) - amount)
      else counts.delete(key)
    }
  }
  return { count, take }
}
