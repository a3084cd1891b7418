import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  connect,
  GENEROUS,
  newcomer,
  startServer,
  tempFolder,
  turn,
  type Account,
  type Client,
} from '../helpers.ts'

/** Until whoever asked for a list has to be seen gone. ms */
const NOTICED_MS = 20_000
/** Of the event loop: so many without a read say that none will come. */
const QUIET_TURNS = 50

async function roomsOf(url: string, { token }: Account) {
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`${url}/api/rooms`, { headers })
  assert.equal(response.status, 200)
  return v.parse(protocol.Rooms, await response.json())
}

async function annAndBob(t: TestContext) {
  const { url } = await startServer(t, { limits: GENEROUS })
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  return { url, ann, bob, rooms: () => roomsOf(url, ann.account) }
}

async function read(client: Client, seq: number, room = 'lobby') {
  client.send({ type: 'read', room, seq })
  await client.settle()
}

test('one is a member from the first join, whatever happens to the socket', async (t) => {
  const { url, ann, rooms } = await annAndBob(t)
  await ann.join('attic')
  const row = { head: 0, read: 0, unread: 0, mentions: 0, private: false }
  const all = [
    { room: 'attic', ...row },
    { room: 'lobby', ...row },
  ]
  assert.deepEqual(await rooms(), all)
  ann.cut()
  await ann.closeCode()
  assert.deepEqual(await rooms(), all)
  assert.deepEqual(await roomsOf(url, (await newcomer(t, url, 'Cy')).account), [])
})

test('leaving ends the membership and tells the user’s other connections', async (t) => {
  const { url, ann, bob, rooms } = await annAndBob(t)
  const second = await connect(t, url, ann.account)
  const elsewhere = await connect(t, url, ann.account)
  await second.join('lobby')
  await elsewhere.join('den')
  ann.send({ type: 'leave', room: 'lobby' })
  assert.deepEqual(await second.next('removed'), { type: 'removed', room: 'lobby' })
  await ann.settle()
  assert.deepEqual(
    (await rooms()).map(({ room }) => room),
    ['den'],
  )
  await bob.say('lobby', 'anybody?')
  for (const client of [ann, second, elsewhere]) {
    await client.settle()
    assert.deepEqual(client.all('message'), [])
  }
  assert.deepEqual([ann.all('removed'), elsewhere.all('removed')], [[], []])
  second.send({ type: 'typing', room: 'lobby' })
  assert.equal((await second.next('error', ({ of }) => of === 'typing')).code, 'not_joined')
  await elsewhere.say('den', 'the socket stays')
})

test('leaving where one is not does nothing', async (t) => {
  const { ann } = await annAndBob(t)
  ann.send({ type: 'leave', room: 'attic' })
  ann.send({ type: 'leave', room: 'lobby' })
  ann.send({ type: 'leave', room: 'lobby' })
  await ann.settle()
  assert.equal(ann.all('error').length, 1)
})

test('read goes to the user’s other connections only, and never back', async (t) => {
  const { url, ann, bob, rooms } = await annAndBob(t)
  const second = await connect(t, url, ann.account)
  const elsewhere = await connect(t, url, ann.account)
  await second.join('lobby')
  for (const body of ['one', 'two', 'three']) await bob.say('lobby', body)
  await read(ann, 2)
  for (const client of [second, elsewhere]) {
    assert.deepEqual(await client.next('read'), { type: 'read', room: 'lobby', seq: 2 })
  }
  assert.deepEqual(
    (await rooms()).map(({ read, unread }) => [read, unread]),
    [[2, 1]],
  )
  await read(second, 1)
  await read(second, 2)
  assert.equal((await rooms())[0]?.read, 2)
  await read(second, 99)
  assert.equal((await ann.next('read')).seq, 3)
  assert.deepEqual(
    (await rooms()).map(({ read, unread }) => [read, unread]),
    [[3, 0]],
  )
  await bob.settle()
  assert.deepEqual([bob.all('read'), ann.all('read').length], [[], 1])
})

test('a position ahead of the room is the room’s head, and stays there', async (t) => {
  const { ann, bob, rooms } = await annAndBob(t)
  await bob.say('lobby', 'one')
  await read(ann, Number.MAX_SAFE_INTEGER)
  await bob.say('lobby', 'two')
  assert.deepEqual(
    (await rooms()).map(({ head, read, unread }) => [head, read, unread]),
    [[2, 1, 1]],
  )
})

test('unread counts the messages of others, and those that mention one', async (t) => {
  const { ann, bob, rooms } = await annAndBob(t)
  await bob.say('lobby', 'one')
  await bob.say('lobby', 'for you', { mentions: [ann.account.user.id] })
  await bob.say('lobby', 'not for you', { mentions: [bob.account.user.id] })
  await ann.say('lobby', 'mine', { mentions: [ann.account.user.id] })
  bob.send({ type: 'edit', room: 'lobby', id: crypto.randomUUID(), target: 1, body: 'uno' })
  bob.send({
    type: 'react',
    room: 'lobby',
    id: crypto.randomUUID(),
    target: 1,
    emoji: '👍',
    on: true,
  })
  await bob.next('message', ({ seq }) => seq === 6)
  const [lobby] = await rooms()
  assert.deepEqual([lobby?.head, lobby?.unread, lobby?.mentions], [6, 3, 1])
  await read(ann, 2)
  const [after] = await rooms()
  assert.deepEqual([after?.unread, after?.mentions], [1, 0])
})

test('unread and mentions are counted to 100', async (t) => {
  const { ann, bob, rooms } = await annAndBob(t)
  const mentions = [ann.account.user.id]
  for (let i = 0; i < 130; i += 1) {
    bob.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: `${i}`, mentions })
  }
  await bob.next('message', ({ seq }) => seq === 130)
  const [lobby] = await rooms()
  assert.deepEqual([lobby?.unread, lobby?.mentions], [100, 100])
})

test('who leaves and comes back has read nothing, and can read again', async (t) => {
  const { ann, bob, rooms } = await annAndBob(t)
  await bob.say('lobby', 'one')
  await read(ann, 1)
  ann.send({ type: 'leave', room: 'lobby' })
  await ann.join('lobby')
  assert.equal((await rooms())[0]?.read, 0)
  await read(ann, 1)
  assert.equal((await rooms())[0]?.read, 1)
})

test('what was read survives an orderly restart', async (t) => {
  const env = { DATA_FILE: `${tempFolder(t)}/hearth.db` }
  const before = await startServer(t, { env })
  const ann = await newcomer(t, before.url, 'Ann')
  const bob = await newcomer(t, before.url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  await bob.say('lobby', 'one')
  await ann.next('message')
  await read(ann, 1)
  await before.close()
  const after = await startServer(t, { env })
  assert.equal((await roomsOf(after.url, ann.account))[0]?.read, 1)
})

test('of a list whose asker has gone no more is read', async (t) => {
  const { url, hub } = await startServer(t, { limits: { ...GENEROUS, listMs: NOTICED_MS * 2 } })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const [lobby] = await hub.log.rooms(ann.account.user.id)
  const some = Array.from({ length: hub.limits.roomsAtOnce }, () => lobby!)
  let reads = 0
  // There is always more.
  hub.log.rooms = async () => {
    reads += 1
    await turn()
    return some
  }
  const leaving = new AbortController()
  const headers = { authorization: `Bearer ${ann.account.token}` }
  const asked = fetch(`${url}/api/rooms`, { headers, signal: leaving.signal })
  while (reads < 2) await turn()
  leaving.abort()
  await assert.rejects(asked, { name: 'AbortError' })
  const deadline = performance.now() + NOTICED_MS
  for (let [quiet, seen] = [0, 0]; quiet < QUIET_TURNS; seen = reads) {
    assert.ok(performance.now() < deadline, 'it is read on and on')
    await turn()
    quiet = reads === seen ? quiet + 1 : 0
  }
})
