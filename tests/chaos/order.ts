/** I7, I8, I13: time, the order of one sender, and reading what is known to be there. */

import { keyOf, type Book, type Finding, type Story } from './book.ts'
import type { Fact, FactOf } from './record.ts'

/** I7: what was known to be committed before another was said stands before it. */
export function* realTime({ logs, stories }: Book): Generator<Finding> {
  for (const [room, log] of logs) {
    let earliest: Story | null = null
    for (const seen of [...log].reverse()) {
      const story = stories.get(keyOf(room, seen))
      const saidAt = story?.invokes[0]
      if (!story || !saidAt) continue
      if (earliest && earliest.knownAt < saidAt.t) {
        const what = `${room} ${seen.seq} was said after a later entry was known`
        yield { what, facts: [...earliest.oks.slice(0, 1), saidAt, ...story.oks.slice(0, 1)] }
      }
      if (!earliest || story.knownAt < earliest.knownAt) earliest = story
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

/** I13: a read shows everything that was known to be there when it was asked for, and no hole. */
export function* reads({ facts }: Book): Generator<Finding> {
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
      const last = Math.min(fact.head, (fact.before ?? Infinity) - 1)
      if (fact.count !== (last === 0 ? 0 : last - fact.first + 1)) {
        yield { what: `a page of ${fact.room} up to ${last} is not whole`, facts: [fact] }
      }
    }
    if (fact.type === 'recv' || fact.type === 'ok') learn(fact.room, fact.seq, fact)
  }
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
