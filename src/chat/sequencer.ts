/** Puts the entries of a room into their order, whatever order they arrive in. */

import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { Log } from '../store/log.ts'
import type { Entry } from '../protocol.ts'

/** More held entries than this are dropped: the log still has them. */
const MOST_HELD = 1_024

export interface SequencerOptions {
  room: string
  log: Log
  clock: Clock
  limits: Pick<Limits, 'repairMs' | 'logRetryMs' | 'stepEntries'>
  /** Gets every entry once, each `seq` one above the last. */
  onLive(entry: Entry): void
  /** Called when a read of the log has made entries live. */
  onRepaired(): void
  /** Called when the log does not have the next entries any more; `restart` goes on behind them. */
  onDropped(seq: number): void
}

/** Before anybody asked the log where it stands. */
const UNKNOWN = -1

export class Sequencer {
  /** `seq` of the last live entry; negative before `start`. */
  head = UNKNOWN
  /** The highest `seq` anybody told us of. */
  #known = UNKNOWN
  readonly #held = new Map<number, Entry>()
  readonly #waiting: { head: number; resolve: () => void }[] = []
  #repair: { at: number; cancel: () => void } | null = null
  #isReading = false
  #isClosed = false
  readonly #options: SequencerOptions

  constructor(options: SequencerOptions) {
    this.#options = options
  }

  /** What is live already when the first one comes: `head` of the log. Later calls do nothing. */
  start(head: number) {
    if (this.head >= 0) return
    this.head = head
    this.#known = Math.max(this.#known, head)
    for (const seq of this.#held.keys()) if (seq <= head) this.#held.delete(seq)
    this.#goOn()
    this.observe(this.#known)
  }

  /** The log itself went back, or is another one: what we held of it is void. */
  restart(head: number) {
    this.#held.clear()
    this.#known = this.head = head
    this.#settle(Infinity)
  }

  /** Entries of the log that we heard of and do not have. */
  get behind() {
    return Math.max(0, this.#known - this.head)
  }

  /** Takes an entry from wherever; one that is live already is ignored. */
  accept(entry: Entry) {
    if (entry.seq <= this.head) return
    if (this.head < 0 || entry.seq > this.head + 1) {
      if (this.#held.size < MOST_HELD) this.#held.set(entry.seq, entry)
      return this.observe(entry.seq)
    }
    this.#goLive(entry)
    this.#goOn()
  }

  /**
   * Hears that the log goes up to `head`.
   * @param withinMs  how soon what is missing then is read from it; it may be under way to us
   */
  observe(head: number, withinMs = this.#options.limits.repairMs) {
    this.#known = Math.max(this.#known, head)
    if (this.#known > this.head) this.#repairIn(withinMs)
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
    this.#repair?.cancel()
  }

  #goOn() {
    for (let next; (next = this.#held.get(this.head + 1));) this.#goLive(next)
    this.#settle(this.head)
  }

  #goLive(entry: Entry) {
    this.#held.delete(entry.seq)
    this.head = entry.seq
    this.#options.onLive(entry)
  }

  /** Lets go on who waited for an entry up to `head`. */
  #settle(head: number) {
    for (let index = this.#waiting.length - 1; index >= 0; index -= 1) {
      const waiting = this.#waiting[index]!
      if (waiting.head > head) continue
      this.#waiting.splice(index, 1)
      waiting.resolve()
    }
    if (this.#known > this.head) return
    this.#repair?.cancel()
    this.#repair = null
  }

  #skipTo(seq: number) {
    const known = this.#known
    this.#options.onDropped(seq)
    this.#known = Math.max(known, this.#known)
  }

  #repairIn(ms: number) {
    if (this.#isReading || this.#isClosed || this.head < 0) return
    const { clock } = this.#options
    const at = clock.now() + ms
    if (this.#repair && this.#repair.at <= at) return
    this.#repair?.cancel()
    this.#repair = { at, cancel: clock.after(ms, () => void this.#read()) }
  }

  /** One read at a time: the timer is set anew only when a read is over. */
  async #read() {
    const { log, room, limits } = this.#options
    let pause = limits.repairMs
    this.#repair = null
    this.#isReading = true
    try {
      const entries = await log.after(room, this.head, limits.stepEntries)
      const [first] = entries
      if (first && first.seq > this.head + 1) this.#skipTo(first.seq - 1)
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
