import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test, type TestContext } from 'node:test'
import type { Subscriber } from '../../src/chat/hub.ts'
import type { Hub } from '../../src/chat/hub.ts'
import {
  connect,
  GENEROUS,
  newcomer,
  newTicket,
  signIn,
  startServer,
  TestClock,
  turn,
  type Client,
  type ServerOptions,
} from '../helpers.ts'
import { handshake, RawSocket } from './raw.ts'

/** As much as one message holds: 12 KB in UTF-8. */
const MUCH = '火'.repeat(4_000)
/** Enough to fill what systems keep for a socket on both sides, and then our queue. */
const MOST_MESSAGES = 4_000

/** A close frame with its code, as bytes. */
const CLOSE_4008 = '\x88\x02\x0f\xa8'

const BIG_ROOM = { ...GENEROUS, waitingBytesToClose: 1e9, waitingToClose: 1e9, pauseAt: 1e9 }

/** A client frame as it goes over the wire, with a mask of zeros. */
function wire(frame: object) {
  const bytes = Buffer.from(JSON.stringify(frame))
  assert.ok(bytes.length < 126)
  return Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length, 0, 0, 0, 0]), bytes])
}

/** Somebody in the lobby who does not read any more. */
async function sleeper(t: TestContext, url: string, name: string) {
  const account = await signIn(url, name)
  const raw = new RawSocket(t, url)
  raw.write(handshake(await newTicket(url, account.token)))
  await raw.until(() => raw.text.includes('"welcome"'))
  raw.socket.write(wire({ type: 'join', room: 'lobby' }))
  await raw.until(() => raw.text.includes('"history"'))
  raw.socket.pause()
  return { raw, account }
}

/** Talks until `isEnough`. @returns how many messages that took */
async function talk(ann: Client, isEnough: () => boolean) {
  const before = ann.all('message').length
  let count = 0
  while (!isEnough()) {
    assert.ok(count < MOST_MESSAGES, 'somebody swallows it all')
    for (let burst = 0; burst < 20; burst += 1, count += 1) {
      ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: MUCH })
    }
    await ann.until(() => ann.all('message').length === before + count)
  }
  return count
}

/** The sleeper asks for one page of 64 KiB after the other, until `isEnough`. */
async function gorge({ socket }: RawSocket, ann: Client, isEnough: () => boolean) {
  for (let count = 0; !isEnough(); count += 10) {
    assert.ok(count < MOST_MESSAGES, 'somebody swallows it all')
    const pages = Array.from({ length: 10 }, () => wire({ type: 'history', room: 'lobby' }))
    socket.write(Buffer.concat(pages))
    // Node reads one frame of a socket in each turn.
    for (let turns = 0; turns < 50; turns += 1) await turn()
    await ann.settle()
  }
  await ann.settle()
}

/**
 * Gorges until more than `least` bytes wait, and go on waiting: the system takes some late.
 * @returns how many
 */
async function stuff(raw: RawSocket, ann: Client, rip: Subscriber, least: number) {
  while (rip.queued <= least) {
    await gorge(raw, ann, () => rip.queued > least)
    for (let before = NaN; rip.queued !== before;) {
      before = rip.queued
      for (let turns = 0; turns < 200; turns += 1) await turn()
    }
  }
  return rip.queued
}

const connectionOf = (hub: Hub, user: string) =>
  [...hub.connections].find((connection) => connection.user.id === user)

async function busyRoom(t: TestContext, options: ServerOptions = {}) {
  const limits = { ...BIG_ROOM, ...options.limits }
  const { url, hub } = await startServer(t, { ...options, limits })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  for (let count = 0; count < 6; count += 1) await ann.say('lobby', MUCH)
  const { raw, account } = await sleeper(t, url, 'Rip')
  return { url, hub, ann, raw, account }
}

test('who reads too slowly is closed 4008, disturbs nobody, and loses nothing', async (t) => {
  const { url, hub, ann, raw, account } = await busyRoom(t)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  const isGone = () => !connectionOf(hub, account.user.id)
  const before = ann.all('message').length
  const count = before + (await talk(ann, isGone))
  await bob.until(() => bob.all('message').length === count - before)
  assert.deepEqual([ann.closed, bob.closed], [null, null])

  raw.socket.resume()
  // On Node the connection may be over before, as who does not answer a close is cut after 2 s.
  await raw.until(() => raw.isClosed || raw.tail.endsWith(CLOSE_4008))
  const seqs = [...raw.text.matchAll(/"seq":(\d+)/g)].map(([, seq]) => Number(seq))
  const last = seqs.at(-1) ?? 0
  assert.ok(last > before && last < count)
  assert.ok(
    seqs.every((seq, index) => seq === seqs[0]! + index),
    'neither hole nor double',
  )

  const held = Math.max(last, count - 1_000)
  const again = await connect(t, url, account)
  await again.join('lobby', { after: held })
  await again.until(() => again.all('message').length === count - held)
  assert.deepEqual(
    again.all('message').map(({ seq }) => seq),
    Array.from({ length: count - held }, (_, index) => held + index + 1),
  )
})

test('typing and presence are left out long before', async (t) => {
  const clock = new TestClock()
  const limits = { slowBytes: 1e9, flushMs: 0, stallMs: 1e9, silenceMs: 1e9 }
  const { url, hub, ann, raw, account } = await busyRoom(t, { clock, limits })
  const rip = connectionOf(hub, account.user.id)!
  const before = await stuff(raw, ann, rip, 256 * 1024)
  ann.send({ type: 'typing', room: 'lobby' })
  await ann.settle()
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby', { limit: 0 })
  await clock.advance(2_000)
  await ann.next('presence', ({ joined }) => joined?.some(({ name }) => name === 'Bob') ?? false)
  assert.equal(rip.queued, before)
  await ann.say('lobby', 'the last word')
  raw.socket.resume()
  await raw.until(() => raw.tail.includes('the last word'))
  // Not `doesNotMatch`, which would print megabytes.
  assert.equal(/"type":"typing"|"Bob"/.exec(raw.text)?.[0], undefined)
})

test('10 s without a byte taken close 4008; who reads on in time stays', async (t) => {
  const clock = new TestClock()
  const limits = { slowBytes: 1e9, flushMs: 0, silenceMs: 1e9, heartbeatMs: 1e9 }
  const { hub, ann, raw, account } = await busyRoom(t, { clock, limits })
  const rip = connectionOf(hub, account.user.id)!
  await stuff(raw, ann, rip, 0)
  await clock.advance(9_000)
  raw.socket.resume()
  while (rip.queued > 0) await turn()
  await clock.advance(20_000)
  assert.equal(rip.isClosed, false)

  raw.socket.pause()
  await stuff(raw, ann, rip, 64 * 1024)
  await clock.advance(9_000)
  assert.equal(rip.isClosed, false)
  await clock.advance(3_000)
  assert.equal(rip.isClosed, true)
  assert.equal(ann.closed, null)
  assert.equal(hub.connections.size, 1)
})

test('a closed slow reader leaves nothing behind', async (t) => {
  const clock = new TestClock()
  const { hub, ann, raw, account } = await busyRoom(t, { clock, limits: { flushMs: 0 } })
  await gorge(raw, ann, () => !connectionOf(hub, account.user.id))
  await clock.advance(10_000)
  const { left } = await ann.next('presence', (presence) => presence.left !== undefined)
  assert.deepEqual(left, [account.user])
})
