/** Figures out of many: percentiles, and how busy a thread was. */

/** Of Chromium's trace format: times in µs; `tdur` is what the thread itself was busy. */
export interface TraceEvent {
  name: string
  ph: string
  ts: number
  dur?: number
  tdur?: number
  pid: number
  tid: number
}

/** @param share  0.5 for the median, 1 for the greatest; NaN of nothing */
export function percentile(all: readonly number[], share: number): number {
  const sorted = all.toSorted((a, b) => a - b)
  return sorted[Math.ceil(share * sorted.length) - 1] ?? NaN
}

/**
 * The work of a thread while each `performance.measure` of that name lasted. It is the processor's
 * time, so what other programs do does not count. ms
 */
export function workWithin(events: readonly TraceEvent[], measure: string): number[] {
  const own = events.filter(({ name }) => name === measure)
  const starts = own.filter(({ ph }) => ph === 'b')
  const ends = own.filter(({ ph }) => ph === 'e')
  const spans = starts.map((start): Span => {
    return [start.ts, ends.find(({ ts }) => ts > start.ts)?.ts ?? start.ts]
  })
  return workOf(events, own[0], spans)
}

/** The same from each `performance.mark` of that name to the next. */
export function workBetween(events: readonly TraceEvent[], mark: string): number[] {
  const own = events.filter(({ name }) => name === mark)
  const times = own.map(({ ts }) => ts).sort((a, b) => a - b)
  const spans = times.slice(1).map((end, i): Span => [times[i] ?? end, end])
  return workOf(events, own[0], spans)
}

type Span = [from: number, to: number]

/** @param spans  in their order */
function workOf(events: readonly TraceEvent[], thread: TraceEvent | undefined, spans: Span[]) {
  const tasks = events
    .filter(({ name, pid, tid }) => name === 'RunTask' && pid === thread?.pid && tid === thread.tid)
    .sort((a, b) => a.ts - b.ts)
  return spans.map(([from, to]) => {
    while (isBefore(tasks[0], from)) tasks.shift()
    const end = tasks.findIndex(({ ts }) => ts >= to)
    const within = tasks.slice(0, end < 0 ? tasks.length : end)
    return within.reduce((sum, task) => sum + share(task, from, to), 0) / 1000
  })
}

const isBefore = (task: TraceEvent | undefined, from: number) =>
  task !== undefined && task.ts + (task.dur ?? 0) <= from

/** A task that is cut counts with its share. µs */
function share({ ts, dur = 0, tdur = dur }: TraceEvent, from: number, to: number) {
  const within = Math.max(0, Math.min(ts + dur, to) - Math.max(ts, from))
  return dur === 0 ? 0 : (tdur * within) / dur
}
