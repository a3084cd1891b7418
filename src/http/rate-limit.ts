/** How often somebody may ask. */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { AddressBuckets } from '../auth/address-buckets.ts'
import type { Charged, TooFast } from '../chat/charges.ts'
import type { Clock } from '../clock.ts'
import { Buckets } from '../limits.ts'
import { problem } from './problem.ts'
import { addressOf, type HearthEnv, type Services } from './services.ts'

/**
 * Lets `perMinute` requests a minute through for each key; all at once, if they come so.
 * @param keyOf  who asks: a user
 */
export function rateLimit(perMinute: number, clock: Clock, keyOf: KeyOf) {
  return limitBy(new Buckets(perMinute / 60, perMinute), clock, keyOf)
}

/** As `rateLimit`, for each address; several of one IPv6 site together have a limit of their own. */
export function addressLimit(perMinute: number, { clock, config }: Services) {
  const { networksPerSite } = config.limits
  const buckets = new AddressBuckets(perMinute / 60, perMinute, networksPerSite)
  return limitBy(buckets, clock, (c) => addressOf(c, config))
}

type KeyOf = (c: Context<HearthEnv>) => string

function limitBy(buckets: Buckets | AddressBuckets, clock: Clock, keyOf: KeyOf) {
  return createMiddleware<HearthEnv>(async (c, next) => {
    const retryAfterMs = buckets.take(keyOf(c), clock.now())
    return retryAfterMs > 0 ? problem(c, 'rate_limited', { retryAfterMs }) : next()
  })
}

/** As `Hub.charge`, for whoever is signed in. @returns the answer that there are not enough tokens */
export function tooOften(
  c: Context<HearthEnv>,
  { hub, config }: Services,
  of: Charged,
  tokens?: number,
): Response | null {
  const tooFast = hub.charge(of, c.var.session.user.id, addressOf(c, config), tokens)
  return tooFast && refuseForRate(c, tooFast)
}

export function refuseForRate(c: Context, { reason: detail, retryAfterMs }: TooFast) {
  return problem(c, 'rate_limited', { detail, retryAfterMs })
}
