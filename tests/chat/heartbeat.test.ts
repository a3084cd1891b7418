/** Pings, silence, stalls: who is dead, and when nobody is judged. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ann, bob } from '../store/drafts.ts'
import { openHub } from './fakes.ts'

const say = () => ({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'hello' })

test('a ping every 25 s, give or take a tenth, with the heads of the live rooms', async (t) => {
  const { connect, clock } = openHub(t)
  const a = connect(ann)
  await a.join('lobby')
  await a.join('garden')
  await a.ask(say(), say())
  await clock.advance(22_000)
  assert.deepEqual(a.all('ping'), [])
  await clock.advance(7_000)
  assert.deepEqual(a.all('ping'), [{ type: 'ping', heads: { lobby: 2, garden: 0 } }])
  for (let n = 0; n < 4; n += 1) {
    await a.ask({ type: 'pong' })
    await clock.advance(25_000)
  }
  assert.ok(a.all('ping').length >= 4 && a.all('ping').length <= 6)
})

test('35 s of silence are the end, without a word', async (t) => {
  const { connect, clock } = openHub(t)
  const a = connect(ann)
  await clock.advance(35_000)
  assert.equal(a.socket.code, null)
  await clock.advance(1_000)
  assert.deepEqual([a.socket.code, a.all('bye'), a.state.gone], [4009, [], 1])
})

test('every frame is life, the refused ones too', async (t) => {
  const { connect, clock } = openHub(t)
  const frames = [{ type: 'pong' }, { type: 'typing', room: 'lobby' }, { type: 'new' }, '[]']
  for (const frame of frames) {
    const a = connect(ann)
    for (let n = 0; n < 4; n += 1) {
      await clock.advance(30_000)
      await a.ask(frame)
    }
    assert.equal(a.socket.code, null)
    a.connection.gone()
  }
})

test('after a stall of our own nobody is judged', async (t) => {
  const { connect, clock } = openHub(t)
  const [a, b] = [connect(ann), connect(bob)]
  await clock.advance(1_000)
  clock.skip(60_000)
  await clock.advance(0)
  assert.deepEqual([a.socket.code, b.socket.code], [null, null])
  await clock.advance(30_000)
  await a.ask({ type: 'pong' })
  await clock.advance(6_000)
  assert.deepEqual([a.socket.code, b.socket.code], [null, 4009])
})

test('a reader that takes nothing for 10 s is too slow; one that takes little is not', async (t) => {
  const { connect, clock } = openHub(t)
  const [stuck, slow] = [connect(ann), connect(bob)]
  stuck.socket.bufferedAmount = 200
  slow.socket.bufferedAmount = 200
  for (let n = 0; n < 12; n += 1) {
    slow.socket.bufferedAmount -= 10
    await slow.ask({ type: 'pong' })
    await stuck.ask({ type: 'pong' })
    await clock.advance(1_000)
  }
  assert.deepEqual([stuck.socket.code, slow.socket.code], [4008, null])
  assert.deepEqual(stuck.all('bye'), [])
})

test('more than a mebibyte queued closes 4008; above 256 KiB typing is dropped first', async (t) => {
  const { connect, clock } = openHub(t)
  const [a, b] = [connect(ann), connect(bob)]
  await a.join()
  await b.join()
  b.socket.bufferedAmount = 256 * 1024 + 1
  await a.ask({ type: 'typing', room: 'lobby' }, say())
  assert.deepEqual([b.all('typing').length, b.all('message').length], [0, 1])
  b.socket.bufferedAmount = 1024 * 1024
  await a.ask(say())
  await clock.advance(16)
  assert.equal(b.socket.code, null)
  b.socket.bufferedAmount += 1
  await a.ask(say())
  await clock.advance(16)
  assert.deepEqual([b.socket.code, b.state.gone], [4008, 1])
  assert.equal(a.all('message').length, 3)
})
