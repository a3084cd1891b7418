/** The node: its rooms and their memory, presence, read positions, and the end. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogUnavailable, type ReadPosition } from '../../src/store/log.ts'
import { ann, bob, nthUser } from '../store/drafts.ts'
import { MemoryLog } from '../store/model.ts'
import { NO_RATES, openHub } from './fakes.ts'

const say = (room = 'lobby', body = 'hello') => ({
  type: 'say',
  room,
  id: crypto.randomUUID(),
  body,
})

test('a room is one room, until nobody is here or missed', async (t) => {
  const { hub, clock, connect } = openHub(t)
  const a = connect(ann)
  await a.join()
  const room = hub.room('lobby')
  await clock.advance(20_000)
  await a.ask({ type: 'pong' })
  assert.equal(hub.room('lobby'), room)
  a.connection.gone()
  await clock.advance(7_000)
  assert.equal(hub.room('lobby'), room, 'Ann is missed for eight seconds')
  await clock.advance(3_000)
  assert.notEqual(hub.room('lobby'), room)
})

test('a room that was closed starts again where the log is', async (t) => {
  const { clock, connect } = openHub(t)
  const a = connect(ann)
  await a.join()
  await a.ask(say())
  a.connection.gone()
  await clock.advance(10_000)
  const b = connect(bob)
  await b.join()
  await b.ask(say())
  assert.deepEqual(
    b.all('joined').map(({ head, count }) => [head, count]),
    [[1, 1]],
  )
  assert.deepEqual(
    b.all('message').map(({ seq }) => seq),
    [2],
  )
})

test('over the limit, the memory of the rooms longest unused goes first', async (t) => {
  const { hub, clock, connect } = openHub(t, { limits: { ...NO_RATES, tailsBytes: 3_000 } })
  const a = connect(ann)
  const names = ['one', 'two', 'three']
  for (const name of names) {
    await a.join(name)
    await a.ask(say(name, 'x'.repeat(1_000)))
    await clock.advance(100)
  }
  const bytes = () => names.map((name) => hub.room(name).tailBytes > 0)
  assert.deepEqual(bytes(), [true, true, true])
  await a.ask({ type: 'history', room: 'one' })
  await clock.advance(1_000)
  assert.deepEqual(bytes(), [true, false, true])
})

test('who comes and goes is told at the sweep', async (t) => {
  const { clock, connect } = openHub(t)
  const [a, b] = [connect(ann), connect(bob)]
  await a.join()
  await b.join()
  await clock.advance(1_000)
  assert.deepEqual(a.all('presence').at(-1), {
    type: 'presence',
    room: 'lobby',
    count: 2,
    joined: [ann, bob],
  })
  b.connection.gone()
  await clock.advance(7_000)
  assert.equal(a.all('presence').length, 1)
  await clock.advance(3_000)
  assert.deepEqual(a.all('presence').at(-1), {
    type: 'presence',
    room: 'lobby',
    count: 1,
    left: [bob],
  })
})

test('sessions of open connections are kept, each once an hour; what is over is closed', async (t) => {
  const asked: string[][] = []
  let answer = async (hashes: readonly string[]) => hashes.filter((hash) => hash !== 'over')
  const keepSessions = (hashes: readonly string[]) => {
    asked.push([...hashes])
    return answer(hashes)
  }
  const limits = { silenceMs: 1e9, touchMs: 10_000 }
  const { clock, connect, faults } = openHub(t, { keepSessions, limits })
  await clock.advance(1_000)
  const all = ['one', 'one', 'two', 'over'].map((session) => connect(ann, { session }))
  await clock.advance(9_000)
  assert.deepEqual(asked, [], 'nobody was here at the start')
  await clock.advance(1_000)
  assert.deepEqual(asked, [['one', 'two', 'over']])
  const codes = () => all.map(({ socket }) => socket.code)
  assert.deepEqual(codes(), [null, null, null, 4501])
  answer = async () => {
    throw new LogUnavailable('away')
  }
  await clock.advance(10_000)
  assert.equal(asked.length, 2)
  assert.equal(faults.length, 1)
  assert.deepEqual(codes(), [null, null, null, 4501], 'a log that does not answer ends nobody')
})

test('members are named up to 200, then only counted', async (t) => {
  const { connect } = openHub(t, { limits: { membersNamed: 2 } })
  for (const user of [ann, bob, nthUser(3)]) {
    const one = connect(user)
    await one.join()
    const [joined] = one.all('joined')
    const { count, members } = joined!
    assert.equal(members?.length, count > 2 ? undefined : count)
  }
})

test('read positions are written together, at the sweep', async (t) => {
  const log = new MemoryLog()
  const saved: (readonly ReadPosition[])[] = []
  log.saveReads = async (reads: readonly ReadPosition[] = []) => void saved.push(reads)
  const { clock, connect } = openHub(t, { log })
  const [a, b] = [connect(ann), connect(bob)]
  await a.join()
  await b.join()
  await a.ask(say(), say())
  const read = (seq: number) => ({ type: 'read', room: 'lobby', seq })
  await a.ask(read(1), read(2))
  await b.ask(read(1))
  assert.deepEqual(saved, [])
  await clock.advance(3_000)
  assert.deepEqual(saved, [
    [
      { room: 'lobby', user: ann.id, seq: 2 },
      { room: 'lobby', user: bob.id, seq: 1 },
    ],
  ])
})

test('read positions outlive a log that does not answer', async (t) => {
  const log = new MemoryLog()
  const saved: (readonly ReadPosition[])[] = []
  log.saveReads = () => Promise.reject(new LogUnavailable('gone'))
  const { clock, connect } = openHub(t, { log })
  const a = connect(ann)
  await a.join()
  await a.ask(say(), say(), { type: 'read', room: 'lobby', seq: 1 })
  await clock.advance(1_000)
  await a.ask({ type: 'read', room: 'lobby', seq: 2 })
  log.saveReads = async (reads: readonly ReadPosition[] = []) => void saved.push(reads)
  await clock.advance(1_000)
  assert.deepEqual(saved, [[{ room: 'lobby', user: ann.id, seq: 2 }]])
})

test('a user who came back too soon has not got his tokens back', async (t) => {
  const { clock, connect } = openHub(t)
  const first = connect(ann)
  await first.join()
  await first.ask(...Array.from({ length: 20 }, () => say()))
  first.connection.gone()
  await clock.advance(2_000)
  const again = connect(ann)
  await again.join()
  await again.ask(...Array.from({ length: 20 }, () => say()))
  assert.equal(again.codes().length, 16)
})

test('at the end everything received is answered, then bye and 4000', async (t) => {
  const log = new MemoryLog()
  const { hub, clock, connect } = openHub(t, { log })
  const [a, b] = [connect(ann), connect(bob)]
  await b.join()
  const answers: (() => void)[] = []
  log.beforeRead = () => new Promise((resolve) => answers.push(resolve))
  a.send({ type: 'join', room: 'lobby' })
  a.send({ type: 'history', room: 'lobby', limit: 7 })
  const drained = hub.drain()
  a.send({ type: 'history', room: 'lobby' })
  b.send(say())
  for (let n = 0; n < 10; n += 1) {
    answers.splice(0).forEach((resolve) => resolve())
    await clock.advance(0)
  }
  await drained
  assert.deepEqual(a.codes(), ['unavailable'])
  assert.deepEqual(b.codes(), ['unavailable'])
  assert.equal(a.all('history').length, 2, 'that of the join, and the one asked for')
  for (const one of [a, b]) {
    assert.deepEqual([one.socket.code, one.events().at(-1)?.type], [4000, 'bye'])
  }
})

test('a log that hangs does not keep the end from coming', async (t) => {
  const log = new MemoryLog()
  const { hub, clock, connect } = openHub(t, { log, limits: { drainMs: 5_000 } })
  const a = connect(ann)
  await a.join()
  log.append = () => new Promise(() => {})
  await a.ask(say())
  const drained = hub.drain()
  await clock.advance(4_999)
  assert.equal(a.socket.code, null)
  await clock.advance(1)
  await drained
  assert.equal(a.socket.code, 4000)
})

test('a log that fails at the end is a fault, and no more', async (t) => {
  const log = new MemoryLog()
  const { hub, connect, faults } = openHub(t, { log })
  log.saveReads = () => Promise.reject(new LogUnavailable('gone'))
  const a = connect(ann)
  await a.join()
  await a.ask(say(), { type: 'read', room: 'lobby', seq: 1 })
  await a.ask({ type: 'read', room: 'lobby', seq: 1 })
  await hub.drain()
  assert.deepEqual([a.socket.code, faults.length], [4000, 1])
})

test('many are sent away in turns, with time to come back spread out', async (t) => {
  const { hub, clock, connect } = openHub(t)
  const all = Array.from({ length: 1_001 }, (_, n) => connect(nthUser(n)))
  const closed = () => all.filter(({ socket }) => socket.code === 4000).length
  const drained = hub.drain()
  // What still lies in the sockets comes first.
  while (closed() === 0) await clock.advance(0)
  assert.equal(closed(), 500)
  await clock.advance(250)
  assert.equal(closed(), 1_000)
  await clock.advance(250)
  await drained
  const waits = all.map((one) => one.all('bye')[0]!.retryAfterMs)
  assert.ok(Math.max(...waits) <= 5_005 && new Set(waits).size > 500)
})
