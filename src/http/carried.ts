/** All sessions that a request carries: of what takes their place, or ends one, none may stay behind. */

import type { Context } from 'hono'
import { hashSecret } from '../auth/secrets.ts'
import type { Session } from '../store/accounts.ts'
import { bearerToken, clearCookie, cookiesOf } from './auth.ts'
import type { HearthEnv, Services } from './services.ts'

interface Carried {
  /** Each once; the one that counts comes first. */
  sessions: Session[]
  /** Whether any came in a cookie, as browsers send it by themselves. */
  hasCookie: boolean
}

/** Those that hold, by bearer token and by every cookie of ours; `findSession` finds the first. */
export async function carriedSessions(c: Context, services: Services): Promise<Carried> {
  const find = async (tokens: readonly string[]) => {
    const hashes = [...new Set(tokens.map(hashSecret))]
    const found = await Promise.all(hashes.map((hash) => services.accounts.session(hash)))
    return found.filter((session) => session !== null)
  }
  const bearer = bearerToken(c)
  const { own, others } = cookiesOf(c, services)
  const byBearer = await find(bearer === undefined ? [] : [bearer])
  const byCookie = await find([...(own === undefined ? [] : [own]), ...others])
  const more = byCookie.filter(({ hash }) => hash !== byBearer[0]?.hash)
  return { sessions: [...byBearer, ...more], hasCookie: byCookie.length > 0 }
}

/** After the session of a request has ended: nothing else in this browser signs anybody in unasked. */
export async function leaveNone(c: Context<HearthEnv>, services: Services) {
  const { accounts, hub } = services
  for (const session of (await carriedSessions(c, services)).sessions) {
    hub.endSessions(await accounts.endSessions(session, false))
    c.var.journal.event('signed out', { user: session.user.id, sessions: 1 })
  }
  clearCookie(c, services)
}
