/** One event stream: a room's log as server-sent events (HTML Living Standard, 9.2), one way only. */

import { Buffer } from 'node:buffer'
import { CLOSE } from '../../static/protocol.js'
import type { Session } from '../store/accounts.ts'
import type { FrameOf, ServerEvent } from '../protocol.ts'
import type { Frame } from '../runtime/runtime.ts'
import type { Hub, Subscriber } from './hub.ts'
import { Outflow } from './outflow.ts'
import type { Room } from './room.ts'
import type { Seat } from './seat.ts'

/** Where the text of a stream goes. */
export interface Sink {
  /** Bytes handed over and not yet taken. */
  readonly queued: number
  write(bytes: Uint8Array<ArrayBuffer>): void
  /** What was written still goes out. */
  end(): void
  /** Nothing more goes out. Does nothing when all has. */
  cut(): void
}

export interface EventStreamOptions {
  hub: Hub
  sink: Sink
  session: Session
  /** As a connection's. */
  id: string
  /** The client's, for the journal. */
  address: string
  /** Called once, when the stream's place is free again; with the code when we ended it. */
  onGone(code?: number): void
}

/** A reader whose connection breaks comes back after this, unless it is told another time. ms */
const RETRY_MS = 3_000
/** Never sooner: an `EventSource` keeps to the last time it was told, at every later break, too. */
const LEAST_RETRY_MS = 1_000

/** An event as it stands in a stream. */
interface Block {
  readonly event: ServerEvent
  readonly bytes: Uint8Array<ArrayBuffer>
}

export class EventStream implements Subscriber {
  isClosed = false
  readonly #options: EventStreamOptions
  readonly #outflow: Outflow
  #place: { room: Room; seat: Seat; since: number } | null = null
  /** The room it follows is. */
  #isPrivate = false
  /** A membership of the user ended before there was a place. */
  #isInDoubt = false
  /** The reader starts afresh, and the page that follows is what it starts with. */
  #isReset = false
  #writtenAt: number

  constructor(options: EventStreamOptions) {
    this.#options = options
    const { hub } = options
    const now = (this.#writtenAt = hub.clock.now())
    this.#outflow = new Outflow(now)
    hub.add(this)
    hub.options.journal.event('opened', this.#who)
    this.#write(Buffer.from(`: hearth\nretry: ${RETRY_MS}\n\n`))
  }

  get user() {
    return this.#options.session.user
  }

  get session() {
    return this.#options.session.hash
  }

  get #who() {
    const { id: connection, address } = this.#options
    return { connection, kind: 'events', user: this.user.id, address }
  }

  get queued() {
    return this.#options.sink.queued
  }

  /** In a private room nobody reads unseen; in a public one a stream is none of the people. */
  get isPresent() {
    return this.#isPrivate
  }

  /** Follows a room. What goes wrong with it ends the stream. */
  async follow(request: FrameOf<'join'>) {
    const { hub } = this.#options
    const enter = async () => {
      const entrance = await this.#visit(request)
      this.#isPrivate ||= entrance?.private === true
      return entrance
    }
    try {
      const room = hub.room(request.room)
      const seat = await room.join(this, request, enter)
      if (!seat) return
      this.#place = { room, seat, since: hub.clock.now() }
      if (this.isClosed) this.#unseat()
      // It may have ended while the seat was taken.
      else if (this.#isInDoubt) await enter()
    } catch (error) {
      hub.options.journal.fault(error)
      this.close(CLOSE.RESTART, hub.limits.logRetryMs)
    }
  }

  /** Looks whether the user may be here; who may not is sent away. */
  async #visit({ room, after }: FrameOf<'join'>) {
    const { log } = this.#options.hub
    // The request that opened the stream has made the room, and paid for it.
    const mayMake = () => true
    const entrance = await log.visit(room, this.user.id, this.session, after, mayMake)
    if (entrance.signedIn && entrance.allowed) return entrance
    if (entrance.signedIn) this.#remove(room)
    else this.close(CLOSE.SIGNED_OUT)
    return null
  }

  /** Of a private room, which one may not read any more. @param before  as a connection's */
  expel(room: string, before = Infinity) {
    const place = this.#place
    if (!place) this.#isInDoubt = true
    else if (place.room.name === room && this.#isPrivate && place.since <= before)
      this.#remove(room)
  }

  #remove(room: string) {
    if (this.isClosed) return
    this.gone()
    this.#end({ type: 'removed', room })
  }

  /* ------------------------------------------------------------------ out */

  send(frame: Frame) {
    for (const { event, bytes } of toBlocks(frame)) {
      if (event.type === 'joined') this.#isReset = event.reset
      if (event.type !== 'history' || this.#isReset) this.#write(bytes)
      // Who starts live has a place to come back to before the first message.
      else this.#write(Buffer.from(`: live\nid: ${event.head}\n\n`))
    }
  }

  /** Typing and presence are for people. */
  sendDroppable() {}

  /** Nothing but the room's log is told here. */
  tell() {}

  #write(bytes: Uint8Array<ArrayBuffer>) {
    if (this.isClosed) return
    const { hub, sink } = this.#options
    if (this.queued > hub.limits.slowBytes) return this.close(CLOSE.SLOW)
    this.#outflow.add(bytes.length)
    this.#writtenAt = hub.clock.now()
    sink.write(bytes)
  }

  mayRead() {
    return this.#options.hub.mayRead(this.user.id, this.#options.address)
  }

  /* ------------------------------------------------------------------ time and the end */

  sweep(now: number, isLate: boolean) {
    const { hub, session } = this.#options
    const { heartbeatMs, stallMs } = hub.limits
    if (session.expiresAt && session.expiresAt <= hub.clock.date()) {
      return this.close(CLOSE.SIGNED_OUT)
    }
    if (isLate) this.#outflow.forgive(now)
    if (this.#outflow.stalledFor(now, () => this.queued) > stallMs) return this.close(CLOSE.SLOW)
    if (now - this.#writtenAt >= heartbeatMs) this.#write(Buffer.from(': still here\n\n'))
  }

  /** Nothing was received, so nothing waits for an answer. */
  async idle() {}

  /** Ends the stream with a goodbye, which a slow reader would not get. */
  close(code: number, retryAfterMs = 0) {
    if (this.isClosed) return
    this.gone(code)
    if (code === CLOSE.SLOW) this.#options.sink.cut()
    else this.#end({ type: 'bye', code, retryAfterMs }, retryAfterMs)
  }

  /** The last words; who does not take them in time is cut off. */
  #end(event: ServerEvent, retryAfterMs = 0) {
    const { hub, sink } = this.#options
    const retry = `retry: ${Math.max(retryAfterMs, LEAST_RETRY_MS)}\n`
    sink.write(Buffer.concat([Buffer.from(retry), toBlock(event).bytes]))
    sink.end()
    if (!hub.isDraining) hub.clock.after(hub.limits.closeMs, () => sink.cut())
  }

  /** The reader has gone, or is sent away with a code. Idempotent. */
  gone(code?: number) {
    if (this.isClosed) return
    this.isClosed = true
    this.#unseat()
    const { hub, onGone } = this.#options
    hub.remove(this)
    hub.options.journal.event('closed', { code, ...this.#who })
    onGone(code)
  }

  #unseat() {
    this.#place?.room.leave(this.#place.seat)
    this.#place = null
  }
}

/** The blocks of a frame, made once for all streams that get it. */
const blocks = new WeakMap<Frame, readonly Block[]>()

function toBlocks(frame: Frame): readonly Block[] {
  const known = blocks.get(frame)
  if (known) return known
  const { data, size } = frame
  const text = typeof data === 'string' ? data : Buffer.from(data.subarray(-size)).toString()
  // Our own encoding of events that were checked when it was made.
  const made = joinEntries((JSON.parse(text) as ServerEvent[]).map(toBlock))
  blocks.set(frame, made)
  return made
}

/** A flush of nothing but entries is one piece, written once to each. */
function joinEntries(made: readonly Block[]): readonly Block[] {
  const [first] = made
  if (!first || made.some(({ event }) => event.type !== 'message')) return made
  return [{ event: first.event, bytes: Buffer.concat(made.map(({ bytes }) => bytes)) }]
}

/** JSON has no line breaks, so an event is one line of data. */
function toBlock(event: ServerEvent): Block {
  const id = idOf(event)
  const position = id === undefined ? '' : `id: ${id}\n`
  const text = `${position}event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
  return { event, bytes: Buffer.from(text) }
}

/** Where a reader who got this goes on. */
function idOf(event: ServerEvent) {
  if (event.type === 'message') return event.seq
  return event.type === 'history' ? event.head : undefined
}
