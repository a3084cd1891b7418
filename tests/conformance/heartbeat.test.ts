import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { GENEROUS, newcomer, startServer, TestClock, type Client } from '../helpers.ts'

async function stillServer(t: TestContext) {
  const clock = new TestClock()
  const { url, hub } = await startServer(t, { clock, limits: { ...GENEROUS, flushMs: 0 } })
  return { clock, url, hub }
}

/** A heartbeat of the socket itself, answered behind all that was sent before it. */
function reached({ socket }: Client) {
  return new Promise((resolve) => {
    socket.once('pong', resolve)
    socket.ping()
  })
}

/** What a well-behaved client does while time goes by. */
async function live(client: Client, clock: TestClock, seconds: number, frame: object | string) {
  for (let second = 0; second < seconds; second += 10) {
    client.send(frame)
    await reached(client)
    await clock.advance(10_000)
  }
}

test('every 25 s or so a ping says where the rooms are', async (t) => {
  const { clock, url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await ann.join('den')
  await ann.say('lobby', 'one')
  await ann.say('lobby', 'two')
  await clock.advance(22_000)
  await ann.settle()
  assert.deepEqual(ann.all('ping'), [])
  await clock.advance(6_000)
  assert.deepEqual(await ann.next('ping'), { type: 'ping', heads: { lobby: 2, den: 0 } })
  await live(ann, clock, 280, { type: 'pong' })
  await ann.settle()
  const { length } = ann.all('ping')
  assert.ok(length >= 10 && length <= 14, `${length} pings in 308 s`)
})

test('a ping names only the rooms one is in', async (t) => {
  const { clock, url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await ann.join('den')
  ann.send({ type: 'leave', room: 'den' })
  await ann.settle()
  await clock.advance(28_000)
  assert.deepEqual((await ann.next('ping')).heads, { lobby: 0 })
})

test('who is silent for 35 s is closed 4009, and gone from the room', async (t) => {
  const { clock, url, hub } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  await clock.advance(20_000)
  bob.send({ type: 'pong' })
  await reached(bob)
  await clock.advance(15_000)
  assert.equal(hub.connections.size, 2)
  await live(bob, clock, 40, { type: 'pong' })
  assert.equal(await ann.closeCode(), 4009)
  assert.equal(bob.closed, null)
  assert.equal(hub.connections.size, 1)
  await bob.next('presence', ({ left }) => left?.[0]?.name === 'Ann')
})

for (const frame of [
  { type: 'pong' },
  { type: 'typing', room: 'lobby' },
  { type: 'leave', room: 'elsewhere' },
  { type: 'no such type' },
]) {
  test(`any frame is life: ${frame.type}`, async (t) => {
    const { clock, url } = await stillServer(t)
    const ann = await newcomer(t, url, 'Ann')
    await ann.join('lobby')
    await live(ann, clock, 120, frame)
    await ann.settle()
    assert.equal(ann.closed, null)
  })
}

test('a server that was stopped itself judges nobody', async (t) => {
  const { clock, url } = await stillServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await clock.advance(1_000)
  clock.skip(300_000)
  await clock.advance(1_000)
  await ann.next('ping')
  await clock.advance(20_000)
  ann.send({ type: 'pong' })
  await ann.settle()
  assert.equal(ann.closed, null)
  await clock.advance(40_000)
  assert.equal(await ann.closeCode(), 4009)
})

test('one timer for all sockets and rooms, and one to ask the log, whatever their number', async (t) => {
  class CountingClock extends TestClock {
    readonly started: number[] = []
    running = 0

    override every(ms: number, callback: () => void) {
      this.started.push(ms)
      this.running += 1
      const stop = super.every(ms, callback)
      return () => {
        this.running -= 1
        return stop()
      }
    }
  }
  const clock = new CountingClock()
  const { url, close } = await startServer(t, { clock, limits: GENEROUS })
  for (const name of ['Ann', 'Bob', 'Cy', 'Dee']) {
    const client = await newcomer(t, url, name)
    for (const room of ['lobby', 'den', `room-of-${name.toLowerCase()}`]) await client.join(room)
  }
  await clock.advance(60_000)
  assert.deepEqual(clock.started, [1_000, 1_000])
  await close()
  assert.equal(clock.running, 0)
})
