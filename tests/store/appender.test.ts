/** Group commit, over a log that does as it is told. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_LIMITS, type Limits } from '../../src/limits.ts'
import { createAppender } from '../../src/store/appender.ts'
import { LogUnavailable, type Draft, type Outcome } from '../../src/store/log.ts'
import type { Entry } from '../../src/protocol.ts'
import { createRandom } from '../random.ts'
import { TestClock, turn } from '../helpers.ts'
import { ann, bob, say, tell } from './drafts.ts'
import { MemoryLog } from './model.ts'

/** An appender whose log waits for `finish` when `holds`, and fails when `fault` says so. */
function setUp(limits: Partial<Limits> = {}) {
  const memory = new MemoryLog()
  const batches: Draft[][] = []
  const events: string[] = []
  const state = {
    holds: false,
    fault: (_drafts: readonly Draft[]): Error | null => null,
    finish: () => {},
    inFlight: 0,
    mostInFlight: 0,
  }
  const appended: Entry[][] = []
  const faults: unknown[] = []
  const append = async (drafts: readonly Draft[]): Promise<Outcome[]> => {
    batches.push([...drafts])
    state.inFlight += 1
    state.mostInFlight = Math.max(state.mostInFlight, state.inFlight)
    if (state.holds) await new Promise<void>((resolve) => (state.finish = resolve))
    state.inFlight -= 1
    const error = state.fault(drafts)
    if (error) throw error
    return drafts.map((draft) => memory.appendNow(draft))
  }
  const clock = new TestClock()
  const appender = createAppender({
    log: Object.assign(memory, { append }),
    clock,
    limits: { ...DEFAULT_LIMITS, commitMs: 0, ...limits },
    onAppended: (entries) => {
      appended.push(entries)
      events.push('appended')
    },
    onFault: (error) => faults.push(error),
  })
  return { appender, batches, appended, faults, state, events, clock }
}

const sizes = (batches: Draft[][]) => batches.map(({ length }) => length)
const times = <T>(count: number, make: (n: number) => T) =>
  Array.from({ length: count }, (_, n) => make(n))

test('what comes in one turn is one transaction', async () => {
  const { appender, batches, appended } = setUp()
  const outcomes = await Promise.all(times(10, () => appender.append(say(ann))))
  assert.deepEqual(sizes(batches), [10])
  assert.deepEqual(
    tell(outcomes),
    times(10, (n) => n + 1),
  )
  assert.deepEqual(
    appended[0]?.map(({ seq }) => seq),
    times(10, (n) => n + 1),
  )
})

test('what comes while one is in flight is the next, in the order of arrival', async () => {
  const { appender, batches, state } = setUp()
  state.holds = true
  const outcomes = [appender.append(say(ann, 'first'))]
  await turn()
  for (const n of times(700, (index) => index)) outcomes.push(appender.append(say(bob, `${n}`)))
  for (let left = 3; left > 0; left -= 1) {
    await turn()
    state.finish()
  }
  assert.deepEqual(
    tell(await Promise.all(outcomes)),
    times(701, (n) => n + 1),
  )
  assert.deepEqual(sizes(batches), [1, 500, 200])
  assert.equal(state.mostInFlight, 1)
  const bodies = batches.flat().map((draft) => ('body' in draft ? draft.body : ''))
  assert.deepEqual(bodies, ['first', ...times(700, (n) => `${n}`)])
})

test('the first goes at once, what comes within a moment goes together, and enough do not wait', async () => {
  const { appender, batches, clock } = setUp({ commitMs: 20, batchEntries: 5 })
  await appender.append(say(ann))
  const later = times(3, () => appender.append(say(bob)))
  await clock.advance(19)
  assert.deepEqual(sizes(batches), [1])
  await clock.advance(1)
  await Promise.all(later)
  assert.deepEqual(sizes(batches), [1, 3])
  await Promise.all(times(5, () => appender.append(say(bob))))
  assert.deepEqual(sizes(batches), [1, 3, 5], 'a full batch')
  await clock.advance(1_000)
  await appender.append(say(ann))
  assert.deepEqual(sizes(batches), [1, 3, 5, 1], 'and the first after a quiet time')
})

test('a batch ends before a mebibyte, but has one entry at least', async () => {
  const { appender, batches } = setUp()
  await Promise.all(times(300, () => appender.append(say(ann, '😀'.repeat(2_000)))))
  assert.ok(batches.length >= 3)
  for (const batch of batches) {
    const bytes = batch.length * 8_000
    assert.ok(bytes <= 2 ** 20, `${bytes}`)
  }
  const tiny = setUp({ batchBytes: 10 })
  await Promise.all(times(3, () => tiny.appender.append(say(ann))))
  assert.deepEqual(sizes(tiny.batches), [1, 1, 1])
})

test('room is told of a batch before its senders are answered', async () => {
  const { appender, events } = setUp()
  await Promise.all(
    times(3, async (n) => {
      await appender.append(say(ann))
      events.push(`answer ${n}`)
    }),
  )
  assert.deepEqual(events, ['appended', 'answer 0', 'answer 1', 'answer 2'])
})

test('only new entries are told of, not repeats or refusals', async () => {
  const { appender, appended } = setUp()
  const draft = say(ann)
  const drafts = [draft, draft, say(ann, 'a', { replyTo: 99 }), say(bob)]
  const outcomes = await Promise.all(drafts.map((one) => appender.append(one)))
  assert.deepEqual(tell(outcomes), [1, 'repeat 1', 'not_found', 2])
  assert.deepEqual(
    appended.flat().map(({ seq }) => seq),
    [1, 2],
  )
})

test('too many waiting: unavailable at once, and room again later', async () => {
  const { appender, state } = setUp({ waitingAppends: 3, batchEntries: 3 })
  state.holds = true
  const waiting = times(3, () => appender.append(say(ann)))
  assert.deepEqual(tell([await appender.append(say(ann))]), ['unavailable'])
  await turn()
  state.holds = false
  state.finish()
  assert.deepEqual(tell(await Promise.all(waiting)), [1, 2, 3])
  assert.deepEqual(tell([await appender.append(say(ann))]), [4])
})

test('the log does not answer: all unavailable, and the same again is stored once', async () => {
  const { appender, batches, faults, state } = setUp()
  state.fault = () => new LogUnavailable('gone')
  const drafts = [say(ann), say(bob)]
  const outcomes = await Promise.all(drafts.map((draft) => appender.append(draft)))
  assert.deepEqual(tell(outcomes), ['unavailable', 'unavailable'])
  assert.deepEqual([batches.length, faults.length], [1, 1])
  state.fault = () => null
  const again = await Promise.all(drafts.map((draft) => appender.append(draft)))
  assert.deepEqual(tell(again), [1, 2])
})

test('who waits behind a batch that got no answer does not wait as long again', async () => {
  const { appender, batches, state } = setUp()
  state.holds = true
  state.fault = () => new LogUnavailable('gone')
  const first = appender.append(say(ann))
  await turn()
  const behind = times(700, () => appender.append(say(bob)))
  state.finish()
  const outcomes = await Promise.all([first, ...behind])
  assert.deepEqual(new Set(tell(outcomes)), new Set(['unavailable']))
  assert.equal(batches.length, 1)
  Object.assign(state, { holds: false, fault: () => null })
  assert.deepEqual(tell([await appender.append(say(bob))]), [1])
})

test('one entry that cannot be stored takes none of the others with it', async () => {
  const { appender, appended, faults, state } = setUp()
  state.fault = (drafts) => {
    const isPoisoned = drafts.some((draft) => 'body' in draft && draft.body === 'poison')
    return isPoisoned ? new Error('constraint') : null
  }
  const drafts = ['a', 'poison', 'b', 'c'].map((body) => say(ann, body))
  const outcomes = await Promise.all(drafts.map((draft) => appender.append(draft)))
  assert.deepEqual(tell(outcomes), [1, 'invalid_frame', 2, 3])
  assert.deepEqual(
    appended.flat().map(({ seq }) => seq),
    [1, 2, 3],
  )
  assert.equal(faults.length, 2, 'the batch, and the one entry')
})

test('idle when nothing waits and nothing is in flight', async () => {
  const { appender, state } = setUp()
  await appender.idle()
  state.holds = true
  const seen: string[] = []
  const answer = appender.append(say(ann)).then(() => seen.push('answer'))
  const idle = appender.idle().then(() => seen.push('idle'))
  await turn()
  assert.deepEqual(seen, [])
  state.finish()
  await Promise.all([answer, idle])
  assert.deepEqual(seen, ['answer', 'idle'])
})

test('any mix of batches and faults: every draft is answered once and in order', async () => {
  const seed = 7
  const random = createRandom(seed)
  const { appender, batches, state } = setUp({ batchEntries: 7 })
  state.fault = () => (random.chance(0.2) ? new LogUnavailable('now and then') : null)
  const answered: number[] = []
  const answers: Promise<unknown>[] = []
  for (let n = 0; n < 300; n += 1) {
    answers.push(appender.append(say(ann)).then(() => answered.push(n)))
    if (random.chance(0.1)) await turn()
  }
  await Promise.all(answers)
  assert.deepEqual(
    answered,
    times(300, (n) => n),
    `seed ${seed}`,
  )
  assert.ok(batches.every(({ length }) => length <= 7))
  assert.equal(state.mostInFlight, 1)
})
