/** Who asks: the session of a request, from its bearer token or its cookie. */

import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { createMiddleware } from 'hono/factory'
import type { Session } from '../store/accounts.ts'
import { hashSecret } from '../auth/secrets.ts'
import type { Config } from '../config.ts'
import { problem, type ProblemOptions } from './problem.ts'
import { isSecure, type HearthEnv, type Services } from './services.ts'

const COOKIE = 'hearth'
/** Browsers keep no cookie longer than 400 days; the session itself may end sooner. s */
const COOKIE_SECONDS = 400 * 86_400
const SAFE_METHODS = ['GET', 'HEAD']

/** Lets signed-in requests through, with their session; others are 401. */
export function signedIn(services: Services) {
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
    return next()
  })
}

/** @returns null for a stranger */
export async function findSession(c: Context, services: Services): Promise<Session | null> {
  const hash = credentialOf(c, services)
  return hash === null ? null : services.accounts.session(hash)
}

/** The hash of what a request shows, whether there is such a session or not; null: nothing. */
export function credentialOf(c: Context, services: Services): string | null {
  const token = bearerToken(c) ?? readCookie(c, services)
  return token ? hashSecret(token) : null
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
  const secure = isSecure(services)
  setCookie(c, COOKIE, token, {
    path: '/',
    httpOnly: true,
    sameSite: 'Strict',
    maxAge: COOKIE_SECONDS,
    ...(secure && { secure, prefix: 'host' as const }),
  })
}

export function clearCookie(c: Context, services: Services) {
  const secure = isSecure(services)
  deleteCookie(c, secure ? `__Host-${COOKIE}` : COOKIE, { path: '/', secure })
}

function readCookie(c: Context, services: Services) {
  return isSecure(services) ? getCookie(c, COOKIE, 'host') : getCookie(c, COOKIE)
}
