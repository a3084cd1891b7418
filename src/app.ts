/** The routes, from the outside in. */

import { Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { secureHeaders } from 'hono/secure-headers'
import { ownOrigin, signedIn } from './http/auth.ts'
import { loadAssets, refuseMethod, serveMade } from './http/assets.ts'
import { deviceRoutes } from './http/devices.ts'
import { memberRoutes } from './http/members.ts'
import { messageRoutes } from './http/messages.ts'
import { createPlaces } from './http/places.ts'
import { healthRoutes } from './http/health.ts'
import { invitationRoutes } from './http/invitations.ts'
import { CutBody, problem, refusalsTo, throwCutBody } from './http/problem.ts'
import { requestIds } from './http/request-id.ts'
import { roomRoutes } from './http/rooms.ts'
import { isSecure, isUpgrade, type HearthEnv, type Services } from './http/services.ts'
import { sessionRoutes } from './http/session.ts'
import { userRoutes } from './http/users.ts'
import { refuseUpgrade, webSocketRoute } from './http/websocket.ts'
import { TooLong } from './store/log.ts'

const BODY_BYTES = 65_536
/** Two years (OWASP; ASVS 3.4.1 asks for one at least). s */
const HSTS_SECONDS = 63_072_000
/** Of whatever is not the page: nothing in it may run, load or be framed. */
const NO_CONTENT_POLICY =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export function createApp(services: Services): Hono<HearthEnv> {
  const secure = isSecure(services)
  const assets = loadAssets(secure)
  const places = createPlaces(services)
  const app = new Hono<HearthEnv>()

  app.use(requestIds(services))
  app.use(refusalsTo(services))
  app.use(protectiveHeaders(secure))
  app.all('/ws', webSocketRoute(services, places))
  app.use(async (c, next) => {
    return isUpgrade(c) ? refuseUpgrade(c, 'not_found') : next()
  })

  app.use('/api/*', ownOrigin(services))
  app.use('/api/*', methodNotAllowed({ app, onMethodNotAllowed: refuseMethod }))
  const limitBody = bodyLimit({
    maxSize: BODY_BYTES,
    onError: (c) => problem(c, 'too_long', { detail: `at most ${BODY_BYTES} bytes` }),
  })
  // Nothing else reads a body; and Deno warns of a middleware that wraps a request without one.
  app.use('/api/*', (c, next) => {
    if (!['POST', 'PUT'].includes(c.req.method)) return next()
    // A body in chunks is read here. What handlers throw goes to `onError`, and never comes by.
    return limitBody(c, next).catch(throwCutBody)
  })
  app.route('/api', sessionRoutes(services))
  app.route('/api', deviceRoutes(services))
  app.route('/api', messageRoutes(services, places))
  app.route('/api', memberRoutes(services))
  app.route('/api', roomRoutes(services))
  app.route('/api', invitationRoutes(services))
  app.route('/api', userRoutes(services))
  app.all('/api/*', signedIn(services), (c) => problem(c, 'not_found'))

  app.route('/', healthRoutes(services))
  app.get(
    '/openapi.json',
    serveMade(async () => (await import('./spec/spec.ts')).openApi()),
  )
  app.get(
    '/protocol.json',
    serveMade(async () => (await import('./spec/schemas.ts')).protocolSchema()),
  )
  app.all('*', (c) => assets.serve(c) ?? problem(c, 'not_found'))
  app.notFound((c) => problem(c, 'not_found'))
  app.onError((error, c) => {
    const retry = { retryAfterMs: services.config.limits.logRetryMs }
    if (error instanceof CutBody) {
      // Deno cuts what is on its way when it ends: that is none of the sender's fault.
      if (services.hub.isDraining) return problem(c, 'unavailable', retry)
      return problem(c, 'invalid', { detail: error.message })
    }
    if (error instanceof TooLong) {
      return problem(c, 'unavailable', { detail: error.message, ...retry })
    }
    c.var.journal.fault(error)
    return problem(c, 'unavailable', retry)
  })
  return app
}

/** What every answer carries unless its handler set another, also a handshake that is refused. */
function protectiveHeaders(secure: boolean): MiddlewareHandler<HearthEnv> {
  const protect = secureHeaders({
    overwrite: false,
    strictTransportSecurity: secure && `max-age=${HSTS_SECONDS}; includeSubDomains`,
    xFrameOptions: 'DENY',
    referrerPolicy: 'no-referrer',
    crossOriginOpenerPolicy: 'same-origin',
    crossOriginResourcePolicy: 'same-origin',
    crossOriginEmbedderPolicy: 'require-corp',
    permissionsPolicy: { camera: [], microphone: [], geolocation: [], payment: [], usb: [] },
  })
  return async (c, next) => {
    await next()
    // Those of a WebSocket that is let in belong to the runtime.
    if (isUpgrade(c) && !c.get('refusal')) return
    const { headers } = c.res
    headers.set('X-Request-Id', c.var.requestId)
    if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'no-store')
    if (!headers.has('Content-Security-Policy')) {
      headers.set('Content-Security-Policy', NO_CONTENT_POLICY)
    }
    await protect(c, async () => {})
  }
}
