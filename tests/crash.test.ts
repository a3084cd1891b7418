/** `kill -9` in the middle of it all, again and again; then the log has to tell the truth. */

import assert from 'node:assert/strict'
import process from 'node:process'
import { test } from 'node:test'
import { describe } from './chaos/checker.ts'
import { run } from './chaos/run.ts'
import { shortcomings, summarise, total } from './chaos/summary.ts'

const KILL = 'kill -9 of one'

test('one server, killed again and again: nothing is lost, nothing is seen twice', async (t) => {
  const seed = Date.now() % 1e6
  const { facts, violations } = await run(t, {
    services: 'sqlite',
    runtimes: [process.versions.deno ? process.execPath : null],
    seed,
    faults: [KILL],
    lasts: [7_000, 7_001],
    quietMs: 500,
    crowd: { senders: 6, observers: 3 },
  })
  assert.deepEqual(
    violations.map((violation) => describe(violation, facts)),
    [],
    `seed ${seed}`,
  )
  const least = { kills: 4, acks: 300, repeats: 10, resumes: 20 }
  assert.deepEqual(shortcomings(facts, [KILL], least), [], `seed ${seed}`)
  const { kills, acks } = total('all', summarise(facts))
  t.diagnostic(`seed ${seed}: ${acks} acknowledged, ${kills} kills`)
})
