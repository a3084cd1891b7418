/** Who is in a room, on any node: users, not connections, without the flicker of a short absence. */

import type { Limits } from '../limits.ts'
import type { User } from '../protocol.ts'

interface Present {
  user: User
  seats: number
  /** Since when no seat is taken; null while one is. */
  absentSince: number | null
}

export interface PresenceChange {
  count: number
  joined?: User[]
  left?: User[]
}

type PresenceLimits = Pick<Limits, 'membersNamed' | 'presenceMs' | 'countMs' | 'absenceMs'>

export class Presence {
  /** On this node. */
  readonly #present = new Map<string, Present>()
  /** On the other nodes; some of them may be here as well. */
  #remote: ReadonlyMap<string, User> = new Map()
  /** How many of those are not. */
  #onlyRemote = 0
  /** Who the members were told of; null after an event that only counted. */
  #announced: Map<string, User> | null = new Map()
  #announcedCount = 0
  #announcedAt = -Infinity
  #hasChanged = false
  #absent = 0
  readonly #limits: PresenceLimits

  readonly #onLocal: (user: User, isHere: boolean) => void

  /** @param onLocal  hears who came to this node, and who is not missed here any more */
  constructor(limits: PresenceLimits, onLocal: (user: User, isHere: boolean) => void = () => {}) {
    this.#limits = limits
    this.#onLocal = onLocal
  }

  get count() {
    return this.#present.size + this.#onlyRemote
  }

  /** Those on this node, or missed here. */
  get local(): User[] {
    return [...this.#present.values()].map(({ user }) => user)
  }

  get ids(): ReadonlySet<string> {
    return new Set([...this.#present.keys(), ...this.#remote.keys()])
  }

  get isLocallyEmpty() {
    return this.#present.size === 0
  }

  /** Whether the room is small enough to name its members and to tell who types. */
  get isNamed() {
    return this.count <= this.#limits.membersNamed
  }

  /** All of them; undefined when they are only counted. */
  get members(): User[] | undefined {
    return this.isNamed ? [...this.#everybody().values()] : undefined
  }

  /** Who is on the other nodes now. An absence was waited for there. */
  setRemote(users: readonly User[]) {
    if (users.length === 0 && this.#remote.size === 0) return
    this.#remote = new Map(users.map((user) => [user.id, user]))
    this.#onlyRemote = 0
    for (const id of this.#remote.keys()) if (!this.#present.has(id)) this.#onlyRemote += 1
    this.#hasChanged = true
  }

  enter(user: User) {
    const present = this.#present.get(user.id)
    if (!present) {
      this.#present.set(user.id, { user, seats: 1, absentSince: null })
      if (this.#remote.has(user.id)) this.#onlyRemote -= 1
      this.#hasChanged = true
      return this.#onLocal(user, true)
    }
    present.seats += 1
    if (present.absentSince !== null) this.#absent -= 1
    present.absentSince = null
    if (present.user.name === user.name) return
    present.user = user
    this.#hasChanged = true
    this.#onLocal(user, true)
  }

  exit(user: User, now: number) {
    const present = this.#present.get(user.id)
    if (!present) return
    present.seats -= 1
    if (present.seats > 0) return
    present.absentSince = now
    this.#absent += 1
  }

  /** What the members should hear now, if anything; called at every sweep. */
  change(now: number): PresenceChange | null {
    if (this.#absent > 0) this.#forgetAbsent(now)
    const { presenceMs, countMs } = this.#limits
    const isTooSoon = now - this.#announcedAt < (this.isNamed ? presenceMs : countMs)
    if (!this.#hasChanged || isTooSoon) return null
    this.#hasChanged = false
    const change = this.isNamed ? this.#namedChange() : this.#countedChange()
    if (change) this.#announcedAt = now
    return change
  }

  #forgetAbsent(now: number) {
    for (const [id, { user, absentSince }] of this.#present) {
      if (absentSince === null || now - absentSince < this.#limits.absenceMs) continue
      this.#present.delete(id)
      if (this.#remote.has(id)) this.#onlyRemote += 1
      this.#absent -= 1
      this.#hasChanged = true
      this.#onLocal(user, false)
    }
  }

  #everybody() {
    return new Map([...this.#remote, ...this.local.map((user) => [user.id, user] as const)])
  }

  #namedChange(): PresenceChange | null {
    const announced = this.#announced ?? new Map<string, User>()
    const present = this.#everybody()
    const joined = [...present.values()].filter(({ id, name }) => announced.get(id)?.name !== name)
    const left = [...announced.values()].filter(({ id }) => !present.has(id))
    this.#announced = present
    this.#announcedCount = present.size
    if (joined.length === 0 && left.length === 0) return null
    return {
      count: present.size,
      ...(joined.length > 0 && { joined }),
      ...(left.length > 0 && { left }),
    }
  }

  #countedChange(): PresenceChange | null {
    this.#announced = null
    if (this.#announcedCount === this.count) return null
    this.#announcedCount = this.count
    return { count: this.count }
  }
}
