/** The index that follows the log, over rooms of which only the numbers exist. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { createIndexer } from '../../src/search/indexer.ts'
import { LogUnavailable, SearchTooLong } from '../../src/store/log.ts'
import { TestClock, turn } from '../helpers.ts'

/** Entries that a step takes in, and how long it takes. ms */
const STEP = 100
const STEP_MS = 30

/** An indexer whose steps take their time on its clock, fail when `fault` is set, wait when held. */
function setUp(t: TestContext) {
  const clock = new TestClock()
  const heads = new Map<string, number>()
  const indexed = new Map<string, number>()
  const steps: { room: string; at: number }[] = []
  const faults: unknown[] = []
  const state = { fault: null as Error | null, holds: false, finish: () => {}, stepMs: STEP_MS }
  const step = async (room: string) => {
    steps.push({ room, at: clock.now() })
    const head = heads.get(room) ?? 0
    if (state.holds) await new Promise<void>((resolve) => (state.finish = resolve))
    clock.skip(state.stepMs)
    if (state.fault) throw state.fault
    indexed.set(room, Math.min(head, (indexed.get(room) ?? 0) + STEP))
    return { indexed: indexed.get(room)!, head }
  }
  const indexer = createIndexer({ step, clock, onFault: (error) => faults.push(error) })
  t.after(() => indexer.close())
  const say = (room: string, count: number) => {
    heads.set(room, (heads.get(room) ?? 0) + count)
    indexer.note([room])
  }
  const behind = () => [...heads].filter(([room, head]) => indexed.get(room) !== head)
  return { clock, heads, indexed, steps, faults, state, indexer, say, behind }
}

test('what was said is taken in, room by room, in a tenth of the time', async (t) => {
  const { clock, steps, say, behind } = setUp(t)
  say('a', 1_000)
  say('b', 500)
  await turn()
  assert.equal(steps.length, 0)
  await clock.advance(10_000)
  assert.deepEqual(behind(), [])
  assert.deepEqual(
    steps.map(({ room }) => room),
    [...Array(5).fill(['a', 'b']).flat(), ...Array(5).fill('a')],
  )
  for (const [index, { at }] of steps.slice(1).entries()) {
    assert.ok(at - steps[index]!.at >= STEP_MS * 10)
  }
})

test('short steps leave time to gather, and nothing runs when all is in', async (t) => {
  const { clock, steps, say, state, behind } = setUp(t)
  state.stepMs = 0
  for (let n = 0; n < 100; n += 1) {
    say('a', 1)
    await clock.advance(10)
  }
  assert.ok(steps.length <= 10, `${steps.length} steps`)
  await clock.advance(1_000)
  assert.deepEqual(behind(), [])
  const { length } = steps
  await clock.advance(60_000)
  assert.equal(steps.length, length)
  say('a', 1)
  await clock.advance(1_000)
  assert.deepEqual(behind(), [])
})

test('what is said while a step runs is taken in by a later one', async (t) => {
  const { clock, say, state, behind } = setUp(t)
  state.holds = true
  say('a', 10)
  await clock.advance(1_000)
  say('a', 10)
  state.holds = false
  state.finish()
  await clock.advance(10_000)
  assert.deepEqual(behind(), [])
})

test('a fault is told and tried again, and the other rooms go on', async (t) => {
  const { clock, steps, faults, say, state, behind } = setUp(t)
  state.fault = new LogUnavailable('disk full')
  say('a', 10)
  say('b', 10)
  await clock.advance(5_000)
  assert.ok(faults.length >= 4 && faults.length <= 5, `${faults.length} faults`)
  assert.deepEqual(new Set(steps.map(({ room }) => room)), new Set(['a', 'b']))
  state.fault = null
  await clock.advance(2 * DEFAULT_LIMITS.logRetryMs)
  assert.deepEqual(behind(), [])
})

test('who searches does not wait for a rest, and the event loop turns between steps', async (t) => {
  const { clock, heads, indexed, indexer, say } = setUp(t)
  say('a', 5_000)
  let turns = 0
  const spin = () => {
    turns += 1
    if (indexed.get('a') !== heads.get('a')) setImmediate(spin)
  }
  setImmediate(spin)
  await indexer.reach('a')
  assert.equal(indexed.get('a'), 5_000)
  assert.equal(clock.now(), 50 * STEP_MS)
  assert.ok(turns >= 49, `${turns} turns`)
})

test('a search waits for what was on disk when it was asked, and for no more', async (t) => {
  const { heads, indexed, indexer, state, steps } = setUp(t)
  state.holds = true
  heads.set('a', 10)
  const first = indexer.reach('a')
  await turn()
  heads.set('a', 20)
  const others = [indexer.reach('a'), indexer.reach('a')]
  await turn()
  assert.equal(steps.length, 1)
  state.finish()
  await first
  assert.equal(indexed.get('a'), 10)
  await turn()
  heads.set('a', 1_000)
  state.finish()
  await Promise.all(others)
  assert.equal(indexed.get('a'), 20)
  assert.equal(steps.length, 2)
})

test('a search that would take too long is refused, and what it did is done', async (t) => {
  const { heads, indexed, indexer } = setUp(t)
  heads.set('a', 20_000)
  await assert.rejects(indexer.reach('a'), SearchTooLong)
  assert.ok(indexed.get('a')! > 10_000)
  await indexer.reach('a')
  assert.equal(indexed.get('a'), 20_000)
})

test('a search hears of the fault of its step', async (t) => {
  const { indexer, state } = setUp(t)
  state.fault = new Error('broken')
  await assert.rejects(indexer.reach('a'), state.fault)
})

test('closing waits for the step under way; none begins after it', async (t) => {
  const { clock, faults, heads, indexer, say, state, steps } = setUp(t)
  state.holds = true
  say('a', 1_000)
  await clock.advance(1_000)
  const waiting = indexer.reach('a')
  let isClosed = false
  const closing = indexer.close().then(() => (isClosed = true))
  await turn()
  assert.equal(isClosed, false)
  state.finish()
  await closing
  await assert.rejects(waiting, LogUnavailable)
  await assert.rejects(indexer.reach('a'), LogUnavailable)
  heads.set('b', 10)
  indexer.note(['b'])
  await clock.advance(10_000)
  assert.equal(steps.length, 1)
  assert.deepEqual(faults, [])
  await indexer.close()
})
