/**
 * A client that outlives the servers: it comes back, resumes, sends again what has no answer, and
 * writes down all it does and hears. A long file, as every event has its handler here: `#take`.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Entry, ErrorEvent, EventOf, ServerEvent } from '../../src/protocol.ts'
import { CLOSE, parseEvents, PROTOCOL } from '../../static/protocol.js'
import type { Random } from '../random.ts'
import type { Account } from '../helpers.ts'
import { HttpError, requestTicket } from './http.ts'
import { bodyOf, hashOf, type Recorder, type Via } from './record.ts'

/** Between two tries to reach a server, at most; less is drawn. ms */
const RETRY_MS = 400
/** The next try of what was refused for now. ms */
const AGAIN_MS = 500
/** A handshake that takes longer is given up. ms */
const HANDSHAKE_MS = 5_000
/** No answer for so long on an open socket: said again. ms */
const ANSWER_MS = 10_000
/** No frame at all for so long: the socket is dead. ms */
const SILENCE_MS = 40_000
/** Refused for now, and nowhere. */
const PASSING = new Set(['rate_limited', 'not_joined', 'too_many'])

/** What a run gives to its clients. */
export interface World {
  /** Where the servers are, all behind one address. */
  url: string
  recorder: Recorder
  /** The server behind a socket of ours. */
  nodeOf(localPort: number): string
  /** A number for each connection. */
  nextConn(): number
}

interface Message {
  id: string
  room: string
  body: string
  hash: string
  replyTo?: number
}

/** What a user said and has no answer to; all devices of the user share it. */
export class Outbox {
  readonly waiting = new Map<string, Message>()
  /** The newest that were acknowledged, to be said again. */
  readonly done: Message[] = []
  n = 0

  settle(id: string, isStored: boolean) {
    const message = this.waiting.get(id)
    if (!message) return
    this.waiting.delete(id)
    if (isStored && this.done.push(message) > 50) this.done.shift()
  }
}

/** What the client knows of a room, and holds of it. */
interface Place {
  wants: 'in' | 'out'
  isIn: boolean
  /** The last entry held; null before the first join. */
  position: { after: number; last?: string } | null
  epoch?: string
  joinedHead: number
  joinedAt: number
  /** The page of a fresh join is next. */
  isPageDue: boolean
  /** Pages asked for, in their order. */
  asks: { at: number; before: number | null }[]
}

interface Attempt extends Message {
  count: number
  since: number
}

export interface SurvivorOptions {
  world: World
  account: Account
  device: string
  rooms: readonly string[]
  random: Random
  /** Wants every entry from the first, instead of the newest page. */
  fromStart?: boolean
  /** Shared with the user's other device. */
  outbox: Outbox
  /** The other device, which says only what it is told to. */
  isTwin?: boolean
  /** Now and then it will not read. */
  isSlow?: boolean
}

export class Survivor {
  readonly outbox: Outbox
  readonly random: Random
  readonly #options: SurvivorOptions
  readonly #places = new Map<string, Place>()
  readonly #attempts = new Map<string, Attempt>()
  #socket: WebSocket | null = null
  #conn = 0
  #heardAt = 0
  #isOver = false
  #notBefore = 0

  constructor(options: SurvivorOptions) {
    this.#options = options
    this.outbox = options.outbox
    this.random = options.random
    for (const room of options.rooms) this.enter(room)
  }

  get user() {
    return this.#options.account.user
  }

  get device() {
    return this.#options.device
  }

  get rooms() {
    return [...this.#places.keys()]
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN
  }

  /** Whether it is in all its rooms. */
  get isSettled() {
    return this.isOpen && [...this.#places.values()].every(({ isIn }) => isIn)
  }

  isIn(room: string) {
    return this.#places.get(room)?.isIn === true
  }

  /** The last entry it holds of a room. */
  heldOf(room: string) {
    return this.#places.get(room)?.position?.after ?? 0
  }

  /* ------------------------------------------------------------------ life */

  /** Comes, and comes back until it is told to stop. */
  async live() {
    const tick = setInterval(() => this.#tick(), AGAIN_MS)
    while (!this.#isOver) {
      await this.#connectOnce().catch((error: unknown) => this.#missed(error))
      const retryAt = this.#now() + this.random.below(RETRY_MS)
      while (!this.#isOver && this.#now() < Math.max(retryAt, this.#notBefore)) await pause(50)
    }
    clearInterval(tick)
  }

  stop() {
    this.#isOver = true
    this.drop()
  }

  /** Cuts the socket without a word. */
  drop() {
    this.#socket?.terminate()
  }

  /** Cuts the socket and stays away for a while. */
  goAway(ms: number) {
    this.#notBefore = this.#now() + ms
    this.drop()
  }

  /** Comes back now, and to all its rooms. */
  comeBack() {
    this.#notBefore = 0
    for (const room of this.rooms) this.enter(room)
  }

  /** Reads nothing until `resume`. */
  pause() {
    if (this.isOpen) this.#socket?.pause()
  }

  resume() {
    if (this.isOpen) this.#socket?.resume()
  }

  /** The end of the run: says where it still is. */
  stay() {
    for (const [room, { isIn }] of this.#places) {
      if (isIn && this.isOpen) this.#note({ type: 'stay', conn: this.#conn, room })
    }
    if (!this.isSettled) this.#astray('it did not come back to all its rooms')
  }

  /* ------------------------------------------------------------------ what it does */

  enter(room: string) {
    const position = this.#options.fromStart ? { after: 0 } : null
    const none = { isIn: false, joinedHead: 0, joinedAt: 0, isPageDue: false, asks: [] }
    const place = this.#places.get(room) ?? { wants: 'out', position, ...none }
    this.#places.set(room, place)
    if (place.wants === 'in') return
    place.wants = 'in'
    if (!place.isIn) this.#join(room)
  }

  /** Leaves, and has the server confirm it: a page of a room one is not in is refused. */
  leave(room: string) {
    const place = this.#places.get(room)
    if (!place || place.wants === 'out') return
    place.wants = 'out'
    this.#leave(room)
  }

  /** Keeps a message until it is answered. */
  say(room: string, padding: string): Message {
    const { id: author } = this.user
    const body = bodyOf(author, (this.outbox.n += 1), room, padding)
    const message = { id: crypto.randomUUID(), room, body, hash: hashOf(body) }
    this.outbox.waiting.set(message.id, message)
    this.send(message)
    return message
  }

  /** Says again what is acknowledged already. */
  repeat() {
    const { done } = this.outbox
    const message = done[this.random.below(done.length)]
    if (message && !this.#attempts.has(message.id)) this.send(message)
  }

  /** Says what has to be refused: under an id that is used, as an answer to nothing, too much. */
  misbehave(room: string) {
    const body = bodyOf(this.user.id, 0, room, crypto.randomUUID())
    const fresh = { id: crypto.randomUUID(), room, body, hash: hashOf(body) }
    const used = this.outbox.done.find(({ id }) => !this.#attempts.has(id))
    const kind = this.random.below(3)
    if (kind === 0 && used) return this.send({ ...fresh, id: used.id, room: used.room })
    const bad =
      kind === 1 ? { ...fresh, replyTo: 1e12 } : { ...fresh, body: body.padEnd(4_001, '.') }
    this.outbox.waiting.set(bad.id, bad)
    this.send(bad)
  }

  /** Asks for a page. */
  read(room: string, before: number | null = null, limit = 50) {
    const place = this.#places.get(room)
    if (!place?.isIn || !this.isOpen) return
    place.asks.push({ at: this.#now(), before })
    this.#sendFrame({ type: 'history', room, limit, ...(before !== null && { before }) })
  }

  /** Tries to say a message on the socket of now, if it is in the room. */
  send(message: Message) {
    const { room, id, body, replyTo } = message
    if (!this.isIn(room) || !this.isOpen) return
    const count = (this.#attempts.get(id)?.count ?? 0) + 1
    this.#attempts.set(id, { ...message, count, since: this.#now() })
    this.#noteAttempt('invoke', message)
    this.#sendFrame({ type: 'say', room, id, body, ...(replyTo !== undefined && { replyTo }) })
  }

  /* ------------------------------------------------------------------ the socket */

  async #connectOnce() {
    const { world, account, device } = this.#options
    const ticket = await requestTicket(world.url, account.token)
    if (this.#isOver) return
    const protocols = [PROTOCOL, `ticket.${ticket}`]
    const url = `${world.url.replace('http', 'ws')}/ws`
    const socket = new WebSocket(url, protocols, { handshakeTimeout: HANDSHAKE_MS })
    let node = '?'
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('upgrade', (response) => (node = world.nodeOf(response.socket.localPort ?? 0)))
    socket.on('open', () => {
      this.#conn = world.nextConn()
      this.#heardAt = this.#now()
      const { isSlow = false } = this.#options
      this.#note({ type: 'open', conn: this.#conn, device, user: account.user.id, node, isSlow })
      for (const [room, { wants }] of this.#places) if (wants === 'in') this.#join(room)
    })
    socket.on('message', (data) => this.#receive(String(data)))
    const code = await new Promise<number>((resolve) => socket.on('close', resolve))
    this.#gone(code)
  }

  #gone(code: number) {
    if (this.#conn === 0) return
    for (const attempt of this.#attempts.values()) {
      for (; attempt.count > 0; attempt.count -= 1) this.#noteAttempt('info', attempt, 'closed')
    }
    this.#attempts.clear()
    this.#note({ type: 'close', conn: this.#conn, code })
    this.#conn = 0
    if (code >= CLOSE.BROKEN && code < 5_000) this.#astray(`closed with ${code}`)
    for (const place of this.#places.values()) {
      place.isIn = place.isPageDue = false
      place.asks = []
    }
  }

  #missed(error: unknown) {
    if (error instanceof HttpError && error.isFinal) this.#astray(error.message)
  }

  #receive(data: string) {
    this.#heardAt = this.#now()
    for (const event of parseEvents(data)) {
      if (event.type === 'broken' || event.type === 'position') this.#astray(`broken: ${data}`)
      else this.#take(event)
    }
  }

  /** What became due meanwhile: answers, joins, leaves, the socket's life. */
  #tick() {
    const now = this.#now()
    if (!this.isOpen) return
    if (now - this.#heardAt > SILENCE_MS) return this.drop()
    for (const [room, { wants, isIn, joinedAt }] of this.#places) {
      if (isIn === (wants === 'in') || now - joinedAt < ANSWER_MS) continue
      if (wants === 'in') this.#join(room)
      else this.#leave(room)
    }
    for (const { id, count, since } of this.#attempts.values()) {
      const message = this.outbox.waiting.get(id)
      if (count === 0 || now - since < ANSWER_MS || !message) continue
      this.#note({ type: 'silence', conn: this.#conn, id, since })
      this.send(message)
    }
  }

  #join(room: string) {
    const place = this.#places.get(room)!
    if (!this.isOpen) return
    place.joinedAt = this.#now()
    const { position, epoch } = place
    this.#note({ type: 'join', conn: this.#conn, room, after: position?.after })
    this.#sendFrame({ type: 'join', room, ...position, ...(epoch !== undefined && { epoch }) })
  }

  #leave(room: string) {
    const place = this.#places.get(room)!
    if (!place.isIn || !this.isOpen) return
    place.joinedAt = this.#now()
    this.#sendFrame({ type: 'leave', room })
    place.asks.push({ at: this.#now(), before: null })
    this.#sendFrame({ type: 'history', room, limit: 1 })
  }

  /* ------------------------------------------------------------------ what it hears */

  #take(event: ServerEvent) {
    switch (event.type) {
      case 'joined':
        return this.#joined(event)
      case 'message':
        return this.#accept(event)
      case 'history':
        return this.#page(event)
      case 'error':
        return this.#refused(event)
      case 'removed':
        return this.#gotOut(event.room)
      case 'ping':
        return this.#ping(event)
      case 'bye':
        this.#notBefore = this.#now() + event.retryAfterMs
        return
      case 'presence':
      case 'typing':
        this.#note({ type: 'heard', conn: this.#conn, room: event.room, what: event.type })
    }
  }

  #joined({ room, head, from, reset, epoch }: EventOf<'joined'>) {
    const place = this.#places.get(room)!
    this.#note({ type: 'joined', conn: this.#conn, room, head, from, reset, asked: place.joinedAt })
    place.isPageDue = reset || place.position === null
    if (place.isPageDue) place.position = { after: from - 1 }
    place.isIn = true
    place.joinedHead = head
    place.epoch = epoch
    if (this.#options.isTwin) return
    for (const message of this.outbox.waiting.values()) {
      if (message.room === room && !this.#attempts.has(message.id)) this.send(message)
    }
  }

  #accept(entry: Entry) {
    const { room, seq, id, author, repeat } = entry
    const place = this.#places.get(room)
    const missed = seq <= (place?.joinedHead ?? 0)
    const via = repeat ? 'repeat' : missed ? 'resume' : 'live'
    const hash = 'body' in entry ? hashOf(entry.body) : entry.kind
    this.#note({ type: 'recv', conn: this.#conn, room, via, seq, id, author: author.id, hash })
    if (!repeat && place) place.position = { after: seq, last: id }
    if (author.id === this.user.id) this.#answered(id, seq, via)
  }

  #answered(id: string, seq: number, via: Via) {
    const message = this.#attempts.get(id) ?? this.outbox.waiting.get(id)
    if (message) this.#noteAttempt('ok', message, '', { seq, via })
    this.#countDown(id)
    this.outbox.settle(id, true)
  }

  #page({ room, head, messages }: EventOf<'history'>) {
    const place = this.#places.get(room)
    const isJoins = place?.isPageDue === true
    const ask = isJoins ? { at: place.joinedAt, before: null } : place?.asks.shift()
    if (place && isJoins) {
      place.isPageDue = false
      const last = messages.at(-1)
      if (last?.seq === place.position?.after)
        place.position = { after: head, ...(last && { last: last.id }) }
    }
    const { at: asked = 0, before = null } = ask ?? {}
    const [count, first] = [messages.length, messages[0]?.seq ?? 0]
    this.#note({ type: 'page', conn: this.#conn, room, head, before, count, first, asked })
    for (const { seq, id, author, body } of messages) {
      const seen = { seq, id, author: author.id, hash: hashOf(body) }
      this.#note({ type: 'recv', conn: this.#conn, room, via: 'page', ...seen })
    }
  }

  #refused({ of, id, room, code, retryAfterMs = AGAIN_MS }: ErrorEvent) {
    if (of === 'say' && id !== undefined) return this.#refusedSay(id, code, retryAfterMs)
    const place = room === undefined ? undefined : this.#places.get(room)
    if (room === undefined || !place) return
    if (of === 'join') return this.#later(retryAfterMs, () => this.#join(room))
    if (of === 'leave') return this.#later(retryAfterMs, () => this.#leave(room))
    if (of !== 'history') return
    place.asks.shift()
    if (code === 'not_joined') this.#gotOut(room)
  }

  #refusedSay(id: string, code: string, retryAfterMs: number) {
    const attempt = this.#attempts.get(id)
    if (!attempt) return
    this.#noteAttempt(code === 'unavailable' ? 'info' : 'fail', attempt, code)
    this.#countDown(id)
    const message = this.outbox.waiting.get(id)
    if (code !== 'unavailable' && !PASSING.has(code)) return this.outbox.settle(id, false)
    this.#later(retryAfterMs, () => {
      if (message && this.outbox.waiting.has(id) && !this.#attempts.has(id)) this.send(message)
    })
  }

  /** By itself, or put out because the user left on another device. */
  #gotOut(room: string) {
    const place = this.#places.get(room)
    if (place) {
      place.isIn = false
      place.wants = 'out'
    }
    this.#note({ type: 'left', conn: this.#conn, room })
  }

  #ping({ heads }: EventOf<'ping'>) {
    this.#sendFrame({ type: 'pong' })
    for (const [room, seq] of Object.entries(heads)) {
      this.#note({ type: 'heard', conn: this.#conn, room, what: 'ping', seq })
    }
  }

  /* ------------------------------------------------------------------ small things */

  #countDown(id: string) {
    const attempt = this.#attempts.get(id)
    if (attempt && (attempt.count -= 1) <= 0) this.#attempts.delete(id)
  }

  /** Does something later, if the socket is still the same. */
  #later(ms: number, what: () => void) {
    const conn = this.#conn
    setTimeout(() => conn === this.#conn && this.isOpen && what(), ms)
  }

  #sendFrame(frame: object) {
    this.#socket?.send(JSON.stringify(frame))
  }

  #astray(what: string) {
    this.#note({ type: 'astray', device: this.device, what })
  }

  #noteAttempt(
    type: 'invoke' | 'info' | 'fail' | 'ok',
    { room, id, hash }: Message,
    code = '',
    at?: { seq: number; via: Via },
  ) {
    const attempt = { conn: this.#conn, room, author: this.user.id, id, hash }
    if (type === 'invoke') this.#note({ type, ...attempt })
    else if (type === 'ok' && at) this.#note({ type, ...attempt, ...at })
    else if (type !== 'ok') this.#note({ type, code, ...attempt })
  }

  #note(fact: Parameters<Recorder['note']>[0]) {
    this.#options.world.recorder.note(fact)
  }

  #now() {
    return this.#options.world.recorder.now()
  }
}
