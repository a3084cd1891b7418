/** `/api/rooms/:room/invites/look`: what one is invited to, asked before one comes in. */

import { Hono } from 'hono'
import { Invitation } from '../../static/protocol.js'
import { problem, readBody } from './problem.ts'
import { tooOften } from './rate-limit.ts'
import { inRoom } from './rooms.ts'
import { type HearthEnv, type Services } from './services.ts'

export function invitationRoutes(services: Services): Hono<HearthEnv> {
  const routes = new Hono<HearthEnv>()
  routes.post('/rooms/:room/invites/look', inRoom(services), async (c) => {
    const refused = tooOften(c, services, 'rooms')
    if (refused) return refused
    const { body, refusal } = await readBody(c, Invitation)
    if (refusal) return refusal
    const room = c.req.param('room')
    const found = await services.memberships.look(room, c.var.session.user.id, body.invite)
    if (!found) return problem(c, 'forbidden', { detail: 'this invitation is not good' })
    const { owner, members, isMember } = found
    return c.json({ room, owner, members, ...(isMember && { member: true }) })
  })
  return routes
}
