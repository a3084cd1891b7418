/** Time, as the client takes it; a test brings its own. */

/** @typedef {{ now(): number, after(ms: number, run: () => void): () => void }} Clock */

/** `after` runs once and returns what calls it off. @type {Clock} */
export const clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
