/** One connection over a fake socket: what it answers, to whom, and in which order. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogUnavailable } from '../../src/store/log.ts'
import { holdAppends } from '../helpers.ts'
import { ann, bob, nthUser, userId } from '../store/drafts.ts'
import { MemoryLog } from '../store/model.ts'
import { NO_RATES, openHub } from './fakes.ts'

const say = (body = 'hello', id: string = crypto.randomUUID(), room = 'lobby') => ({
  ...{ type: 'say', room, id, body },
})
const typing = { type: 'typing', room: 'lobby' }

test('welcome comes first, with the numbers that count here', (t) => {
  const { connect } = openHub(t, { limits: { messageRate: 3, heartbeatMs: 5_000 } })
  const [welcome, ...rest] = connect(ann).events()
  assert.ok(welcome?.type === 'welcome' && rest.length === 0)
  assert.deepEqual(welcome.user, ann)
  assert.deepEqual(welcome.heartbeat, { interval: 5_000, timeout: 35_000 })
  const limits = { frame: 16_384, body: 4_000, page: 100, rate: 3, burst: 20 }
  assert.deepEqual(welcome.limits, limits)
  assert.equal(welcome.expiresAt, null)
})

test('the acknowledgement is the entry at its place, once', async (t) => {
  const { connect } = openHub(t)
  const [a, b] = [connect(ann), connect(bob)]
  await a.join()
  await b.join()
  const first = say('one')
  await a.ask(first, say('two'))
  const entries = a.all('message')
  assert.deepEqual(
    entries.map(({ seq, repeat }) => [seq, repeat]),
    [
      [1, undefined],
      [2, undefined],
    ],
  )
  assert.equal(entries[0]?.id, first.id)
  assert.deepEqual(b.all('message'), entries)
})

test('nothing is told before it is stored', async (t) => {
  const log = new MemoryLog()
  const { connect } = openHub(t, { log })
  const a = connect(ann)
  await a.join()
  const commit = holdAppends(log)
  await a.ask(say())
  assert.deepEqual(a.all('message'), [])
  commit()
  await a.ask()
  assert.equal(a.all('message').length, 1)
})

test('a repeat is answered to its sender alone; other content is a conflict', async (t) => {
  const { connect } = openHub(t)
  const [a, b] = [connect(ann), connect(bob)]
  await a.join()
  await b.join()
  await a.ask(say('one', userId(1)))
  await a.ask(say('one', userId(1)), say('two', userId(1)))
  assert.deepEqual(
    a.all('message').map(({ seq, repeat }) => [seq, repeat]),
    [
      [1, undefined],
      [1, true],
    ],
  )
  assert.equal(b.all('message').length, 1)
  const [error] = a.all('error')
  assert.deepEqual(
    [error?.code, error?.id, error?.of, error?.room],
    ['conflict', userId(1), 'say', 'lobby'],
  )
})

test('who left before the commit is answered all the same', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  await a.join()
  await a.ask(say(), { type: 'leave', room: 'lobby' })
  assert.deepEqual(
    a.all('message').map(({ repeat }) => repeat),
    [true],
  )
})

test('a room not joined is not spoken in', async (t) => {
  const { connect, log } = openHub(t)
  const a = connect(ann)
  const target = { room: 'lobby', id: userId(1), target: 1 }
  await a.ask(
    ...[say(), { type: 'edit', body: 'a', ...target }, { type: 'delete', ...target }],
    ...[
      { type: 'react', emoji: '👍', on: true, ...target },
      { type: 'history', room: 'lobby' },
    ],
    ...[{ type: 'read', room: 'lobby', seq: 1 }, typing],
  )
  assert.deepEqual(
    a.codes(),
    Array.from({ length: 7 }, () => 'not_joined'),
  )
  assert.deepEqual(log.entries('lobby'), [])
  await a.ask({ type: 'leave', room: 'lobby' })
  assert.equal(a.codes().length, 7, 'leave is a no-op')
})

test('frames behind a join wait for it, and keep their order', async (t) => {
  const log = new MemoryLog()
  const { connect } = openHub(t, { log })
  const a = connect(ann)
  let answer = () => {}
  log.beforeRead = () => new Promise((resolve) => (answer = resolve))
  const join = a.join()
  a.send(say('one'))
  a.send({ type: 'history', room: 'lobby', limit: 5 })
  a.send(say('two'))
  a.send({ type: 'leave', room: 'lobby' })
  a.send(say('three'))
  await join
  assert.equal(a.events().length, 1)
  log.beforeRead = async () => {}
  answer()
  await a.ask()
  const told = a.events().map((event) => ('code' in event ? event.code : event.type))
  assert.deepEqual(told.slice(0, 3), ['welcome', 'joined', 'history'])
  assert.deepEqual(
    log.entries('lobby').map((entry) => 'body' in entry && entry.body),
    ['one', 'two'],
  )
  assert.equal(a.all('message').length, 2)
  assert.equal(a.codes().at(-1), 'not_joined')
})

test('history comes in pages, newest below before', async (t) => {
  const { connect } = openHub(t, { limits: NO_RATES })
  const a = connect(ann)
  await a.join()
  await a.ask(...Array.from({ length: 12 }, (_, n) => say(`${n + 1}`)))
  await a.ask({ type: 'history', room: 'lobby', before: 9, limit: 3 })
  const page = a.all('history').at(-1)
  assert.deepEqual(
    page?.messages.map(({ seq }) => seq),
    [6, 7, 8],
  )
  assert.deepEqual([page.head, page.more], [12, true])
})

test('read goes to the other devices of the user, forward only, no further than the head', async (t) => {
  const { connect } = openHub(t)
  const [phone, laptop, other] = [connect(ann), connect(ann), connect(bob)]
  for (const device of [phone, laptop, other]) await device.join()
  await other.ask(say(), say(), say())
  const read = (seq: number) => ({ type: 'read', room: 'lobby', seq })
  await phone.ask(read(2), read(1), read(2), read(99))
  assert.deepEqual(
    laptop.all('read').map(({ seq }) => seq),
    [2, 3],
  )
  assert.deepEqual([...phone.all('read'), ...other.all('read')], [])
})

test('typing goes to the others', async (t) => {
  const { connect } = openHub(t)
  const [a, b] = [connect(ann), connect(bob)]
  await a.join()
  await b.join()
  await a.ask(typing, typing)
  assert.deepEqual(b.all('typing'), [{ type: 'typing', room: 'lobby', user: ann }])
  assert.deepEqual(a.all('typing'), [])
})

test('leaving on one device takes the others along', async (t) => {
  const { connect } = openHub(t)
  const [phone, laptop] = [connect(ann), connect(ann)]
  await phone.join()
  await laptop.join()
  await phone.ask({ type: 'leave', room: 'lobby' })
  assert.deepEqual(laptop.all('removed'), [{ type: 'removed', room: 'lobby' }])
  assert.deepEqual(phone.all('removed'), [])
  await laptop.ask(say())
  assert.deepEqual(laptop.codes(), ['not_joined'])
  assert.equal(laptop.socket.code, null)
})

test('32 rooms on one connection, and again after leaving one', async (t) => {
  const { connect } = openHub(t, { limits: NO_RATES })
  const a = connect(ann)
  for (let n = 1; n <= 33; n += 1) await a.join(`room-${n}`)
  assert.deepEqual(a.codes(), ['too_many'])
  await a.join('room-1')
  await a.ask({ type: 'leave', room: 'room-2' })
  await a.join('room-33')
  assert.deepEqual(a.codes(), ['too_many'])
})

test('a frame that cannot be read is refused; ten in a minute end it', async (t) => {
  const { connect, clock } = openHub(t)
  const a = connect(ann)
  const bad = ['', '[]', 'x', '{"type":7}', '{"type":"join"}', '{"type":"join","room":"?"}']
  await a.ask(...bad, '{}', '{}', '{}')
  a.connection.receive(new ArrayBuffer(3))
  assert.equal(a.socket.code, 4500)
  assert.deepEqual(a.all('bye'), [{ type: 'bye', code: 4500, retryAfterMs: 0 }])
  assert.equal(a.codes().filter((code) => code === 'invalid_frame').length, 10)
  const b = connect(bob)
  for (let n = 0; n < 20; n += 1) {
    await b.ask('{}')
    await clock.advance(8_000)
  }
  assert.equal(b.socket.code, null)
})

test('an unknown type and a long body are no fault of a broken client', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  for (let n = 0; n < 12; n += 1) await a.ask({ type: 'new' }, say('x'.repeat(4_001)))
  assert.equal(a.socket.code, null)
  assert.deepEqual(new Set(a.codes()), new Set(['unknown_type', 'too_long']))
})

test('a frame over 16 KiB closes 1009', (t) => {
  const { connect } = openHub(t)
  const frame = (bytes: number) => JSON.stringify({ type: 'pong', x: 'ü'.repeat((bytes - 22) / 2) })
  const [a, b] = [connect(ann), connect(ann)]
  a.send(frame(16_384))
  assert.equal(a.socket.code, null)
  b.send(frame(16_386))
  assert.equal(b.socket.code, 1009)
})

test('the log does not answer: try again with the same id', async (t) => {
  const log = new MemoryLog()
  const { connect } = openHub(t, { log })
  const a = connect(ann)
  await a.join()
  const { append } = log
  log.append = () => Promise.reject(new LogUnavailable('gone'))
  log.beforeRead = () => Promise.reject(new LogUnavailable('gone'))
  const draft = say()
  await a.ask(draft, { type: 'history', room: 'lobby' })
  assert.deepEqual(a.codes().sort(), ['unavailable', 'unavailable'])
  assert.ok(a.all('error').some(({ retryAfterMs }) => retryAfterMs === 1_000))
  log.append = append
  await a.ask(draft)
  assert.deepEqual([a.all('message').length, a.socket.code], [1, null])
})

test('what waits behind a read that got no answer is told so with it', async (t) => {
  const log = new MemoryLog()
  const { clock, connect } = openHub(t, { log })
  const a = connect(ann)
  await a.join()
  let fail = (_error: Error) => {}
  log.beforeRead = () => new Promise((_, reject) => (fail = reject))
  a.send({ type: 'history', room: 'lobby' })
  await clock.advance(1)
  a.send(say())
  a.send({ type: 'history', room: 'lobby' })
  await clock.advance(4_000)
  assert.deepEqual(a.codes(), [])
  fail(new LogUnavailable('gone'))
  await a.ask()
  assert.deepEqual(a.codes(), ['unavailable', 'unavailable', 'unavailable'])
  assert.deepEqual(log.entries('lobby'), [])
  log.beforeRead = async () => {}
  await clock.advance(1)
  await a.ask({ type: 'history', room: 'lobby' }, say())
  assert.equal(a.all('message').length, 1)
})

test('what nobody expected ends this connection and no other', async (t) => {
  const log = new MemoryLog()
  const { connect, faults } = openHub(t, { log })
  const [a, b] = [connect(ann), connect(bob)]
  await b.join()
  log.beforeRead = () => Promise.reject(new Error('boom'))
  await a.join()
  assert.deepEqual([a.socket.code, a.state.gone, faults.length], [4000, 1, 1])
  assert.equal(a.all('bye').length, 1)
  log.beforeRead = async () => {}
  await b.ask(say())
  assert.equal(b.all('message').length, 1)
})

test('a socket that throws ends its connection; the others hear everything', async (t) => {
  const { connect, clock, faults } = openHub(t)
  const [a, b, c] = [connect(ann), connect(bob), connect(nthUser(3))]
  for (const one of [a, b, c]) await one.join()
  b.socket.send = () => {
    throw new Error('broken pipe')
  }
  await a.ask(say('one'))
  await a.ask(say('two'))
  await clock.advance(16)
  for (const one of [a, c])
    assert.deepEqual(
      one.all('message').map(({ seq }) => seq),
      [1, 2],
    )
  assert.ok(b.connection.isClosed && faults.length > 0)
  assert.equal(b.state.gone, 1)
})

test('gone is gone: its place is free once, and nothing is sent any more', async (t) => {
  const { hub, connect } = openHub(t)
  const a = connect(ann)
  await a.join()
  a.connection.gone()
  a.connection.gone()
  a.connection.close(4000)
  const { length } = a.socket.frames
  await a.ask(say(), 'garbage')
  assert.deepEqual([a.state.gone, a.socket.frames.length, hub.connections.size], [1, length, 0])
})

test('signing out ends the connections of that session', (t) => {
  const { hub, connect } = openHub(t)
  const [a, b] = [connect(ann, { session: 'one' }), connect(ann, { session: 'two' })]
  hub.endSessions(['one', 'unknown'])
  assert.deepEqual([a.socket.code, b.socket.code], [4501, null])
  assert.equal(a.all('bye')[0]?.code, 4501)
})
