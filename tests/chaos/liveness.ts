/** I14, I15: nobody ends by itself, everybody is answered, and outages end when they end. */

import { overlaps, type Book, type Finding, type Window } from './book.ts'
import type { FactOf } from './record.ts'

/** How long things may take. */
export interface Bounds {
  /** From the end of a database outage to acknowledgements on every node. ms */
  recoveryMs: number
  /** From a send to its answer, while there is no database. ms */
  answerMs: number
  /** Between two acknowledgements, while there is no bus. ms */
  busGapMs: number
  /** From an acknowledgement to 99 % of deliveries, while there is no bus. ms */
  busLagMs: number
}

export const BOUNDS: Bounds = {
  recoveryMs: 5_000,
  answerMs: 5_500,
  busGapMs: 2_000,
  busLagMs: 2_500,
}

/** From our signal until a database commits nothing any more. ms */
const DYING_MS = 500
/** The database is away for all nodes. */
export const DATABASE_OUTAGES = new Set(['database stopped', 'database frozen'])
/** The bus is away for all nodes. */
export const BUS_OUTAGES = new Set(['bus stopped', 'bus frozen'])

/** I14: no process ended but by our hand. */
export function* deaths({ facts }: Book): Generator<Finding> {
  for (const fact of facts) {
    if (fact.type !== 'exit' || fact.by === 'harness') continue
    yield { what: `${fact.node} ended by itself: ${fact.how}`, facts: [fact] }
  }
}

/** I15: every message has its answer in the end, every client is back, no answer was forgotten. */
export function* answers({ facts, stories, windows }: Book): Generator<Finding> {
  for (const { id, oks, fails, invokes, infos } of stories.values()) {
    if (oks.length > 0 || fails.length > 0 || invokes.length === 0) continue
    const tries = [invokes[0]!, ...infos.slice(-1)]
    yield { what: `${id} was said ${invokes.length} times and never answered`, facts: tries }
  }
  for (const fact of facts) {
    if (fact.type === 'astray') yield { what: `${fact.device}: ${fact.what}`, facts: [fact] }
    if (fact.type !== 'silence') continue
    if (windows.some((window) => overlaps(window, fact.since, fact.t))) continue
    yield { what: `no answer for ${Math.round(fact.t - fact.since)} ms`, facts: [fact] }
  }
}

/** I15: without the database nothing is acknowledged, and with it everything again, soon. */
export function* databaseOutages(book: Book, bounds: Bounds): Generator<Finding> {
  for (const window of alone(book, DATABASE_OUTAGES, bounds.recoveryMs)) {
    for (const { invokes, oks } of book.stories.values()) {
      const [first] = invokes
      const ok = oks[0]
      if (!first || !ok || first.t < window.from + DYING_MS || ok.t > window.to) continue
      const what = `acknowledged while there was no database (${window.name})`
      yield { what, facts: [first, ok] }
    }
    for (const { invoke, ms } of answerTimes(book, window)) {
      if (ms <= bounds.answerMs) continue
      const what = `${window.name}: no answer for ${Math.round(ms)} ms`
      yield { what, facts: [invoke] }
    }
    for (const [node, ms] of recoveries(book, window)) {
      if (ms <= bounds.recoveryMs) continue
      const what = `${window.name}: ${node} acknowledges again after ${Math.round(ms)} ms`
      yield { what, facts: [] }
    }
  }
}

/** I15: without the bus acknowledgements go on, and what was said arrives everywhere. */
export function* busOutages(book: Book, bounds: Bounds): Generator<Finding> {
  for (const window of alone(book, BUS_OUTAGES, 0)) {
    const times = book.facts.filter((fact) => fact.type === 'ok' && isWithin(window, fact.t))
    const marks = [window.from, ...times.map(({ t }) => t), window.to]
    const gap = Math.max(...marks.slice(1).map((t, index) => t - marks[index]!))
    if (gap > bounds.busGapMs) {
      const what = `${window.name}: nothing acknowledged for ${Math.round(gap)} ms`
      yield { what, facts: [] }
    }
    const lag = percentile(lags(book, window), 0.99)
    if (lag > bounds.busLagMs) {
      const what = `${window.name}: the slowest hundredth arrives ${Math.round(lag)} ms late`
      yield { what, facts: [] }
    }
  }
}

/** Outages during which, shortly before and `after` which nothing else was taken away. */
export function alone({ windows }: Book, names: ReadonlySet<string>, after: number) {
  const isAlone = (window: Window) =>
    windows.every(
      (other) => other === window || !overlaps(other, window.from - 1_000, window.to + after),
    )
  return windows.filter(
    (window) => names.has(window.name) && window.to < Infinity && isAlone(window),
  )
}

const isWithin = ({ from, to }: Window, t: number) => t >= from && t <= to

/**
 * How long each send of an outage waited for any answer; one that had none by the end of the outage
 * waited until then. Sends whose socket was closed are left out.
 */
export function* answerTimes({ stories }: Book, window: Window) {
  for (const { invokes, oks, infos, fails } of stories.values()) {
    for (const invoke of invokes) {
      if (!isWithin(window, invoke.t)) continue
      const [answer] = [...oks, ...infos, ...fails]
        .filter((fact) => fact.conn === invoke.conn && fact.t >= invoke.t)
        .sort((a, b) => a.t - b.t)
      if (answer?.type === 'info' && answer.code === 'closed') continue
      yield { invoke, ms: Math.min(answer?.t ?? Infinity, window.to) - invoke.t }
    }
  }
}

/** From the end of a fault to the first acknowledgement of a later send, per node. */
export function recoveries({ facts, opens }: Book, window: Window): Map<string, number> {
  const sent = new Set<string>()
  const recovered = new Map<string, number>()
  const keyOf = ({ conn, id }: { conn: number; id: string }) => `${conn} ${id}`
  for (const fact of facts) {
    if (fact.t < window.to) continue
    if (fact.type === 'invoke') sent.add(keyOf(fact))
    if (fact.type !== 'ok' || !sent.has(keyOf(fact))) continue
    const node = opens.get(fact.conn)?.node ?? '?'
    if (!recovered.has(node)) recovered.set(node, fact.t - window.to)
  }
  return recovered
}

/**
 * From the first acknowledgement of an entry to each live delivery of it to clients that read,
 * within a window. ms
 */
export function lags({ facts, stories, opens }: Book, window: Window): number[] {
  const isLive = (fact: { type: string }): fact is FactOf<'recv'> =>
    fact.type === 'recv' && (fact as FactOf<'recv'>).via === 'live'
  return facts.filter(isLive).flatMap((fact) => {
    const ok = stories.get(`${fact.room} ${fact.author} ${fact.id}`)?.oks[0]
    const isReading = opens.get(fact.conn)?.isSlow !== true
    return ok && isReading && isWithin(window, fact.t) ? [Math.max(0, fact.t - ok.t)] : []
  })
}

export function percentile(values: readonly number[], part: number) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}
