import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore, newId, Outbox, type Sendable } from '../../static/outbox.js'
import { FakeClock, idOf, me } from './fakes.ts'

function setUp(storage = createMemoryStore()) {
  const clock = new FakeClock()
  const sent: string[] = []
  const state = { isOpen: true }
  const send = (frame: Sendable) => {
    if (state.isOpen) sent.push(frame.id)
    return state.isOpen
  }
  const outbox = new Outbox({ user: me.id, storage, clock, send, onChange: () => {} })
  const say = (n: number, room = 'lobby') =>
    outbox.add({ type: 'say', room, id: idOf(n), body: `message ${n}` })
  const refuse = (n: number, code: 'unavailable' | 'forbidden' | 'rate_limited', ms?: number) =>
    outbox.refuse({
      type: 'error',
      code,
      message: code,
      id: idOf(n),
      ...(ms !== undefined && { retryAfterMs: ms }),
    })
  return { clock, sent, state, storage, outbox, say, refuse }
}

test('one in flight per room, in the order of writing', () => {
  const { outbox, sent, say } = setUp()
  say(1)
  say(2)
  say(3, 'garden')
  assert.deepEqual(sent, [idOf(1), idOf(3)])
  outbox.remove(idOf(1))
  assert.deepEqual(sent, [idOf(1), idOf(3), idOf(2)])
  assert.equal(outbox.of('lobby').length, 1)
})

test('it outlives the tab, and keeps users apart', () => {
  const { storage, state, say } = setUp()
  state.isOpen = false
  say(2)
  say(1)
  storage.setItem(`outbox.${me.id}.broken`, '{"frame":7}')
  storage.setItem('outbox.somebody-else.x', '{}')
  const { outbox, sent } = setUp(storage)
  assert.deepEqual(
    outbox.of('lobby').map((parcel) => parcel.frame.id),
    [idOf(2), idOf(1)],
  )
  outbox.pump('lobby')
  outbox.remove(idOf(2))
  outbox.remove(idOf(1))
  assert.deepEqual(sent, [idOf(2), idOf(1)])
  assert.equal(storage.length, 2, 'only what is not ours or not readable is left')
})

test('unavailable and rate_limited: the same id again, after the delay', () => {
  const { clock, sent, say, refuse } = setUp()
  say(1)
  refuse(1, 'rate_limited', 3000)
  clock.pass(2999)
  assert.equal(sent.length, 1)
  clock.pass(1)
  assert.deepEqual(sent, [idOf(1), idOf(1)])
  refuse(1, 'unavailable')
  clock.pass(1000)
  assert.equal(sent.length, 3)
})

test('no answer at all: the same id again', () => {
  const { clock, sent, say } = setUp()
  say(1)
  clock.pass(10_000)
  assert.deepEqual(sent, [idOf(1), idOf(1)])
})

test('a refusal for good fails the entry and lets the next one go', () => {
  const { outbox, sent, say, refuse } = setUp()
  say(1)
  say(2)
  refuse(1, 'forbidden')
  assert.deepEqual(sent, [idOf(1), idOf(2)])
  assert.equal(outbox.of('lobby')[0]?.failed, 'forbidden')
  outbox.retry(idOf(1))
  assert.equal(outbox.of('lobby')[0]?.failed, undefined)
  outbox.remove(idOf(2))
  assert.deepEqual(sent, [idOf(1), idOf(2), idOf(1)])
  outbox.remove(idOf(1))
  assert.deepEqual(outbox.of('lobby'), [])
})

test('an entry that closed the socket twice is failed; other closes do not count', () => {
  const { outbox, sent, say } = setUp()
  say(1)
  outbox.closed(1006)
  outbox.pump('lobby')
  outbox.closed(4000)
  outbox.pump('lobby')
  outbox.closed(1009)
  outbox.pump('lobby')
  assert.equal(outbox.of('lobby')[0]?.failed, undefined)
  outbox.closed(4500)
  outbox.pump('lobby')
  assert.equal(sent.length, 4)
  assert.ok(outbox.of('lobby')[0]?.failed)
})

test('what another tab has sent is not sent again', () => {
  const storage = createMemoryStore()
  const here = setUp(storage)
  const there = setUp(storage)
  here.state.isOpen = false
  here.say(1)
  there.outbox.reload()
  there.outbox.pump('lobby')
  there.outbox.remove(idOf(1))
  here.outbox.reload()
  here.state.isOpen = true
  here.outbox.pump('lobby')
  assert.deepEqual(here.sent, [])
})

test('a key that comes after its entry was heard of does not bring it back', () => {
  const storage = createMemoryStore()
  const here = setUp(storage)
  const there = setUp(storage)
  here.outbox.remove(idOf(1))
  there.say(1)
  here.outbox.reload()
  assert.deepEqual(here.outbox.of('lobby'), [])
  there.say(2)
  here.outbox.reload()
  assert.equal(here.outbox.of('lobby').length, 1)
})

test('what a full storage does not take is kept by the tab, whatever others write', () => {
  const storage = createMemoryStore()
  const { outbox, sent, state, say, refuse } = setUp({
    ...storage,
    setItem: () => {
      throw new Error('QuotaExceededError')
    },
  })
  state.isOpen = false
  say(1)
  outbox.reload()
  assert.equal(outbox.of('lobby').length, 1)
  state.isOpen = true
  outbox.pump('lobby')
  refuse(1, 'forbidden')
  outbox.reload()
  assert.equal(outbox.of('lobby')[0]?.failed, 'forbidden')
  outbox.remove(idOf(1))
  outbox.reload()
  assert.deepEqual([outbox.of('lobby'), sent], [[], [idOf(1)]])
})

test('what a tab wrote that was closed then is sent by another one, a little later', () => {
  const storage = createMemoryStore()
  const here = setUp(storage)
  const there = setUp(storage)
  there.state.isOpen = false
  there.say(1)
  for (const _ of [1, 2]) here.outbox.reload()
  here.clock.pass(9_999)
  assert.deepEqual(here.sent, [], 'it may be on its way')
  here.clock.pass(1)
  assert.deepEqual(here.sent, [idOf(1)])
})

test('ids are random lower-case UUIDs of version 4', () => {
  const ids = Array.from({ length: 100 }, newId)
  const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
  assert.ok(ids.every((id) => shape.test(id)))
  assert.equal(new Set(ids).size, 100)
})
