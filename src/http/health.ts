/** `/livez`, `/readyz`, `/metrics`: for whoever runs this node, not for who talks on it. */

import { Hono } from 'hono'
import { isSameSecret } from '../auth/secrets.ts'
import type { Config } from '../config.ts'
import { bearerToken } from './auth.ts'
import { problem } from './problem.ts'
import { addressLimit } from './rate-limit.ts'
import type { HearthEnv, Services } from './services.ts'

/** A node that drains is gone within `drainMs`; whoever asks again sooner finds nothing new. s */
const RETRY_SECONDS = 1

export function healthRoutes(services: Services): Hono<HearthEnv> {
  const { config, metrics } = services
  const routes = new Hono<HearthEnv>()

  routes.get('/livez', (c) => c.json({ status: 'ok' }))

  routes.get('/readyz', (c) => {
    const readiness = readinessOf(services)
    if (readiness.status === 'ready') return c.json(readiness)
    c.header('Retry-After', String(RETRY_SECONDS))
    return c.json(readiness, 503)
  })

  routes.get('/metrics', async (c, next) => {
    if (!metrics || config.metricsToken === undefined) return problem(c, 'not_found')
    // The right token is never refused for what others guess.
    if (!isSameSecret(bearerToken(c) ?? '', config.metricsToken)) return next()
    return c.body(await metrics.read(), 200, { 'Content-Type': metrics.contentType })
  })

  routes.get('/metrics', addressLimit(config.limits.sessionsPerMinute, services), (c) => {
    return problem(c, 'unauthorized', { detail: 'not the metrics token' })
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
