/** Looking at a message far from the newest: which pages are asked for, and how they join. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Room } from '../../static/room.js'
import { FakeClock, me, messageOf, other, said } from './fakes.ts'

const joined = {
  type: 'joined' as const,
  ...{ room: 'lobby', epoch: 'e', head: 1_000, from: 1_001, reset: false, count: 1 },
  private: false,
}

/** In a room of 1,000 messages, with the newest 50. */
function setUp() {
  const clock = new FakeClock()
  const sent: Record<string, unknown>[] = []
  const send = (frame: object) => sent.push({ ...frame }) > 0
  const room = new Room('lobby', { me: me.id, clock, send, onChange: () => {} })
  room.join()
  room.joined(joined)
  /** Answers as the server does: the newest `limit` messages below `before`. */
  const answer = (limit = 50, before = 1_001) => {
    const seqs = Array.from({ length: 1_000 }, (_, i) => i + 1).filter((seq) => seq < before)
    const messages = seqs.slice(-limit).map((seq) => messageOf(seq))
    const more = seqs.length > limit
    room.page({ type: 'history', room: 'lobby', head: 1_000, messages, more, before })
  }
  answer(50)
  sent.length = 0
  const shown = () => [room.stretch.items[0]?.seq, room.stretch.items.at(-1)?.seq]
  return { room, sent, answer, shown, clock }
}

test('a message that is not held is fetched with what is around it', () => {
  const { room, sent, answer, shown } = setUp()
  room.look(500)
  assert.deepEqual(sent, [{ type: 'history', room: 'lobby', before: 525 }])
  assert.deepEqual(shown(), [951, 1_000], 'until it is there the newest stay')
  room.seek()
  assert.equal(sent.length, 1, 'one page at a time')
  answer(50, 525)
  assert.deepEqual(shown(), [475, 524])
  room.look()
  assert.deepEqual(shown(), [951, 1_000])
  room.look(990)
  assert.equal(sent.length, 1, 'what is held is not fetched')
})

test('from there one reads on, page by page, until the newest', () => {
  const { room, sent, answer, shown } = setUp()
  room.look(500)
  answer(50, 525)
  const asked: unknown[] = []
  for (let pages = 0; room.stretch !== room.timeline.newest && pages < 20; pages++) {
    room.newer()
    const { before, limit } = sent.at(-1) ?? {}
    asked.push(before)
    answer(Number(limit), Number(before))
  }
  assert.deepEqual(asked, [625, 725, 825, 925, 951])
  assert.deepEqual(shown(), [475, 1_000])
  const { items } = room.stretch
  assert.ok(
    items.every(({ seq }, i) => seq === 475 + i),
    'no hole, nothing twice',
  )
  room.newer()
  assert.equal(sent.length, 6, 'there is nothing newer to ask for')
})

test('a page that was cut short is asked for again until the hole is closed', () => {
  const { room, sent, answer, shown } = setUp()
  room.look(500)
  answer(50, 525)
  room.newer()
  answer(30, 625)
  assert.deepEqual(shown(), [475, 524])
  room.newer()
  assert.equal(sent.at(-1)?.before, 595)
  answer(100, 595)
  assert.deepEqual(shown(), [475, 624])
})

test('messages so long that few fit a page: page by page until it is there, and no further', () => {
  const { room, sent, answer, shown } = setUp()
  room.look(500)
  for (let pages = 0; pages < 10 && sent.length > pages; pages++) {
    answer(5, Number(sent.at(-1)?.before))
    room.seek()
  }
  assert.deepEqual(
    sent.map(({ before }) => before),
    [525, 520, 515, 510, 505],
  )
  assert.deepEqual(shown(), [500, 524])
})

test('what arrives meanwhile is held, counted, and shown at the end', () => {
  const { room, answer, shown } = setUp()
  room.look(500)
  answer(50, 525)
  room.entry(said(1_001, { author: other }))
  assert.deepEqual(shown(), [475, 524])
  assert.equal(room.timeline.items.at(-1)?.seq, 1_001)
})

test('a place beyond the newest is the newest; before the first join nothing is asked', () => {
  const { room, sent, shown } = setUp()
  room.look(5_000)
  assert.deepEqual(sent, [])
  assert.deepEqual(shown(), [951, 1_000])
  const sentEarly: unknown[] = []
  const early = new Room('lobby', {
    me: me.id,
    clock: new FakeClock(),
    send: (frame) => sentEarly.push(frame) > 0,
    onChange: () => {},
  })
  early.look(5)
  assert.deepEqual([sentEarly, early.place], [[], 5])
})

test('one message alone is fetched for a quote, and a lost answer is asked for again', () => {
  const { room, sent, answer, clock } = setUp()
  room.peek(7)
  room.peek(9)
  assert.deepEqual(sent, [{ type: 'history', room: 'lobby', before: 8, limit: 1 }])
  clock.pass(10_000)
  room.peek(7)
  answer(1, 8)
  assert.equal(room.timeline.at(7)?.body, 'message 7')
  assert.equal(sent.length, 2)
})
