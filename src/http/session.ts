/** `/api/session` and `/api/ticket`: signing in, other devices, signing out, and the way to /ws. */

import { Hono, type Context } from 'hono'
import * as v from 'valibot'
import { NewSession, OpenedLink, Replacement } from '../../static/protocol.js'
import type { Arrival, Origin, Session } from '../store/accounts.ts'
import { isReserved, spellingFault } from '../auth/names.ts'
import { hashSecret, isSameSecret, newSecret } from '../auth/secrets.ts'
import type { Config } from '../config.ts'
import { asked, findSession, isOwnOrigin } from './auth.ts'
import { signedIn, signedInAlone, writeCookie } from './auth.ts'
import { carriedSessions, leaveNone } from './carried.ts'
import { problem, readBody, type ProblemOptions } from './problem.ts'
import { addressLimit, rateLimit } from './rate-limit.ts'
import { addressOf, type HearthEnv, type Services } from './services.ts'

/** Tickets per connection that a user may hold open, and minute: one for each try to come back. */
const TICKETS_PER_CONNECTION = 10
/** So much is kept of what a program calls itself, without control characters and halves of any. */
const AGENT_LENGTH = 200
const UNREADABLE = /[\p{Cc}\p{Cs}]/gu
const SIGNED_IN = { detail: 'you are signed in: sign out first, or name in `replace` who you are' }
const LATE = { detail: 'you are not signed in, or not only, as the user whom `replace` names' }
const BAD_LINK = { detail: 'this link was already used or has expired' }

export function sessionRoutes(services: Services): Hono<HearthEnv> {
  const { accounts, clock, config, hub, links, tickets } = services
  const { limits } = config
  const sessionRate = addressLimit(limits.sessionsPerMinute, services)
  const ticketsPerMinute = limits.connectionsPerUser * TICKETS_PER_CONNECTION
  const ticketRate = rateLimit(ticketsPerMinute, clock, (c) => c.var.session.user.id)
  const onlySignedIn = signedIn(services)
  const routes = new Hono<HearthEnv>()

  routes.post('/session', sessionRate, async (c) => {
    const token = newSecret()
    const jwt = foreignToken(c)
    const { body, refusal } = jwt ? await readForeign(c, jwt) : await readBody(c, NewSession)
    if (refusal) return refusal
    const before = await carriedSessions(c, services)
    const fault = replacementFault(c, services, before, body.replace)
    if (fault) return fault
    const instead = before.sessions.map((session) => session.hash)
    const signIn = await startSession(services, c, body, hashSecret(token), instead)
    if (signIn instanceof Response)
      return (await isLate(c, instead)) ? problem(c, 'conflict', LATE) : signIn
    hub.endSessions(instead)
    for (const { user } of before.sessions) {
      c.var.journal.event('signed out', { user: user.id, sessions: 1 })
    }
    writeCookie(c, services, token)
    const { user, role } = signIn
    c.var.journal.event('signed in', { user: user.id, role, address: addressOf(c, config) })
    return c.json({ user, token, expiresAt: endOf(signIn), role }, 201)
  })

  // A page that has yet to ask for a name is no error, and browsers print a 401 as one.
  routes.get('/session', async (c, next) => {
    if (c.req.query('quiet') !== 'true') return next()
    const session = await findSession(c, services)
    return c.json(session ? await toBody(session) : asked(config))
  })

  routes.get('/session', onlySignedIn, async (c) => {
    return c.json(await toBody(c.var.session))
  })

  routes.delete('/session', signedInAlone(services), async (c) => {
    const { session } = c.var
    const ended = await accounts.endSessions(session, c.req.query('all') === 'true')
    hub.endSessions(ended)
    c.var.journal.event('signed out', { user: session.user.id, sessions: ended.length })
    await leaveNone(c, services)
    return c.body(null, 204)
  })

  // What a link says before it is used: a page asks first, and whatever only opens it uses up nothing.
  routes.post('/session/link/whose', sessionRate, async (c) => {
    const { body, refusal } = await readBody(c, OpenedLink)
    if (refusal) return refusal
    const pass = await links.look(body.link)
    const session = pass && (await accounts.session(pass.session))
    return session ? c.json({ user: session.user }) : problem(c, 'unauthorized', BAD_LINK)
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

  /** Whether another request was first to take the place of these sessions. */
  async function isLate(c: Context, instead: readonly string[]) {
    if (instead.length === 0) return false
    const { sessions } = await carriedSessions(c, services)
    return instead.some((hash) => sessions.every((session) => session.hash !== hash))
  }

  /** What the signed-in are told of their session. */
  async function toBody(session: Session) {
    const { user, role } = session
    const frees = await accounts.freesName(session)
    return { user, expiresAt: endOf(session), role, ...(frees && { frees }) }
  }
}

/**
 * Why a request may not have another session in the place of those that it carries: one that was not
 * meant would be out of its user's reach, and a guest's name with it.
 * @param replace  whom the sessions are said to be of
 */
function replacementFault(
  c: Context,
  services: Services,
  { sessions, hasCookie }: Awaited<ReturnType<typeof carriedSessions>>,
  replace?: string,
) {
  if (replace === undefined) return sessions.length > 0 ? problem(c, 'conflict', SIGNED_IN) : null
  const isMeant = sessions.length > 0 && sessions.every(({ user }) => user.id === replace)
  if (!isMeant) return problem(c, 'conflict', LATE)
  // What a cookie does, only our own pages may ask for.
  if (!hasCookie || isOwnOrigin(c, services)) return null
  return problem(c, 'forbidden', { detail: 'this origin is not allowed' })
}

interface ForeignSession {
  jwt: string
  replace?: string | undefined
}

/** A request that needs no body. */
async function readForeign(c: Context, jwt: string) {
  const body: unknown = await c.req.json().catch(() => null)
  const { replace } = v.is(Replacement, body) ? body : {}
  const foreign: ForeignSession = { jwt, replace }
  return { body: foreign, refusal: undefined }
}

/**
 * Finds or makes the user that a request speaks of, with one session more.
 * @param instead  hashes of the sessions whose place it takes
 * @returns the session, or the answer that refuses it
 */
async function startSession(
  services: Services,
  c: Context<HearthEnv>,
  body: v.InferOutput<typeof NewSession> | ForeignSession,
  hash: string,
  instead: readonly string[],
) {
  const { accounts, config, links } = services
  const from = { ...originOf(c, config), instead }
  if ('jwt' in body) return startForeignSession(services, c, body.jwt, hash, from)
  if ('link' in body) {
    const pass = await links.redeem(body.link)
    const session = pass && (await accounts.addDevice(pass.session, hash, from))
    if (session === 'too_many') {
      return problem(c, session, { detail: `at most ${config.limits.sessionsPerUser} devices` })
    }
    return session ?? problem(c, 'unauthorized', BAD_LINK)
  }
  const isAdmin = 'admin' in body
  const fault = isAdmin ? adminFault(body, config) : guestFault(body, config)
  if (fault) return problem(c, 'forbidden', fault)
  const misspelt = spellingFault(body.name)
  if (misspelt) return problem(c, 'invalid', { detail: `name: ${misspelt}` })
  if (!isAdmin && isReserved(body.name)) {
    return problem(c, 'forbidden', { detail: 'this name is kept for those who run the chat' })
  }
  const session = isAdmin
    ? await accounts.addAdmin(body.name, hash, from)
    : await accounts.addGuest(body.name, hash, from)
  return (
    session ??
    problem(c, 'name_taken', { detail: 'somebody has this name, or one that looks like it' })
  )
}

function adminFault({ admin }: { admin: string }, { adminToken }: Config): ProblemOptions | null {
  const isRight = adminToken !== undefined && isSameSecret(admin, adminToken)
  return isRight ? null : { detail: 'not the admin token' }
}

function guestFault({ code = '' }: { code?: string | undefined }, config: Config) {
  const { needs } = asked(config)
  if (needs === 'login') return { detail: 'this chat is entered through its own sign-in', needs }
  if (!needs || isSameSecret(code, config.accessCode ?? '')) return null
  return { detail: 'this chat asks for an access code', needs }
}

/** A session of the user whom a token of our issuer speaks of; no longer than the token. */
async function startForeignSession(
  services: Services,
  c: Context<HearthEnv>,
  jwt: string,
  hash: string,
  from: Arrival,
) {
  const { accounts, clock, config, foreignUser } = services
  const user = await foreignUser?.(jwt).catch((error: unknown) => {
    c.var.journal.fault(error)
    return undefined
  })
  const { logRetryMs, longestSessionMs } = config.limits
  if (foreignUser && user === undefined) {
    return problem(c, 'unavailable', {
      detail: "the issuer's keys cannot be had",
      retryAfterMs: logRetryMs,
    })
  }
  if (!user) return problem(c, 'unauthorized', { detail: 'this token is not good' })
  const end = Math.min(user.expiresAt.getTime(), clock.date().getTime() + longestSessionMs)
  const session = await accounts.addForeign(user.subject, user.name, hash, new Date(end), from)
  return session ?? problem(c, 'forbidden', { detail: 'this user is banned' })
}

/** What the user is shown of this device later. */
function originOf(c: Context, config: Config): Origin {
  const agent = c.req.header('user-agent')?.slice(0, AGENT_LENGTH).replace(UNREADABLE, '')
  return { address: addressOf(c, config), agent: agent || null }
}

/** A bearer token in three parts: not one of ours. */
function foreignToken(c: Context) {
  return /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
}

function endOf({ expiresAt, idleUntil }: Session) {
  return expiresAt ?? idleUntil
}
