/** Who may open a TCP connection at all: so many for each address, and in all. */

import { clientAddress, siteOf } from '../auth/addresses.ts'
import { createCounts, NODE } from './places.ts'
import type { Services } from './services.ts'

/**
 * Behind a proxy all connections are the proxy's, which counts those of each address itself: only
 * their sum is bounded here.
 * @param room  the most that the system lets this process open
 * @returns takes the place of a connection from this peer, and gives what gives it back; null when
 * there is none
 */
export function createGate(
  { config, journal }: Pick<Services, 'config' | 'journal'>,
  room: number,
): (peer: string) => (() => void) | null {
  const { limits, trustProxy } = config
  const inAll = Math.min(limits.connections + limits.sparePeers, room)
  const ofAddress = limits.connectionsPerIp * limits.peersPerConnection
  const counts = createCounts()
  return (peer) => {
    const address = clientAddress(peer, undefined, 0)
    const site = siteOf(address)
    const places = new Map([[NODE, inAll]])
    if (trustProxy === 0) places.set(address, ofAddress)
    if (trustProxy === 0 && site !== null) places.set(site, ofAddress * limits.networksPerSite)
    const full = [...places].find(([key, most]) => counts.count(key) >= most)?.[0]
    if (full !== undefined) {
      const reason = full === NODE ? 'too many connections' : 'too many connections of this address'
      const code = full === NODE ? 'unavailable' : 'too_many'
      journal.refusal('connection', { code, reason, address })
      return null
    }
    const leaves = [...places.keys()].map((key) => counts.take(key))
    return () => {
      for (const leave of leaves) leave()
    }
  }
}
