/** Who may open a TCP connection at all: so many for each address, and in all. */

import { clientAddress } from '../auth/addresses.ts'
import type { Services } from './services.ts'
import { createShares } from './shares.ts'

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
  const shares = createShares({
    inAll: Math.min(limits.connections + limits.sparePeers, room),
    ofAddress: trustProxy > 0 ? Infinity : limits.connectionsPerIp * limits.peersPerConnection,
    networksPerSite: limits.networksPerSite,
  })
  return (peer) => {
    const address = clientAddress(peer, undefined, 0)
    const refuse = (code: 'unavailable' | 'too_many', reason: string) => {
      journal.refusal('connection', { code, reason, address })
      return null
    }
    if (shares.isFull()) return refuse('unavailable', 'too many connections')
    if (!shares.isFullFor(address)) return shares.take(address)
    return refuse('too_many', 'too many connections of this address')
  }
}
