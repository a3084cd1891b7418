/**
 * A client that outlives the servers: it comes back, resumes, sends again what has no answer, and
 * writes down all it does and hears. A long file, as every event has its handler here: `#take`.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Entry, ErrorEvent, EventOf, ServerEvent } from '../../src/protocol.ts'
import { CLOSE, parseEvents, PROTOCOL } from '../../static/protocol.js'
import { HttpError, requestTicket } from './http.ts'
import { AGAIN_MS, ANSWER_MS, Person, RETRY_MS, SILENCE_MS } from './person.ts'
import type { Message, PersonOptions } from './person.ts'
import { notePage, seenIn, type Via } from './record.ts'

/** A handshake that takes longer is given up. ms */
const HANDSHAKE_MS = 5_000
/** Refused for now, and nowhere. */
const PASSING = new Set(['rate_limited', 'not_joined', 'too_many'])

/** What the client knows of a room, and holds of it. */
interface Place {
  wants: 'in' | 'out'
  isIn: boolean
  /** The last entry held; null before the first join. */
  position: { after: number; last?: string } | null
  epoch?: string
  joinedHead: number
  joinedAt: number
  /** Joins that have no answer, in their order; and the last one that had. */
  joins: number[]
  answered: number
  /** The page of a fresh join is next. */
  isPageDue: boolean
  /** Pages asked for, in their order. */
  asks: { at: number; before: number | null }[]
}

interface Attempt extends Message {
  count: number
  since: number
}

export class Survivor extends Person {
  readonly #options: PersonOptions
  readonly #places = new Map<string, Place>()
  readonly #attempts = new Map<string, Attempt>()
  #socket: WebSocket | null = null
  #conn = 0
  #heardAt = 0
  #isOver = false
  #notBefore = 0

  constructor(options: PersonOptions) {
    super(options)
    this.#options = options
    for (const room of options.rooms) this.enter(room)
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
      const retryAt = this.now() + this.random.below(RETRY_MS)
      while (!this.#isOver && this.now() < Math.max(retryAt, this.#notBefore)) await pause(50)
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
    this.#notBefore = this.now() + ms
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
      if (isIn && this.isOpen) this.note({ type: 'stay', conn: this.#conn, room })
    }
    if (!this.isSettled) this.astray('it did not come back to all its rooms')
  }

  /* ------------------------------------------------------------------ what it does */

  enter(room: string) {
    const position = this.#options.fromStart ? { after: 0 } : null
    const none = { isIn: false, joinedHead: 0, joinedAt: 0, answered: 0, isPageDue: false }
    const place = this.#places.get(room) ?? { wants: 'out', position, ...none, joins: [], asks: [] }
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

  /** Asks for a page. */
  read(room: string, before: number | null = null, limit = 50) {
    const place = this.#places.get(room)
    if (!place?.isIn || !this.isOpen) return
    place.asks.push({ at: this.now(), before })
    this.#sendFrame({ type: 'history', room, limit, ...(before !== null && { before }) })
  }

  /** Tries to say a message on the socket of now, if it is in the room. */
  send(message: Message) {
    const { room, id, body, replyTo } = message
    if (!this.isIn(room) || !this.isOpen) return
    const count = (this.#attempts.get(id)?.count ?? 0) + 1
    this.#attempts.set(id, { ...message, count, since: this.now() })
    this.noteAttempt(this.#conn, 'invoke', message)
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
      this.#heardAt = this.now()
      const { isSlow = false } = this.#options
      this.note({ type: 'open', conn: this.#conn, device, user: account.user.id, node, isSlow })
      for (const [room, { wants }] of this.#places) if (wants === 'in') this.#join(room)
    })
    socket.on('message', (data) => this.#receive(String(data)))
    const code = await new Promise<number>((resolve) => socket.on('close', resolve))
    this.#gone(code)
  }

  #gone(code: number) {
    if (this.#conn === 0) return
    for (const attempt of this.#attempts.values()) {
      for (; attempt.count > 0; attempt.count -= 1)
        this.noteAttempt(this.#conn, 'info', attempt, 'closed')
    }
    this.#attempts.clear()
    this.note({ type: 'close', conn: this.#conn, code })
    this.#conn = 0
    if (code >= CLOSE.BROKEN && code < 5_000) this.astray(`closed with ${code}`)
    for (const place of this.#places.values()) {
      place.isIn = place.isPageDue = false
      place.asks = []
      place.joins = []
    }
  }

  #missed(error: unknown) {
    if (error instanceof HttpError && error.isFinal) this.astray(error.message)
  }

  #receive(data: string) {
    this.#heardAt = this.now()
    for (const event of parseEvents(data)) {
      if (event.type === 'broken' || event.type === 'position') this.astray(`broken: ${data}`)
      else this.#take(event)
    }
  }

  /** What became due meanwhile: answers, joins, leaves, the socket's life. */
  #tick() {
    const now = this.now()
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
      this.note({ type: 'silence', conn: this.#conn, id, since })
      this.send(message)
    }
  }

  #join(room: string) {
    const place = this.#places.get(room)!
    if (!this.isOpen) return
    place.joinedAt = this.now()
    place.joins.push(place.joinedAt)
    const { position, epoch } = place
    this.note({ type: 'join', conn: this.#conn, room, after: position?.after })
    this.#sendFrame({ type: 'join', room, ...position, ...(epoch !== undefined && { epoch }) })
  }

  #leave(room: string) {
    const place = this.#places.get(room)!
    if (!place.isIn || !this.isOpen) return
    place.joinedAt = this.now()
    this.#sendFrame({ type: 'leave', room })
    place.asks.push({ at: this.now(), before: null })
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
        this.#notBefore = this.now() + event.retryAfterMs
        return
      case 'presence':
      case 'typing':
        this.note({ type: 'heard', conn: this.#conn, room: event.room, what: event.type })
    }
  }

  #joined({ room, head, from, reset, epoch }: EventOf<'joined'>) {
    const place = this.#places.get(room)!
    // A join that is sent again for want of an answer is answered twice.
    const asked = (place.answered = place.joins.shift() ?? place.joinedAt)
    this.note({ type: 'joined', conn: this.#conn, room, head, from, reset, asked })
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
    this.note({ type: 'recv', conn: this.#conn, room, via, ...seenIn(entry) })
    if (!repeat && place) place.position = { after: seq, last: id }
    if (author.id === this.user.id) this.#answered(id, seq, via)
  }

  #answered(id: string, seq: number, via: Via) {
    const message = this.#attempts.get(id) ?? this.outbox.waiting.get(id)
    if (message) this.noteAttempt(this.#conn, 'ok', message, '', { seq, via })
    this.#countDown(id)
    this.outbox.settle(id, true)
  }

  #page({ room, head, messages }: EventOf<'history'>) {
    const place = this.#places.get(room)
    const isJoins = place?.isPageDue === true
    const ask = isJoins ? { at: place.answered, before: null } : place?.asks.shift()
    if (place && isJoins) {
      place.isPageDue = false
      const last = messages.at(-1)
      if (last?.seq === place.position?.after)
        place.position = { after: head, ...(last && { last: last.id }) }
    }
    const { at: asked = 0, before = null } = ask ?? {}
    const { recorder } = this.#options.world
    notePage(recorder, { conn: this.#conn, room, before, asked }, { head, messages })
  }

  #refused({ of, id, room, code, retryAfterMs = AGAIN_MS }: ErrorEvent) {
    if (of === 'say' && id !== undefined) return this.#refusedSay(id, code, retryAfterMs)
    const place = room === undefined ? undefined : this.#places.get(room)
    if (room === undefined || !place) return
    if (of === 'join') {
      place.joins.shift()
      return this.#later(retryAfterMs, () => this.#join(room))
    }
    if (of === 'leave') return this.#later(retryAfterMs, () => this.#leave(room))
    if (of !== 'history') return
    place.asks.shift()
    if (code === 'not_joined') this.#gotOut(room)
  }

  #refusedSay(id: string, code: string, retryAfterMs: number) {
    const attempt = this.#attempts.get(id)
    if (!attempt) return
    this.noteAttempt(this.#conn, code === 'unavailable' ? 'info' : 'fail', attempt, code)
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
    this.note({ type: 'left', conn: this.#conn, room })
  }

  #ping({ heads }: EventOf<'ping'>) {
    this.#sendFrame({ type: 'pong' })
    for (const [room, seq] of Object.entries(heads)) {
      this.note({ type: 'heard', conn: this.#conn, room, what: 'ping', seq })
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

  protected isUnderWay(id: string) {
    return this.#attempts.has(id)
  }
}
