/**
 * Turns at work of which only some is done at a time: between addresses, and between the users of
 * each, so that one who asks for much waits behind others who ask for little.
 */

import { siteOf } from '../auth/addresses.ts'
import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import { SearchTooLong } from '../store/log.ts'

type TurnLimits = Pick<Limits, 'searchesAtOnce' | 'searchesWaiting' | 'searchWaitMs'>

interface Waiting {
  user: string
  /** The address, or the IPv6 site around it, all of which may be one customer's. */
  network: string
  start(): void
}

/** All that waits together: a search is short, and each of these holds a request. */
const MOST_WAITING = 1_000
/** Users and networks whose last turn is remembered; who had none for so long is first again. */
const MOST_REMEMBERED = 1_000

export class Turns {
  readonly #clock: Clock
  readonly #limits: TurnLimits
  readonly #running = new Set<string>()
  readonly #waiting = new Set<Waiting>()
  /** By user and by network: the last turn each had, while anybody waits. The newest come last. */
  readonly #lastTurns = new Map<string, number>()
  #turns = 0

  constructor(clock: Clock, limits: TurnLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  /**
   * Does the work when it is the user's turn: one at a time for each.
   * @throws {SearchTooLong} when the turn does not come in time, or too much waits for it
   */
  async run<T>(user: string, address: string, work: () => Promise<T>): Promise<T> {
    await this.#turn(user, address)
    try {
      return await work()
    } finally {
      this.#running.delete(user)
      this.#next()
    }
  }

  #turn(user: string, address: string) {
    const own = [...this.#waiting].filter((one) => one.user === user)
    const isFull = this.#waiting.size >= MOST_WAITING
    if (isFull || own.length >= this.#limits.searchesWaiting) {
      throw new SearchTooLong(`too many searches ${isFull ? '' : 'of yours '}are waiting`)
    }
    return new Promise<void>((resolve, reject) => {
      const cancel = this.#clock.after(this.#limits.searchWaitMs, () => {
        this.#waiting.delete(waiting)
        reject(new SearchTooLong('other searches took too long'))
      })
      const start = () => {
        cancel()
        resolve()
      }
      const waiting: Waiting = { user, network: siteOf(address) ?? address, start }
      this.#waiting.add(waiting)
      this.#next()
    })
  }

  #next() {
    while (this.#running.size < this.#limits.searchesAtOnce) {
      const ready = [...this.#waiting].filter(({ user }) => !this.#running.has(user))
      const [first] = ready.sort((a, b) => this.#compare(a, b))
      if (!first) break
      this.#waiting.delete(first)
      this.#running.add(first.user)
      this.#turns += 1
      for (const key of [first.user, first.network]) this.#remember(key)
      first.start()
    }
    if (this.#running.size + this.#waiting.size === 0) this.#lastTurns.clear()
  }

  #remember(key: string) {
    this.#lastTurns.delete(key)
    this.#lastTurns.set(key, this.#turns)
    const [oldest] = this.#lastTurns.keys()
    if (this.#lastTurns.size > MOST_REMEMBERED) this.#lastTurns.delete(oldest!)
  }

  /** Whose network has waited longest comes first, then who has; among those, who came first. */
  #compare(a: Waiting, b: Waiting) {
    const last = (key: string) => this.#lastTurns.get(key) ?? 0
    return last(a.network) - last(b.network) || last(a.user) - last(b.user)
  }
}
