/** A short run of the harness on three nodes of both runtimes, and a proof that it sees. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BUGS, hunt, spoil } from './chaos/bugs.ts'
import { BOUNDS, CARE } from './chaos/liveness.ts'
import { runAsTest } from './chaos/short.ts'
import { findDeno } from './deno.js'
import { hasNats } from './nats.ts'

const FAULTS = ['kill -9 of one', 'kill -9 of all', 'SIGSTOP', CARE, 'database stopped']
/** The rest of the suite takes its share of the machine; the long runs judge time as it is. */
const SLOW = Object.fromEntries(Object.entries(BOUNDS).map(([name, ms]) => [name, 2 * ms]))

test('three nodes, each kind of fault: nothing is lost, doubled or out of order', async (t) => {
  let isOnNats = false
  await t.test('with NATS between them', (t) => void (isOnNats = hasNats(t)))
  const options = {
    services: isOnNats ? 'nats' : 'postgres',
    runtimes: [null, null, findDeno()],
    faults: [...FAULTS, isOnNats ? 'bus frozen' : 'LISTEN terminated'],
    lasts: [1_500, 2_000],
    quietMs: 400,
    crowd: { senders: 6, observers: 3, posters: 1 },
    bounds: SLOW,
  } as const
  const least = { kills: 3, acks: 300, repeats: 10, resumes: 40, posted: 30, streams: 10 }
  await runAsTest(t, options, least)
})

test('each planted bug is still one of the source as it is', () => {
  for (const bug of BUGS) assert.ok(spoil(bug).size > 0)
})

test('the harness catches a server that takes what is waiting in any order', async () => {
  const bug = BUGS.find(({ breaks }) => breaks.includes('I8'))
  const { violations } = await hunt(bug!, 1)
  assert.notDeepEqual(violations, [])
})
