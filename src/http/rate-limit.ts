/** How often somebody may ask. */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Clock } from '../clock.ts'
import { TokenBucket } from '../limits.ts'
import { problem } from './problem.ts'
import type { HearthEnv } from './services.ts'

/**
 * Lets `perMinute` requests a minute through for each key; all at once, if they come so.
 * @param keyOf  who asks: an address, a user
 */
export function rateLimit(
  perMinute: number,
  clock: Clock,
  keyOf: (c: Context<HearthEnv>) => string,
) {
  const buckets = new Map<string, TokenBucket>()
  let sweptAt = clock.now()
  const sweep = (now: number) => {
    if (now - sweptAt < 60_000) return
    sweptAt = now
    for (const [key, bucket] of buckets) if (bucket.isFull(now)) buckets.delete(key)
  }
  return createMiddleware<HearthEnv>(async (c, next) => {
    const now = clock.now()
    sweep(now)
    const key = keyOf(c)
    const bucket = buckets.get(key) ?? new TokenBucket(perMinute / 60, perMinute, now)
    buckets.set(key, bucket)
    const retryAfterMs = bucket.take(now)
    return retryAfterMs > 0 ? problem(c, 'rate_limited', { retryAfterMs }) : next()
  })
}
