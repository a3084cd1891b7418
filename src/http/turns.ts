/**
 * Turns at work of which only some is done at a time: between addresses, and between the users of
 * each, so that one who asks for much waits behind others who ask for little.
 */

import { siteOf } from '../auth/addresses.ts'
import type { Clock } from '../clock.ts'
import { TooLong } from '../store/log.ts'

export interface TurnLimits {
  /** How it is called, for people. */
  work: string
  /** How many are done at a time, and wait for each user. */
  atOnce: number
  waiting: number
  /** How long one waits for its turn. ms */
  waitMs: number
}

interface Waiting {
  user: string
  /** The address, or the IPv6 site around it, all of which may be one customer's. */
  network: string
  /** Of what has been begun: when it must be done. */
  until: number | undefined
  start(): void
}

/** All that waits together: each turn is short, and each of these holds a request. */
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
   * @param hasMore  of what it came to: whether it is done once more, in another turn
   * @throws {TooLong} when the turn does not come in time, or too much waits for it
   */
  async run<T>(
    user: string,
    address: string,
    work: () => Promise<T>,
    hasMore: (done: T) => boolean = () => false,
  ): Promise<T> {
    const until = this.#clock.now() + this.#limits.waitMs
    let turn = this.#turn(user, address)
    for (;;) {
      await turn
      try {
        const done = await work()
        if (!hasMore(done)) return done
        // It waits already when the next one is chosen.
        turn = this.#turn(user, address, until)
      } finally {
        this.#running.delete(user)
        this.#next()
      }
    }
  }

  #turn(user: string, address: string, until?: number) {
    const { work, waiting: most, waitMs } = this.#limits
    const isNew = until === undefined
    const leftMs = isNew ? waitMs : until - this.#clock.now()
    if (leftMs <= 0) throw new TooLong(`other ${work} took too long`)
    const own = [...this.#waiting].filter((one) => one.user === user)
    const isFull = this.#waiting.size >= MOST_WAITING
    if (isNew && (isFull || own.length >= most)) {
      throw new TooLong(`too many ${work} ${isFull ? '' : 'of yours '}are waiting`)
    }
    return new Promise<void>((resolve, reject) => {
      const cancel = this.#clock.after(leftMs, () => {
        this.#waiting.delete(waiting)
        reject(new TooLong(`other ${work} took too long`))
      })
      const start = () => {
        cancel()
        resolve()
      }
      const waiting: Waiting = { user, network: siteOf(address) ?? address, until, start }
      this.#waiting.add(waiting)
      this.#next()
    })
  }

  #next() {
    while (this.#running.size < this.#limits.atOnce) {
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

  /**
   * Whose network has waited longest comes first; in it what is new, so that what is short is done at
   * once, then what was begun first, so that it gets done; then who has waited longest, or came first.
   */
  #compare(a: Waiting, b: Waiting) {
    const last = (key: string) => this.#lastTurns.get(key) ?? 0
    return (
      last(a.network) - last(b.network) ||
      (a.until ?? 0) - (b.until ?? 0) ||
      last(a.user) - last(b.user)
    )
  }
}
