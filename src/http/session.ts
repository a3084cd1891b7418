/** `/api/session` and `/api/ticket`: signing in, other devices, signing out, and the way to /ws. */

import { Hono } from 'hono'
import type * as v from 'valibot'
import { NewSession } from '../../static/protocol.js'
import type { Session } from '../auth/accounts.ts'
import { nameKey } from '../auth/names.ts'
import { hashSecret, isSameSecret, newSecret } from '../auth/secrets.ts'
import type { ErrorCode } from '../protocol.ts'
import { clearCookie, signedIn, writeCookie } from './auth.ts'
import { problem, readBody } from './problem.ts'
import { rateLimit } from './rate-limit.ts'
import { addressOf, type HearthEnv, type Services } from './services.ts'

/** Tickets per connection that a user may hold open, and minute: one for each try to come back. */
const TICKETS_PER_CONNECTION = 10

type SignIn = { session: Session; refusal?: undefined } | { refusal: ErrorCode; detail: string }

export function sessionRoutes(services: Services): Hono<HearthEnv> {
  const { accounts, clock, config, hub, links, tickets } = services
  const { limits } = config
  const sessionRate = rateLimit(limits.sessionsPerMinute, clock, (c) => addressOf(c, config))
  const ticketsPerMinute = limits.connectionsPerUser * TICKETS_PER_CONNECTION
  const ticketRate = rateLimit(ticketsPerMinute, clock, (c) => c.var.session.user.id)
  const onlySignedIn = signedIn(services)
  const routes = new Hono<HearthEnv>()

  routes.post('/session', sessionRate, async (c) => {
    const { body, refusal } = await readBody(c, NewSession)
    if (refusal) return refusal
    const token = newSecret()
    const signIn = await startSession(services, body, hashSecret(token))
    if (signIn.refusal) return problem(c, signIn.refusal, { detail: signIn.detail })
    writeCookie(c, services, token)
    const { user, role } = signIn.session
    return c.json({ user, token, expiresAt: endOf(signIn.session), role }, 201)
  })

  routes.get('/session', onlySignedIn, (c) => {
    const { user, role } = c.var.session
    return c.json({ user, expiresAt: endOf(c.var.session), role })
  })

  routes.delete('/session', onlySignedIn, async (c) => {
    const all = c.req.query('all') === 'true'
    hub.endSessions(await accounts.endSessions(c.var.session, all))
    clearCookie(c, services)
    return c.body(null, 204)
  })

  routes.post('/session/link', onlySignedIn, ticketRate, async (c) => {
    const { user, hash } = c.var.session
    const { ticket, expiresAt } = await links.issue({ user: user.id, session: hash, address: null })
    return c.json({ link: ticket, expiresAt }, 201)
  })

  routes.post('/ticket', onlySignedIn, ticketRate, async (c) => {
    const { user, hash } = c.var.session
    const address = config.ticketBindIp ? addressOf(c, config) : null
    return c.json(await tickets.issue({ user: user.id, session: hash, address }), 201)
  })

  return routes
}

/** Finds or makes the user that a body speaks of, with one session more. */
async function startSession(
  { accounts, config, links }: Services,
  body: v.InferOutput<typeof NewSession>,
  hash: string,
): Promise<SignIn> {
  if ('link' in body) {
    const pass = await links.redeem(body.link)
    const session = pass && (await accounts.addDevice(pass.session, hash))
    return session ? { session } : refused('unauthorized', 'this link is used or over')
  }
  const isAdmin = 'admin' in body
  if (isAdmin && !(config.adminToken && isSameSecret(body.admin, config.adminToken))) {
    return refused('forbidden', 'not the admin token')
  }
  if (!isAdmin && config.accessCode && !isSameSecret(body.code ?? '', config.accessCode)) {
    return refused('forbidden', 'this chat asks for an access code')
  }
  const key = nameKey(body.name)
  if (!key) return refused('invalid', 'name: letters of one script that can be seen')
  const session = isAdmin
    ? await accounts.addAdmin(body.name, key, hash)
    : await accounts.addGuest(body.name, key, hash)
  return session ? { session } : refused('name_taken', 'somebody has this name')
}

function refused(refusal: ErrorCode, detail: string) {
  return { refusal, detail }
}

function endOf({ expiresAt, idleUntil }: Session) {
  return expiresAt ?? idleUntil
}
