/** `/livez`, `/readyz`, `/metrics`: for whoever runs this node, not for who talks on it. */

import { Hono } from 'hono'
import { AddressBuckets } from '../auth/address-buckets.ts'
import { isSameSecret } from '../auth/secrets.ts'
import type { Config } from '../config.ts'
import { bearerToken } from './auth.ts'
import { problem } from './problem.ts'
import { addressOf, type HearthEnv, type Services } from './services.ts'

const MINUTE_S = 60
/** A node that drains is gone within `drainMs`; whoever asks again sooner finds nothing new. s */
const RETRY_SECONDS = 1

export function healthRoutes(services: Services): Hono<HearthEnv> {
  const { config, clock, metrics } = services
  const { sessionsPerMinute } = config.limits
  const guesses = new AddressBuckets(sessionsPerMinute / MINUTE_S, sessionsPerMinute)
  const routes = new Hono<HearthEnv>()

  routes.get('/livez', (c) => c.json({ status: 'ok' }))

  routes.get('/readyz', (c) => {
    const readiness = readinessOf(services)
    if (readiness.status === 'ready') return c.json(readiness)
    c.header('Retry-After', String(RETRY_SECONDS))
    return c.json(readiness, 503)
  })

  routes.get('/metrics', async (c) => {
    if (!metrics || config.metricsToken === undefined) return problem(c, 'not_found')
    if (!isSameSecret(bearerToken(c) ?? '', config.metricsToken)) {
      // The right token is never refused for what others guess.
      const retryAfterMs = guesses.take(addressOf(c, config), clock.now())
      if (retryAfterMs > 0) return problem(c, 'rate_limited', { retryAfterMs })
      return problem(c, 'unauthorized', { detail: 'not the metrics token' })
    }
    return c.body(await metrics.read(), 200, { 'Content-Type': metrics.contentType })
  })

  return routes
}

/**
 * Whether to send people here. A bus that is down is no reason against it: the log is the truth,
 * and while nobody tells this node what the others say it compares heads every second.
 */
function readinessOf({ hub, probe, config }: Services) {
  const { isDraining: draining } = hub
  return {
    status: draining ? 'draining' : probe.isUp ? 'ready' : 'not ready',
    log: { state: probe.isUp ? 'up' : 'down', silentMs: Math.round(probe.silentMs) },
    bus: busOf(hub.bus.isUp, config),
    draining,
  }
}

function busOf(isUp: boolean, { databaseUrl, natsUrls }: Config) {
  if (!databaseUrl) return { state: 'local' }
  return { state: isUp ? 'up' : 'down', kind: natsUrls ? 'nats' : 'postgres' }
}
