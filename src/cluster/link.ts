/** Keeps one connection to a bus for ever: opens it, asks whether it still hears, opens another. */

import { getLogger } from '@logtape/logtape'
import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { BusListener, Hint } from '../chat/bus.ts'

/** After a connection that was lost, the next try; doubled each time, half of it random. ms */
export const RETRY_MS = 250
const RETRY_MAX_MS = 2_000
/** Between two complaints about what strangers send. ms */
const COMPLAINT_MS = 60_000

/** One connection to the bus. */
export interface Wire {
  /** Resolves when something that went out just now has come back. */
  probe(): Promise<unknown>
  /** What it means when a probe is not answered; for people. */
  silence(): string
  /** Ends it at once, whatever the peer does. */
  end(): void
}

export interface BusOptions {
  limits: Limits
  clock: Clock
  onFault(error: unknown): void
}

export interface LinkOptions extends BusOptions {
  /** For the logs. */
  name: string
  /**
   * Opens a connection, with a deadline of its own. Calls `onEnd` when the connection is over. The
   * error that either way brings is logged, so it must not name a password.
   */
  open(onEnd: (reason: unknown) => void): Promise<Wire>
}

export class Link {
  isUp = false
  /** Who the bus is for. */
  listener: BusListener = { onHint: () => {}, onGap: () => {} }
  readonly #options: LinkOptions
  readonly #logger = getLogger(['hearth'])
  /** Aborted when what the link is at, a connection or a pause, is over. */
  #life = new AbortController()
  #isClosed = false
  /** Why it is down, as far as said: each reason once until it is up again. */
  readonly #said = new Set<string>()
  #complainedAt = -Infinity

  constructor(options: LinkOptions) {
    this.#options = options
    void this.#keep()
  }

  /** As of a bus: while this one is down, heads must be compared often. */
  get trustMs() {
    const { compareMs, compareDownMs } = this.#options.limits
    return this.isUp ? compareMs : compareDownMs
  }

  /** Hands a hint on. Never throws: the connection would stop reading. */
  hear(hint: Hint) {
    try {
      this.listener.onHint(hint)
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  /** Says that something was dropped; once a minute, as a stranger may send a thousand of them. */
  complain(reason: string) {
    const now = this.#options.clock.now()
    if (now - this.#complainedAt < COMPLAINT_MS) return
    this.#complainedAt = now
    this.#logger.warn('bus message dropped', { bus: this.#options.name, reason })
  }

  /** Ends the connection, and all tries to open one. Idempotent. */
  close() {
    this.#isClosed = true
    this.isUp = false
    this.#life.abort(new Error('closed'))
  }

  async #keep() {
    for (let pauseMs = RETRY_MS; !this.#isClosed; pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS)) {
      try {
        await this.#live()
      } catch (error) {
        if (this.isUp) pauseMs = RETRY_MS
        this.#down(error)
      }
      if (this.#isClosed) return
      this.#life = new AbortController()
      await this.#pause((pauseMs * (1 + Math.random())) / 2).catch(() => {})
    }
  }

  /** One connection, from its opening to its end. @throws why it ended */
  async #live() {
    const life = (this.#life = new AbortController())
    const wire = await this.#options.open((reason) => life.abort(reason))
    try {
      for (;;) {
        await this.#ask(wire)
        this.#up()
        await this.#pause(this.#options.limits.busProbeMs)
      }
    } finally {
      wire.end()
    }
  }

  /** In two halves: after a stall of this process there is time to read what came meanwhile. */
  #ask(wire: Wire) {
    const { clock, limits } = this.#options
    const half = limits.busProbeMs / 2
    return until(this.#life.signal, (resolve, reject) => {
      wire.probe().then(resolve, reject)
      const giveUp = () => reject(new Error(wire.silence()))
      let cancel = clock.after(half, () => (cancel = clock.after(half, giveUp)))
      return () => cancel()
    })
  }

  #pause(ms: number) {
    return until(this.#life.signal, (resolve) => this.#options.clock.after(ms, resolve))
  }

  #up() {
    if (this.isUp) return
    this.isUp = true
    this.#said.clear()
    this.#logger.info('bus up', { bus: this.#options.name })
    // What is published is heard from now on; what was published before may have been missed.
    this.listener.onGap()
  }

  #down(error: unknown) {
    this.isUp = false
    const reason = error instanceof Error ? error.message : String(error)
    if (this.#isClosed || this.#said.has(reason)) return
    this.#said.add(reason)
    this.#logger.warn('bus down', { bus: this.#options.name, reason })
  }
}

/**
 * Settles as `start` says, or rejects when `signal` is aborted. `Promise.race` with something that
 * lives for weeks would keep what it raced against for as long.
 * @param start  returns what takes it back
 */
function until(
  signal: AbortSignal,
  start: (resolve: () => void, reject: (error: unknown) => void) => () => void,
) {
  let tidy = () => {}
  return new Promise<void>((resolve, reject) => {
    signal.throwIfAborted()
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    const cancel = start(resolve, reject)
    tidy = () => {
      cancel()
      signal.removeEventListener('abort', onAbort)
    }
  }).finally(() => tidy())
}

/** Resolves when `work` has settled, at the latest after `ms`. */
export function settled(clock: Clock, ms: number, work: Promise<unknown> | undefined) {
  return new Promise<void>((resolve) => {
    const cancel = clock.after(ms, resolve)
    const done = () => (cancel(), resolve())
    if (work) work.then(done, done)
    else done()
  })
}
