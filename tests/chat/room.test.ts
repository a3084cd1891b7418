/** A room and its listeners: joining, the flush, catching up. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RESUME_LIMIT } from '../../static/protocol.js'
import type { Entry } from '../../src/protocol.ts'
import { turn } from '../helpers.ts'
import { ann, bob, erase, nthUser, say } from '../store/drafts.ts'
import { MemoryLog } from '../store/model.ts'
import { FakeListener, openRoom } from './fakes.ts'

const says = (count: number, body = 'hello') => Array.from({ length: count }, () => say(ann, body))
const seqsOf = (listener: FakeListener) => listener.all('message').map(({ seq }) => seq)
const upTo = (last: number, first = 1) =>
  Array.from({ length: last - first + 1 }, (_, n) => n + first)

/** A log with so many messages. */
function logOf(count: number) {
  const log = new MemoryLog()
  for (const draft of says(count)) log.appendNow(draft)
  return log
}

test('a fresh join gets the newest page and then what is said', async () => {
  const { room, join, append } = openRoom({}, logOf(60))
  const listener = new FakeListener(ann)
  const seat = await join(listener)
  const [joined, history] = listener.events
  assert.ok(joined?.type === 'joined' && history?.type === 'history')
  assert.deepEqual([joined.head, joined.from, joined.reset], [60, 61, false])
  assert.deepEqual(
    history.messages.map(({ seq }) => seq),
    upTo(60, 11),
  )
  assert.deepEqual([history.head, history.more], [60, true])
  assert.ok(room.isLive(seat))
  append(say(bob))
  assert.deepEqual(seqsOf(listener), [61])
})

test('a fresh join takes as many messages as it asks for, none too', async () => {
  const { join } = openRoom({}, logOf(60))
  for (const limit of [0, 1, 100]) {
    const listener = new FakeListener(ann)
    await join(listener, { limit })
    assert.equal(listener.all('history')[0]?.messages.length, Math.min(limit, 60))
  }
})

test('the page that many ask for is read and encoded once', async () => {
  const { log, join } = openRoom({}, logOf(60))
  const listeners = upTo(20).map((n) => new FakeListener(nthUser(n)))
  for (const listener of listeners) await join(listener)
  assert.equal(log.reads, 20 + 1, 'one entrance each, and one page')
  assert.equal(new Set(listeners.map(({ frames }) => frames[1])).size, 1)
})

test('who comes back gets every entry after the last it has', async () => {
  const { log, join } = openRoom({}, logOf(300))
  const listener = new FakeListener(ann)
  const last = log.entries('lobby')[49]!.id
  await join(listener, { after: 50, last, epoch: log.epoch })
  await turn()
  assert.deepEqual(listener.all('history'), [])
  const [joined] = listener.all('joined')
  assert.deepEqual([joined?.from, joined?.head, joined?.reset], [51, 300, false])
  assert.deepEqual(seqsOf(listener), upTo(300, 51))
  for (const { size } of listener.frames) assert.ok(size <= 66_000)
})

test('a position that means nothing here starts afresh', async () => {
  const log = logOf(RESUME_LIMIT + 50)
  const idAt = (seq: number) => log.entries('lobby')[seq - 1]!.id
  const requests = {
    'another epoch': { after: 1_000, epoch: 'other' },
    'another epoch and nothing held': { epoch: 'other' },
    'another entry there': { after: 1_000, last: idAt(999) },
    'an id where nothing is': { after: 0, last: idAt(1) },
    'above the head': { after: RESUME_LIMIT + 51 },
    'too far behind': { after: 49 },
  }
  for (const [why, request] of Object.entries(requests)) {
    const { join } = openRoom({}, log)
    const listener = new FakeListener(ann)
    await join(listener, request)
    assert.deepEqual(
      listener.events.map(({ type }) => type),
      ['joined', 'history'],
      why,
    )
    const [joined] = listener.all('joined')
    assert.deepEqual([joined?.reset, joined?.from], [true, RESUME_LIMIT + 51], why)
  }
  for (const request of [
    { after: 50 },
    { after: 1_050, last: idAt(1_050) },
    { after: 60, epoch: log.epoch },
  ]) {
    const { join, clock } = openRoom({}, log)
    const listener = new FakeListener(ann)
    await join(listener, request)
    await clock.advance(1_000)
    assert.equal(listener.all('joined')[0]?.reset, false)
    assert.deepEqual(seqsOf(listener), upTo(1_050, request.after + 1))
  }
})

test('one flush is one frame for each, the same for all', async () => {
  const { join, append, clock } = openRoom()
  const listeners = upTo(10).map((n) => new FakeListener(nthUser(n)))
  for (const listener of listeners) await join(listener)
  const before = listeners[0]!.frames.length
  append(say(ann))
  append(say(bob))
  append(say(ann), say(ann))
  await clock.advance(100)
  for (const listener of listeners) {
    assert.equal(listener.frames.length - before, 2, 'the first at once, the rest together')
    assert.deepEqual(seqsOf(listener), [1, 2, 3, 4])
    for (const [index, frame] of listener.frames.slice(before).entries()) {
      assert.equal(frame, listeners[0]!.frames[before + index])
    }
  }
})

test('a quiet room flushes at once, a busy one every 16 ms', async () => {
  const { join, append, clock } = openRoom()
  const listener = new FakeListener(ann)
  await join(listener)
  const times: number[] = []
  listener.onEvent = (event) => {
    if (event.type === 'message' && times.at(-1) !== clock.now()) times.push(clock.now())
  }
  await clock.advance(1_000)
  for (let n = 0; n < 200; n += 1) {
    append(say(ann))
    await clock.advance(1)
  }
  assert.equal(times[0], 1_000)
  for (const [index, time] of times.slice(1).entries()) assert.ok(time - times[index]! >= 16)
  assert.ok(times.length >= 12 && times.length <= 13)
  await clock.advance(32)
  append(say(ann))
  assert.deepEqual(seqsOf(listener), upTo(201))
})

test('a full queue is waited for, and then caught up with', async () => {
  const { room, join, append, clock } = openRoom({}, logOf(10))
  const listener = new FakeListener(ann)
  listener.queued = 64 * 1024
  const seat = await join(listener, { after: 0 })
  await clock.advance(5_000)
  append(...says(5))
  assert.deepEqual([seqsOf(listener), room.isLive(seat)], [[], false])
  listener.queued = 64 * 1024 - 1
  await clock.advance(16)
  assert.deepEqual([seqsOf(listener), room.isLive(seat)], [upTo(15), true])
})

test('more than 1,000 behind while catching up: afresh', async () => {
  for (const behind of [RESUME_LIMIT, RESUME_LIMIT + 1]) {
    const { join, append, clock } = openRoom({}, logOf(10))
    const listener = new FakeListener(ann)
    listener.queued = 64 * 1024
    await join(listener, { after: 5 })
    append(...says(behind - 5))
    await clock.advance(1_000)
    listener.queued = 0
    await clock.advance(16)
    append(say(ann))
    await clock.advance(16)
    const head = 5 + behind
    const [, again] = listener.all('joined')
    if (behind === RESUME_LIMIT) {
      assert.equal(again, undefined)
      assert.deepEqual(seqsOf(listener), upTo(head + 1, 6))
    } else {
      assert.deepEqual([again?.reset, again?.from], [true, head + 1])
      assert.equal(listener.all('history')[0]?.head, head)
      assert.deepEqual(seqsOf(listener), [head + 1])
    }
  }
})

test('catching up goes no further than the last flush', async () => {
  const { room, log, join, clock } = openRoom({}, logOf(10))
  const listener = new FakeListener(ann)
  const late: Entry[] = []
  log.beforeRead = async () => {
    // After the entrance: stored by another node, and not yet known to this one.
    if (log.reads === 2) late.push(...says(2).map((draft) => log.appendNow(draft).entry!))
  }
  const seat = await join(listener, { after: 0 })
  await turn()
  assert.deepEqual([seqsOf(listener), room.isLive(seat)], [upTo(10), true])
  room.accept(late)
  await clock.advance(16)
  assert.deepEqual(seqsOf(listener), upTo(12))
})

test('who left while the log was read hears nothing of it', async () => {
  const { room, log, join, clock } = openRoom({}, logOf(10))
  const listener = new FakeListener(ann)
  let answer = () => {}
  log.beforeAnswer = async () => {
    if (log.reads === 2) await new Promise<void>((resolve) => (answer = resolve))
  }
  const seat = await join(listener, { after: 0 })
  await turn()
  room.leave(seat)
  answer()
  await clock.advance(1_000)
  assert.deepEqual(seqsOf(listener), [])
})

test('catching up asks leave for every read of the log', async () => {
  const { join, clock } = openRoom({ stepEntries: 10 }, logOf(35))
  const listener = new FakeListener(ann)
  let reads = 0
  listener.mayRead = async () => void (reads += 1)
  await join(listener, { after: 0 })
  await clock.advance(0)
  assert.deepEqual([seqsOf(listener), reads], [upTo(35), 4])
})

test('a log that fails while somebody catches up is asked again', async () => {
  const { log, join, clock } = openRoom({}, logOf(5))
  const listener = new FakeListener(ann)
  log.beforeRead = async () => {
    if (log.reads > 1) throw new Error('gone')
  }
  await join(listener, { after: 0 })
  await clock.advance(500)
  assert.deepEqual(seqsOf(listener), [])
  log.beforeRead = async () => {}
  await clock.advance(1_000)
  assert.deepEqual(seqsOf(listener), upTo(5))
})

test('a second join of the same listener moves it', async () => {
  const { join, append } = openRoom({}, logOf(5))
  const listener = new FakeListener(ann)
  const first = await join(listener)
  const second = await join(listener, { after: 2 }, first)
  await turn()
  assert.deepEqual([first.isGone, second.isGone], [true, false])
  append(say(ann))
  assert.deepEqual(seqsOf(listener), [3, 4, 5, 6])
  assert.equal(listener.all('joined')[1]?.count, 1)
})

test('who left hears nothing more, and had everything before', async () => {
  const { room, join, append, clock } = openRoom()
  const listener = new FakeListener(ann)
  const seat = await join(listener)
  append(say(ann))
  append(say(ann))
  room.leave(seat)
  room.leave(seat)
  append(say(ann))
  await clock.advance(1_000)
  assert.deepEqual(seqsOf(listener), [1, 2])
})

test('who is gone before the log answers is not seated', async () => {
  const { room, log, clock } = openRoom({}, logOf(5))
  const listener = new FakeListener(ann)
  const seat = room.join(listener, { type: 'join', room: 'lobby' }, () =>
    log.enter('lobby', ann.id, ''),
  )
  assert.equal(room.isEmpty, false)
  listener.isClosed = true
  assert.equal(await seat, null)
  await clock.advance(10_000)
  assert.equal(room.isEmpty, true)
})

test('a deleted body is not told again, from memory or from a page', async () => {
  const { room, join, append } = openRoom()
  const first = new FakeListener(ann)
  await join(first)
  append(say(ann, 'secret'))
  append(say(ann, 'kept'))
  append(erase(ann, 1))
  room.flush()
  for (const request of [{ after: 0 }, {}]) {
    const later = new FakeListener(bob)
    await join(later, request)
    await turn()
    assert.doesNotMatch(JSON.stringify(later.events), /secret/)
    assert.match(JSON.stringify(later.events), /kept/)
  }
})

test('without its tail a room still tells everything', async () => {
  const { room, join, append } = openRoom()
  const listener = new FakeListener(ann)
  await join(listener)
  append(...says(3))
  append(say(ann, 'waits for the flush'))
  assert.ok(room.tailBytes > 0)
  room.dropTail()
  room.flush()
  room.dropTail()
  assert.equal(room.tailBytes, 0)
  const later = new FakeListener(bob)
  await join(later, { after: 1 })
  await turn()
  assert.deepEqual(
    [seqsOf(listener), seqsOf(later)],
    [
      [1, 2, 3, 4],
      [2, 3, 4],
    ],
  )
})

test('who types is told to the others, every three seconds and in small rooms', async () => {
  const { room, join, clock } = openRoom({ membersNamed: 3 })
  const listeners = [ann, ann, bob].map((user) => new FakeListener(user))
  for (const listener of listeners) await join(listener)
  const heard = () => listeners.map((listener) => listener.all('typing').length)
  room.typing(ann)
  room.typing(ann)
  assert.deepEqual(heard(), [0, 0, 1])
  await clock.advance(3_000)
  room.typing(ann)
  assert.deepEqual(heard(), [0, 0, 2])
  for (const n of [3, 4]) await join(new FakeListener(nthUser(n)))
  await clock.advance(3_000)
  room.typing(ann)
  assert.deepEqual(heard(), [0, 0, 2])
})

test('a page ends at 64 KiB, newest first', async () => {
  const { room, log } = openRoom()
  for (const draft of says(60, 'x'.repeat(3_000))) log.appendNow(draft)
  const page = await room.history(50)
  assert.ok(page.messages.length < 25 && page.more)
  assert.deepEqual(
    page.messages.map(({ seq }) => seq),
    upTo(60, 61 - page.messages.length),
  )
  assert.ok(JSON.stringify(page.messages).length <= 66_000)
})
