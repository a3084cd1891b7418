/**
 * Follows one room as an event stream, as an `EventSource` does: whatever breaks it, it comes back
 * with the id of the last block that came whole. Each stream is a connection of the record, in which
 * the room is joined once.
 */

import type { IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { EventOf, ServerEvent } from '../../src/protocol.ts'
import { CLOSE, parseEvents } from '../../static/protocol.js'
import { createBlockReader, type Block } from './blocks.ts'
import { open, retryAfterOf } from './http.ts'
import { ANSWER_MS, RETRY_MS, SILENCE_MS, type PersonOptions } from './person.ts'
import { notePage, seenIn } from './record.ts'

/** As of a socket that ends without a goodbye. */
const CUT = 1006

export class Follower {
  readonly room: string
  readonly #options: PersonOptions
  #lastId: string | undefined
  #epoch: string | undefined
  #stream: Stream | null = null
  #cutter = new AbortController()
  #startedAt = 0
  #notBefore = 0
  #isOver = false

  constructor(options: PersonOptions, room: string) {
    this.#options = options
    this.room = room
  }

  /** The stream of now, while it is in the room. */
  get conn() {
    return this.#stream?.isIn ? this.#stream.conn : null
  }

  /** The last entry held. */
  get held() {
    return Number(this.#lastId ?? 0)
  }

  /** Comes, and comes back until it is told to stop. */
  async follow() {
    const { recorder } = this.#options.world
    while (!this.#isOver) {
      await this.#followOnce().catch(() => {})
      const retryAt = recorder.now() + this.#options.random.below(RETRY_MS)
      while (!this.#isOver && recorder.now() < Math.max(retryAt, this.#notBefore)) await pause(50)
    }
  }

  stop() {
    this.#isOver = true
    this.#cutter.abort()
  }

  /** Breaks the stream: now, or in the middle of what comes next. */
  drop(isInside: boolean) {
    if (isInside && this.#stream) this.#stream.isDoomed = true
    else this.#cutter.abort()
  }

  /** Breaks the stream and stays away until then. */
  goAway(until: number) {
    this.#notBefore = until
    this.#cutter.abort()
  }

  comeBack() {
    this.#notBefore = 0
  }

  pause() {
    this.#stream?.response.pause()
  }

  resume() {
    this.#stream?.response.resume()
  }

  /** Gives a stream up that has been silent for too long. */
  tick(now: number) {
    const since = this.#stream?.heardAt ?? this.#startedAt
    if (now - since > (this.conn === null ? ANSWER_MS : SILENCE_MS)) this.#cutter.abort()
  }

  async #followOnce() {
    const { world, account, fromStart, device, isSlow = false } = this.#options
    const { recorder, url, nodeOf } = world
    const room = this.room
    const after = this.#lastId ?? (fromStart ? '0' : undefined)
    const asked = (this.#startedAt = recorder.now())
    const { signal } = (this.#cutter = new AbortController())
    const query = new URLSearchParams({
      ...(this.#lastId === undefined && after !== undefined && { after }),
      ...(this.#epoch !== undefined && { epoch: this.#epoch }),
    })
    const { response, localPort } = await open(`${url}/api/rooms/${room}/events?${query}`, {
      token: account.token,
      ...(this.#lastId !== undefined && { headers: { 'last-event-id': this.#lastId } }),
      signal,
    })
    if (response.statusCode !== 200) return this.#refused(response)
    const [conn, node] = [world.nextConn(), nodeOf(localPort)]
    const { id: user } = account.user
    recorder.note({ type: 'open', conn, device, user, node, isSlow, over: 'stream' })
    const position = after === undefined ? undefined : Number(after)
    recorder.note({ type: 'join', conn, room, after: position })
    const stream = (this.#stream = new Stream(response, conn, asked, position))
    stream.heardAt = recorder.now()
    const isInside = await this.#read(stream, signal)
    recorder.note({ type: 'close', conn, code: stream.code, isInside })
    this.#stream = null
    if (stream.code >= CLOSE.BROKEN) this.#astray(`its stream ended with ${stream.code}`)
  }

  /** @returns whether it broke in the middle of an event */
  async #read(stream: Stream, signal: AbortSignal) {
    const { world, random } = this.#options
    const reader = createBlockReader((block) => this.#take(block, stream))
    stream.response.setEncoding('utf8').on('data', (text: string) => {
      stream.heardAt = world.recorder.now()
      if (signal.aborted) return
      reader.add(stream.isDoomed ? text.slice(0, random.below(text.length)) : text)
      if (stream.isDoomed) this.#cutter.abort()
    })
    await new Promise((resolve) => stream.response.on('close', resolve))
    return reader.isInside
  }

  #refused(response: IncomingMessage) {
    const { statusCode = 0 } = response
    this.#cutter.abort()
    this.#notBefore = this.#options.world.recorder.now() + retryAfterOf(response)
    if (statusCode !== 503 && statusCode !== 429)
      this.#astray(`its stream is refused: ${statusCode}`)
  }

  /* ------------------------------------------------------------------ what it hears */

  #take({ id, data }: Block, stream: Stream) {
    if (id !== undefined) {
      this.#lastId = id
      this.#enter(stream)
    }
    if (data === '') return
    for (const event of parseEvents(`[${data}]`)) {
      if (event.type === 'broken' || event.type === 'position') this.#astray(`broken: ${data}`)
      else this.#hear(event, stream)
    }
  }

  #hear(event: ServerEvent, stream: Stream) {
    const { recorder } = this.#options.world
    const { conn, asked } = stream
    if (event.type === 'joined') return this.#joined(event, stream)
    if (event.type === 'message') {
      const via = event.seq <= stream.head ? 'resume' : 'live'
      recorder.note({ type: 'recv', conn, room: event.room, via, ...seenIn(event) })
    } else if (event.type === 'history') {
      notePage(recorder, { conn, room: event.room, asked, before: null }, event)
    } else if (event.type === 'bye') {
      stream.code = event.code
      this.#notBefore = recorder.now() + event.retryAfterMs
    } else this.#astray(`${event.type} in a stream`)
  }

  /** Who starts afresh is in the room when it knows where: cut off before, it asks as it did. */
  #joined(event: EventOf<'joined'>, stream: Stream) {
    this.#epoch = event.epoch
    stream.head = event.head
    stream.joined = event
    // It may start afresh in the middle, when what comes next was dropped.
    stream.isIn = false
    if (stream.after !== undefined && !event.reset) this.#enter(stream)
  }

  #enter(stream: Stream) {
    if (!stream.joined || stream.isIn) return
    const { room, head, from, reset } = stream.joined
    const { conn, asked } = stream
    stream.isIn = true
    const answer = { type: 'joined', conn, room, head, from, reset, asked } as const
    this.#options.world.recorder.note(answer)
  }

  #astray(what: string) {
    const { world, device } = this.#options
    world.recorder.note({ type: 'astray', device, what })
  }
}

/** One connection. */
class Stream {
  readonly response: IncomingMessage
  readonly conn: number
  /** When. ms */
  readonly asked: number
  /** Where it was to start. */
  readonly after: number | undefined
  heardAt = 0
  head = 0
  joined: EventOf<'joined'> | null = null
  isIn = false
  /** Breaks in the middle of what comes next. */
  isDoomed = false
  code = CUT

  constructor(response: IncomingMessage, conn: number, asked: number, after: number | undefined) {
    this.response = response
    this.conn = conn
    this.asked = asked
    this.after = after
  }
}
