/** The other nodes of this log: what they say and what was missed of it, who is there, what ended. */

import { CLOSE } from '../../static/protocol.js'
import type { Bus, Hint } from './bus.ts'
import type { AddedDevice, Directory, PresenceRow } from '../store/nodes.ts'
import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { Log } from '../store/log.ts'
import type { Room } from './room.ts'

/** Whether the user of a session is banned, and how its sockets are closed. */
const ENDS = [
  [false, CLOSE.SIGNED_OUT],
  [true, CLOSE.BANNED],
] as const

export interface NeighboursOptions {
  log: Log
  bus: Bus
  directory: Directory
  clock: Clock
  limits: Limits
  /** The rooms that are open on this node, by name. */
  rooms: ReadonlyMap<string, Room>
  /** Writes down which sessions are in use here. @returns those that are over */
  keepSessions(): Promise<string[]>
  /** Has everybody here come again, as nobody knows any more who may. */
  sendAway(): void
  /** What happened elsewhere, as on a hub. */
  endSessions(hashes: readonly string[], code: number): void
  endMembership(user: string, room: string, before: number): void
  endOldName(user: string, name: string): void
  hearRead(user: string, room: string, seq: number): void
  tellDevice(device: AddedDevice): void
  /** Gets what nobody expected, for the operator. */
  onFault(error: unknown): void
}

export class Neighbours {
  readonly #options: NeighboursOptions
  /** Who came and went here since it was last written down, by room and user. */
  #changes = new Map<string, PresenceRow>()
  /** Rooms whose people on other nodes may have changed. */
  #stale = new Set<string>()
  /** Devices that were added of late, and told here. */
  #told = new Set<string>()
  /** What the others were told of our bus. */
  #toldUp = true
  #isSomebodyMute = false
  /** The moment of the last news, by the clock that all nodes share. */
  #toldAt: Date | undefined
  readonly #startedAt: number
  /** When the rooms were last compared with the log, and whether they are being so now. */
  #comparedAt: number
  #isComparing = false
  #isInDoubt = false
  readonly #tasks: Task[]

  constructor(options: NeighboursOptions) {
    const { bus, clock, limits } = options
    this.#options = options
    this.#startedAt = this.#comparedAt = clock.now()
    bus.listen({
      onHint: (hint) => this.#hear(hint),
      onGap: () => {
        this.doubt()
        void this.#compare()
      },
    })
    this.#tasks = [
      { everyMs: limits.renewMs, run: () => this.#renew() },
      { everyMs: limits.touchMs, run: () => this.#keepSessions() },
      { everyMs: limits.newsMs, run: () => this.#readNews() },
      { everyMs: limits.compareMs, run: () => this.#markAllStale() },
      { everyMs: limits.presenceMs, run: () => this.#write() },
      { everyMs: limits.presenceMs, run: () => this.#readStale() },
    ].map((task) => ({ ...task, at: -Infinity, isRunning: false }))
  }

  /** Somebody came to a room of this node, or is not missed any more. */
  note(change: PresenceRow) {
    this.#changes.set(`${change.room} ${change.user.id}`, change)
  }

  /** Something may have happened that nobody told us of: compare as soon as the log answers. */
  doubt() {
    this.#isInDoubt = true
  }

  /** Reads who is in a room that opens here. Never rejects: who is not seen now is seen later. */
  async meet(room: string) {
    await this.#readAbout([room]).catch(this.#options.onFault)
  }

  /** Does what is due, each thing once at a time; called once a second. */
  sweep(now: number) {
    if (this.#toldUp !== this.#options.bus.isUp) this.#tasks[0]!.at = -Infinity
    for (const task of this.#tasks) {
      if (task.isRunning || now - task.at < task.everyMs) continue
      task.at = now
      task.isRunning = true
      task
        .run()
        .catch(this.#options.onFault)
        .finally(() => (task.isRunning = false))
    }
    if (this.#isInDoubt || now - this.#comparedAt >= this.#trustMs) void this.#compare()
  }

  /* ------------------------------------------------------------------ what is said */

  #hear(hint: Hint) {
    const room = this.#options.rooms.get(hint.room)
    if (!room) return
    switch (hint.type) {
      case 'entries':
        return room.accept(hint.entries)
      case 'head':
        return room.observe(hint.head)
      case 'presence':
        return void this.#stale.add(hint.room)
      case 'typing':
        return void room.typing(hint.user)
      case 'read':
        return this.#options.hearRead(hint.user, hint.room, hint.seq)
      case 'admitted':
      case 'owner':
        return room.tell(hint)
    }
  }

  /** How long what another node could not say may stay unnoticed. ms */
  get #trustMs() {
    const { bus, limits } = this.#options
    return this.#isSomebodyMute ? Math.min(limits.compareDownMs, bus.trustMs) : bus.trustMs
  }

  /** Notices what no hint told us of, and a log that went back. */
  async #compare() {
    if (this.#isComparing) return
    this.#isComparing = true
    this.#isInDoubt = false
    const { log, rooms, clock } = this.#options
    try {
      const positions = [...rooms.values()].flatMap(({ position }) => position ?? [])
      const found = positions.length > 0 ? await log.compare(positions) : []
      const byRoom = new Map(found.map((compared) => [compared.room, compared]))
      for (const position of positions) {
        const compared = byRoom.get(position.room) ?? { head: 0, id: null, owner: null }
        rooms.get(position.room)?.compare(position, compared)
      }
      this.#comparedAt = clock.now()
    } catch (error) {
      this.#isInDoubt = true
      this.#options.onFault(error)
    } finally {
      this.#isComparing = false
    }
  }

  /* ------------------------------------------------------------------ who is there, what ended */

  async #renew() {
    const { isUp } = this.#options.bus
    const isKnown = await this.#options.directory.renew(isUp)
    this.#toldUp = isUp
    if (isKnown) return
    // We are new, or the database lost what it need not keep: all our people are news.
    for (const [room, { localUsers }] of this.#options.rooms) {
      for (const user of localUsers) this.note({ room, user, isHere: true })
    }
  }

  async #keepSessions() {
    const over = await this.#options.keepSessions()
    if (over.length === 0) return
    // A ban says that it is one: whoever it meets must be told so.
    await this.#readNews()
    this.#options.endSessions(over, CLOSE.SIGNED_OUT)
  }

  async #readNews() {
    const asked = this.#options.clock.now()
    const { directory, limits } = this.#options
    const news = await directory.news(this.#toldAt)
    const { sessions, memberships, devices } = news
    this.#isSomebodyMute = news.isSomebodyMute
    for (const [isBanned, code] of ENDS) {
      const ended = sessions.filter(({ banned }) => banned === isBanned)
      if (ended.length > 0)
        this.#options.endSessions(
          ended.map(({ hash }) => hash),
          code,
        )
    }
    for (const device of devices) {
      if (!this.#told.has(device.hash)) this.#options.tellDevice(device)
    }
    for (const { user, name } of news.renamed) this.#options.endOldName(user, name)
    this.#told = new Set(devices.map(({ hash }) => hash))
    // Who took a seat after the question may have joined again since.
    for (const { room, user } of memberships) this.#options.endMembership(user, room, asked)
    // The first answer looks back by the overlap alone.
    const isLateStart = !this.#toldAt && asked - this.#startedAt > limits.newsOverlapMs
    this.#toldAt = news.at
    if (news.isIncomplete || isLateStart) this.#options.sendAway()
  }

  /** Who died said nothing: so everything is read again from time to time. */
  async #markAllStale() {
    for (const room of this.#options.rooms.keys()) this.#stale.add(room)
  }

  async #write() {
    if (this.#changes.size === 0) return
    const changes = this.#changes
    this.#changes = new Map()
    try {
      await this.#options.directory.savePresence([...changes.values()])
    } catch (error) {
      this.#changes = new Map([...changes, ...this.#changes])
      throw error
    }
    const rooms = new Set([...changes.values()].map(({ room }) => room))
    for (const room of rooms) this.#options.bus.publish({ type: 'presence', room })
  }

  async #readStale() {
    const rooms = [...this.#stale].filter((room) => this.#options.rooms.has(room))
    this.#stale.clear()
    if (rooms.length > 0) await this.#readAbout(rooms)
  }

  async #readAbout(rooms: string[]) {
    try {
      const found = await this.#options.directory.presence(rooms)
      for (const room of rooms) this.#options.rooms.get(room)?.setRemoteUsers(found.get(room) ?? [])
    } catch (error) {
      for (const room of rooms) this.#stale.add(room)
      throw error
    }
  }
}

interface Task {
  everyMs: number
  run(): Promise<void>
  /** When it was last begun. */
  at: number
  isRunning: boolean
}
