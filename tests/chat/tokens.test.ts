/** Fresh tickets on a live socket, and a token with every message. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ann, bob, userId } from '../store/drafts.ts'
import { openHub } from './fakes.ts'

const FIRST = 'first-ticket-of-this'
const SECOND = 'second-ticket-of-it'

const say = (token?: string) => ({
  ...{ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'hello' },
  ...(token !== undefined && { token }),
})

test('renew takes a fresh ticket of the same user', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  const expiresAt = new Date('2026-01-01T12:00:00Z')
  a.state.fresh = { ...a.identity, ticket: SECOND, expiresAt }
  await a.ask({ type: 'renew', ticket: SECOND })
  assert.deepEqual(a.all('renewed'), [{ type: 'renewed', expiresAt: expiresAt.toISOString() }])
})

test('renew refuses a ticket that is not good, or of somebody else', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  for (const fresh of [null, { ...a.identity, user: bob }]) {
    a.state.fresh = fresh
    await a.ask({ type: 'renew', ticket: SECOND })
  }
  assert.deepEqual(a.codes(), ['unauthorized', 'unauthorized'])
  assert.deepEqual([a.connection.user, a.socket.code], [ann, null])
})

test('with a token every message needs it: without, or with another, it is over', async (t) => {
  const { connect, log } = openHub(t, { tokenEveryMessage: true })
  const target = { room: 'lobby', id: userId(1), target: 1 }
  const frames = [
    ...[say(), say('not-the-ticket-here'), { type: 'edit', body: 'a', ...target }],
    ...[
      { type: 'delete', ...target },
      { type: 'react', emoji: '👍', on: true, ...target },
    ],
  ]
  for (const frame of frames) {
    const a = connect(ann)
    await a.join()
    await a.ask(frame)
    assert.deepEqual([a.codes(), a.socket.code], [['unauthorized'], 4501])
  }
  assert.deepEqual(log.entries('lobby'), [])
  const a = connect(ann)
  assert.ok(a.all('welcome')[0]?.tokenEveryMessage)
  await a.join()
  await a.ask(say(FIRST), { type: 'typing', room: 'lobby' })
  assert.deepEqual([a.all('message').length, a.codes()], [1, []])
})

test('after renew the ticket before is good for 30 s more', async (t) => {
  const { connect, clock } = openHub(t, { tokenEveryMessage: true })
  const a = connect(ann)
  await a.join()
  a.state.fresh = { ...a.identity, ticket: SECOND }
  await a.ask({ type: 'renew', ticket: SECOND })
  await a.ask(say(FIRST), say(SECOND))
  await clock.advance(30_000)
  await a.ask(say(FIRST))
  assert.equal(a.all('message').length, 3)
  await clock.advance(1)
  await a.ask(say(SECOND))
  assert.equal(a.socket.code, null)
  await a.ask(say(FIRST))
  assert.equal(a.socket.code, 4501)
})

test('at the end of its session: bye and 4501; renewed in time: not', async (t) => {
  const { connect, clock } = openHub(t)
  const expiresAt = new Date(clock.date().getTime() + 10_000)
  const [a, b] = [connect(ann, { expiresAt }), connect(bob, { expiresAt })]
  assert.equal(a.all('welcome')[0]?.expiresAt, expiresAt.toISOString())
  await clock.advance(5_000)
  b.state.fresh = {
    ...b.identity,
    ticket: SECOND,
    expiresAt: new Date(expiresAt.getTime() + 9_000),
  }
  await b.ask({ type: 'renew', ticket: SECOND })
  await clock.advance(6_000)
  assert.deepEqual([a.socket.code, b.socket.code], [4501, null])
  assert.equal(a.all('bye')[0]?.code, 4501)
})
