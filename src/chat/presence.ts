/** Who is in a room: users, not connections, without the flicker of a short absence. */

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
  readonly #present = new Map<string, Present>()
  /** Who the members were told of; null after an event that only counted. */
  #announced: Map<string, User> | null = new Map()
  #announcedCount = 0
  #announcedAt = -Infinity
  #hasChanged = false
  #absent = 0
  readonly #limits: PresenceLimits

  constructor(limits: PresenceLimits) {
    this.#limits = limits
  }

  get count() {
    return this.#present.size
  }

  /** Whether the room is small enough to name its members and to tell who types. */
  get isNamed() {
    return this.count <= this.#limits.membersNamed
  }

  /** All of them; undefined when they are only counted. */
  get members(): User[] | undefined {
    return this.isNamed ? [...this.#present.values()].map(({ user }) => user) : undefined
  }

  enter(user: User) {
    const present = this.#present.get(user.id)
    if (!present) {
      this.#present.set(user.id, { user, seats: 1, absentSince: null })
      this.#hasChanged = true
      return
    }
    present.seats += 1
    if (present.absentSince === null) return
    present.absentSince = null
    this.#absent -= 1
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
    for (const [id, { absentSince }] of this.#present) {
      if (absentSince === null || now - absentSince < this.#limits.absenceMs) continue
      this.#present.delete(id)
      this.#absent -= 1
      this.#hasChanged = true
    }
  }

  #namedChange(): PresenceChange | null {
    const announced = this.#announced ?? new Map<string, User>()
    const present = new Map([...this.#present].map(([id, { user }]) => [id, user]))
    const joined = [...present.values()].filter(({ id }) => !announced.has(id))
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
