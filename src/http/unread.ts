/** What nobody reads: so many bytes of answers for each address, and in all, wait for their readers. */

import { STATUS } from '../../static/protocol.js'
import { clientAddress, siteOf } from '../auth/addresses.ts'
import type { Answer, Asking, HoldAnswer } from '../runtime/runtime.ts'
import { createCounts, NODE } from './places.ts'
import type { Services } from './services.ts'

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
  const held = createCounts()
  const placesOf = ({ peer, forwardedFor }: Asking) => {
    const address = clientAddress(peer, forwardedFor, config.trustProxy)
    const site = siteOf(address)
    const places = new Map([
      [NODE, unreadBytesInAll],
      [address, ofAddress],
    ])
    if (site !== null) places.set(site, ofAddress * networksPerSite)
    return { address, places }
  }
  return (asking) => {
    const refusal = held.count(NODE) < ofAddress ? null : refusalOf(asking)
    if (refusal) return refusal
    return (bytes) => {
      const leaves = [...placesOf(asking).places.keys()].map((key) => held.take(key, bytes))
      return () => {
        for (const leave of leaves) leave()
      }
    }
  }

  function refusalOf(asking: Asking): Answer | null {
    const { address, places } = placesOf(asking)
    const full = [...places].find(([key, most]) => held.count(key) >= most)?.[0]
    if (full === undefined) return null
    const { method, target: path } = asking
    const reason = full === NODE ? 'too many unread answers' : 'unread answers of this address'
    const code = full === NODE ? 'unavailable' : 'too_many'
    journal.refusal('request', { code, reason, method, path, address })
    const retry = { 'retry-after': String(RETRY_AFTER_S) }
    return { status: STATUS[code], headers: { ...headers, ...retry }, body: '' }
  }
}
