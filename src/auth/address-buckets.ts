/** How often an address may ask, whoever comes from it: users are free, networks are not. */

import { Buckets, DEFAULT_LIMITS } from '../limits.ts'
import { siteOf } from './addresses.ts'

/** A bucket for each address, and for each IPv6 site one of several addresses. */
export class AddressBuckets {
  readonly #addresses: Buckets
  readonly #sites: Buckets

  /** @param rate  tokens per second of one address, or IPv6 /64 @param burst  at once */
  constructor(rate: number, burst: number, networksPerSite = DEFAULT_LIMITS.networksPerSite) {
    this.#addresses = new Buckets(rate, burst)
    this.#sites = new Buckets(rate * networksPerSite, burst * networksPerSite)
  }

  /** As a bucket's. @param address  as `clientAddress` gives it */
  take(address: string, now: number, tokens = 1): number {
    const site = siteOf(address)
    const retryAfterMs = this.#addresses.take(address, now, tokens)
    if (retryAfterMs > 0 || site === null) return retryAfterMs
    return this.#sites.take(site, now, tokens)
  }

  /** As a bucket's, of which something was taken before. */
  pay(address: string, tokens: number, now: number) {
    const site = siteOf(address)
    this.#addresses.pay(address, tokens, now)
    if (site !== null) this.#sites.pay(site, tokens, now)
  }
}
