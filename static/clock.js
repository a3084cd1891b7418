/** Time, as the client takes it; a test brings its own. */

/** @typedef {{ now(): number, after(ms: number, run: () => void): () => void }} Clock */

/** So much the clock of the machine was set back since. ms */
const back = { total: 0, last: 0 }

/**
 * `after` runs once and returns what calls it off. `now` goes on while the machine sleeps, and
 * never back: who waits for 3 s would wait for a day when the clock is set right. @type {Clock}
 */
export const clock = {
  now() {
    back.total += Math.max(0, back.last - Date.now() - back.total)
    back.last = Date.now() + back.total
    return back.last
  },
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
