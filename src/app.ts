/** The routes, from the outside in. */

import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { secureHeaders } from 'hono/secure-headers'
import { ownOrigin, signedIn } from './http/auth.ts'
import { loadAssets } from './http/assets.ts'
import { problem } from './http/problem.ts'
import { roomRoutes } from './http/rooms.ts'
import { isSecure, type HearthEnv, type Services } from './http/services.ts'
import { sessionRoutes } from './http/session.ts'
import { isUpgrade, refuseUpgrade, webSocketRoute } from './http/websocket.ts'

const BODY_BYTES = 65_536
/** Two years (OWASP; ASVS 3.4.1 asks for one at least). s */
const HSTS_SECONDS = 63_072_000

export function createApp(services: Services): Hono<HearthEnv> {
  const assets = loadAssets()
  const secure = isSecure(services)
  const app = new Hono<HearthEnv>()

  // Before any middleware that touches headers: those of an upgrade belong to the runtime.
  app.all('/ws', webSocketRoute(services))
  app.use(async (c, next) => {
    return isUpgrade(c) ? refuseUpgrade(c, 'not_found') : next()
  })

  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'", assets.importMapHash],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        connectSrc: ["'self'"],
        manifestSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
        requireTrustedTypesFor: ["'script'"],
        trustedTypes: ["'none'"],
        ...(secure && { upgradeInsecureRequests: [] }),
      },
      strictTransportSecurity: secure && `max-age=${HSTS_SECONDS}; includeSubDomains`,
      xFrameOptions: 'DENY',
      referrerPolicy: 'no-referrer',
      crossOriginOpenerPolicy: 'same-origin',
      crossOriginResourcePolicy: 'same-origin',
      permissionsPolicy: { camera: [], microphone: [], geolocation: [], payment: [], usb: [] },
    }),
  )

  app.use('/api/*', ownOrigin(services))
  app.use('/api/*', async (c, next) => {
    await next()
    c.header('Cache-Control', 'no-store')
  })
  // Nothing else reads a body; and Deno warns of a middleware that wraps a request without one.
  app.post(
    '/api/*',
    bodyLimit({
      maxSize: BODY_BYTES,
      onError: (c) => problem(c, 'too_long', { detail: `at most ${BODY_BYTES} bytes` }),
    }),
  )
  app.route('/api', sessionRoutes(services))
  app.route('/api', roomRoutes(services))
  app.all('/api/*', signedIn(services), (c) => problem(c, 'not_found'))

  app.get('*', (c) => assets.serve(c) ?? problem(c, 'not_found'))
  app.notFound((c) => problem(c, 'not_found'))
  app.onError((error, c) => {
    services.onFault(error)
    return problem(c, 'unavailable', { retryAfterMs: services.config.limits.logRetryMs })
  })
  return app
}
