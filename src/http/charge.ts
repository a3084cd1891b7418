/** Every request is charged to its address before anything is made of it. */

import { STATUS } from '../../static/protocol.js'
import { AddressBuckets } from '../auth/address-buckets.ts'
import { clientAddress, isReadable } from '../auth/addresses.ts'
import type { Answer, Asking } from '../runtime/runtime.ts'
import { problemOf } from './problem.ts'
import { newId } from './request-id.ts'
import type { Services } from './services.ts'

/** What balancers ask has tokens of its own: a flood from behind them must not make a node seem ill. */
const HEALTH = /^\/(livez|readyz)(\?|$)/

/**
 * @param headers  those that every answer carries
 * @returns the answer to who has used up what the address may ask; null when the request may go on
 */
export function createCharge(
  { config, clock, journal }: Pick<Services, 'config' | 'clock' | 'journal'>,
  headers: Readonly<Record<string, string>>,
): (asking: Asking) => Answer | null {
  const { connectionsPerIp, requestRate, requestBurst, networksPerSite } = config.limits
  const [rate, burst] = [requestRate * connectionsPerIp, requestBurst * connectionsPerIp]
  const [requests, health] = [1, 2].map(() => new AddressBuckets(rate, burst, networksPerSite))
  let isToldOfProxy = false
  return ({ peer, forwardedFor, method, target }) => {
    if (!isToldOfProxy && !isReadable(forwardedFor, config.trustProxy)) {
      isToldOfProxy = true
      journal.event('the proxy names no address: all count as its own', { proxy: peer })
    }
    const address = clientAddress(peer, forwardedFor, config.trustProxy)
    const buckets = HEALTH.test(target) ? health! : requests!
    const retryAfterMs = buckets.take(address, clock.now())
    if (retryAfterMs === 0) return null
    const [code, request] = ['rate_limited' as const, newId()]
    const detail = 'too many requests of this address'
    journal.refusal('request', { code, reason: detail, method, path: target, address, request })
    return {
      status: STATUS[code],
      headers: {
        ...headers,
        'content-type': 'application/problem+json',
        'retry-after': String(Math.ceil(retryAfterMs / 1000)),
        'x-request-id': request,
      },
      body: JSON.stringify(problemOf(code, { detail, retryAfterMs })),
    }
  }
}
