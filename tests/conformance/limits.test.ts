import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  connect,
  GENEROUS,
  holdAppends,
  newcomer,
  post,
  startServer,
  TestClock,
  type Client,
  type ServerOptions,
} from '../helpers.ts'

async function stillServer(t: TestContext, limits: ServerOptions['limits'] = {}) {
  const clock = new TestClock()
  const { url, hub } = await startServer(t, { clock, limits: { flushMs: 0, ...limits } })
  return { clock, url, hub }
}

const say = () => ({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'hello' })
const LEAVE = { type: 'leave', room: 'elsewhere' }
const PONG = { type: 'pong' }

function sendAll(client: Client, count: number, frame: () => object) {
  for (let times = 0; times < count; times += 1) client.send(frame())
}

test('20 messages at once, then two a second, and retryAfterMs is honest', async (t) => {
  const { clock, url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  sendAll(ann, 20, say)
  await ann.until(() => ann.all('message').length === 20)
  const frame = say()
  ann.send(frame)
  const { message: _, ...error } = await ann.next('error')
  assert.deepEqual(error, {
    type: 'error',
    code: 'rate_limited',
    of: 'say',
    id: frame.id,
    room: 'lobby',
    retryAfterMs: 500,
  })
  await clock.advance(490)
  ann.send(frame)
  const { retryAfterMs = 0 } = await ann.next('error')
  assert.ok(retryAfterMs >= 10 && retryAfterMs <= 11)
  await clock.advance(retryAfterMs)
  ann.send(frame)
  assert.equal((await ann.next('message')).id, frame.id)
  await clock.advance(10_000)
  sendAll(ann, 21, say)
  assert.equal((await ann.next('error')).code, 'rate_limited')
  await ann.until(() => ann.all('message').length === 41)
})

test('the rate is one for all of a user’s connections, and for every kind of entry', async (t) => {
  const { url } = await stillServer(t, { messageBurst: 4 })
  const ann = await newcomer(t, url, 'Ann')
  const annToo = await connect(t, url, ann.account)
  const bob = await newcomer(t, url, 'Bob')
  for (const client of [ann, annToo, bob]) await client.join('lobby')
  const change = { room: 'lobby', target: 1 }
  await ann.say('lobby', 'one')
  annToo.send({ ...change, type: 'edit', id: crypto.randomUUID(), body: 'uno' })
  annToo.send({ ...change, type: 'react', id: crypto.randomUUID(), emoji: '👍', on: true })
  annToo.send({ ...change, type: 'delete', id: crypto.randomUUID() })
  await ann.until(() => ann.all('message').length === 4)
  for (const client of [ann, annToo]) {
    client.send(say())
    assert.equal((await client.next('error')).code, 'rate_limited')
  }
  await bob.say('lobby', 'another user')
})

test('60 frames at once, then 20 a second; a few pong are free', async (t) => {
  const { clock, url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  sendAll(ann, 4, () => PONG)
  sendAll(ann, 61, () => LEAVE)
  const { code, of, room, retryAfterMs } = await ann.next('error')
  assert.deepEqual([code, of, room, retryAfterMs], ['rate_limited', 'leave', 'elsewhere', 50])
  await clock.advance(50)
  sendAll(ann, 2, () => LEAVE)
  await ann.next('error')
  assert.equal(ann.all('error').length, 2)
})

test('a frame that is refused for its rate is not looked into', async (t) => {
  const { url } = await stillServer(t, { frameBurst: 1 })
  const ann = await newcomer(t, url, 'Ann')
  ann.send(LEAVE)
  sendAll(ann, 15, () => ({ ...say(), body: '' }))
  await ann.until(() => ann.all('error').length === 15)
  assert.ok(ann.all('error').every(({ code, of }) => code === 'rate_limited' && of === 'say'))
  assert.equal(ann.closed, null)
})

test('40 pages at once, then 5 a second', async (t) => {
  const { clock, url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  sendAll(ann, 40, () => ({ type: 'history', room: 'lobby' }))
  const { code, of, room, retryAfterMs } = await ann.next('error')
  assert.deepEqual([code, of, room, retryAfterMs], ['rate_limited', 'history', 'lobby', 200])
  assert.equal(ann.all('history').length, 40)
  ann.send({ type: 'join', room: 'den' })
  assert.equal((await ann.next('error')).of, 'join')
  await clock.advance(200)
  await ann.join('den')
})

test('catching up waits for the rate instead of failing', async (t) => {
  const limits = { ...GENEROUS, readRate: 5, readBurst: 2, tailEntries: 0 }
  const { clock, url } = await stillServer(t, limits)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  sendAll(ann, 500, say)
  await ann.until(() => ann.all('message').length === 500)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby', { after: 0 })
  await bob.until(() => bob.all('message').length === 100)
  await clock.advance(2_000)
  await bob.until(() => bob.all('message').length === 500)
  assert.deepEqual(bob.all('error'), [])
})

test('a second gets 20 refusals at most; 100 refused frames in 10 s close 4029', async (t) => {
  const { url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  sendAll(ann, 159, () => LEAVE)
  const bob = await newcomer(t, url, 'Bob')
  await bob.settle()
  assert.equal(ann.closed, null)
  ann.send(LEAVE)
  assert.equal(await ann.closeCode(), 4029)
  assert.equal(ann.all('error').length, 20)
  const bye = ann.events.at(-1)
  assert.ok(bye?.type === 'bye' && bye.code === 4029 && bye.retryAfterMs > 0)
  await bob.settle()
})

test('who slows down is not closed', async (t) => {
  const { clock, url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const refusals = () => ann.all('error').filter(({ code }) => code === 'rate_limited')
  for (let turns = 1; turns <= 3; turns += 1) {
    sendAll(ann, 159, () => LEAVE)
    await ann.until(() => refusals().length === turns * 20)
    await ann.isRead()
    await clock.advance(10_001)
    ann.send(PONG)
    await ann.settle()
    await clock.advance(10_001)
  }
  assert.equal(ann.closed, null)
})

test('too many uncommitted frames close 4029', async (t) => {
  const { url, hub } = await stillServer(t, { ...GENEROUS, waitingToClose: 50 })
  const release = holdAppends(hub.log)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  sendAll(ann, 51, say)
  assert.equal(await ann.closeCode(), 4029)
  release()
})

test('names that nobody used yet are rooms at a rate; who comes into one that is there pays none', async (t) => {
  const { clock, url } = await stillServer(t, { ...GENEROUS, roomChangesPerMinute: 3 })
  const [ann, bob] = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Bob')]
  for (const room of ['one', 'two']) await bob.join(room)
  for (const room of ['one', 'two', 'three', 'four', 'five']) await ann.join(room)
  ann.send({ type: 'join', room: 'six' })
  const { message: _, ...refused } = await ann.next('error')
  const error = { type: 'error', code: 'rate_limited', of: 'join', room: 'six' }
  assert.deepEqual(refused, { ...error, retryAfterMs: 20_000 })
  const { token } = ann.account
  const authorization = `Bearer ${token}`
  const messages = (room: string) => `${url}/api/rooms/${room}/messages`
  const elsewhere = [
    await post(messages('six'), { body: 'hello' }, token),
    await fetch(`${url}/api/rooms/six/events`, { headers: { authorization } }),
    await post(`${url}/api/rooms`, { room: 'seven' }, token),
  ]
  for (const { status, headers } of elsewhere) {
    assert.deepEqual([status, headers.get('retry-after')], [429, '20'])
  }
  assert.equal((await post(messages('two'), { body: 'hello' }, token)).status, 201)
  await bob.join('one')
  await clock.advance(20_000)
  for (const client of [ann, bob]) client.send(PONG)
  await ann.join('six')
  await bob.join('six')
})

test('an address makes so many rooms, whoever comes from it', async (t) => {
  const limits = { roomChangesPerMinute: 2, connectionsPerIp: 16 }
  const { url } = await stillServer(t, { ...GENEROUS, ...limits })
  const people = []
  for (const name of ['Ann', 'Bob', 'Cid']) people.push(await newcomer(t, url, name))
  const [ann, bob, cid] = people
  for (const room of ['one', 'two']) await ann!.join(room)
  for (const room of ['three', 'four']) await bob!.join(room)
  cid!.send({ type: 'join', room: 'five' })
  assert.match((await cid!.next('error')).message, /too many changes to rooms from this address/)
  await cid!.join('one')
})
