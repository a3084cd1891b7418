/** `/api/rooms`: the rooms one is a member of. */

import { Hono } from 'hono'
import { signedIn } from './auth.ts'
import { type HearthEnv, type Services } from './services.ts'

export function roomRoutes(services: Services): Hono<HearthEnv> {
  const { hub } = services
  return new Hono<HearthEnv>().get('/rooms', signedIn(services), async (c) => {
    await hub.saveReads()
    return c.json(await hub.log.rooms(c.var.session.user.id))
  })
}
