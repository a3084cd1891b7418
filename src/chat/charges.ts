/**
 * What work is charged to before it is done: the user who asks for it, and the address that the user
 * comes from, as users are free. An address may do what so many users may as can be connected from it
 * with eight connections each.
 */

import { AddressBuckets } from '../auth/address-buckets.ts'
import { DEFAULT_LIMITS, type Limits, type TokenBucket } from '../limits.ts'

/** What an address asks too much of, for people. */
const WORK = { messages: 'messages', reads: 'reads', rooms: 'changes to rooms' }

/** How much more than its users together an address may read, per second and at once. */
const RETURN_RATE = 2
const RETURN_BURST = 4

export type Charged = keyof typeof WORK

/** The buckets of a user. */
export type Purse = Readonly<Record<Charged, TokenBucket>>

/** Why something is not done now; the reason is for people. */
export interface TooFast {
  reason: string
  retryAfterMs: number
}

export class Charges {
  readonly #byAddress: Record<Charged, AddressBuckets>

  constructor(limits: Limits) {
    const { messageRate, messageBurst, readRate, readBurst, roomChangesPerMinute } = limits
    const users = Math.max(1, limits.connectionsPerIp / DEFAULT_LIMITS.connectionsPerUser)
    const bucketsOf = (rate: number, burst: number) =>
      new AddressBuckets(rate * users, burst * users, limits.networksPerSite)
    this.#byAddress = {
      messages: bucketsOf(messageRate, messageBurst),
      // After a restart all who are behind one address come back together, each to all their rooms.
      reads: bucketsOf(readRate * RETURN_RATE, readBurst * RETURN_BURST),
      rooms: bucketsOf(roomChangesPerMinute / 60, roomChangesPerMinute),
    }
  }

  /** Takes tokens of both. @returns null: taken */
  take(of: Charged, purse: Purse, address: string, now: number, tokens = 1): TooFast | null {
    const own = purse[of].take(now, tokens)
    if (own > 0) return { reason: 'too fast', retryAfterMs: own }
    const retryAfterMs = this.#byAddress[of].take(address, now, tokens)
    if (retryAfterMs === 0) return null
    // What is not done costs the user nothing.
    purse[of].pay(-tokens, now)
    return { reason: `too many ${WORK[of]} from this address`, retryAfterMs }
  }

  /** Takes what work turned out to cost, behind what was taken before. */
  pay(of: Charged, purse: Purse, address: string, now: number, tokens: number) {
    purse[of].pay(tokens, now)
    this.#byAddress[of].pay(address, tokens, now)
  }
}
