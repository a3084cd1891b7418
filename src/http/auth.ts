/** Who asks: the session of a request, from its bearer token or its cookie. */

import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { createMiddleware } from 'hono/factory'
import type { Session } from '../store/accounts.ts'
import { hashSecret, markOf } from '../auth/secrets.ts'
import type { Config } from '../config.ts'
import { Buckets } from '../limits.ts'
import { problem, throwCutBody, type ProblemOptions } from './problem.ts'
import { isSecure, type HearthEnv, type Services } from './services.ts'

/** Every port of a host shares its cookies: behind this, each log adds a mark of its own. */
const COOKIE = 'hearth'
const COOKIE_NAMES = /^(?:__Host-)?hearth(?:-[0-9a-f]{8})?$/
/** Sessions that other cookies of this family may name. */
const OTHER_COOKIES = 4
/** Browsers keep no cookie longer than 400 days; the session itself may end sooner. s */
const COOKIE_SECONDS = 400 * 86_400
const SAFE_METHODS = ['GET', 'HEAD']
const WITH_BODY = ['POST', 'PUT']
/** Who sends the body of a request later than this may have been put out meanwhile. ms */
const LATE_MS = 1_000

/**
 * Lets signed-in requests through, with their session; others are 401.
 * @param charge  in how many ms there will be a token for it, 0: taken; default: as often as frames
 */
export function signedIn(
  services: Services,
  charge = ({ user }: Session, now: number) => services.hub.user(user.id).requests.take(now),
) {
  return createMiddleware<HearthEnv>(async (c, next) => {
    const session = await findSession(c, services)
    if (!session) {
      return problem(c, 'unauthorized', { detail: 'sign in first', ...asked(services.config) })
    }
    const needsOrigin = bearerToken(c) === undefined && !SAFE_METHODS.includes(c.req.method)
    if (needsOrigin && !isOwnOrigin(c, services)) {
      return problem(c, 'forbidden', { detail: 'this origin is not allowed' })
    }
    c.set('session', session)
    const askedAt = services.clock.now()
    const retryAfterMs = charge(session, askedAt)
    if (retryAfterMs > 0) return problem(c, 'rate_limited', { retryAfterMs })
    if (WITH_BODY.includes(c.req.method) && !(await hasBody(c, services))) throwCutBody()
    const isLate = services.clock.now() - askedAt > LATE_MS
    if (isLate && !(await findSession(c, services))) {
      return problem(c, 'unauthorized', {
        detail: 'signed out meanwhile',
        ...asked(services.config),
      })
    }
    return next()
  })
}

/**
 * For who looks after their own sessions: each has tokens of its own, so that a stolen one cannot keep
 * its user from ending it.
 */
export function signedInAlone(services: Services) {
  const { devicesPerMinute } = services.config.limits
  const buckets = new Buckets(devicesPerMinute / 60, devicesPerMinute)
  return signedIn(services, ({ hash }, now) => buckets.take(hash, now))
}

/** Waits for the body, which handlers then have at once. @returns whether it came whole, and in time */
function hasBody(c: Context, { clock, config }: Services): Promise<boolean> {
  return new Promise((resolve) => {
    // Node has a limit of its own for the whole of a request, Deno none.
    const cancel = clock.after(config.limits.requestMs, () => resolve(false))
    const end = (isWhole: boolean) => {
      cancel()
      resolve(isWhole)
    }
    c.req.text().then(
      () => end(true),
      () => end(false),
    )
  })
}

/**
 * The session of a request. Where there is no cookie of our own, a session of this log in one of an
 * earlier version, or of the log that this one was restored from, counts, and gets our own name.
 * @returns null for a stranger
 */
export async function findSession(c: Context, services: Services): Promise<Session | null> {
  const { accounts } = services
  const { own, others } = tokensOf(c, services)
  const session = own === undefined ? null : await accounts.session(hashSecret(own))
  if (session) return session
  for (const token of others) {
    const session = await accounts.session(hashSecret(token))
    if (session && SAFE_METHODS.includes(c.req.method)) writeCookie(c, services, token)
    if (session) return session
  }
  return null
}

/** The hash of what a request shows, whether there is such a session or not; null: nothing. */
export function credentialOf(c: Context, services: Services): string | null {
  const { own, others } = tokensOf(c, services)
  const token = own ?? others[0]
  return token === undefined ? null : hashSecret(token)
}

/** What a guest needs besides a name. */
export function asked({ accessCode, guests }: Config): Pick<ProblemOptions, 'needs'> {
  if (!guests) return { needs: 'login' }
  return accessCode ? { needs: 'code' } : {}
}

/** Refuses what a browser sends here from somebody else's page. No Origin: not a browser. */
export function ownOrigin(services: Services) {
  return createMiddleware(async (c, next) => {
    const isForeign = c.req.header('origin') !== undefined && !isOwnOrigin(c, services)
    if (isForeign && !SAFE_METHODS.includes(c.req.method)) {
      return problem(c, 'forbidden', { detail: 'this origin is not allowed' })
    }
    return next()
  })
}

/** Whether the request names one of our origins, letter by letter. */
export function isOwnOrigin(c: Context, { origins }: Services): boolean {
  return origins().includes(c.req.header('origin') ?? '')
}

/** As any program sends it. */
export function bearerToken(c: Context): string | undefined {
  return /^Bearer ([\w-]+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
}

export function writeCookie(c: Context, services: Services, token: string) {
  setCookie(c, cookieName(services), token, {
    path: '/',
    httpOnly: true,
    sameSite: 'Strict',
    maxAge: COOKIE_SECONDS,
    secure: isSecure(services),
  })
}

/** Only our own: what others have kept under theirs may be good there. */
export function clearCookie(c: Context, services: Services) {
  deleteCookie(c, cookieName(services), { path: '/', secure: isSecure(services) })
}

function cookieName(services: Services) {
  return `${isSecure(services) ? '__Host-' : ''}${COOKIE}-${markOf(services.hub.log.epoch)}`
}

/** What a request shows: a bearer token, else our own cookie, else others. */
function tokensOf(c: Context, services: Services): Tokens {
  const bearer = bearerToken(c)
  if (bearer !== undefined) return { own: bearer, others: [] }
  const { own, others } = cookiesOf(c, services)
  return { own, others: own === undefined ? others : [] }
}

interface Tokens {
  own?: string | undefined
  others: string[]
}

/** In our own cookie, and in others of this family. */
export function cookiesOf(c: Context, services: Services): Tokens {
  const { [cookieName(services)]: own, ...rest } = getCookie(c)
  const others = Object.entries(rest).filter(
    ([name]) => COOKIE_NAMES.test(name) && name.startsWith('__Host-') === isSecure(services),
  )
  // Browsers send the newest last.
  return { own, others: others.slice(-OTHER_COOKIES).map(([, token]) => token) }
}
