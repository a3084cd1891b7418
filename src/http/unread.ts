/** What nobody reads: so many bytes of answers for each address, and in all, wait for their readers. */

import { STATUS } from '../../static/protocol.js'
import { clientAddress } from '../auth/addresses.ts'
import type { Answer, Asking, HoldAnswer } from '../runtime/runtime.ts'
import type { Services } from './services.ts'
import { createShares } from './shares.ts'

const RETRY_AFTER_S = 10

/**
 * @param headers  those that every answer carries
 * @returns what holds the answer to this request, until it is read; or, when too many bytes of this
 * address or in all are held, the answer that refuses it, which has no body that could wait as well
 */
export function createUnread(
  { config, journal }: Pick<Services, 'config' | 'journal'>,
  headers: Readonly<Record<string, string>>,
): (asking: Asking) => HoldAnswer | Answer {
  const { connectionsPerIp, unreadBytes, unreadBytesInAll, networksPerSite } = config.limits
  const ofAddress = connectionsPerIp * unreadBytes
  const held = createShares({ inAll: unreadBytesInAll, ofAddress, networksPerSite })
  const addressOf = ({ peer, forwardedFor }: Asking) =>
    clientAddress(peer, forwardedFor, config.trustProxy)
  return (asking) => {
    // No address is looked up for the many requests of a server that holds little.
    const refusal = held.total() < ofAddress ? null : refusalOf(asking)
    return refusal ?? ((bytes) => held.take(addressOf(asking), bytes))
  }

  function refusalOf(asking: Asking): Answer | null {
    const address = addressOf(asking)
    if (held.isFull()) return refuse(asking, address, 'unavailable', 'too many unread answers')
    if (!held.isFullFor(address)) return null
    return refuse(asking, address, 'too_many', 'unread answers of this address')
  }

  function refuse(
    { method, target: path }: Asking,
    address: string,
    code: 'unavailable' | 'too_many',
    reason: string,
  ): Answer {
    journal.refusal('request', { code, reason, method, path, address })
    const retry = { 'retry-after': String(RETRY_AFTER_S) }
    return { status: STATUS[code], headers: { ...headers, ...retry }, body: '' }
  }
}
