/** This node: its rooms, its connections, the users behind them, and the one timer. */

import { setTimeout } from 'node:timers'
import { CLOSE } from '../../static/protocol.js'
import type { Bus } from './bus.ts'
import { deviceId } from '../store/devices.ts'
import type { AddedDevice, Directory } from '../store/nodes.ts'
import { sleep, type Clock } from '../clock.ts'
import type { Journal } from '../journal.ts'
import { TokenBucket, type Limits } from '../limits.ts'
import { Meter } from '../meter.ts'
import { createAppender, type Appender } from '../store/appender.ts'
import type { Draft, Log, Outcome, ReadPosition } from '../store/log.ts'
import type { Entry, ServerEvent } from '../protocol.ts'
import { Charges, type Charged, type Purse, type TooFast } from './charges.ts'
import { Neighbours } from './neighbours.ts'
import { Room, type Announcement } from './room.ts'
import type { Listener } from './seat.ts'

/** At shutdown sockets are still read: until none brings a frame in so many turns of 1 ms. */
const QUIET_TURNS = 10
/** But no longer than this. ms */
const LAST_READS_MS = 1_000
/** When all are sent away, sockets told goodbye together, and the pause before the next of them. */
const DRAIN_SOCKETS = 500
const DRAIN_PAUSE_MS = 250
/** Time for each socket that comes back, up to a most. ms */
const RETURN_MS = 5
const RETURN_MOST_MS = 10_000

/** Whoever is connected here: a socket, or an event stream. */
export interface Subscriber extends Listener {
  /** Hash of the session it came with. */
  readonly session: string
  /** Sends an event to this one alone; left out where it is not for it. */
  tell(event: ServerEvent): void
  /** The user may not be in the room any more. @param before  spares a seat taken after this time */
  expel(room: string, before?: number): void
  /** Called once a second: what is due, and whether it is over. */
  sweep(now: number, isLate: boolean): void
  /** Resolves when all that was received so far is answered, but for appends. */
  idle(): Promise<void>
  /** Says goodbye, and frees the place at once. @param retryAfterMs  how long to stay away */
  close(code: number, retryAfterMs?: number): void
}

/** What this node knows of a user while one is connected, or has tokens to get back. */
export interface UserState extends Purse {
  readonly connections: Set<Subscriber>
  readonly frames: TokenBucket
  /** Over HTTP. */
  readonly requests: TokenBucket
  /** Room → the highest `seq` read, as far as told here. */
  readonly readUpTo: Map<string, number>
}

export interface HubOptions {
  log: Log
  bus: Bus
  directory: Directory
  clock: Clock
  limits: Limits
  tokenEveryMessage: boolean
  /** Keeps sessions that are in use from idling out. @returns those that hold */
  keepSessions(hashes: readonly string[]): Promise<string[]>
  /** For the operator. */
  journal: Journal
  meter?: Meter
}

export class Hub {
  readonly options: HubOptions
  readonly log: Log
  readonly bus: Bus
  readonly clock: Clock
  readonly limits: Limits
  readonly meter: Meter
  /** No new work is taken: the process is about to end. */
  isDraining = false
  /** Frames that came since then. */
  lateFrames = 0
  readonly connections = new Set<Subscriber>()
  readonly #rooms = new Map<string, Room>()
  readonly #users = new Map<string, UserState>()
  /** Users without a connection, who are forgotten once their buckets are full. */
  readonly #absent = new Set<string>()
  readonly #charges: Charges
  readonly #appender: Appender
  readonly #neighbours: Neighbours
  #reads = new Map<string, ReadPosition>()
  #sweptAt: number
  readonly #stopSweeping: () => void

  constructor(options: HubOptions) {
    this.options = options
    this.log = options.log
    this.bus = options.bus
    this.clock = options.clock
    this.limits = options.limits
    this.meter = options.meter ?? new Meter()
    this.#charges = new Charges(this.limits)
    this.#appender = createAppender({
      log: this.log,
      clock: this.clock,
      limits: this.limits,
      meter: this.meter,
      onAppended: (entries) => this.#deliver(entries),
      onFault: (error) => {
        // What was appended without an answer may be in the log.
        this.#neighbours.doubt()
        options.journal.fault(error)
      },
    })
    this.#neighbours = new Neighbours({
      ...options,
      onFault: options.journal.fault,
      rooms: this.#rooms,
      keepSessions: () => this.#keepSessions(),
      sendAway: () => void this.#sendAway(),
      endSessions: (hashes, code) => this.endSessions(hashes, code),
      endMembership: (user, room, before) => this.endMembership(user, room, before),
      endOldName: (user, name) => this.#endOldName(user, name),
      hearRead: (user, room, seq) => this.#hearRead(user, room, seq),
      tellDevice: (device) => this.#tellDevice(device),
    })
    this.#sweptAt = this.clock.now()
    this.#stopSweeping = this.clock.every(this.limits.sweepMs, () => this.#sweep())
  }

  /* ------------------------------------------------------------------ users and connections */

  user(id: string): UserState {
    const known = this.#users.get(id)
    if (known) return known
    const { messageRate, messageBurst, frameRate, frameBurst, readRate, readBurst } = this.limits
    const { roomChangesPerMinute } = this.limits
    const now = this.clock.now()
    const state: UserState = {
      connections: new Set(),
      messages: new TokenBucket(messageRate, messageBurst, now),
      frames: new TokenBucket(frameRate, frameBurst, now),
      reads: new TokenBucket(readRate, readBurst, now),
      rooms: new TokenBucket(roomChangesPerMinute / 60, roomChangesPerMinute, now),
      requests: new TokenBucket(frameRate, frameBurst, now),
      readUpTo: new Map(),
    }
    this.#users.set(id, state)
    this.#absent.add(id)
    return state
  }

  /**
   * Takes tokens for work of a kind, of the user and of the address that it is asked from.
   * @returns why it is not to be done now; null: taken
   */
  charge(of: Charged, user: string, address: string, tokens?: number): TooFast | null {
    return this.#charges.take(of, this.user(user), address, this.clock.now(), tokens)
  }

  /** Takes what work that was charged turned out to cost more; the next waits for it. */
  pay(of: Charged, user: string, address: string, tokens: number) {
    this.#charges.pay(of, this.user(user), address, this.clock.now(), tokens)
  }

  add(connection: Subscriber) {
    const { id } = connection.user
    this.connections.add(connection)
    this.user(id).connections.add(connection)
    this.#absent.delete(id)
  }

  /** Forgets a connection. Idempotent. */
  remove(connection: Subscriber) {
    const { id } = connection.user
    const others = this.#users.get(id)?.connections
    this.connections.delete(connection)
    if (others?.delete(connection) && others.size === 0) this.#absent.add(id)
  }

  /** Tells the user's other connections. */
  tellOthers(connection: Subscriber, event: ServerEvent) {
    for (const other of this.user(connection.user.id).connections) {
      if (other !== connection) other.tell(event)
    }
  }

  /** Whether a connection of this session is open here. */
  isConnected(user: string, session: string) {
    const open = this.#users.get(user)?.connections ?? []
    return [...open].some((connection) => connection.session === session)
  }

  /** Closes every connection that was made with one of these sessions. */
  endSessions(hashes: readonly string[], code: number = CLOSE.SIGNED_OUT) {
    const ended = new Set(hashes)
    for (const connection of this.connections) {
      if (ended.has(connection.session)) connection.close(code)
    }
  }

  /** What is open under a name that the user has no more comes again, under the one that is theirs. */
  #endOldName(user: string, name: string) {
    for (const connection of this.#users.get(user)?.connections ?? []) {
      if (connection.user.name !== name) connection.close(CLOSE.RESTART)
    }
  }

  /** Tells a user's connections of a device, but for its own. */
  #tellDevice({ hash, user, at, address, agent }: AddedDevice) {
    const id = deviceId(hash)
    for (const connection of this.#users.get(user)?.connections ?? []) {
      if (connection.session === hash) continue
      connection.tell({ type: 'device', id, at: at.toISOString(), address, agent })
    }
  }

  /** A connection uses its session, as a request would. @returns the sessions that are over */
  async #keepSessions() {
    const inUse = new Set([...this.connections].map(({ session }) => session))
    if (inUse.size === 0) return []
    const hold = new Set(await this.options.keepSessions([...inUse]))
    return [...inUse].filter((session) => !hold.has(session))
  }

  /** Takes a user out of a room. @param before  spares who came after this time of our clock */
  endMembership(user: string, room: string, before = Infinity) {
    this.forgetRead(user, room)
    for (const connection of this.#users.get(user)?.connections ?? []) {
      connection.expel(room, before)
    }
  }

  /** How much there is of everything that comes and goes; whoever is here or was just now is a user. */
  get sizes() {
    const rooms = [...this.#rooms.values()]
    return {
      users: this.#users.size - this.#absent.size,
      rooms: rooms.length,
      tailBytes: rooms.reduce((sum, { tailBytes }) => sum + tailBytes, 0),
      behind: rooms.reduce((sum, { behind }) => sum + behind, 0),
      appendsWaiting: this.#appender.waiting,
    }
  }

  /* ------------------------------------------------------------------ rooms */

  /** The room, which hears from other nodes from now on; it asks the log at the first join. */
  room(name: string): Room {
    const known = this.#rooms.get(name)
    if (known) return known
    const { log, clock, limits, meter } = this
    const onFault = this.options.journal.fault
    const room = new Room({
      ...{ name, log, clock, limits, meter, onFault },
      subscribed: this.bus.subscribe(name),
      met: this.#neighbours.meet(name),
      onPresence: (user, isHere) => this.#neighbours.note({ room: name, user, isHere }),
    })
    this.#rooms.set(name, room)
    return room
  }

  /** Tells everybody in a room, on every node. */
  announce(event: Announcement) {
    this.#rooms.get(event.room)?.tell(event)
    this.bus.publish(event)
  }

  /** Ids of those who are in a room, on any node. */
  async present(name: string): Promise<ReadonlySet<string>> {
    const room = this.#rooms.get(name)
    if (room) return room.present
    const elsewhere = await this.options.directory.presence([name])
    return new Set(elsewhere.get(name)?.map(({ id }) => id))
  }

  append(draft: Draft): Promise<Outcome> {
    return this.#appender.append(draft)
  }

  /** An entry that was stored before may be news here: its answer was lost, or another node's. */
  observe(room: string, seq: number) {
    this.#rooms.get(room)?.observe(seq)
  }

  /** Resolves when the user may read another page of the log. */
  async mayRead(user: string, address: string) {
    for (let wait; (wait = this.charge('reads', user, address));) {
      await sleep(this.clock, wait.retryAfterMs)
    }
  }

  /** New entries of this node: to its own rooms first, then to the other nodes. */
  #deliver(entries: Entry[]) {
    const byRoom = new Map<string, Entry[]>()
    for (const entry of entries) {
      const ofRoom = byRoom.get(entry.room)
      if (ofRoom) ofRoom.push(entry)
      else byRoom.set(entry.room, [entry])
    }
    for (const [name, ofRoom] of byRoom) {
      this.#rooms.get(name)?.accept(ofRoom)
      this.bus.publish({ type: 'entries', room: name, entries: ofRoom })
    }
  }

  /** Notes that a user has read up to `seq`; never back. @returns whether that is news */
  read(user: string, room: string, seq: number): boolean {
    const { readUpTo } = this.user(user)
    if (seq <= (readUpTo.get(room) ?? -1)) return false
    readUpTo.set(room, seq)
    this.#reads.set(`${user} ${room}`, { user, room, seq })
    return true
  }

  /** A membership that is over leaves no position behind. */
  forgetRead(user: string, room: string) {
    this.#users.get(user)?.readUpTo.delete(room)
    this.#reads.delete(`${user} ${room}`)
  }

  /** Hears of a read on another node; what is ahead of what this one knows is news here. */
  #hearRead(user: string, room: string, seq: number) {
    const state = this.#users.get(user)
    if (!state || seq <= (state.readUpTo.get(room) ?? -1)) return
    state.readUpTo.set(room, seq)
    for (const connection of state.connections) connection.tell({ type: 'read', room, seq })
  }

  /** Writes down the read positions of the last moments, in one transaction. */
  async saveReads() {
    if (this.#reads.size === 0) return
    const reads = this.#reads
    this.#reads = new Map()
    try {
      await this.log.saveReads([...reads.values()])
    } catch (error) {
      this.#reads = new Map([...reads, ...this.#reads])
      throw error
    }
  }

  /* ------------------------------------------------------------------ time */

  /** The heartbeat of the node: one look at everything, once a second. */
  #sweep() {
    const now = this.clock.now()
    const isLate = now - this.#sweptAt > this.limits.sweepMs + this.limits.lateSweepMs
    this.#sweptAt = now
    for (const connection of this.connections) connection.sweep(now, isLate)
    this.#sweepRooms(now)
    if (isLate) this.#neighbours.doubt()
    this.#neighbours.sweep(now)
    for (const id of this.#absent) this.#forget(id, now)
    this.saveReads().catch(this.options.journal.fault)
  }

  #forget(id: string, now: number) {
    const { messages, frames, reads, rooms, requests } = this.user(id)
    const buckets = [messages, frames, reads, rooms, requests]
    if (!buckets.every((bucket) => bucket.isFull(now))) return
    this.#users.delete(id)
    this.#absent.delete(id)
  }

  #sweepRooms(now: number) {
    let bytes = 0
    for (const [name, room] of this.#rooms) {
      room.sweep(now)
      bytes += room.tailBytes
      if (!room.isEmpty) continue
      room.close()
      this.#rooms.delete(name)
      this.bus.unsubscribe(name)
    }
    if (bytes <= this.limits.tailsBytes) return
    const byUse = [...this.#rooms.values()].sort((a, b) => a.usedAt - b.usedAt)
    for (const room of byUse) {
      if (bytes <= this.limits.tailsBytes) break
      bytes -= room.tailBytes
      room.dropTail()
    }
  }

  /* ------------------------------------------------------------------ the end */

  /** Answers what was received, says goodbye to everybody in turns, and stops. */
  async drain() {
    this.isDraining = true
    await this.#finishWithin(this.limits.drainMs)
    await this.#sendAway()
    await this.saveReads().catch(this.options.journal.fault)
    this.#stopSweeping()
    for (const room of this.#rooms.values()) room.close()
    await this.options.directory.retire().catch(this.options.journal.fault)
  }

  /** Says goodbye to everybody, in turns; who may be here comes again. */
  async #sendAway() {
    const connections = [...this.connections]
    const spread = Math.min(RETURN_MOST_MS, connections.length * RETURN_MS)
    for (const [index, connection] of connections.entries()) {
      if (index > 0 && index % DRAIN_SOCKETS === 0) await sleep(this.clock, DRAIN_PAUSE_MS)
      connection.close(CLOSE.RESTART, Math.round(Math.random() * spread))
    }
  }

  #finishWithin(ms: number) {
    return new Promise<void>((resolve) => {
      const cancel = this.clock.after(ms, resolve)
      void this.#finish().finally(() => {
        cancel()
        resolve()
      })
    })
  }

  async #finish() {
    await this.#readTheRest()
    await Promise.all([...this.connections].map((connection) => connection.idle()))
    await this.#appender.idle()
    for (const room of this.#rooms.values()) room.flush()
  }

  /** What lies in the sockets was received, and is answered as well. By real time, as reading is. */
  async #readTheRest() {
    const end = performance.now() + LAST_READS_MS
    let quiet = this.connections.size > 0 ? 0 : QUIET_TURNS
    // Turns are counted, as a commit may hold up all of them for longer than this takes.
    while (quiet < QUIET_TURNS && performance.now() < end) {
      const before = this.lateFrames
      await new Promise((resolve) => setTimeout(resolve, 1))
      quiet = this.lateFrames === before ? quiet + 1 : 0
    }
  }
}
