import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  GENEROUS,
  newTicket,
  signIn,
  startServer,
  TestClock,
  Client,
  type ServerOptions,
} from '../helpers.ts'
import { WebSocket } from 'ws'

/** Ann in the lobby, on a connection whose ticket is known. */
async function annWithTicket(t: TestContext, options: ServerOptions = {}) {
  const clock = new TestClock()
  const env = { TOKEN_EVERY_MESSAGE: 'true' }
  const limits = { ...GENEROUS, flushMs: 0 }
  const { url, hub } = await startServer(t, { env, clock, limits, ...options })
  const account = await signIn(url, 'Ann')
  const fresh = () => newTicket(url, account.token)
  const token = await fresh()
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, ['hearth.v1', `ticket.${token}`])
  const ann = new Client(account, socket)
  t.after(() => ann.cut())
  await ann.next('welcome')
  await ann.join('lobby')
  return { url, hub, clock, ann, fresh, token }
}

const say = (more: object = {}) => ({
  type: 'say',
  room: 'lobby',
  id: crypto.randomUUID(),
  body: 'hello',
  ...more,
})

test('with TOKEN_EVERY_MESSAGE each message carries the ticket of its connection', async (t) => {
  const { ann, token } = await annWithTicket(t)
  assert.equal(ann.all('welcome')[0]?.tokenEveryMessage, true)
  await ann.say('lobby', 'hello', { token })
  for (const frame of [
    { type: 'edit', body: 'hi' },
    { type: 'react', emoji: '👍', on: true },
    { type: 'delete' },
  ]) {
    ann.send({ room: 'lobby', id: crypto.randomUUID(), target: 1, ...frame, token })
    await ann.next('message')
  }
})

for (const [what, type, more] of [
  ['a missing token', 'say', {}],
  ['a wrong token', 'say', { token: 'x'.repeat(43) }],
  ['a missing token', 'edit', { target: 1 }],
  ['a missing token', 'delete', { target: 1 }],
  ['a missing token', 'react', { target: 1, emoji: '👍', on: true }],
] as const) {
  test(`${what} of ${type} is unauthorized, stores nothing and closes 4501`, async (t) => {
    const { ann, hub, token } = await annWithTicket(t)
    await ann.say('lobby', 'hello', { token })
    const frame = say({ type, ...more })
    ann.send(frame)
    const { code, of, id, room } = await ann.next('error')
    assert.deepEqual([code, of, id, room], ['unauthorized', type, frame.id, 'lobby'])
    assert.equal(await ann.closeCode(), 4501)
    assert.equal((await hub.log.after('lobby', 0, 10)).length, 1)
  })
}

test('the ticket of another connection is a wrong token', async (t) => {
  const { ann, fresh } = await annWithTicket(t)
  ann.send(say({ token: await fresh() }))
  assert.equal(await ann.closeCode(), 4501)
})

test('renew puts a fresh ticket in place; the one before is good for 30 s', async (t) => {
  const { clock, ann, fresh, token } = await annWithTicket(t)
  const next = await fresh()
  ann.send({ type: 'renew', ticket: next })
  assert.deepEqual(await ann.next('renewed'), { type: 'renewed', expiresAt: null })
  await ann.say('lobby', 'new', { token: next })
  await ann.say('lobby', 'old', { token })
  await clock.advance(30_000)
  await ann.say('lobby', 'still', { token })
  await clock.advance(1)
  await ann.say('lobby', 'new', { token: next })
  ann.send(say({ token }))
  assert.equal((await ann.next('error')).code, 'unauthorized')
  assert.equal(await ann.closeCode(), 4501)
})

test('a bad ticket does not renew, and the connection goes on', async (t) => {
  const { url, ann, fresh, token, clock } = await annWithTicket(t)
  const bob = await signIn(url, 'Bob')
  const late = await fresh()
  await clock.advance(30_000)
  for (const ticket of [token, 'x'.repeat(43), late, await newTicket(url, bob.token)]) {
    ann.send({ type: 'renew', ticket })
    const { code, of } = await ann.next('error')
    assert.deepEqual([code, of], ['unauthorized', 'renew'])
  }
  await ann.say('lobby', 'here', { token })
})

test('without the option a token is not looked at, and renew works too', async (t) => {
  const { ann, fresh } = await annWithTicket(t, { env: {} })
  await ann.say('lobby', 'hello')
  await ann.say('lobby', 'hello', { token: 'x'.repeat(43) })
  ann.send({ type: 'renew', ticket: await fresh() })
  await ann.next('renewed')
})

test('a renewed connection ends with the session of its new ticket', async (t) => {
  const { url, ann, fresh, token } = await annWithTicket(t)
  ann.send({ type: 'renew', ticket: await fresh() })
  await ann.next('renewed')
  await ann.say('lobby', 'hello', { token })
  await fetch(`${url}/api/session`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${ann.account.token}` },
  })
  assert.equal(await ann.closeCode(), 4501)
})
