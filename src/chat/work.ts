/** What a connection has under way: reads one at a time, everything counted until it is done. */

import type { Limits } from '../limits.ts'

export interface WorkOptions {
  limits: Pick<Limits, 'pauseAt' | 'waitingToClose' | 'waitingBytesToClose'>
  /** More is under way than should be: stop and start reading from the peer. */
  onPause(): void
  onResume(): void
  /** More is under way than may be. */
  onOverload(): void
  /** Gets what no work may throw. */
  onFault(error: unknown): void
}

export class Work {
  readonly #options: WorkOptions
  #queue: Promise<unknown> = Promise.resolve()
  /** How many in the queue have a key. */
  readonly #queued = new Map<string, number>()
  #count = 0
  #bytes = 0
  #isPaused = false

  constructor(options: WorkOptions) {
    this.#options = options
  }

  /** Whether something with this key is still in the queue. */
  isQueued(key: string) {
    return this.#queued.has(key)
  }

  /** Runs `work` after everything queued before it. */
  enqueue(key: string, size: number, work: () => unknown) {
    this.#queued.set(key, (this.#queued.get(key) ?? 0) + 1)
    const done = this.#queue.then(work).finally(() => {
      const left = this.#queued.get(key)! - 1
      if (left > 0) this.#queued.set(key, left)
      else this.#queued.delete(key)
    })
    this.#queue = done.catch(() => {})
    this.track(size, done)
  }

  /** Counts a frame of `size` bytes until `done` is. */
  track(size: number, done: Promise<unknown>) {
    const { limits, onPause, onOverload, onFault } = this.#options
    this.#count += 1
    this.#bytes += size
    done.catch(onFault).finally(() => this.#untrack(size))
    if (this.#count > limits.waitingToClose || this.#bytes > limits.waitingBytesToClose) {
      onOverload()
    } else if (this.#count > limits.pauseAt && !this.#isPaused) {
      this.#isPaused = true
      onPause()
    }
  }

  /** Resolves when everything queued so far is done. */
  async idle() {
    await this.#queue
  }

  #untrack(size: number) {
    const { limits, onResume } = this.#options
    this.#count -= 1
    this.#bytes -= size
    if (!this.#isPaused || this.#count > limits.pauseAt / 2) return
    this.#isPaused = false
    onResume()
  }
}
