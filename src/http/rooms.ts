/** `/api/rooms`: those one is a member of, and making, inviting, removing. */

import { Hono, type Context, type Next } from 'hono'
import { every } from 'hono/combine'
import { createMiddleware } from 'hono/factory'
import * as v from 'valibot'
import { Id, Invitation, NewInvitation, NewOwner, NewRoom, Room } from '../../static/protocol.js'
import type { Limits } from '../limits.ts'
import type { RoomSummary } from '../store/log.ts'
import { signedIn } from './auth.ts'
import { problem, readBody } from './problem.ts'
import { tooOften } from './rate-limit.ts'
import { addressOf, type HearthEnv, type Services } from './services.ts'
import { Turns } from './turns.ts'

const NOT_OWNED = { detail: 'only its owner may do this' }
const TAKEN = { detail: 'there is a room of this name' }

export function roomRoutes(services: Services): Hono<HearthEnv> {
  const { clock, config, hub, memberships } = services
  const { limits } = config
  const { listsAtOnce: atOnce, listsWaiting: waiting, listMs: waitMs } = limits
  const turns = new Turns(clock, { work: 'lists of rooms', atOnce, waiting, waitMs })
  const onlySignedIn = signedIn(services)
  const rate = createMiddleware<HearthEnv>(async (c, next) => {
    return tooOften(c, services, 'rooms') ?? next()
  })
  const routes = new Hono<HearthEnv>()

  routes.get('/rooms', onlySignedIn, async (c) => {
    const count = await hub.log.roomCount(c.var.session.user.id)
    const price = 1 + count / limits.roomsPerRead
    const refusal = tooOften(c, services, 'reads', price)
    if (refusal) return refusal
    if (count === 0) return c.json([])
    await hub.saveReads()
    return c.json(await readRooms(c, services, turns))
  })

  routes.post('/rooms', onlySignedIn, rate, async (c) => {
    const { body, refusal } = await readBody(c, NewRoom)
    if (refusal) return refusal
    const { room } = body
    const { user, role } = c.var.session
    if (body.private === false) {
      if (role !== 'admin') return problem(c, 'forbidden', { detail: 'only an admin may do this' })
      if ((await memberships.reserve(room)) !== 'made') return problem(c, 'conflict', TAKEN)
      c.var.journal.event('reserved', { room, by: user.id })
      return c.json({ room, head: 0, read: 0, unread: 0, mentions: 0, private: false }, 201)
    }
    const isNew = await memberships.create(room, user.id)
    if (isNew === null) return problem(c, 'too_many', { detail: tooManyRooms(limits) })
    if (!isNew) return problem(c, 'conflict', TAKEN)
    return c.json(
      { room, head: 0, read: 0, unread: 0, mentions: 0, private: true, owner: true },
      201,
    )
  })

  routes.use('/rooms/:room/*', inRoom(services))

  routes.post('/rooms/:room/invites', rate, async (c) => {
    const { body, refusal } = await readBody(c, NewInvitation)
    if (refusal) return refusal
    const lifetimeMs = body.expiresIn === undefined ? limits.inviteMs : body.expiresIn * 1000
    const { user } = c.var.session
    const room = c.req.param('room')
    const invitation = await memberships.invite(room, user.id, lifetimeMs, body.once)
    return invitation ? c.json(invitation, 201) : problem(c, 'forbidden', NOT_OWNED)
  })

  routes.delete('/rooms/:room/invites', rate, async (c) => {
    const { by, as } = actorOf(c)
    const room = c.req.param('room')
    const revoked = await memberships.revokeInvites(room, by, as)
    if (!revoked) return problem(c, 'forbidden', NOT_OWNED)
    c.var.journal.event('invitations ended', { room, by, count: revoked.ended })
    return c.json(revoked)
  })

  routes.post('/rooms/:room/members', rate, async (c) => {
    const { body, refusal } = await readBody(c, Invitation)
    if (refusal) return refusal
    const room = c.req.param('room')
    const { user } = c.var.session
    const outcome = await memberships.admit(room, user.id, body.invite)
    if (outcome === 'too_many') return problem(c, outcome, { detail: tooManyRooms(limits) })
    if (outcome === 'refused') {
      return problem(c, 'forbidden', { detail: 'this invitation is not good' })
    }
    if (outcome === 'admitted') admitted(c, room, 'invitation')
    return c.body(null, 204)
  })

  routes.delete('/rooms/:room/members/:user', rate, async (c) => {
    const { room, user } = c.req.param()
    const { by, as } = actorOf(c)
    if (!v.is(Id, user)) return problem(c, 'invalid', { detail: 'user: an id' })
    const outcome = await memberships.remove(room, by, user, as)
    if (outcome === 'forbidden') return problem(c, outcome, NOT_OWNED)
    if (outcome === 'not_found') return problem(c, outcome, { detail: 'not a member' })
    hub.endMembership(user, room)
    c.var.journal.event('removed', { room, user, by })
    return c.body(null, 204)
  })

  routes.put('/rooms/:room/owner', rate, async (c) => {
    const { body, refusal } = await readBody(c, NewOwner)
    if (refusal) return refusal
    const room = c.req.param('room')
    const { by, as } = actorOf(c)
    const outcome = await memberships.handOver(room, by, body.user, as)
    if (outcome === 'forbidden') return problem(c, outcome, NOT_OWNED)
    if (outcome === 'not_found') return problem(c, outcome, { detail: 'not a member' })
    if (outcome === 'too_many') return problem(c, outcome, { detail: tooManyRooms(limits) })
    if (outcome === 'taken') admitted(c, room, 'takeover')
    hub.announce({ type: 'owner', room, owner: body.user })
    c.var.journal.event('handed over', { room, user: body.user, by })
    return c.body(null, 204)
  })

  /** Tells that the user who asks came in. */
  function admitted(c: Context<HearthEnv>, room: string, by: string) {
    const { user } = c.var.session
    hub.announce({ type: 'admitted', room, user, at: clock.date().toISOString() })
    c.var.journal.event('admitted', { room, user: user.id, by })
  }

  return routes
}

/**
 * The rooms of the user, some in each turn: long lists do not hold up short ones. When the user has
 * gone there is no next turn.
 */
async function readRooms(c: Context<HearthEnv>, { hub, config }: Services, turns: Turns) {
  const { roomsAtOnce } = config.limits
  const { id } = c.var.session.user
  const address = addressOf(c, config)
  const { signal } = c.req.raw
  const found: RoomSummary[] = []
  const read = async () => {
    const next = signal.aborted ? [] : await hub.log.rooms(id, found.at(-1)?.room, roomsAtOnce)
    found.push(...next)
    return next
  }
  await turns.run(id, address, read, ({ length }) => length === roomsAtOnce)
  return found
}

/** For people. */
function tooManyRooms({ membershipsPerUser, ownedPerUser }: Limits) {
  return `you may be in ${membershipsPerUser} rooms, and own ${ownedPerUser}: leave some first`
}

/** Who asks: an admin may do to any private room what its owner may. */
function actorOf(c: Context<HearthEnv>) {
  const { user, role } = c.var.session
  return { by: user.id, as: role === 'admin' ? ('admin' as const) : ('owner' as const) }
}

/** Lets the signed-in through to what may be a room. */
export function inRoom(services: Services) {
  return every(signedIn(services), async (c: Context, next: Next) => {
    return v.is(Room, c.req.param('room')) ? next() : problem(c, 'invalid', { detail: 'room' })
  })
}
