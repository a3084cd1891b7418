/** Judges what clients saw against what the log kept: the promises, each as one check. */

import { openBook, type Book, type Finding } from './book.ts'
import {
  answers,
  BOUNDS,
  busOutages,
  databaseOutages,
  deaths,
  freezes,
  type Bounds,
} from './liveness.ts'
import { reads, realTime, senderOrder } from './order.ts'
import type { Fact } from './record.ts'
import { sessions } from './sessions.ts'
import { agreement, durability, noGap, noPhantom, noRefused, uniqueness } from './truth.ts'

/** More violations of one kind than this are not listed. */
const MOST_LISTED = 5

export interface Violation extends Finding {
  /** `I1` … `I15`, as in docs/guarantees.md. */
  invariant: string
}

type Check = (book: Book, bounds: Bounds) => Iterable<Finding & { invariant?: string }>

const CHECKS: readonly [invariant: string, check: Check][] = [
  ['I1', durability],
  ['I2', uniqueness],
  ['I3', noPhantom],
  ['I4', noRefused],
  ['I5', noGap],
  ['I6', agreement],
  ['I7', realTime],
  ['I8', senderOrder],
  ['I9', sessions],
  ['I13', reads],
  ['I14', deaths],
  ['I15', answers],
  ['I15', databaseOutages],
  ['I15', busOutages],
  ['I15', freezes],
]

/** @returns every broken promise with the facts that show it; empty: all were kept */
export function check(facts: readonly Fact[], bounds: Bounds = BOUNDS): Violation[] {
  const book = openBook(facts)
  const counts = new Map<string, number>()
  const violations: Violation[] = []
  for (const [general, find] of CHECKS) {
    for (const { invariant = general, ...finding } of find(book, bounds)) {
      const count = (counts.get(invariant) ?? 0) + 1
      counts.set(invariant, count)
      if (count <= MOST_LISTED) violations.push({ invariant, ...finding })
    }
  }
  return violations
}

/** A violation for people: what, then the facts, then what was broken at that time. */
export function describe({ invariant, what, facts }: Violation, all: readonly Fact[]): string {
  const lines = facts.map((fact) => `    ${JSON.stringify(fact)}`)
  const t = facts.at(-1)?.t ?? Infinity
  const nemesis = all.filter((fact) => fact.type === 'fault' && fact.t <= t).at(-1)
  if (nemesis) lines.push(`    the fault before it: ${JSON.stringify(nemesis)}`)
  return [`${invariant}: ${what}`, ...lines].join('\n')
}
