/** `/api/sessions`: the devices that one is signed in on, to be seen and ended. */

import { Hono } from 'hono'
import * as v from 'valibot'
import { DeviceId } from '../../static/protocol.js'
import { deviceId } from '../store/devices.ts'
import { signedInAlone } from './auth.ts'
import { leaveNone } from './carried.ts'
import { problem } from './problem.ts'
import type { HearthEnv, Services } from './services.ts'

export function deviceRoutes(services: Services): Hono<HearthEnv> {
  const { accounts, hub } = services
  const onlySignedIn = signedInAlone(services)
  const routes = new Hono<HearthEnv>()

  routes.get('/sessions', onlySignedIn, async (c) => {
    const { user, hash: own } = c.var.session
    const devices = await accounts.devices(user.id)
    return c.json(
      devices.map(({ hash, ...device }) => ({
        id: deviceId(hash),
        ...device,
        ...(hash === own && { current: true }),
        ...(hub.isConnected(user.id, hash) && { here: true }),
      })),
    )
  })

  routes.delete('/sessions', onlySignedIn, async (c) => {
    const { user, hash: own } = c.var.session
    const ended = await accounts.endDevices(c.var.session)
    hub.endSessions(ended)
    const facts = { user: user.id, sessions: ended.length, by: deviceId(own) }
    c.var.journal.event('signed out', facts)
    return c.body(null, 204)
  })

  routes.delete('/sessions/:id', onlySignedIn, async (c) => {
    const id = c.req.param('id')
    const { user, hash: own } = c.var.session
    const isId = v.is(DeviceId, id)
    const ended = isId ? await accounts.endDevices(c.var.session, id) : []
    if (ended.length === 0) return problem(c, 'not_found', { detail: 'no such device of yours' })
    hub.endSessions(ended)
    c.var.journal.event('signed out', { user: user.id, device: id, by: deviceId(own) })
    if (ended.includes(own)) await leaveNone(c, services)
    return c.body(null, 204)
  })

  return routes
}
