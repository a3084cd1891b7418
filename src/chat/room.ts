/** A room on this node: its order, its newest entries, its seats, and the one delivery loop. */

import { runtime } from '#runtime'
import { RESUME_LIMIT } from '../../static/protocol.js'
import { sleep, type Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import { Meter } from '../meter.ts'
import type { Compared, Entrance, Log, Position } from '../store/log.ts'
import {
  encodeEvent,
  type Entry,
  type EventOf,
  type FrameOf,
  type Page,
  type User,
} from '../protocol.ts'
import type { Frame } from '../runtime/runtime.ts'
import { fitPage } from './page.ts'
import { Presence } from './presence.ts'
import { Seat, type Listener } from './seat.ts'
import { Sequencer } from './sequencer.ts'
import { encode, fitStep, Tail, type Step } from './tail.ts'

/** The cursor of a seat that must start afresh. */
const NOWHERE = -1

export interface RoomOptions {
  name: string
  /** Resolves when what other nodes say of the room arrives here. */
  subscribed: Promise<void>
  /** Resolves when it is known who is there on other nodes. */
  met: Promise<void>
  log: Log
  clock: Clock
  limits: Limits
  meter?: Meter
  /** Hears who came here, and who is not missed here any more. */
  onPresence(user: User, isHere: boolean): void
  /** Gets what nobody expected, for the operator. */
  onFault(error: unknown): void
}

export class Room {
  readonly name: string
  readonly #options: RoomOptions
  readonly #meter: Meter
  readonly #sequencer: Sequencer
  readonly #tail: Tail
  readonly #presence: Presence
  readonly #seats = new Set<Seat>()
  /** Seats that have everything up to the last flush, and get the next one. */
  readonly #live = new Set<Seat>()
  readonly #typedAt = new Map<string, number>()
  /** Listeners that are about to be seated. */
  #arriving = 0
  /** `seq` of the last entry that the live seats were sent. */
  #flushed: number
  #isPrivate = false
  #owner: string | null = null
  #flushedAt = -Infinity
  /** Since when something waits for a flush. */
  #waitsSince: number | null = null
  #flushTook = 0
  #cancelFlush: (() => void) | null = null
  #freshPage: FreshPage | null = null
  /** When somebody last came, spoke or read; the longest quiet tail is dropped first. */
  usedAt: number

  constructor(options: RoomOptions) {
    const { name, log, clock, limits } = options
    this.#options = options
    this.#meter = options.meter ?? new Meter()
    this.name = name
    this.#tail = new Tail(limits)
    this.#presence = new Presence(limits, (user, isHere) => options.onPresence(user, isHere))
    this.usedAt = clock.now()
    this.#sequencer = new Sequencer({
      room: name,
      log,
      clock,
      limits,
      onLive: (entry) => {
        this.#waitsSince ??= clock.now()
        this.#tail.push(entry)
      },
      onRepaired: () => {
        this.#meter.repairs += 1
        this.flushSoon()
      },
      onDropped: (seq) => this.#restart(seq),
    })
    this.#flushed = this.#sequencer.head
  }

  /** `seq` of the last flushed entry. */
  get head() {
    return this.#flushed
  }

  /** Nobody is here, and nobody is missed. */
  get isEmpty() {
    return this.#seats.size + this.#arriving === 0 && this.#presence.isLocallyEmpty
  }

  /** Entries of the log that this node heard of and does not have. */
  get behind() {
    return this.#sequencer.behind
  }

  get tailBytes() {
    return this.#tail.bytes
  }

  /** Of a private room: an id, right within seconds on every node. */
  get owner() {
    return this.#owner
  }

  /** Whether this seat will get whatever goes live next with everybody else. */
  isLive(seat: Seat) {
    return this.#live.has(seat)
  }

  /** The last live entry, to be compared with the log; null before the log was asked. */
  get position(): Position | null {
    const { head: seq } = this.#sequencer
    return seq < 0 ? null : { room: this.name, seq }
  }

  /** Takes new entries, from this node's commit or from another node. */
  accept(entries: readonly Entry[]) {
    for (const entry of entries) this.#sequencer.accept(entry)
    this.flushSoon()
  }

  /** Hears that the log goes up to `head`, and nothing more: what is missing is read at once. */
  observe(head: number) {
    this.#sequencer.observe(head, 0)
  }

  /**
   * Hears what the log has where this room stood. A log that ends before, or has another entry
   * there, is not the one we told of: everybody starts afresh.
   */
  compare({ seq }: Position, { head, id, owner }: Omit<Compared, 'room'>) {
    if (owner !== null) this.tell({ type: 'owner', room: this.name, owner })
    const held = this.#tail.idAt(seq) ?? id
    if (head >= seq && (id === null || held === id)) return this.observe(head)
    this.#options.onFault(new Error(`the log of ${this.name} went back from ${seq} to ${head}`))
    this.#restart(head)
  }

  /** What we told is not what leads up to `head`: everybody starts afresh. */
  #restart(head: number) {
    this.#cancelFlush?.()
    this.#cancelFlush = null
    this.#tail.clear()
    this.#freshPage = null
    this.#sequencer.restart(head)
    this.#waitsSince = null
    this.#flushed = head
    for (const seat of this.#seats) seat.cursor = NOWHERE
    for (const seat of this.#live) void this.#catchUp(seat)
    this.#live.clear()
  }

  /* ------------------------------------------------------------------ coming and going */

  /**
   * Seats a listener: `joined`, then what it missed or a fresh page, then live.
   * @param enter  asks the log, once the room hears of all that comes after; null: not let in
   * @param before  the seat it has here already, which moves
   * @returns null when the listener was not let in, or has gone meanwhile
   */
  async join(
    listener: Listener,
    request: FrameOf<'join'>,
    enter: () => Promise<Entrance | null>,
    before?: Seat,
  ): Promise<Seat | null> {
    this.#arriving += 1
    try {
      await this.#options.subscribed
      const [entrance] = await Promise.all([enter(), this.#options.met])
      if (!entrance) return null
      this.#open(entrance)
      await this.#sequencer.reach(entrance.head)
      const reset = this.#mustReset(request, entrance)
      const isFresh = reset || request.after === undefined
      this.#meter.joins.add(reset ? 'reset' : isFresh ? 'fresh' : 'continued')
      const page = isFresh ? await this.#readFreshPage(entrance.floor, request.limit) : null
      return listener.isClosed ? null : this.#seat(listener, request.after, page, reset, before)
    } finally {
      this.#arriving -= 1
    }
  }

  /** The first answer of the log says where the room starts on this node. */
  #open({ head, private: isPrivate, ownerId }: Entrance) {
    this.#isPrivate = isPrivate
    if (this.position) return
    this.#owner = ownerId
    this.#flushed = head
    this.#sequencer.start(head)
    this.flushSoon()
  }

  #seat(
    listener: Listener,
    after: number | undefined,
    page: { head: number; frame: Frame } | null,
    reset: boolean,
    before?: Seat,
  ) {
    // Nothing may be under way to the old seat when the new one says where it starts.
    this.flush()
    const seat = new Seat(listener, page?.head ?? after ?? 0)
    this.#seats.add(seat)
    if (listener.isPresent) this.#presence.enter(listener.user)
    if (before) this.leave(before)
    this.#greet(seat, page, reset)
    void this.#catchUp(seat)
    return seat
  }

  /** Nothing is delivered to the seat from here on. */
  leave(seat: Seat) {
    if (seat.isGone) return
    this.flush()
    seat.isGone = true
    this.#seats.delete(seat)
    this.#live.delete(seat)
    const { isPresent, user } = seat.listener
    if (isPresent) this.#presence.exit(user, this.#options.clock.now())
  }

  close() {
    this.#cancelFlush?.()
    this.#sequencer.close()
  }

  /** Whether the position a client comes back with means nothing here, or is too far behind. */
  #mustReset({ after, last, epoch }: FrameOf<'join'>, { floor, lastId }: Entrance) {
    if (epoch !== undefined && epoch !== this.#options.log.epoch) return true
    if (after === undefined) return false
    const head = this.#sequencer.head
    if (after > head || after < floor || head - after > RESUME_LIMIT) return true
    return last !== undefined && last !== (this.#tail.idAt(after) ?? lastId)
  }

  #greet(seat: Seat, page: { head: number; frame: Frame } | null, reset: boolean) {
    const { name, log } = this.#options
    const { count, members } = this.#presence
    const joined = encodeEvent({
      type: 'joined',
      room: name,
      epoch: log.epoch,
      head: page?.head ?? this.#flushed,
      from: seat.cursor + 1,
      reset,
      count,
      ...(members && { members }),
      private: this.#isPrivate,
      ...(this.#owner !== null && { owner: this.#owner }),
    })
    seat.listener.send(encodeFrame([joined]))
    if (page) seat.listener.send(page.frame)
  }

  /** The page of a fresh join; the usual one is read and encoded once per head and floor. */
  async #readFreshPage(floor: number, limit = this.#options.limits.pageEntries) {
    const isUsual = limit === this.#options.limits.pageEntries
    const known = isUsual ? this.#freshPage : null
    if (known?.head === this.#sequencer.head && known.floor >= floor) return known
    const page = await this.history(limit)
    await this.#sequencer.reach(page.head)
    const fresh = { head: page.head, floor, frame: this.#encodePage(page) }
    if (isUsual) this.#freshPage = fresh
    return fresh
  }

  /* ------------------------------------------------------------------ delivery */

  /** Flushes at once when the room was quiet, else when the window is over. */
  flushSoon() {
    if (this.#cancelFlush) return
    const { clock, limits } = this.#options
    const wait = this.#flushedAt + Math.max(limits.flushMs, this.#flushTook * 2) - clock.now()
    if (wait <= 0) return this.flush()
    this.#cancelFlush = clock.after(wait, () => this.flush())
  }

  /** Everything that went live since the last flush, encoded once, one frame per live seat. */
  flush() {
    this.#cancelFlush?.()
    this.#cancelFlush = null
    if (this.#flushed === this.#sequencer.head) return
    const { clock } = this.#options
    const started = clock.now()
    const texts = this.#tail.since(this.#flushed)
    const frame = encodeFrame(texts)
    this.#flushed = this.#sequencer.head
    for (const { listener } of this.#live) listener.send(frame)
    this.#tail.trim(this.#flushed)
    this.#flushedAt = this.usedAt = started
    const ended = clock.now()
    this.#flushTook = ended - started
    this.#meter.delivered.add('flush', texts.length * this.#live.size)
    this.#meter.observe('delivery', ended - (this.#waitsSince ?? started))
    this.#waitsSince = null
  }

  /**
   * Brings a seat from its cursor to the last flush, from the tail or the log, no faster than its
   * listener reads; then it is live, in the same turn.
   */
  async #catchUp(seat: Seat) {
    const { clock, limits, onFault } = this.#options
    while (!seat.isGone) {
      if (seat.cursor === this.#flushed) return void this.#live.add(seat)
      if (seat.listener.queued >= limits.catchUpBytes) {
        await sleep(clock, limits.flushMs)
        continue
      }
      try {
        await this.#takeStep(seat)
      } catch (error) {
        onFault(error)
        await sleep(clock, limits.logRetryMs)
      }
    }
  }

  async #takeStep(seat: Seat) {
    const { cursor } = seat
    const isTooFar = cursor === NOWHERE || this.#flushed - cursor > RESUME_LIMIT
    if (isTooFar) return this.#startAfresh(seat)
    const step = this.#tail.step(cursor, this.#flushed) ?? (await this.#readStep(seat))
    if (!step) return this.#startAfresh(seat)
    if (seat.isGone || seat.cursor !== cursor) return
    seat.cursor = step.last
    this.#meter.delivered.add('catch_up', step.texts.length)
    seat.listener.send(encodeFrame(step.texts))
  }

  /** @returns null when what comes next was dropped meanwhile */
  async #readStep(seat: Seat): Promise<Step | null> {
    const { log, name, limits } = this.#options
    await seat.listener.mayRead()
    const { cursor } = seat
    const entries = await log.after(name, cursor, limits.stepEntries)
    if (entries[0] && entries[0].seq > cursor + 1) {
      this.#freshPage = null
      return null
    }
    const step = fitStep(entries.map(encode), this.#flushed, limits.stepBytes)
    if (!step) throw new Error(`${name} has no entry after ${cursor}`)
    return step
  }

  /** For a reader that fell too far behind, or below what is kept, while it was catching up. */
  async #startAfresh(seat: Seat) {
    await seat.listener.mayRead()
    const page = await this.#readFreshPage(0)
    if (seat.isGone) return
    this.flush()
    seat.cursor = page.head
    this.#greet(seat, page, true)
  }

  /* ------------------------------------------------------------------ reading */

  /** The newest messages below `before`, as many as fit a page. */
  async history(limit: number, before?: number): Promise<Page> {
    const { log, name, limits } = this.#options
    this.usedAt = this.#options.clock.now()
    return fitPage(await log.page(name, limit, before), limits.stepBytes)
  }

  /** A page for one listener. */
  async sendHistory(listener: Listener, limit: number, before?: number) {
    listener.send(this.#encodePage(await this.history(limit, before), before))
  }

  #encodePage({ head, messages, more }: Page, before?: number) {
    const asked = before === undefined ? {} : { before }
    const page = { room: this.name, head, messages, more, ...asked }
    return encodeFrame([encodeEvent({ type: 'history', ...page })])
  }

  /* ------------------------------------------------------------------ who is here */

  /**
   * Tells the others, unless the user typed just now or the room is too big for it.
   * @returns whether it did
   */
  typing(user: User): boolean {
    const { clock, limits } = this.#options
    const now = clock.now()
    const typedAt = this.#typedAt.get(user.id) ?? -Infinity
    if (!this.#presence.isNamed || now - typedAt < limits.typingMs) return false
    this.#typedAt.set(user.id, now)
    const frame = encodeFrame([encodeEvent({ type: 'typing', room: this.name, user })])
    for (const seat of this.#live) {
      if (seat.listener.user.id !== user.id) seat.listener.sendDroppable(frame)
    }
    return true
  }

  /** Tells everybody here what stands in no log: who came in, and a new owner, once. */
  tell(event: Announcement) {
    if (event.type === 'owner') {
      if (this.#owner === event.owner) return
      this.#owner = event.owner
    }
    const frame = encodeFrame([encodeEvent(event)])
    for (const { listener } of this.#seats) listener.send(frame)
  }

  /** Ids of those who are here, on any node. */
  get present(): ReadonlySet<string> {
    return this.#presence.ids
  }

  /** Who is here on this node. */
  get localUsers(): User[] {
    return this.#presence.local
  }

  /** Who is here on the other nodes. */
  setRemoteUsers(users: readonly User[]) {
    this.#presence.setRemote(users)
  }

  /** Tells who came and went, and forgets what is over. */
  sweep(now: number) {
    for (const [user, at] of this.#typedAt) {
      if (now - at >= this.#options.limits.typingMs) this.#typedAt.delete(user)
    }
    const change = this.#presence.change(now)
    if (!change || this.#seats.size === 0) return
    const frame = encodeFrame([encodeEvent({ type: 'presence', room: this.name, ...change })])
    for (const { listener } of this.#seats) listener.sendDroppable(frame)
  }

  /** Gives the tail's memory back; it fills again with what is said next. */
  dropTail() {
    this.#tail.trim(this.#flushed, 0, 0)
  }
}

/** What a private room is told of itself. */
export type Announcement = EventOf<'admitted' | 'owner'>

interface FreshPage {
  head: number
  /** Of the log, at least, when it was read. */
  floor: number
  frame: Frame
}

/** One frame: a JSON array of events that are JSON already. */
export function encodeFrame(texts: readonly string[]): Frame {
  return runtime.encode(`[${texts.join(',')}]`)
}
