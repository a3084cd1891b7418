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
  /** From a send to 99 % of answers while another node is frozen, beyond what that is in peace. ms */
  frozenMs: number
}

export const BOUNDS: Bounds = {
  recoveryMs: 5_000,
  answerMs: 5_500,
  busGapMs: 2_000,
  busLagMs: 2_500,
  // What the database allows a silent transaction, and as much for a machine that is busy.
  frozenMs: 1_000,
}

/** From our signal until a database commits nothing any more. ms */
const DYING_MS = 500
/** The database is away for all nodes. */
export const DATABASE_OUTAGES = new Set(['database stopped', 'database frozen'])
/** The bus is away for all nodes. */
export const BUS_OUTAGES = new Set(['bus stopped', 'bus frozen'])
/** One node is held in the middle of what it does. */
export const FREEZES = new Set(['SIGSTOP'])
/** The data tools run; they fail only where something else does. */
export const CARE = 'retain and forget in a loop'
/** After a fault things are not as usual for so long. ms */
export const AFTERMATH_MS = 1_500

/** I14: no process ended but by our hand, and no tool failed but for want of a database. */
export function* deaths({ facts, windows }: Book): Generator<Finding> {
  const isTroubled = (from: number, to: number) =>
    windows.some((one) => one.name !== CARE && overlaps(one, from - AFTERMATH_MS, to))
  for (const fact of facts) {
    if (fact.type === 'tool' && fact.code !== 0 && !isTroubled(fact.since, fact.t)) {
      yield { what: `${fact.command} failed: ${fact.code}: ${fact.output}`, facts: [fact] }
    }
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

/** I15: a node that is frozen keeps what others append waiting for half a second at most. */
export function* freezes(book: Book, bounds: Bounds): Generator<Finding> {
  const usual = percentile(usualWaits(book), 0.99)
  for (const window of alone(book, FREEZES, 0)) {
    const ms = percentile(frozenWaits(book, window), 0.99)
    if (ms <= usual + bounds.frozenMs) continue
    const what = `${window.name}: the other nodes answered after ${Math.round(ms)} ms`
    yield { what: `${what}, in peace after ${Math.round(usual)} ms`, facts: [] }
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

const isWithin = ({ from, to }: Pick<Window, 'from' | 'to'>, t: number) => t >= from && t <= to

/**
 * How long each send of an outage waited for any answer; one that had none by the end of the outage
 * waited until then. Sends whose socket was closed are left out.
 */
export function* answerTimes({ stories }: Book, window: Pick<Window, 'from' | 'to'>) {
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

/** How long sends to the nodes that are not frozen waited for their answer. */
export function frozenWaits(book: Book, window: Window): number[] {
  const freeze = book.facts.find((fact) => fact.type === 'freeze' && isWithin(window, fact.t))
  if (freeze?.type !== 'freeze') return []
  return [...answerTimes(book, { from: freeze.since, to: window.to })]
    .filter(({ invoke }) => {
      const node = book.opens.get(invoke.conn)?.node
      return node !== undefined && node !== freeze.node
    })
    .map(({ ms }) => ms)
}

/** How long sends wait for their answer when nothing is broken, or was a moment ago. */
export function usualWaits(book: Book): number[] {
  const isBusy = (t: number) =>
    book.windows.some(({ from, to }) => t >= from - AFTERMATH_MS && t <= to + AFTERMATH_MS)
  return [...answerTimes(book, { from: -Infinity, to: Infinity })]
    .filter(({ invoke, ms }) => ms < Infinity && !isBusy(invoke.t))
    .map(({ ms }) => ms)
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
