/**
 * One socket: what comes in, in order; what goes out, within bounds; when it is over.
 * A long file, as every frame has its handler here: `#handle` is the table of contents.
 */

import { Buffer } from 'node:buffer'
import * as protocol from '../../static/protocol.js'
import type { Role } from '../store/accounts.ts'
import { isSameSecret } from '../auth/secrets.ts'
import { Strikes, TokenBucket } from '../limits.ts'
import { LogUnavailable, type Content } from '../store/log.ts'
import {
  encodeEvent,
  labelsOf,
  type ClientFrame,
  type Entry,
  type ErrorCode,
  type ErrorEvent,
  type FrameOf,
  type Labels,
  type ServerEvent,
  type User,
} from '../protocol.ts'
import type { Frame, Socket } from '../runtime/runtime.ts'
import type { Charged, TooFast } from './charges.ts'
import type { Hub, Subscriber, UserState } from './hub.ts'
import { Outflow } from './outflow.ts'
import { encodeFrame, type Room } from './room.ts'
import type { Seat } from './seat.ts'
import { Work } from './work.ts'

const { CLOSE } = protocol
/** After a close for too many frames. ms */
const TOO_FAST_RETRY_MS = 5_000
/** ± 10 %, so that those who came together are not pinged together. */
const JITTER = 0.1

/** Frames after a close; a peer that sends more will not say goodbye, and is cut off unread. */
const MOST_IGNORED = 100

/** A `pong` that costs nothing, known without parsing it: whoever writes one may put JSON's blanks in. */
const PONG = new RegExp(['^', '\\{', '"type"', ':', '"pong"', '\\}', '$'].join('[ \\t\\n\\r]*'))
const PONG_BYTES = 32
/** The queue's key of a frame that belongs to no room. */
const NO_ROOM = ''
/** Frames that wait for the log, one at a time. */
const QUEUED: ReadonlySet<ClientFrame['type']> = new Set(['join', 'leave', 'history', 'renew'])

/** A connection's place in a room, since a time of our clock. */
interface Place {
  room: Room
  seat: Seat
  since: number
  /** What it said that is stored and has not yet gone out with a flush. */
  owed: Entry[]
}

type AppendFrame = FrameOf<'say' | 'edit' | 'delete' | 'react'>

export interface Identity {
  user: User
  role: Role
  /** Hash of the session. */
  session: string
  /** When the session ends; null for a guest's, which lives as long as it is used. */
  expiresAt: Date | null
  /** The ticket that was redeemed for this. */
  ticket: string
}

export interface ConnectionOptions {
  hub: Hub
  socket: Socket
  identity: Identity
  /** For the journal: of the request that it came by. */
  id?: string
  /** The client's, as the handshake found it. */
  address: string
  /** Redeems a fresh ticket of a live socket; null when it is not good. */
  redeem(ticket: string): Promise<Identity | null>
  /** Called once, when the connection's place is free again. */
  onGone(): void
}

export class Connection implements Subscriber {
  isClosed = false
  readonly isPresent = true
  readonly #hub: Hub
  readonly #socket: Socket
  readonly #state: UserState
  readonly #options: ConnectionOptions
  #identity: Identity
  /** With TOKEN_EVERY_MESSAGE: the ticket before this one, good for a while longer. */
  #previousTicket: { ticket: string; until: number } | null = null

  readonly #seats = new Map<string, Place>()
  /** The room of the join that is under way; null when another device left it meanwhile. */
  #joining: string | null = null
  readonly #work: Work
  /** When the log last gave no answer to a queued frame. */
  #unansweredAt = -Infinity

  #seenAt: number
  #pingAt: number
  readonly #outflow: Outflow
  /** Frames that came after the close. */
  #ignored = 0
  readonly #answers: TokenBucket
  readonly #pongs: TokenBucket
  readonly #refusals: Strikes
  readonly #invalid: Strikes

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#hub = options.hub
    this.#socket = options.socket
    this.#identity = options.identity
    const { limits, clock } = this.#hub
    const now = clock.now()
    this.#state = this.#hub.user(this.user.id)
    this.#seenAt = now
    this.#outflow = new Outflow(now)
    this.#pingAt = this.#nextPing(now)
    this.#answers = new TokenBucket(limits.refusalRate, limits.refusalRate, now)
    this.#pongs = new TokenBucket(limits.pongRate, limits.pongBurst, now)
    this.#refusals = new Strikes(limits.refusalsToClose, limits.refusalWindowMs)
    this.#invalid = new Strikes(limits.invalidToClose, limits.invalidWindowMs)
    this.#work = new Work({
      limits,
      onPause: () => this.#socket.pause(),
      onResume: () => this.#socket.resume(),
      onOverload: () => this.close(CLOSE.TOO_FAST, TOO_FAST_RETRY_MS),
      onFault: (error) => this.#fail(error),
    })
    this.#hub.add(this)
    this.#hub.options.journal.event('opened', this.#who)
    this.#welcome()
  }

  get user() {
    return this.#identity.user
  }

  /** For the journal. */
  get #who() {
    const { id, address } = this.#options
    return { connection: id, user: this.user.id, address }
  }

  get session() {
    return this.#identity.session
  }

  /* ------------------------------------------------------------------ in */

  /** Takes what the socket received; nothing that goes wrong with it reaches the socket's caller. */
  receive(data: unknown) {
    if (this.isClosed) return this.#ignore()
    try {
      this.#take(data)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Some may have been on their way at the close; who goes on is not read any more. */
  #ignore() {
    this.#ignored += 1
    if (this.#ignored === MOST_IGNORED) this.#socket.pause()
  }

  /** Dispatches at once: the order of frames is their order here. */
  #take(data: unknown) {
    const now = this.#hub.clock.now()
    this.#seenAt = now
    const size = sizeOf(data)
    if (size > protocol.FRAME_BYTES) return this.close(CLOSE.TOO_BIG)
    if (isPong(data, size) && this.#pongs.take(now) === 0) return
    this.#hub.meter.frames += 1
    const retryAfterMs = this.#state.frames.take(now)
    // Refused unread, and read only for an answer that is given.
    if (retryAfterMs > 0) {
      return this.#refuseForRate(() => labelsIn(data), { reason: 'too fast', retryAfterMs })
    }
    const { frame, refusal } = protocol.parseFrame(data)
    if (refusal) return this.#refuseInvalid(refusal)
    if (this.#hub.isDraining) {
      this.#hub.lateFrames += 1
      return this.#refuse(frame, 'unavailable', 'the server restarts', this.#hub.limits.logRetryMs)
    }
    this.#dispatch(frame, size)
  }

  /** Reads go through the queue; behind them what is sent to the same room, behind `renew` all. */
  #dispatch(frame: ClientFrame, size: number) {
    const room = roomOf(frame)
    const isBehind = this.#work.isQueued(room) || this.#work.isQueued(NO_ROOM)
    if (!isBehind && !QUEUED.has(frame.type)) return void this.#handle(frame, size)
    const received = this.#hub.clock.now()
    this.#work.enqueue(room, size, () => this.#attempt(frame, size, received))
  }

  #handle(frame: ClientFrame, size: number): unknown {
    switch (frame.type) {
      case 'join':
        return this.#join(frame)
      case 'leave':
        return this.#leave(frame)
      case 'say':
      case 'edit':
      case 'delete':
      case 'react':
        return this.#append(frame, size)
      case 'history':
        return this.#history(frame)
      case 'read':
        return this.#read(frame)
      case 'typing':
        return this.#typing(frame)
      case 'renew':
        return this.#renew(frame)
      case 'pong':
        return
    }
  }

  async #join(frame: FrameOf<'join'>) {
    const { limits } = this.#hub
    const place = this.#seats.get(frame.room)
    if (!place && this.#seats.size >= limits.roomsPerConnection) {
      return this.#refuse(frame, 'too_many', `at most ${limits.roomsPerConnection} rooms`)
    }
    if (!this.#pay('reads', frame)) return
    this.#joining = frame.room
    const room = this.#hub.room(frame.room)
    const seat = await room.join(this, frame, () => this.#enter(frame), place?.seat)
    if (!seat) return
    this.#seats.set(frame.room, { room, seat, since: this.#hub.clock.now(), owed: [] })
    // What it was just sent may have been too much for it.
    if (this.isClosed) return this.#unseat(frame.room)
    // Another device left the room while this one came: the last one decides.
    if (this.#joining === null) await this.#enter(frame)
  }

  async #enter(frame: FrameOf<'join'>) {
    const { log, limits } = this.#hub
    // Refuses the frame by itself.
    const mayMake = () => this.#pay('rooms', frame)
    const { room, after } = frame
    const entrance = await log.enter(room, this.user.id, this.session, after, mayMake)
    const { refusal } = entrance
    if (entrance.signedIn && entrance.allowed && !refusal) return entrance
    if (refusal === 'rate_limited') return null
    if (refusal) {
      const most = `you are in ${limits.membershipsPerUser} rooms, the most: leave one first`
      this.#refuse(frame, refusal, most)
    } else if (!entrance.signedIn) this.close(CLOSE.SIGNED_OUT)
    else {
      // It may have a seat there still, from before it was removed.
      this.expel(frame.room)
      this.#refuse(frame, 'forbidden', 'this room is private')
    }
    return null
  }

  async #leave({ room }: FrameOf<'leave'>) {
    if (!this.#seats.has(room)) return
    await this.#hub.log.leave(room, this.user.id)
    this.#unseat(room)
    this.#hub.endMembership(this.user.id, room)
  }

  /** The membership is over. @param before  spares a seat taken after this time */
  expel(room: string, before = Infinity) {
    if (this.#joining === room && before === Infinity) this.#joining = null
    const place = this.#seats.get(room)
    if (!place || place.since > before) return
    this.#unseat(room)
    this.tell({ type: 'removed', room })
  }

  #unseat(name: string) {
    const place = this.#seats.get(name)
    if (!place) return
    this.#seats.delete(name)
    place.room.leave(place.seat)
    this.#tellOwed(place)
  }

  #owe(place: Place, entry: Entry) {
    const { head } = place.room
    if (place.owed[0] && place.owed[0].seq <= head) {
      place.owed = place.owed.filter(({ seq }) => seq > head)
    }
    place.owed.push(entry)
  }

  /** Entries of ours that are stored and will not come here any more with a flush. */
  #tellOwed({ room, owed }: Place) {
    for (const entry of owed) if (entry.seq > room.head) this.tell({ ...entry, repeat: true })
  }

  #append(frame: AppendFrame, size: number) {
    const place = this.#place(frame)
    if (!place) return
    if (this.#hub.options.tokenEveryMessage && !this.#isGoodToken(frame.token)) {
      this.#refuse(frame, 'unauthorized', 'token: not the ticket of this connection')
      return this.close(CLOSE.SIGNED_OUT)
    }
    if (!this.#pay('messages', frame)) return
    const appended = this.#hub.append({
      room: frame.room,
      id: frame.id,
      author: this.user,
      moderates: this.#identity.role === 'admin' || place.room.owner === this.user.id,
      ...contentOf(frame),
    })
    this.#work.track(
      size,
      appended.then((outcome) => {
        if (outcome.code) return this.#refuse(frame, outcome.code, outcome.message)
        const { entry, repeat } = outcome
        if (repeat) this.#hub.observe(entry.room, entry.seq)
        // At its place in the order it comes with the flush, to whoever is live.
        const isComing = !repeat && !place.seat.isGone && place.room.isLive(place.seat)
        if (isComing) this.#owe(place, entry)
        else this.tell({ ...entry, repeat: true })
      }),
    )
  }

  async #history(frame: FrameOf<'history'>) {
    const place = this.#place(frame)
    if (!place || !this.#pay('reads', frame)) return
    const { before, limit = this.#hub.limits.pageEntries } = frame
    await place.room.sendHistory(this, limit, before)
  }

  #read(frame: FrameOf<'read'>) {
    const place = this.#place(frame)
    if (!place) return
    const { room } = frame
    const seq = Math.min(frame.seq, place.room.head)
    if (!this.#hub.read(this.user.id, room, seq)) return
    this.#hub.tellOthers(this, { type: 'read', room, seq })
    this.#hub.bus.publish({ type: 'read', room, user: this.user.id, seq })
  }

  #typing(frame: FrameOf<'typing'>) {
    const { room } = frame
    const isNews = this.#place(frame)?.room.typing(this.user)
    if (isNews) this.#hub.bus.publish({ type: 'typing', room, user: this.user })
  }

  async #renew(frame: FrameOf<'renew'>) {
    const identity = await this.#options.redeem(frame.ticket)
    if (identity?.user.id !== this.user.id) {
      return this.#refuse(frame, 'unauthorized', 'this ticket is not good')
    }
    const { clock, limits } = this.#hub
    this.#previousTicket = {
      ticket: this.#identity.ticket,
      until: clock.now() + limits.ticketMs,
    }
    this.#identity = identity
    this.tell({ type: 'renewed', expiresAt: identity.expiresAt?.toISOString() ?? null })
  }

  /** The seat that a frame speaks from; without one it is refused. */
  #place(frame: ClientFrame & { room: string }) {
    const place = this.#seats.get(frame.room)
    if (!place) this.#refuse(frame, 'not_joined', 'join the room first')
    return place
  }

  /** Whether what a frame asks for could be charged; else it is refused. */
  #pay(of: Charged, frame: ClientFrame) {
    const tooFast = this.#hub.charge(of, this.user.id, this.#options.address)
    if (tooFast) this.#refuseForRate(() => labelsOf(frame), tooFast)
    return !tooFast
  }

  #isGoodToken(token: string | undefined) {
    if (token === undefined) return false
    if (isSameSecret(token, this.#identity.ticket)) return true
    const previous = this.#previousTicket
    if (!previous || previous.until < this.#hub.clock.now()) return false
    return isSameSecret(token, previous.ticket)
  }

  /** Handles a frame whose turn has come; a log that does not answer is not the end. */
  async #attempt(frame: ClientFrame, size: number, received: number) {
    if (this.isClosed) return
    try {
      // Who waited behind a frame that got no answer would only wait as long again.
      if (received > this.#unansweredAt) return await this.#handle(frame, size)
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error
      this.#unansweredAt = this.#hub.clock.now()
    }
    this.#refuse(frame, 'unavailable', 'the log does not answer', this.#hub.limits.logRetryMs)
  }

  /** Resolves when every frame received so far is answered, but for appends. */
  idle() {
    return this.#work.idle()
  }

  /** What nobody expected ends this connection, and no other. */
  #fail(error: unknown) {
    this.#hub.options.journal.fault(error)
    this.close(CLOSE.RESTART, this.#hub.limits.logRetryMs)
  }

  /* ------------------------------------------------------------------ refusals */

  #refuse(frame: ClientFrame, code: ErrorCode, message: string, retryAfterMs?: number) {
    this.#answer({ ...labelsOf(frame), code, message, ...(retryAfterMs && { retryAfterMs }) })
  }

  #refuseInvalid(refusal: protocol.Refusal) {
    this.#answer(refusal)
    if (refusal.code !== 'invalid_frame') return
    if (this.#invalid.add(this.#hub.clock.now())) this.close(CLOSE.BROKEN)
  }

  /** Told a few times a second, then silently; who goes on is shown the door. */
  #refuseForRate(labels: () => Labels, { reason, retryAfterMs }: TooFast) {
    const now = this.#hub.clock.now()
    if (this.#answers.take(now) === 0) {
      const { of, id, room } = labels()
      const message = `${reason}: again in ${retryAfterMs} ms`
      this.#answer({ of, id, room, code: 'rate_limited', message, retryAfterMs })
    } else this.#hub.meter.dropped += 1
    if (this.#refusals.add(now)) this.close(CLOSE.TOO_FAST, TOO_FAST_RETRY_MS)
  }

  #answer(error: Omit<ErrorEvent, 'type'>) {
    const { code, message: reason, of, room } = error
    const type = code === 'unknown_type' ? undefined : of
    this.#hub.options.journal.refusal('frame', { code, reason, type, room, ...this.#who })
    this.tell({ type: 'error', ...error })
  }

  /* ------------------------------------------------------------------ out */

  /** Sends an event to this connection alone. */
  tell(event: ServerEvent) {
    this.send(encodeFrame([encodeEvent(event)]))
  }

  get queued() {
    return this.#socket.bufferedAmount
  }

  send(frame: Frame) {
    if (this.isClosed) return
    if (this.queued > this.#hub.limits.slowBytes) return this.close(CLOSE.SLOW)
    this.#outflow.add(frame.size)
    try {
      this.#socket.send(frame)
    } catch (error) {
      // A room sends to all its listeners in one loop: this is nobody else's matter.
      this.#fail(error)
    }
  }

  sendDroppable(frame: Frame) {
    if (this.queued <= this.#hub.limits.shedBytes) this.send(frame)
  }

  mayRead() {
    return this.#hub.mayRead(this.user.id, this.#options.address)
  }

  #welcome() {
    const { limits, options } = this.#hub
    this.tell({
      type: 'welcome',
      user: this.user,
      protocol: protocol.PROTOCOL,
      heartbeat: { interval: limits.heartbeatMs, timeout: limits.silenceMs },
      limits: {
        frame: protocol.FRAME_BYTES,
        body: protocol.BODY_LENGTH,
        page: protocol.PAGE_LENGTH,
        rate: limits.messageRate,
        burst: limits.messageBurst,
      },
      expiresAt: this.#identity.expiresAt?.toISOString() ?? null,
      tokenEveryMessage: options.tokenEveryMessage,
    })
  }

  /* ------------------------------------------------------------------ time and the end */

  /** Pings, and ends what is over: called for every connection once a second. */
  sweep(now: number, isLate: boolean) {
    const { limits, clock } = this.#hub
    const { expiresAt } = this.#identity
    if (expiresAt && expiresAt <= clock.date()) return this.close(CLOSE.SIGNED_OUT)
    // Who was held up itself heard nobody meanwhile: every silence begins anew.
    if (isLate) {
      this.#seenAt = now
      this.#outflow.forgive(now)
    }
    if (now - this.#seenAt > limits.silenceMs) return this.close(CLOSE.SILENT)
    const stalledMs = this.#outflow.stalledFor(now, () => this.queued)
    if (stalledMs > limits.stallMs) return this.close(CLOSE.SLOW)
    if (now < this.#pingAt) return
    this.#pingAt = this.#nextPing(now)
    this.tell({ type: 'ping', heads: Object.fromEntries(this.#liveHeads()) })
  }

  #nextPing(now: number) {
    return now + this.#hub.limits.heartbeatMs * (1 - JITTER + Math.random() * JITTER * 2)
  }

  *#liveHeads(): Generator<[string, number]> {
    for (const [name, { room, seat }] of this.#seats) {
      if (room.isLive(seat)) yield [name, room.head]
    }
  }

  /**
   * Ends the connection: its place is free at once, whenever the peer says goodbye.
   * @param retryAfterMs  how long the client should stay away at least
   */
  close(code: number, retryAfterMs = 0) {
    if (this.isClosed) return
    const isHeard = code !== CLOSE.SLOW && code !== CLOSE.SILENT
    const bye = encodeFrame([encodeEvent({ type: 'bye', code, retryAfterMs })])
    this.gone(code)
    try {
      if (isHeard) this.#socket.send(bye)
      this.#socket.close(code)
    } catch (error) {
      this.#hub.options.journal.fault(error)
    }
  }

  /** The socket is closed, by us when there is a code. Idempotent. */
  gone(code?: number) {
    if (this.isClosed) return
    this.isClosed = true
    for (const name of [...this.#seats.keys()]) this.#unseat(name)
    this.#hub.remove(this)
    this.#hub.options.journal.event('closed', { code, ...this.#who })
    this.#options.onGone()
  }
}

function isPong(data: unknown, size: number) {
  return size <= PONG_BYTES && typeof data === 'string' && PONG.test(data)
}

function labelsIn(data: unknown): Labels {
  const { frame, refusal } = protocol.parseFrame(data)
  return refusal ?? labelsOf(frame)
}

/** In bytes; a binary frame comes as an ArrayBuffer on both runtimes. */
function sizeOf(data: unknown) {
  if (data instanceof ArrayBuffer) return data.byteLength
  return typeof data === 'string' ? Buffer.byteLength(data) : 0
}

function roomOf(frame: ClientFrame) {
  return 'room' in frame ? frame.room : NO_ROOM
}

function contentOf(frame: AppendFrame): Content {
  switch (frame.type) {
    case 'say':
      return {
        kind: 'message',
        body: frame.body,
        replyTo: frame.replyTo,
        mentions: frame.mentions,
      }
    case 'edit':
      return { kind: 'edit', target: frame.target, body: frame.body }
    case 'delete':
      return { kind: 'delete', target: frame.target }
    case 'react':
      return { kind: 'reaction', target: frame.target, emoji: frame.emoji, on: frame.on }
  }
}
