/** Runs inside the page that is measured (measure.ts), before anything of the page itself. */

/** @type {import('./measure.ts').Stopwatch} */
const stopwatch = {
  painted: undefined,
  frames: [],
  tasks: [],
  handled: [],
  shown: [],

  watchFrames() {
    this.frames = []
    this.tasks = []
    /** @param {number} last @returns {(now: number) => void} */
    const next = (last) => (now) => {
      this.frames.push(now - last)
      performance.mark('frame')
      requestAnimationFrame(next(now))
    }
    requestAnimationFrame((now) => requestAnimationFrame(next(now)))
    const observer = new PerformanceObserver((list) => {
      this.tasks.push(...list.getEntries().map(({ duration }) => duration))
    })
    observer.observe({ entryTypes: ['longtask'] })
  },

  watchKeys() {
    const once = { once: true }
    const onKey = (/** @type {KeyboardEvent} */ { timeStamp }) => {
      const start = performance.now()
      const onInput = () => queueMicrotask(() => this.handled.push(performance.now() - start))
      window.addEventListener('input', onInput, once)
      afterPaint(() => {
        this.shown.push(performance.now() - timeStamp)
        performance.measure('key', { start })
      })
    }
    window.addEventListener('keydown', onKey, { capture: true })
  },
}
window.stopwatch = stopwatch

/** @param {() => void} callback */
function afterPaint(callback) {
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = callback
    port2.postMessage(undefined)
  })
}

const observer = new MutationObserver(() => {
  if (!document.querySelector('.message')) return
  observer.disconnect()
  afterPaint(() => (stopwatch.painted = performance.now()))
})
observer.observe(document, { subtree: true, childList: true })
