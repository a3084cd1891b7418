/** `/api/rooms/:room/members`: who may read a private room, told to each of them. */

import { Hono } from 'hono'
import * as v from 'valibot'
import { explain, Id, MEMBERS_LENGTH } from '../../static/protocol.js'
import { problem } from './problem.ts'
import { tooOften } from './rate-limit.ts'
import { inRoom } from './rooms.ts'
import { type HearthEnv, type Services } from './services.ts'

/** The query: those behind the id `after`, in since `since`; `past`: who are members no more. */
const Query = v.object({
  after: v.optional(Id),
  since: v.optional(v.pipe(v.string(), v.isoTimestamp())),
  past: v.optional(
    v.pipe(
      v.picklist(['true', 'false']),
      v.transform((past) => past === 'true'),
    ),
  ),
  limit: v.optional(
    v.pipe(v.string(), v.digits(), v.transform(Number), v.minValue(1), v.maxValue(MEMBERS_LENGTH)),
  ),
})
const PRIVATE = { detail: 'this room is private' }
const PUBLIC = { detail: 'a public room has no list of members: anybody may enter it' }

export function memberRoutes(services: Services): Hono<HearthEnv> {
  const { hub, memberships } = services
  const routes = new Hono<HearthEnv>()

  routes.get('/rooms/:room/members', inRoom(services), async (c) => {
    const query = v.safeParse(Query, c.req.query())
    if (!query.success) return problem(c, 'invalid', { detail: explain(query.issues) })
    const refused = tooOften(c, services, 'reads')
    if (refused) return refused
    const { after, since, past, limit = MEMBERS_LENGTH } = query.output
    const room = c.req.param('room')
    const options = { limit, after, past, since: since === undefined ? since : new Date(since) }
    const page = await memberships.members(room, c.var.session.user.id, options)
    if (page.refusal === 'forbidden') return problem(c, 'forbidden', PRIVATE)
    if (page.refusal) return problem(c, 'not_found', PUBLIC)
    const present = await hub.present(room)
    const members = page.members.map((member) => {
      return { ...member, here: !member.until && present.has(member.user.id) }
    })
    return c.json({ room, members, more: page.more })
  })

  return routes
}
