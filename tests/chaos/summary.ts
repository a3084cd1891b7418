/** What a run was: counts per fault, for people and for the question whether it was a test at all. */

import { keyOf, openBook, type Book, type Story, type Window } from './book.ts'
import {
  AFTERMATH_MS,
  alone,
  answerTimes,
  BUS_OUTAGES,
  DATABASE_OUTAGES,
  FREEZES,
  frozenWaits,
  lags,
  percentile,
  recoveries,
  usualWaits,
} from './liveness.ts'
import type { Fact } from './record.ts'

export interface Row {
  /** The fault, two of them, or `quiet`. */
  fault: string
  times: number
  attempts: number
  acks: number
  /** Answers that said nothing, by what turned out: it had been stored, or not. */
  landed: number
  absent: number
  refused: number
  repeats: number
  resumes: number
  resets: number
  kills: number
  reads: number
  /** Of the acknowledgements those that are the answer to a post. */
  posted: number
  /** Event streams that came back and went on, or started afresh; and how many broke in an event. */
  streams: number
  inside: number
  /** Entries below a floor that was raised, and users who were forgotten. */
  dropped: number
  forgotten: number
  /** From the end of a fault to acknowledgements on every node, at most. ms */
  recoveryMs: number
}

const QUIET = 'quiet'

const emptyRow = (fault: string): Row => ({
  ...{ fault, times: 0, attempts: 0, acks: 0, landed: 0, absent: 0, refused: 0, repeats: 0 },
  ...{ resumes: 0, resets: 0, kills: 0, reads: 0, posted: 0, streams: 0, inside: 0 },
  ...{ dropped: 0, forgotten: 0, recoveryMs: 0 },
})

/** One row per fault, or pair of them, in the order of the names; `quiet` first. */
export function summarise(facts: readonly Fact[]): Row[] {
  const book = openBook(facts)
  const rows = new Map<string, Row>()
  const rowOf = (fault: string) => {
    const row = rows.get(fault) ?? emptyRow(fault)
    rows.set(fault, row)
    return row
  }
  const rowAt = createTimetable(book.windows, rowOf)
  const asked = new Map<string, boolean>()
  const floors = new Map<string, number>()
  const isReturn = ({ conn, room }: { conn: number; room: string }) =>
    book.opens.get(conn)?.over === 'stream' && asked.get(`${conn} ${room}`) === true
  for (const fact of facts) {
    const row = rowAt(fact.t)
    if (fact.type === 'invoke') row.attempts += 1
    if (fact.type === 'fail') row.refused += 1
    if (fact.type === 'ok' && fact.via === 'repeat') row.repeats += 1
    if (fact.type === 'join') asked.set(`${fact.conn} ${fact.room}`, fact.after !== undefined)
    if (fact.type === 'joined' && fact.reset) row.resets += 1
    else if (fact.type === 'joined' && asked.get(`${fact.conn} ${fact.room}`)) row.resumes += 1
    if (fact.type === 'joined' && isReturn(fact)) row.streams += 1
    if (fact.type === 'close' && fact.isInside) row.inside += 1
    if (fact.type === 'page' || fact.type === 'joined') row.reads += 1
    if (fact.type === 'exit' && fact.how === 'SIGKILL') row.kills += 1
    if (fact.type === 'forget' && fact.phase === 'stop') row.forgotten += 1
    if (fact.type === 'retain' && fact.floor !== null) {
      row.dropped += fact.floor - (floors.get(fact.room) ?? 0)
      floors.set(fact.room, fact.floor)
    }
  }
  for (const story of book.stories.values()) {
    const [ok] = story.oks
    if (ok) rowAt(ok.t).acks += 1
    if (ok && book.opens.get(ok.conn)?.over === 'post') rowAt(ok.t).posted += 1
    for (const { t, isLanded } of fates(book, story)) rowAt(t)[isLanded ? 'landed' : 'absent'] += 1
  }
  for (const window of book.windows) {
    const row = rowAt(window.from)
    row.times += 1
    if (window.to === Infinity) continue
    row.recoveryMs = Math.max(row.recoveryMs, ...recoveries(book, window).values())
  }
  return [...rows.values()].sort(
    (a, b) =>
      Number(b.fault === QUIET) - Number(a.fault === QUIET) || a.fault.localeCompare(b.fault),
  )
}

/** Finds the row of a time; times are asked for in any order. */
function createTimetable(windows: readonly Window[], rowOf: (fault: string) => Row) {
  return (t: number) => {
    const names = windows
      .filter(({ from, to }) => t >= from && t <= to + AFTERMATH_MS)
      .map(({ name }) => name)
    return rowOf([...new Set(names)].sort().slice(0, 2).join(' + ') || QUIET)
  }
}

/** What became of each answer that said nothing, as far as that can be told. */
function* fates({ places }: Book, { room, author, id, infos, oks, invokes }: Story) {
  const place = places.get(keyOf(room, { author, id }))
  for (const { t } of infos) {
    const next = oks.find((ok) => ok.t > t)
    const isRetried = invokes.some((invoke) => invoke.t > t && next && invoke.t < next.t)
    // It came without being sent again, or was known when it was: it had been stored.
    const isNew = next?.via === 'live' || next?.via === 'answer'
    const isLanded = place !== undefined && (!isRetried || !isNew)
    if (next) yield { t, isLanded }
  }
}

/** What a whole run came to. Of the times the slowest, over the outages that nothing disturbed. */
export interface Outcome extends Row {
  violations: number
  /** From the return of the database to acknowledgements on every node. ms */
  outageMs: number
  /** From a send to its answer while there was no database. ms */
  answerMs: number
  /** 99 % of deliveries came so soon after the acknowledgement while there was no bus. ms */
  busLagMs: number
  /** From a send to 99 % of answers while another node was frozen; and in peace. ms */
  frozenMs: number
  usualMs: number
}

export function outcomeOf(name: string, facts: readonly Fact[], violations: number): Outcome {
  const book = openBook(facts)
  const slowest = (
    names: ReadonlySet<string>,
    of: (book: Book, window: Window) => Iterable<number>,
  ) => Math.max(0, ...alone(book, names, 0).flatMap((window) => [...of(book, window)]))
  return {
    ...total(name, summarise(facts)),
    violations,
    outageMs: slowest(DATABASE_OUTAGES, (...of) => recoveries(...of).values()),
    answerMs: slowest(DATABASE_OUTAGES, (...of) => [...answerTimes(...of)].map(({ ms }) => ms)),
    busLagMs: slowest(BUS_OUTAGES, (...of) => [percentile(lags(...of), 0.99)]),
    frozenMs: slowest(FREEZES, (...of) => [percentile(frozenWaits(...of), 0.99)]),
    usualMs: percentile(usualWaits(book), 0.99),
  }
}

/** Adds rows up under one name; of times the longest. */
export function total<R extends Row>(name: string, rows: readonly R[]): R {
  const keys = Object.keys(rows[0] ?? emptyRow('')) as (keyof R)[]
  const sum = (key: keyof R) => {
    const values = rows.map((row) => Number(row[key]))
    return String(key).endsWith('Ms') ? Math.max(0, ...values) : values.reduce((a, b) => a + b, 0)
  }
  // Every other field of a row is a number.
  return { ...Object.fromEntries(keys.map((key) => [key, sum(key)])), fault: name } as R
}

/**
 * I16: reasons why this was no test, whatever the verdict.
 * @param faults  names of those that were to happen
 */
export function shortcomings(
  facts: readonly Fact[],
  faults: readonly string[],
  least: Partial<Row>,
) {
  const rows = summarise(facts)
  const sum = total('all', rows)
  const happened = new Set(openBook(facts).windows.map(({ name }) => name))
  const missing = faults.filter((name) => !happened.has(name))
  const short = (Object.keys(least) as (keyof Row)[]).filter((key) => sum[key] < (least[key] ?? 0))
  return [
    ...missing.map((name) => `${name} never happened`),
    ...short.map((key) => `only ${sum[key]} ${key}, not ${least[key]}`),
  ]
}

const HEADS: readonly [key: keyof Outcome, head: string][] = [
  ['times', 'faults'],
  ['attempts', 'attempts'],
  ['acks', 'acknowledged'],
  ['landed', 'unknown: stored'],
  ['absent', 'unknown: not stored'],
  ['refused', 'refused'],
  ['repeats', 'repeats'],
  ['resumes', 'resumes'],
  ['resets', 'resets'],
  ['reads', 'reads'],
  ['posted', 'acknowledged over HTTP'],
  ['streams', 'streams back'],
  ['inside', 'cut inside an event'],
  ['kills', 'kills'],
  ['dropped', 'dropped'],
  ['forgotten', 'people forgotten'],
  ['violations', 'violations'],
  ['recoveryMs', 'slowest recovery'],
  ['outageMs', 'database back: acknowledged after'],
  ['answerMs', 'no database: answered after'],
  ['busLagMs', 'no bus: 99 % delivered after'],
  ['frozenMs', 'one frozen: 99 % answered by the others after'],
  ['usualMs', 'in peace: 99 % answered after'],
]

/** A Markdown table, without the columns that the rows do not have. */
export function tableOf(title: string, rows: readonly (Row & Partial<Outcome>)[]): string {
  const heads = HEADS.filter(([key]) => rows[0]?.[key] !== undefined)
  const cell = (key: string, value: string | number = 0) => {
    if (!key.endsWith('Ms')) return value
    return value === 0 ? '–' : `${(Number(value) / 1_000).toFixed(1)} s`
  }
  const lines = [
    [title, ...heads.map(([, head]) => head)],
    ['---', ...heads.map(() => '---:')],
    ...rows.map((row) => [row.fault, ...heads.map(([key]) => cell(key, row[key]))]),
  ]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
