/** I7, I8, I13: time, the order of one sender, and reading what is known to be there. */

import { keyOf, type Book, type Finding, type Log, type Story } from './book.ts'
import { ERASED, isMessage, type Fact, type FactOf } from './record.ts'

/** I7: what was known to be committed before another was said stands before it. */
export function* realTime({ logs, stories }: Book): Generator<Finding> {
  for (const [room, { entries }] of logs) {
    let earliest: { story: Story; knownAt: number } | null = null
    for (const seen of entries.toReversed()) {
      const story = stories.get(keyOf(room, seen))
      const saidAt = story?.invokes[0]
      if (!story || !saidAt) continue
      if (earliest && earliest.knownAt < saidAt.t) {
        const what = `${room} ${seen.seq} was said after a later entry was known`
        yield { what, facts: [...earliest.story.oks.slice(0, 1), saidAt, ...story.oks.slice(0, 1)] }
      }
      const knownAt = story.knownAt.get(seen.seq) ?? Infinity
      if (!earliest || knownAt < earliest.knownAt) earliest = { story, knownAt }
    }
  }
}

/**
 * I8: what one socket sent in a row stands in that order, whether or not it waited for answers.
 * Judged are messages that this socket was told are stored, never "unknown" or refused; the later
 * one must not have been sent on another socket as well.
 */
export function* senderOrder({ facts, stories, places }: Book): Generator<Finding> {
  const last = new Map<string, { seq: number; fact: FactOf<'invoke'> }>()
  const begun = new Set<string>()
  for (const fact of facts) {
    if (fact.type !== 'invoke') continue
    const line = `${fact.conn} ${fact.room}`
    const story = stories.get(keyOf(fact.room, fact))
    const seq = places.get(keyOf(fact.room, fact))?.seq
    const isFirst = begun.size !== begun.add(`${line} ${fact.id}`).size
    if (!story || seq === undefined || !isFirst || !isPlain(story, fact.conn)) continue
    const before = last.get(line)
    const isHereOnly = story.invokes.every(({ conn }) => conn === fact.conn)
    if (before && isHereOnly && seq < before.seq) {
      yield { what: `sent after ${before.seq}, stored at ${seq}`, facts: [before.fact, fact] }
    }
    if (!before || seq > before.seq) last.set(line, { seq, fact })
  }
}

/** Whether a socket was told that the message is stored, and nothing else. */
function isPlain({ oks, fails, infos }: Story, conn: number) {
  const isOn = (fact: { conn: number }) => fact.conn === conn
  return oks.some(isOn) && !fails.some(isOn) && !infos.some(isOn)
}

/**
 * I13: a read shows everything that was known to be there when it was asked for, and no hole, and
 * of what was erased by then no word.
 */
export function* reads({ facts, logs }: Book): Generator<Finding> {
  const pages = new Map<number, FactOf<'page'>>()
  const known = new Map<string, { t: number; seq: number; fact: Fact }[]>()
  const learn = (room: string, seq: number, fact: Fact) => {
    const steps = known.get(room) ?? []
    if (seq > (steps.at(-1)?.seq ?? 0)) steps.push({ t: fact.t, seq, fact })
    known.set(room, steps)
  }
  for (const fact of facts) {
    if (fact.type === 'page' || fact.type === 'joined') {
      const least = lastBefore(known.get(fact.room) ?? [], fact.asked)
      if (least && fact.head < least.seq) {
        const what = `a read of ${fact.room} shows ${fact.head}, and ${least.seq} was known before`
        yield { what, facts: [least.fact, fact] }
      }
      learn(fact.room, fact.head, fact)
    }
    if (fact.type === 'page') {
      pages.set(fact.conn, fact)
      const last = Math.min(fact.head, (fact.before ?? Infinity) - 1)
      if (fact.count !== countBetween(logs.get(fact.room), fact, last)) {
        yield { what: `a page of ${fact.room} up to ${last} is not whole`, facts: [fact] }
      }
    }
    if (fact.type === 'recv' && fact.via === 'page') {
      const page = pages.get(fact.conn)
      const by = logs.get(fact.room)?.erased.get(fact.seq)
      if (page && by !== undefined && (fact.hash === ERASED) !== by <= page.head) {
        const what = `${fact.room} ${fact.seq} is erased by ${by}, and the page is as of ${page.head}`
        yield { what, facts: [page, fact] }
      }
    }
    if (fact.type === 'recv' || fact.type === 'ok') learn(fact.room, fact.seq, fact)
  }
}

/** How many messages a page has to have that goes up to `last`. */
function countBetween(log: Log | undefined, { first, t }: FactOf<'page'>, last: number) {
  if (!log || last === 0) return 0
  // What was dropped meanwhile may have been the whole of it.
  const from = first === 0 ? log.floorAt(t).most + 1 : first
  let count = 0
  for (let seq = from; seq <= last; seq += 1) {
    const seen = log.at.get(seq)
    if (seen && isMessage(seen)) count += 1
  }
  return count
}

/** The last step taken before `t`, by bisection. */
function lastBefore<T extends { t: number }>(steps: readonly T[], t: number): T | undefined {
  let [low, high] = [0, steps.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (steps[middle]!.t < t) low = middle + 1
    else high = middle
  }
  return steps[low - 1]
}
