/** How often somebody may ask. */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Clock } from '../clock.ts'
import { Buckets } from '../limits.ts'
import { problem } from './problem.ts'
import type { HearthEnv, Services } from './services.ts'

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

/**
 * Takes tokens that the user has for work of a kind, by socket and over HTTP together.
 * @returns the answer that there are not enough; null: taken
 */
export function tooOften(
  c: Context<HearthEnv>,
  { hub, clock }: Services,
  of: 'reads' | 'messages',
  tokens = 1,
) {
  const retryAfterMs = hub.user(c.var.session.user.id)[of].take(clock.now(), tokens)
  return retryAfterMs > 0 ? problem(c, 'rate_limited', { retryAfterMs }) : null
}
