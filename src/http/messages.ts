/** The log of a room over HTTP: read, searched, written, and followed as server-sent events. */

import { Hono, type Context } from 'hono'
import * as v from 'valibot'
import { runtime } from '#runtime'
import { CLOSE, explain, NewMessage, RoomEvents } from '../../static/protocol.js'
import { RoomMessages, Search } from '../../static/protocol.js'
import { fitPage } from '../chat/page.ts'
import { EventStream, type Sink } from '../chat/stream.ts'
import { encode, fitStep } from '../chat/tail.ts'
import type { Entrance, Outcome } from '../store/log.ts'
import type { FrameOf } from '../protocol.ts'
import { credentialOf } from './auth.ts'
import type { Limits } from '../limits.ts'
import type { Places } from './places.ts'
import { problem, readBody } from './problem.ts'
import { tooOften } from './rate-limit.ts'
import { inRoom } from './rooms.ts'
import { addressOf, type HearthEnv, type Services } from './services.ts'
import { Turns } from './turns.ts'

const PRIVATE = { detail: 'this room is private' }
/** Sessions that ended under a stream, whose readers are told not to come back; the newest. */
const MOST_ENDED = 1_000

type RoomContext = Context<HearthEnv, '/rooms/:room/*'>
type Reply<T> = Promise<T | Response>

export function messageRoutes(services: Services, places: Places): Hono<HearthEnv> {
  const { limits } = services.config
  const ended = createNewest(MOST_ENDED)
  const { searchesAtOnce: atOnce, searchesWaiting: waiting, searchWaitMs: waitMs } = limits
  const turns = new Turns(services.clock, { work: 'searches', atOnce, waiting, waitMs })
  const routes = new Hono<HearthEnv>()
  // To a browser that comes back on its own this says that it need not: a 401 would be an error.
  routes.use('/rooms/:room/events', async (c, next) => {
    return ended.has(credentialOf(c, services)) ? c.body(null, 204) : next()
  })
  for (const name of ['messages', 'search', 'events']) {
    routes.use(`/rooms/:room/${name}`, inRoom(services))
  }
  routes.get('/rooms/:room/messages', (c) => readMessages(c, services))
  routes.get('/rooms/:room/search', (c) => searchMessages(c, services, turns))
  routes.post('/rooms/:room/messages', (c) => postMessage(c, services))
  routes.get('/rooms/:room/events', (c) => followEvents(c, services, places, ended))
  return routes
}

async function readMessages(c: RoomContext, services: Services) {
  const { hub, config } = services
  const { limits } = config
  const query = v.safeParse(RoomMessages, c.req.query())
  if (!query.success) return problem(c, 'invalid', { detail: explain(query.issues) })
  const { after, before, limit = limits.pageEntries } = query.output
  const entrance = tooOften(c, services, 'reads') ?? (await visit(c, services))
  if (entrance instanceof Response) return entrance
  const room = c.req.param('room')
  const { epoch } = hub.log
  const common = { room, epoch, floor: entrance.floor }
  if (after === undefined) {
    const page = await hub.log.page(room, limit, before)
    return c.json({ ...common, ...fitPage(page, limits.stepBytes) })
  }
  const entries = (await hub.log.after(room, after, limit)).map(encode)
  // There are no holes: what is missing in front was dropped since the door was looked at.
  const [{ seq: first } = { seq: 0 }] = entries
  const floor = first > after + 1 ? first - 1 : entrance.floor
  const step = fitStep(entries, Infinity, limits.stepBytes)
  // What came since the door was looked at may be among them.
  const head = Math.max(entrance.head, step?.last ?? 0)
  const more = (step?.last ?? after) < head
  const text = withMessages({ ...common, floor, head, more }, step?.texts ?? [])
  return c.body(text, 200, { 'Content-Type': 'application/json' })
}

async function searchMessages(c: RoomContext, services: Services, turns: Turns) {
  const { hub, search, config } = services
  if (!search) return problem(c, 'not_found', { detail: 'search is switched off here' })
  const query = v.safeParse(Search, c.req.query())
  if (!query.success) return problem(c, 'invalid', { detail: explain(query.issues) })
  const entrance = tooOften(c, services, 'reads') ?? (await visit(c, services))
  if (entrance instanceof Response) return entrance
  const { q, before, limit = config.limits.pageEntries } = query.output
  const room = c.req.param('room')
  const { id } = c.var.session.user
  const address = addressOf(c, config)
  const page = await turns.run(id, address, async () => {
    const onWork = (ms: number) => hub.pay('reads', id, address, searchPrice(ms, config.limits))
    return search.search(room, q, limit, before, onWork)
  })
  return c.json({ room, epoch: hub.log.epoch, ...fitPage(page, config.limits.stepBytes) })
}

/** In reads, with the one that was charged before. */
function searchPrice(ms: number, { searchMsPerRead, readsPerSearch }: Limits) {
  return Math.min(readsPerSearch, Math.max(1, ms / searchMsPerRead)) - 1
}

async function postMessage(c: RoomContext, services: Services) {
  const { hub } = services
  const { body, refusal } = await readBody(c, NewMessage)
  if (refusal) return refusal
  const entrance = tooOften(c, services, 'messages') ?? (await visit(c, services, undefined, true))
  if (entrance instanceof Response) return entrance
  const { user, role } = c.var.session
  const room = c.req.param('room')
  const outcome = await hub.append({
    ...{ kind: 'message', id: crypto.randomUUID(), ...body },
    ...{ room, author: user, moderates: role === 'admin' || entrance.owner },
  })
  if (outcome.code) return refuse(c, services, outcome)
  const { entry, repeat } = outcome
  if (repeat) hub.observe(room, entry.seq)
  return repeat ? c.json({ ...entry, repeat }) : c.json(entry, 201)
}

/** @param ended  credentials whose streams must not come back */
async function followEvents(c: RoomContext, services: Services, places: Places, ended: Newest) {
  const { hub, config } = services
  const headers = { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' }
  const request = readPosition(c)
  if (request instanceof Response) return request
  const entrance = tooOften(c, services, 'reads') ?? (await visit(c, services, request.after, true))
  if (entrance instanceof Response) return entrance
  if (c.req.method === 'HEAD') return c.body(null, 200, headers)
  const address = addressOf(c, config)
  const { session, requestId: id } = c.var
  const obstacle = places.obstacle(address)
  if (obstacle) return problem(c, ...obstacle)
  const place = places.take(address)
  const refusal = place.assign(session.user.id)
  if (refusal) {
    place.leave()
    return problem(c, ...refusal)
  }
  const { sink, body } = createSink(runtime.keepOpen(c), () => stream.gone())
  const onGone = (code?: number) => {
    place.leave()
    if (code === CLOSE.SIGNED_OUT || code === CLOSE.BANNED) ended.add(session.hash)
  }
  const stream = new EventStream({ hub, sink, session, id, address, onGone })
  void stream.follow(request)
  return c.body(body, 200, headers)
}

/**
 * What the user finds at the room's door; or the answer to who may not come in.
 * @param stays  or writes: a name that nobody used is a public room from now on, and is paid for
 */
async function visit(
  c: RoomContext,
  services: Services,
  after?: number,
  stays = false,
): Reply<Entrance> {
  const { user, hash } = c.var.session
  let tooFast: Response | null = null
  const mayMake = () => !(tooFast = tooOften(c, services, 'rooms'))
  const room = c.req.param('room')
  const entrance = await services.hub.log.visit(
    ...([room, user.id, hash, after, stays ? mayMake : undefined] as const),
  )
  if (tooFast) return tooFast
  if (!entrance.signedIn) return problem(c, 'unauthorized', { detail: 'sign in first' })
  return entrance.allowed ? entrance : problem(c, 'forbidden', PRIVATE)
}

function refuse(
  c: RoomContext,
  { config }: Services,
  { code, message: detail }: Extract<Outcome, { code: string }>,
) {
  const isLater = code === 'unavailable'
  const retry = isLater ? { retryAfterMs: config.limits.logRetryMs } : {}
  return problem(c, code === 'invalid_frame' ? 'invalid' : code, { detail, ...retry })
}

/** An answer whose messages are JSON already. */
function withMessages(fields: object, texts: readonly string[]) {
  return `${JSON.stringify(fields).slice(0, -1)},"messages":[${texts.join(',')}]}`
}

/** Where a stream starts: behind what its reader has, else with what is said from now on. */
function readPosition(c: RoomContext): FrameOf<'join'> | Response {
  const lastId = c.req.header('last-event-id')
  const query = { ...c.req.query(), ...(lastId && { after: lastId }) }
  const parsed = v.safeParse(RoomEvents, query)
  if (!parsed.success) return problem(c, 'invalid', { detail: explain(parsed.issues) })
  const { after, epoch } = parsed.output
  const join = { type: 'join', room: c.req.param('room') } as const
  return after === undefined ? { ...join, limit: 0 } : { ...join, after, ...(epoch && { epoch }) }
}

/**
 * A body that is written from outside.
 * @param cut  cuts the connection; null: the body fails instead
 * @param onCancel  hears that its reader has gone
 */
function createSink(cut: (() => void) | null, onCancel: () => void) {
  let controller: ReadableStreamDefaultController | undefined
  let isOpen = true
  const start = (started: ReadableStreamDefaultController) => void (controller = started)
  const cancel = () => {
    isOpen = false
    onCancel()
  }
  const size = ({ byteLength }: Uint8Array) => byteLength
  const body = new ReadableStream<Uint8Array>({ start, cancel }, { highWaterMark: 0, size })
  const sink: Sink = {
    get queued() {
      return -(controller?.desiredSize ?? 0)
    },
    write: (bytes) => {
      if (isOpen) controller?.enqueue(bytes)
    },
    end: () => {
      if (isOpen) controller?.close()
      isOpen = false
    },
    cut: () => {
      isOpen = false
      if (cut) cut()
      else controller?.error(new Error('the reader is too slow'))
    },
  }
  return { sink, body }
}

type Newest = ReturnType<typeof createNewest>

/** A set of the newest `most` keys. */
function createNewest(most: number) {
  const keys = new Set<string | null>()
  return {
    has: (key: string | null) => keys.has(key),
    add: (key: string) => {
      keys.add(key)
      const [oldest] = keys
      if (keys.size > most) keys.delete(oldest!)
    },
  }
}
