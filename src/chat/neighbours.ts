/** The other nodes of this log: what they say and what was missed of it, who is there, what ended. */

import type { Hint } from '../bus/bus.ts'
import type { Directory, PresenceRow } from '../bus/directory.ts'
import type { Hub } from './hub.ts'

export class Neighbours {
  readonly #hub: Hub
  readonly #directory: Directory
  /** Who came and went here since it was last written down, by room and user. */
  #changes = new Map<string, PresenceRow>()
  /** Rooms whose people on other nodes may have changed. */
  #stale = new Set<string>()
  /** What the others were told of our bus. */
  #toldUp = true
  #isSomebodyMute = false
  /** When the rooms were last compared with the log, and whether they are being so now. */
  #comparedAt: number
  #isComparing = false
  #isInDoubt = false
  readonly #tasks: Task[]

  constructor(hub: Hub, directory: Directory) {
    const { limits } = hub
    this.#hub = hub
    this.#directory = directory
    this.#comparedAt = hub.clock.now()
    hub.bus.listen({
      onHint: (hint) => this.#hear(hint),
      onGap: () => {
        this.doubt()
        void this.#compare()
      },
    })
    this.#tasks = [
      { everyMs: limits.renewMs, run: () => this.#renew() },
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
    await this.#readAbout([room]).catch(this.#hub.options.onFault)
  }

  /** Does what is due, each thing once at a time; called once a second. */
  sweep(now: number) {
    if (this.#toldUp !== this.#hub.bus.isUp) this.#tasks[0]!.at = -Infinity
    for (const task of this.#tasks) {
      if (task.isRunning || now - task.at < task.everyMs) continue
      task.at = now
      task.isRunning = true
      task
        .run()
        .catch(this.#hub.options.onFault)
        .finally(() => (task.isRunning = false))
    }
    if (this.#isInDoubt || now - this.#comparedAt >= this.#trustMs) void this.#compare()
  }

  /* ------------------------------------------------------------------ what is said */

  #hear(hint: Hint) {
    const room = this.#hub.rooms.get(hint.room)
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
        return this.#hub.hearRead(hint.user, hint.room, hint.seq)
    }
  }

  /** How long what another node could not say may stay unnoticed. ms */
  get #trustMs() {
    const { bus, limits } = this.#hub
    return this.#isSomebodyMute ? Math.min(limits.compareDownMs, bus.trustMs) : bus.trustMs
  }

  /** Notices what no hint told us of, and a log that went back. */
  async #compare() {
    if (this.#isComparing) return
    this.#isComparing = true
    this.#isInDoubt = false
    const { log, rooms, clock } = this.#hub
    try {
      const positions = [...rooms.values()].flatMap(({ position }) => position ?? [])
      const found = positions.length > 0 ? await log.compare(positions) : []
      const byRoom = new Map(found.map((compared) => [compared.room, compared]))
      for (const position of positions) {
        const compared = byRoom.get(position.room) ?? { head: 0, id: null }
        rooms.get(position.room)?.compare(position, compared)
      }
      this.#comparedAt = clock.now()
    } catch (error) {
      this.#isInDoubt = true
      this.#hub.options.onFault(error)
    } finally {
      this.#isComparing = false
    }
  }

  /* ------------------------------------------------------------------ who is there, what ended */

  async #renew() {
    const { isUp } = this.#hub.bus
    const isKnown = await this.#directory.renew(isUp)
    this.#toldUp = isUp
    if (isKnown) return
    // We are new, or the database lost what it need not keep: all our people are news.
    for (const [room, { localUsers }] of this.#hub.rooms) {
      for (const user of localUsers) this.note({ room, user, isHere: true })
    }
  }

  async #readNews() {
    const asked = this.#hub.clock.now()
    const { sessions, memberships, isSomebodyMute } = await this.#directory.news()
    this.#isSomebodyMute = isSomebodyMute
    if (sessions.length > 0) this.#hub.endSessions(sessions)
    // Who took a seat after the question may have joined again since.
    for (const { room, user } of memberships) this.#hub.endMembership(user, room, asked)
  }

  /** Who died said nothing: so everything is read again from time to time. */
  async #markAllStale() {
    for (const room of this.#hub.rooms.keys()) this.#stale.add(room)
  }

  async #write() {
    if (this.#changes.size === 0) return
    const changes = this.#changes
    this.#changes = new Map()
    try {
      await this.#directory.savePresence([...changes.values()])
    } catch (error) {
      this.#changes = new Map([...changes, ...this.#changes])
      throw error
    }
    const rooms = new Set([...changes.values()].map(({ room }) => room))
    for (const room of rooms) this.#hub.bus.publish({ type: 'presence', room })
  }

  async #readStale() {
    const rooms = [...this.#stale].filter((room) => this.#hub.rooms.has(room))
    this.#stale.clear()
    if (rooms.length > 0) await this.#readAbout(rooms)
  }

  async #readAbout(rooms: string[]) {
    try {
      const found = await this.#directory.presence(rooms)
      for (const room of rooms) this.#hub.rooms.get(room)?.setRemoteUsers(found.get(room) ?? [])
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
