/** A run that is a test. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { describe } from './checker.ts'
import { run, type RunOptions } from './run.ts'
import { shortcomings, summarise, total, type Row } from './summary.ts'

/**
 * Fails when a promise was broken, or too little was tried.
 * @param least  what has to have happened
 */
export async function runAsTest(
  t: TestContext,
  options: Omit<RunOptions, 'seed'>,
  least: Partial<Row>,
) {
  const seed = Date.now() % 1e6
  const { facts, faults, violations } = await run(t, { seed, ...options })
  const { kills, acks } = total('all', summarise(facts))
  t.diagnostic(`seed ${seed}: ${acks} acknowledged, ${kills} kills`)
  const broken = violations.map((violation) => describe(violation, facts))
  assert.deepEqual([...broken, ...shortcomings(facts, faults, least)], [], `seed ${seed}`)
}
