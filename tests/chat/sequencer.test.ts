/** Entries in any order in, the one order out. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Sequencer } from '../../src/chat/sequencer.ts'
import type { Entry } from '../../src/protocol.ts'
import { TestClock } from '../helpers.ts'
import { ann, say } from '../store/drafts.ts'
import { MemoryLog } from '../store/model.ts'

const REPAIR_MS = 100

/** A log of `count` entries and a sequencer that knows those up to `head`. */
function setUp(count: number, head = 0, stepEntries = 100) {
  const log = new MemoryLog()
  for (let n = 0; n < count; n += 1) log.appendNow(say(ann))
  const clock = new TestClock()
  const live: number[] = []
  let repairs = 0
  const sequencer = new Sequencer({
    ...{ room: 'lobby', log, clock },
    limits: { repairMs: REPAIR_MS, logRetryMs: 1_000, stepEntries },
    onLive: (entry) => live.push(entry.seq),
    onRepaired: () => (repairs += 1),
    onDropped: (seq) => sequencer.restart(seq),
  })
  sequencer.start(head)
  const entry = (seq: number): Entry => log.entries('lobby')[seq - 1]!
  return { log, clock, live, sequencer, entry, repairs: () => repairs }
}

const upTo = (count: number, from = 1) =>
  Array.from({ length: count - from + 1 }, (_, n) => n + from)

test('any order, doubles and losses: each entry once, in order', async () => {
  const count = 30
  const arrivals = fc.array(fc.integer({ min: 1, max: count }), { maxLength: 80, size: 'max' })
  const property = fc.asyncProperty(arrivals, fc.array(fc.nat(80)), async (seqs, pauses) => {
    const { clock, live, sequencer, entry } = setUp(count)
    for (const [index, seq] of seqs.entries()) {
      sequencer.accept(entry(seq))
      if (pauses.includes(index)) await clock.advance(pauses.length * 10)
      assert.deepEqual(live, upTo(live.length))
    }
    sequencer.observe(count)
    await clock.advance(2 * REPAIR_MS)
    assert.deepEqual(live, upTo(count))
    assert.equal(sequencer.head, count)
    sequencer.close()
  })
  await fc.assert(property, { numRuns: 100 })
})

test('in order nothing waits and nothing is read', async () => {
  const { log, clock, live, sequencer, entry } = setUp(5)
  for (const seq of upTo(5)) {
    sequencer.accept(entry(seq))
    assert.equal(live.at(-1), seq)
  }
  await clock.advance(10 * REPAIR_MS)
  assert.equal(log.reads, 0)
})

test('a hole that is filled in time is not read from the log', async () => {
  const { log, clock, live, sequencer, entry, repairs } = setUp(3)
  sequencer.accept(entry(3))
  sequencer.accept(entry(2))
  await clock.advance(REPAIR_MS - 1)
  assert.deepEqual(live, [])
  sequencer.accept(entry(1))
  assert.deepEqual(live, [1, 2, 3])
  await clock.advance(10 * REPAIR_MS)
  assert.deepEqual([log.reads, repairs()], [0, 0])
})

test('a hole that stays is read from the log', async () => {
  const { log, clock, live, sequencer, entry, repairs } = setUp(3)
  sequencer.accept(entry(3))
  await clock.advance(REPAIR_MS)
  assert.deepEqual(live, [1, 2, 3])
  assert.deepEqual([log.reads, repairs()], [1, 1])
})

test('what is known only by its number is read, in steps', async () => {
  const { log, clock, live, sequencer } = setUp(25, 0, 10)
  sequencer.observe(25)
  await clock.advance(REPAIR_MS)
  assert.deepEqual(live, upTo(25))
  assert.equal(log.reads, 3)
})

test('what is at or below the head is old news', async () => {
  const { log, clock, live, sequencer, entry } = setUp(5, 3)
  sequencer.accept(entry(2))
  sequencer.accept(entry(3))
  sequencer.observe(3)
  sequencer.observe(1)
  await clock.advance(10 * REPAIR_MS)
  assert.deepEqual([live, log.reads], [[], 0])
})

test('reach resolves when everything up to there is live', async () => {
  const { clock, live, sequencer, entry } = setUp(5)
  const reached: number[] = []
  await sequencer.reach(0)
  const all = [3, 2, 5].map((head) => sequencer.reach(head).then(() => reached.push(head)))
  sequencer.accept(entry(1))
  sequencer.accept(entry(2))
  await Promise.race([all[1]])
  assert.deepEqual(reached, [2])
  await clock.advance(2 * REPAIR_MS)
  await Promise.all(all)
  assert.deepEqual(live, upTo(5))
  await sequencer.reach(4)
})

test('a log that fails is asked again a second later', async () => {
  const { log, clock, live, sequencer, entry } = setUp(2)
  log.beforeRead = () => Promise.reject(new Error('gone'))
  sequencer.accept(entry(2))
  await clock.advance(REPAIR_MS)
  assert.deepEqual([log.reads, live], [1, []])
  await clock.advance(999)
  assert.equal(log.reads, 1)
  log.beforeRead = async () => {}
  await clock.advance(1)
  assert.deepEqual(live, [1, 2])
})

test('one read at a time, however often it hears of more', async () => {
  const { log, clock, sequencer, entry, live } = setUp(9)
  let finish = () => {}
  let inFlight = 0
  let most = 0
  log.beforeRead = async () => {
    most = Math.max(most, (inFlight += 1))
    await new Promise<void>((resolve) => (finish = resolve))
    inFlight -= 1
  }
  sequencer.accept(entry(2))
  await clock.advance(REPAIR_MS)
  sequencer.accept(entry(1))
  sequencer.accept(entry(5))
  sequencer.observe(9)
  await clock.advance(5 * REPAIR_MS)
  assert.equal(most, 1)
  while (live.length < 9) {
    finish()
    await clock.advance(REPAIR_MS)
  }
  assert.deepEqual([live, most], [upTo(9), 1])
})

test('more held entries than memory allows come from the log', async () => {
  const { clock, live, sequencer, entry } = setUp(1_500)
  for (const seq of upTo(1_500, 2)) sequencer.accept(entry(seq))
  await clock.advance(5 * REPAIR_MS)
  assert.deepEqual(live, upTo(1_500))
})

test('closed, it asks the log for nothing more', async () => {
  const { log, clock, sequencer, entry } = setUp(3)
  sequencer.accept(entry(3))
  sequencer.close()
  await clock.advance(10 * REPAIR_MS)
  assert.equal(log.reads, 0)
})

test('closed during a read that fails, it does not try again', async () => {
  const { log, clock, sequencer, entry } = setUp(3)
  let fail = () => {}
  log.beforeRead = () => new Promise((_, reject) => (fail = () => reject(new Error('gone'))))
  sequencer.accept(entry(3))
  await clock.advance(REPAIR_MS)
  sequencer.close()
  fail()
  await clock.advance(10_000)
  assert.equal(log.reads, 1)
})
