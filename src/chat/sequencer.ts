/** Puts the entries of a room into their order, whatever order they arrive in. */

import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { Log } from '../log/log.ts'
import type { Entry } from '../protocol.ts'

/** More held entries than this are dropped: the log still has them. */
const MOST_HELD = 1_024

export interface SequencerOptions {
  room: string
  /** Where to start: the entries up to here are known to be live. */
  head: number
  log: Log
  clock: Clock
  limits: Pick<Limits, 'repairMs' | 'logRetryMs' | 'stepEntries'>
  /** Gets every entry once, each `seq` one above the last. */
  onLive(entry: Entry): void
  /** Called when a read of the log has made entries live. */
  onRepaired(): void
}

export class Sequencer {
  /** `seq` of the last live entry. */
  head: number
  /** The highest `seq` anybody told us of. */
  #known: number
  readonly #held = new Map<number, Entry>()
  readonly #waiting: { head: number; resolve: () => void }[] = []
  #cancelRepair: (() => void) | null = null
  #isReading = false
  #isClosed = false
  readonly #options: SequencerOptions

  constructor(options: SequencerOptions) {
    this.#options = options
    this.head = options.head
    this.#known = options.head
  }

  /** Takes an entry from wherever; one that is live already is ignored. */
  accept(entry: Entry) {
    if (entry.seq <= this.head) return
    if (entry.seq > this.head + 1) {
      if (this.#held.size < MOST_HELD) this.#held.set(entry.seq, entry)
      return this.observe(entry.seq)
    }
    this.#goLive(entry)
    for (let next; (next = this.#held.get(this.head + 1));) this.#goLive(next)
    this.#settle()
  }

  /** Hears that the log goes up to `head`. What stays missing is read from there. */
  observe(head: number) {
    this.#known = Math.max(this.#known, head)
    if (this.#known > this.head) this.#repairIn(this.#options.limits.repairMs)
  }

  /** Resolves when everything up to `head`, which the log has, is live. */
  reach(head: number): Promise<void> {
    if (head <= this.head) return Promise.resolve()
    const reached = new Promise<void>((resolve) => this.#waiting.push({ head, resolve }))
    this.observe(head)
    return reached
  }

  close() {
    this.#isClosed = true
    this.#cancelRepair?.()
  }

  #goLive(entry: Entry) {
    this.#held.delete(entry.seq)
    this.head = entry.seq
    this.#options.onLive(entry)
  }

  #settle() {
    for (let index = this.#waiting.length - 1; index >= 0; index -= 1) {
      const { head, resolve } = this.#waiting[index]!
      if (head > this.head) continue
      this.#waiting.splice(index, 1)
      resolve()
    }
    if (this.#known > this.head) return
    this.#cancelRepair?.()
    this.#cancelRepair = null
  }

  #repairIn(ms: number) {
    if (this.#isReading || this.#isClosed) return
    this.#cancelRepair ??= this.#options.clock.after(ms, () => void this.#repair())
  }

  /** One read at a time: the timer is set anew only when a read is over. */
  async #repair() {
    const { log, room, limits } = this.#options
    let pause = limits.repairMs
    this.#cancelRepair = null
    this.#isReading = true
    try {
      const entries = await log.after(room, this.head, limits.stepEntries)
      for (const entry of entries) this.accept(entry)
      if (entries.length > 0) this.#options.onRepaired()
      if (entries.length === limits.stepEntries) pause = 0
    } catch {
      pause = limits.logRetryMs
    }
    this.#isReading = false
    if (this.#known > this.head) this.#repairIn(pause)
  }
}
