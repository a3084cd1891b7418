import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, GENEROUS, newcomer, startServer, turn, type Client } from '../helpers.ts'

const bodies = (client: Client, room = 'lobby') =>
  client
    .all('message')
    .filter((entry) => entry.room === room)
    .map((entry) => entry.kind === 'message' && entry.body)
const seqs = (client: Client) => client.all('message').map(({ seq }) => seq)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

test('a message from one reaches all, once and in order', async (t) => {
  const { url } = await startServer(t)
  const names = ['Ann', 'Bob', 'Cy', 'Dee', 'Eve', 'Fay', 'Gus', 'Hal']
  const clients = await Promise.all(names.map((name) => newcomer(t, url, name)))
  const [ann, bob] = clients as [Client, Client]
  for (const client of clients) await client.join('lobby')
  const sent = [await ann.say('lobby', 'hello'), await bob.say('lobby', 'hi')]
  assert.deepEqual(
    sent.map(({ seq }) => seq),
    [1, 2],
  )
  for (const client of clients) {
    await client.until(() => client.all('message').length === 2)
    assert.deepEqual(client.all('message'), sent)
  }
})

test('the sender gets its own entry: that is the acknowledgement', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const id = crypto.randomUUID()
  const { at, ...entry } = await ann.say('lobby', 'hello', { id })
  const { user } = ann.account
  assert.deepEqual(entry, {
    type: 'message',
    room: 'lobby',
    seq: 1,
    id,
    kind: 'message',
    author: user,
    body: 'hello',
  })
  assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000)
})

test('welcome says who one is and what the limits are', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  assert.deepEqual(ann.events[0], {
    type: 'welcome',
    user: ann.account.user,
    protocol: 'hearth.v1',
    heartbeat: { interval: 25_000, timeout: 35_000 },
    limits: { frame: 16_384, body: 4_000, page: 100, rate: 2, burst: 20 },
    expiresAt: null,
    tokenEveryMessage: false,
  })
})

test('one connection talks in several rooms, each with its own order', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  for (const room of ['den', 'lobby']) await ann.join(room)
  await bob.join('den')
  for (const [room, body] of [
    ['den', 'one'],
    ['lobby', 'uno'],
    ['den', 'two'],
    ['lobby', 'dos'],
  ] as const) {
    await ann.say(room, body)
  }
  assert.deepEqual(seqs(ann), [1, 1, 2, 2])
  await bob.until(() => bob.all('message').length === 2)
  await bob.settle()
  assert.deepEqual(bodies(bob, 'den'), ['one', 'two'])
  assert.deepEqual(bodies(bob, 'lobby'), [])
  assert.ok(
    ann.frames.every((events) => new Set(events.map((e) => 'room' in e && e.room)).size < 2),
  )
})

test('pipelined messages keep their order and come in few frames', async (t) => {
  const { url } = await startServer(t, { limits: GENEROUS })
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  const said = upTo(200).map(String)
  for (const body of said) ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body })
  for (const client of [ann, bob]) {
    await client.until(() => client.all('message').length === said.length)
    assert.deepEqual(bodies(client), said)
    assert.deepEqual(seqs(client), upTo(said.length))
    const frames = client.frames.filter(([event]) => event?.type === 'message')
    assert.ok(frames.length < said.length / 4, `${frames.length} frames`)
  }
})

test('join and say need no waiting in between', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  ann.send({ type: 'join', room: 'lobby' })
  for (const body of ['one', 'two']) {
    ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body })
  }
  ann.send({ type: 'join', room: 'den' })
  ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'three' })
  await ann.until(() => ann.all('message').length === 3)
  assert.deepEqual(bodies(ann), ['one', 'two', 'three'])
  assert.deepEqual(ann.all('error'), [])
})

test('frames keep their order behind a join, however long the log takes for it', async (t) => {
  const { url, hub } = await startServer(t)
  const { enter } = hub.log
  hub.log.enter = async (...args) => {
    for (let turns = 0; turns < 20; turns += 1) await turn()
    return enter(...args)
  }
  const ann = await newcomer(t, url, 'Ann')
  const say = (body: string) =>
    ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body })
  ann.send({ type: 'join', room: 'lobby' })
  say('one')
  ann.send({ type: 'join', room: 'den' })
  say('two')
  await ann.next('joined', ({ room }) => room === 'lobby')
  say('three')
  ann.send({ type: 'join', room: 'lobby', after: 0 })
  say('four')
  await ann.until(() => new Set(seqs(ann)).size === 4)
  const order = ann.all('message').toSorted((a, b) => a.seq - b.seq)
  assert.deepEqual(
    [...new Set(order.map((entry) => entry.kind === 'message' && entry.body))],
    ['one', 'two', 'three', 'four'],
  )
})

test('join, leave and join again in one breath ends in the room', async (t) => {
  const { url, hub } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  for (const type of ['join', 'leave', 'join']) ann.send({ type, room: 'lobby' })
  await ann.say('lobby', 'still here')
  const rooms = await hub.log.rooms(ann.account.user.id)
  assert.deepEqual(
    rooms.map(({ room }) => room),
    ['lobby'],
  )
})

test('replies and mentions come with the entry', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  const mentions = [bob.account.user.id]
  await ann.say('lobby', 'one')
  const reply = await ann.say('lobby', 'two', { replyTo: 1, mentions })
  assert.ok(reply.kind === 'message')
  assert.deepEqual([reply.replyTo, reply.mentions], [1, mentions])
  assert.deepEqual(await bob.next('message', ({ seq }) => seq === 2), reply)
  const { page } = await (await connect(t, url, bob.account)).join('lobby')
  assert.deepEqual([page?.messages[1]?.replyTo, page?.messages[1]?.mentions], [1, mentions])
})

test('a reply to nothing is not_found and takes no number', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const id = crypto.randomUUID()
  ann.send({ type: 'say', room: 'lobby', id, body: 'what?', replyTo: 7 })
  const { code, of, room, ...error } = await ann.next('error')
  assert.deepEqual([code, of, error.id, room], ['not_found', 'say', id, 'lobby'])
  assert.equal((await ann.say('lobby', 'ah')).seq, 1)
})

test('a body is kept in NFC, with its newlines and tabs', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const entry = await ann.say('lobby', 'cafe\u0301\n\ttea \u{1f375}')
  assert.equal(entry.kind === 'message' && entry.body, 'café\n\ttea \u{1f375}')
})

test('unknown keys are ignored', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby', { colour: 'red' })
  const entry = await ann.say('lobby', 'hi', { seq: 99, author: 'root' })
  assert.deepEqual([entry.seq, entry.author], [1, ann.account.user])
})
