/** Several hubs over one log in memory, and what they hear each other by. */

import type { TestContext } from 'node:test'
import type { Bus, BusListener, Hint } from '../../src/chat/bus.ts'
import type { Directory, News } from '../../src/store/nodes.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import type { User } from '../../src/protocol.ts'
import { TestClock } from '../helpers.ts'
import { MemoryLog } from '../store/model.ts'
import { NO_RATES, openHub } from './fakes.ts'

/** A bus in this process that loses what it is told to lose. */
export class MemoryBus implements Bus {
  static network() {
    return { nodes: new Set<MemoryBus>(), loses: (_hint: Hint) => false, published: [] as Hint[] }
  }

  isUp = true
  readonly rooms = new Set<string>()
  readonly network: ReturnType<typeof MemoryBus.network>
  listener: BusListener | null = null

  constructor(network: ReturnType<typeof MemoryBus.network>) {
    this.network = network
    network.nodes.add(this)
  }

  get trustMs() {
    return this.isUp ? DEFAULT_LIMITS.compareMs : DEFAULT_LIMITS.compareDownMs
  }

  listen(listener: BusListener) {
    this.listener = listener
  }

  publish(hint: Hint) {
    this.network.published.push(hint)
    if (!this.isUp || this.network.loses(hint)) return
    for (const node of this.network.nodes) {
      if (node === this || !node.isUp || !node.rooms.has(hint.room)) continue
      queueMicrotask(() => node.listener?.onHint(structuredClone(hint)))
    }
  }

  async subscribe(room: string) {
    this.rooms.add(room)
  }

  unsubscribe(room: string) {
    this.rooms.delete(room)
  }

  close = async () => {}
}

type Ended = Pick<News, 'sessions' | 'memberships'>

/** What nodes write down about each other, in memory. */
export class MemoryDirectory {
  readonly rows: { node: string; room: string; user: User }[] = []
  readonly seenAt = new Map<string, number>()
  /** Nodes that say nothing any more. */
  readonly dead = new Set<string>()
  readonly mute = new Set<string>()
  devices: News['devices'] = []
  renamed: News['renamed'] = []
  /** What nodes were told of late is forgotten. */
  isIncomplete = false
  ended: Ended | Promise<Ended> = { sessions: [], memberships: [] }
  readonly #clock: TestClock

  constructor(clock: TestClock) {
    this.#clock = clock
  }

  of(node: string): Directory {
    const { aliveMs, retiredMs } = DEFAULT_LIMITS
    const isAlive = (name: string) => this.#clock.now() - (this.seenAt.get(name) ?? -1e9) < aliveMs
    const remove = (room: string, id: string) => {
      const index = this.rows.findIndex(
        (row) => row.node === node && row.room === room && row.user.id === id,
      )
      if (index >= 0) this.rows.splice(index, 1)
    }
    return {
      renew: async (isBusUp) => {
        if (this.dead.has(node)) return true
        const isKnown = this.seenAt.has(node)
        this.seenAt.set(node, this.#clock.now())
        if (isBusUp) this.mute.delete(node)
        else this.mute.add(node)
        return isKnown
      },
      savePresence: async (changes) => {
        if (this.dead.has(node)) return
        for (const { room, user, isHere } of changes) {
          remove(room, user.id)
          if (isHere) this.rows.push({ node, room, user })
        }
      },
      presence: async (rooms) => {
        const found = new Map<string, User[]>()
        for (const room of rooms) {
          const users = this.rows.filter(
            (row) => row.room === room && row.node !== node && isAlive(row.node),
          )
          found.set(room, [...new Map(users.map(({ user }) => [user.id, user])).values()])
        }
        return found
      },
      news: async () => ({
        ...(await this.ended),
        devices: this.devices,
        renamed: this.renamed,
        at: this.#clock.date(),
        isIncomplete: this.isIncomplete,
        isSomebodyMute: [...this.mute].some((name) => name !== node && isAlive(name)),
      }),
      retire: async () => void this.seenAt.set(node, this.#clock.now() - aliveMs + retiredMs),
    }
  }
}

/** Nodes of one log, at one clock. */
export function openNodes(t: TestContext, count: number) {
  const clock = new TestClock()
  const log = new MemoryLog()
  const network = MemoryBus.network()
  const directory = new MemoryDirectory(clock)
  const nodes = Array.from({ length: count }, (_, n) => {
    const bus = new MemoryBus(network)
    const node = openHub(t, {
      ...{ log, bus, clock, limits: NO_RATES },
      directory: directory.of(`node ${n}`),
    })
    return { ...node, bus }
  })
  return { nodes, clock, log, network, directory }
}
