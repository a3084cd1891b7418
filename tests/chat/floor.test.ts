/** Retention raises the floor of a room while people are in it: nobody gets a silent hole. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerEvent } from '../../src/protocol.ts'
import { ann, bob, say } from '../store/drafts.ts'
import { MemoryLog } from '../store/model.ts'
import { FakeListener, openRoom } from './fakes.ts'

function logOf(count: number) {
  const log = new MemoryLog()
  for (let n = 1; n <= count; n += 1) log.appendNow(say(ann, `${n}`))
  return log
}

const drop = (log: MemoryLog, seq: number) => void log.floors.set('lobby', seq)

/** The bodies of the newest page, and what it said of the join. */
function lastPage(listener: FakeListener) {
  const page = listener.all('history').at(-1)
  return page?.messages.map(({ body }) => body)
}

/** Entries follow their `joined` or page without a hole. */
function assertWhole(events: readonly ServerEvent[]) {
  let next = 0
  for (const event of events) {
    if (event.type === 'joined') next = event.from
    if (event.type === 'message') assert.equal(event.seq, next++)
  }
  return next - 1
}

test('a position below the floor starts afresh, one at it does not', async () => {
  const log = logOf(20)
  drop(log, 10)
  for (const [after, reset] of [
    [9, true],
    [10, false],
    [15, false],
  ] as const) {
    const { join, clock } = openRoom({}, log)
    const listener = new FakeListener(ann)
    await join(listener, { after })
    await clock.advance(1_000)
    assert.equal(listener.all('joined')[0]?.reset, reset)
    assert.equal(assertWhole(listener.events), 20)
  }
})

test('who catches up when the floor passes starts afresh, and hears all that follows', async () => {
  const log = logOf(400)
  const { join, append, clock, faults } = openRoom({}, log)
  const listener = new FakeListener(bob)
  listener.mayRead = async () => drop(log, 300)
  await join(listener, { after: 100 })
  await clock.advance(1_000)
  append(say(ann, 'next'))
  await clock.advance(1_000)
  const [first, again] = listener.all('joined')
  assert.deepEqual([first?.reset, again?.reset, again?.from], [false, true, 401])
  assert.equal(assertWhole(listener.events), 401)
  assert.deepEqual(faults, [])
})

test('a node that is behind the floor goes on behind it, and its people start afresh', async () => {
  const log = logOf(5)
  const { room, join, clock, faults } = openRoom({}, log)
  const listener = new FakeListener(bob)
  await join(listener)
  for (let n = 6; n <= 300; n += 1) log.appendNow(say(ann, `${n}`))
  drop(log, 50)
  room.observe(300)
  await clock.advance(5_000)
  const again = listener.all('joined').at(-1)
  assert.deepEqual([again?.reset, listener.all('joined').length], [true, 2])
  assert.equal(assertWhole(listener.events), 300)
  assert.equal(room.head, 300)
  assert.deepEqual(faults, [])
})

test('the page of a fresh join shows nothing that was dropped', async () => {
  const log = logOf(5)
  const { join } = openRoom({}, log)
  await join(new FakeListener(ann))
  drop(log, 3)
  const listener = new FakeListener(bob)
  await join(listener)
  assert.deepEqual(lastPage(listener), ['4', '5'])
  const { reads } = log
  await join(new FakeListener(ann))
  assert.equal(log.reads, reads + 1, 'the page is read once, the entrance each time')
})
