/** How often somebody may ask. */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Clock } from '../clock.ts'
import { Buckets } from '../limits.ts'
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
  const buckets = new Buckets(perMinute / 60, perMinute)
  return createMiddleware<HearthEnv>(async (c, next) => {
    const retryAfterMs = buckets.take(keyOf(c), clock.now())
    return retryAfterMs > 0 ? problem(c, 'rate_limited', { retryAfterMs }) : next()
  })
}
