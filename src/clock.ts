/** Time, as something that a test can hold still. */

export interface Clock {
  /** Milliseconds that only go up; for every interval and deadline. */
  now(): number
  /** The time of day; only for people to read, and for sessions, which outlive the process. */
  date(): Date
  /** Calls once after `ms`. The returned function takes it back. */
  after(ms: number, callback: () => void): () => void
  /** Calls every `ms` until the returned function is called. */
  every(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
  every: (ms, callback) => {
    const timer = setInterval(callback, ms)
    return () => clearInterval(timer)
  },
}

/** Resolves after `ms` of this clock. */
export function sleep(clock: Clock, ms: number) {
  return new Promise<void>((resolve) => clock.after(ms, resolve))
}
