/** `/api/users`: what an admin may do to one. */

import { Hono } from 'hono'
import * as v from 'valibot'
import { CLOSE, Id } from '../../static/protocol.js'
import { signedIn } from './auth.ts'
import { problem } from './problem.ts'
import { type HearthEnv, type Services } from './services.ts'

export function userRoutes(services: Services): Hono<HearthEnv> {
  const { accounts, hub } = services
  return new Hono<HearthEnv>().delete('/users/:user', signedIn(services), async (c) => {
    const { user: by, role } = c.var.session
    const user = c.req.param('user')
    if (role !== 'admin') return problem(c, 'forbidden', { detail: 'only an admin may do this' })
    if (!v.is(Id, user)) return problem(c, 'invalid', { detail: 'user: an id' })
    if (user === by.id) return problem(c, 'forbidden', { detail: 'not yourself' })
    const sessions = await accounts.ban(user)
    if (!sessions) return problem(c, 'not_found', { detail: 'no such user' })
    hub.endSessions(sessions, CLOSE.BANNED)
    c.var.journal.event('banned', { user, by: by.id })
    return c.body(null, 204)
  })
}
