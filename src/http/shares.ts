/** How much is held of what there is so much of: in all, by each address, by each IPv6 site. */

import { siteOf } from '../auth/addresses.ts'

/** The key under which all of it counts. */
const NODE = 'node'

export interface SharesOptions {
  inAll: number
  ofAddress: number
  networksPerSite: number
}

export interface Shares {
  /** Held in all. */
  total(): number
  /** Whether all of it is held. */
  isFull(): boolean
  /** Whether the address, or the site around it, holds as much as it may. */
  isFullFor(address: string): boolean
  /** @returns what gives it back; idempotent */
  take(address: string, amount?: number): () => void
}

export function createShares({ inAll, ofAddress, networksPerSite }: SharesOptions): Shares {
  const counts = createCounts()
  const networksOf = (address: string): [network: string, most: number][] => {
    const [site, own] = [siteOf(address), [address, ofAddress] as [string, number]]
    return site === null ? [own] : [own, [site, ofAddress * networksPerSite]]
  }
  const total = () => counts.count(NODE)
  return {
    total,
    isFull: () => total() >= inAll,
    isFullFor: (address) => networksOf(address).some(([key, most]) => counts.count(key) >= most),
    take: (address, amount = 1) => {
      const keys = [NODE, ...networksOf(address).map(([key]) => key)]
      const leaves = keys.map((key) => counts.take(key, amount))
      return () => {
        for (const leave of leaves) leave()
      }
    },
  }
}

/** How many there are for each key: an address, a site, a user, the node. */
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
