import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer, Failure } from '../../static/api.js'
import { Client } from '../../static/client.js'
import { createMemoryStore } from '../../static/outbox.js'
import { entryOf, FakeClock, fakeSockets, idOf, me, messageOf } from './fakes.ts'
import { other, said, settle, welcome } from './fakes.ts'

const TICKET = 'abcdefghijklmnopqrstuvwxyz'

type Summary = { room: string; head: number; read: number; unread: number; mentions?: number }

function setUp({ rooms = [] as Summary[], storage = createMemoryStore() } = {}) {
  const clock = new FakeClock()
  const { sockets, WebSocket } = fakeSockets()
  const states: string[] = []
  const server = {
    ticket: { value: { ticket: TICKET, expiresAt: '' } } as Answer<never>,
    rooms,
    /** Instead of the rooms. */
    failure: undefined as Failure | undefined,
    asked: 0,
  }
  const mentions: string[] = []
  const api = {
    ticket: async () => server.ticket,
    rooms: async () => {
      server.asked += 1
      if (server.failure) return { failure: server.failure }
      return { value: server.rooms.map((room) => ({ mentions: 0, private: false, ...room })) }
    },
  }
  const client = new Client({
    user: me,
    api: api as never,
    url: 'ws://hearth.example/ws',
    WebSocket,
    clock,
    storage,
    random: () => 1,
    onState: (state) => states.push(state),
    onMention: (room, { body }) => mentions.push(`${room.name}: ${body}`),
  })
  const socket = () => sockets.at(-1) ?? assert.fail('no socket')
  /** The frames of a type that the newest socket was given. */
  const sent = (type: string) => socket().sent.filter((frame) => frame.type === type)
  return { clock, sockets, states, server, client, socket, sent, storage, mentions }
}

const joined = (rest = {}) => ({
  type: 'joined',
  room: 'lobby',
  epoch: 'e',
  head: 5,
  from: 6,
  reset: false,
  count: 2,
  members: [me, other],
  private: false,
  ...rest,
})
const page = { type: 'history', room: 'lobby', head: 5, messages: [messageOf(5)], more: true }

async function inLobby(options?: Parameters<typeof setUp>[0]) {
  const all = setUp(options)
  const room = all.client.open('lobby')
  all.client.start()
  await settle()
  all.socket().tell(welcome)
  await settle()
  all.socket().tell(joined(), page)
  return { ...all, room }
}

test('a user who was given another name goes by it from the next welcome on', async () => {
  const { client, socket } = await inLobby()
  assert.equal(client.user.name, me.name)
  socket().tell({ ...welcome, user: { ...me, name: 'Zoey' } })
  assert.deepEqual([client.user.id, client.user.name], [me.id, 'Zoey'])
})

test('a ticket, a socket with it, welcome, join, the newest page, the other rooms', async () => {
  const { socket, sent, room, client } = await inLobby({
    rooms: [{ room: 'garden', head: 9, read: 6, unread: 3 }],
  })
  assert.deepEqual(socket().protocols, ['hearth.v1', `ticket.${TICKET}`])
  assert.deepEqual(sent('join'), [
    { type: 'join', room: 'lobby' },
    { type: 'join', room: 'garden', limit: 0 },
  ])
  assert.equal(room.timeline.items.length, 1)
  assert.equal(client.rooms.get('garden')?.unread, 3)
})

test('after a cut it comes back with a new ticket, resumes, and then sends its outbox', async () => {
  const { client, clock, socket, sockets, sent, room } = await inLobby()
  socket().tell(said(6))
  client.say('lobby', 'hello')
  const [first] = sent('say')
  socket().end(1006)
  assert.equal(room.live, false)
  clock.pass(500)
  await settle()
  assert.equal(sockets.length, 2)
  socket().tell(welcome)
  const resume = { type: 'join', room: 'lobby', after: 6, last: idOf(6), epoch: 'e' }
  assert.deepEqual(sent('join'), [resume])
  assert.deepEqual(sent('say'), [])
  socket().tell(joined({ from: 7, head: 8 }))
  assert.deepEqual(sent('say'), [first])
  socket().tell(said(7), said(8, { author: me, id: String(first?.id), body: 'hello' }))
  assert.deepEqual(client.outbox.of('lobby'), [])
  assert.deepEqual(
    room.timeline.items.map((item) => item.seq),
    [5, 6, 7, 8],
  )
})

test('nothing is given to a socket that is closing, which would drop it', async () => {
  const { client, clock, socket, sent } = await inLobby()
  const closing = socket()
  closing.readyState = 2
  client.say('lobby', 'on the way out')
  assert.deepEqual([sent('say'), client.outbox.size], [[], 1])
  closing.end(1006)
  clock.pass(500)
  await settle()
  socket().tell(welcome, joined({ from: 6, head: 5 }))
  assert.equal(sent('say')[0]?.body, 'on the way out')
})

test('a repeat acknowledges, and so does a page; an error does not', async () => {
  const { client, socket, sent } = await inLobby()
  client.say('lobby', 'one')
  client.say('lobby', 'two')
  const [one] = sent('say')
  socket().tell({ type: 'error', code: 'unavailable', message: 'busy', of: 'say', id: one?.id })
  assert.equal(client.outbox.of('lobby').length, 2)
  socket().tell(said(2, { author: me, id: String(one?.id), body: 'one', repeat: true }))
  assert.equal(client.outbox.of('lobby').length, 1)
  const two = sent('say').at(-1)
  socket().tell({ ...page, messages: [messageOf(3, { author: me, id: String(two?.id) })] })
  assert.equal(client.outbox.of('lobby').length, 0)
})

test('somebody else’s entry with the same id acknowledges nothing', async () => {
  const { client, socket, sent } = await inLobby()
  client.say('lobby', 'mine')
  socket().tell(said(6, { id: String(sent('say')[0]?.id) }))
  assert.equal(client.outbox.of('lobby').length, 1)
})

test('a hole is repaired by one join on the same socket', async () => {
  const { socket, sockets, sent, room } = await inLobby()
  socket().tell(said(6))
  socket().tell(said(8), said(9))
  assert.deepEqual(sent('join').slice(1), [
    { type: 'join', room: 'lobby', after: 6, last: idOf(6), epoch: 'e' },
  ])
  socket().tell(joined({ from: 7, head: 9 }), said(7), said(8), said(9))
  assert.equal(room.timeline.position, 9)
  assert.equal(room.timeline.items.length, 5)
  assert.equal(sockets.length, 1)
})

test('a heartbeat is answered, and its heads are compared', async () => {
  const { clock, socket, sent } = await inLobby()
  socket().tell({ type: 'ping', heads: { lobby: 5 } })
  assert.equal(sent('pong').length, 1)
  assert.equal(sent('join').length, 1)
  socket().tell({ type: 'ping', heads: { lobby: 7 } })
  assert.equal(sent('join').length, 2)
  socket().tell(joined(), { type: 'ping', heads: {} })
  clock.pass(1000)
  assert.equal(sent('join').length, 3, 'a room that is missing; the last join brought nothing')
})

test('an entry that cannot be read: join again, later each time, afresh in the end', async () => {
  const { clock, socket, sent, room } = await inLobby()
  const broken = { ...said(6), at: 'never' }
  for (const _ of [1, 2, 3, 4]) {
    socket().tell(broken)
    clock.pass(20_000)
    socket().tell(joined())
  }
  assert.deepEqual(
    sent('join').map((frame) => frame.after),
    [undefined, 5, 5, 5, undefined],
  )
  assert.equal(room.live, true)
})

test('an entry of an unknown kind moves the position, an unknown event nothing', async () => {
  const { socket, sent, room } = await inLobby()
  socket().tell({ ...said(6), kind: 'poll' }, { type: 'fireworks' }, said(7))
  assert.equal(room.timeline.position, 7)
  assert.equal(sent('join').length, 1)
})

test('reset: what was held is dropped', async () => {
  const { socket, room } = await inLobby()
  socket().tell(joined({ reset: true, epoch: 'f', head: 2, from: 3 }))
  assert.equal(room.timeline.items.length, 0)
  const messages = [messageOf(1), messageOf(2)]
  socket().tell({ ...page, head: 2, messages, more: false }, said(3))
  assert.deepEqual(
    room.timeline.items.map((item) => item.seq),
    [1, 2, 3],
  )
})

test('a silent server is given up after its own timeout and five seconds', async () => {
  const { clock, socket, sockets } = await inLobby()
  clock.pass(39_999)
  assert.equal(sockets.length, 1)
  socket().tell({ type: 'ping', heads: { lobby: 5 } })
  clock.pass(39_999)
  await settle()
  assert.equal(sockets.length, 1)
  clock.pass(1)
  await settle()
  assert.equal(sockets[0]?.isClosed, true)
  clock.pass(0)
  await settle()
  assert.equal(sockets.length, 2)
})

test('backoff doubles up to 20 s; a bye’s delay is kept; waking up comes at once', async () => {
  const { client, clock, socket, sockets, server } = await inLobby()
  server.ticket = { failure: { status: 0, code: 'offline' } }
  socket().end(1006)
  for (const ms of [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]) {
    clock.pass(ms - 1)
    await settle()
    assert.equal(client.connection.state, 'waiting', `after ${ms - 1}`)
    clock.pass(1)
    await settle()
  }
  server.ticket = { value: { ticket: TICKET, expiresAt: '' } as never }
  client.wake()
  clock.pass(0)
  await settle()
  assert.equal(sockets.length, 2)
  socket().tell(welcome, { type: 'bye', code: 4000, retryAfterMs: 7000 })
  socket().end(4000)
  client.wake()
  clock.pass(6999)
  await settle()
  assert.equal(sockets.length, 2)
  clock.pass(13_001)
  await settle()
  assert.equal(sockets.length, 3)
})

test('Retry-After of a refused ticket is kept', async () => {
  const { client, clock, sockets, server } = setUp()
  server.ticket = { failure: { status: 503, code: 'unavailable', retryAfterMs: 9000 } }
  client.start()
  await settle()
  server.ticket = { value: { ticket: TICKET, expiresAt: '' } as never }
  clock.pass(8999)
  await settle()
  assert.equal(sockets.length, 0)
  clock.pass(1)
  await settle()
  assert.equal(sockets.length, 1)
})

test('awake with an open socket: a join that is not answered in 3 s costs the socket', async () => {
  const { client, clock, socket, sockets, sent } = await inLobby()
  client.wake()
  client.wake()
  assert.equal(sent('join').length, 2)
  socket().tell(joined())
  clock.pass(3000)
  await settle()
  assert.equal(sockets.length, 1)
  client.wake()
  clock.pass(3000)
  await settle()
  assert.equal(sockets.length, 2)
})

test('a refused ticket means signed out, 45xx stay away, 4501 and 40xx come back', async () => {
  for (const [code, state] of [
    [4501, 'waiting'],
    [4503, 'stopped'],
    [4505, 'stopped'],
    [4008, 'waiting'],
    [1001, 'waiting'],
  ] as const) {
    const { client, socket } = await inLobby()
    socket().end(code)
    assert.equal(client.connection.state, state)
  }
  const { client, server } = setUp()
  server.ticket = { failure: { status: 401, code: 'unauthorized' } }
  client.start()
  await settle()
  assert.equal(client.connection.state, 'signed-out')
})

test('4501: signed out when there is no ticket either; a token that was refused is no end', async () => {
  const { client, clock, server, socket, sockets, sent } = await inLobby()
  client.say('lobby', 'kept')
  socket().tell({ type: 'bye', code: 4501, retryAfterMs: 0 })
  socket().end(4501)
  clock.pass(500)
  await settle()
  socket().tell(welcome, joined())
  assert.equal(sent('say')[0]?.body, 'kept')
  server.ticket = { failure: { status: 401, code: 'unauthorized' } }
  socket().end(4501)
  clock.pass(1_000)
  await settle()
  assert.deepEqual([client.connection.state, sockets.length], ['signed-out', 2])
})

test('who is somebody else by now, in another tab, is signed out here', async () => {
  const { client, clock, socket, sent } = await inLobby()
  client.say('lobby', 'from Ada')
  socket().end(1006)
  clock.pass(500)
  await settle()
  socket().tell({ ...welcome, user: other }, joined())
  assert.equal(client.connection.state, 'signed-out')
  assert.deepEqual([sent('join'), sent('say'), socket().isClosed], [[], [], true])
})

test('a join that is limited is tried again; one that is forbidden is not', async () => {
  const { clock, client, socket, sent } = await inLobby()
  const attic = client.open('attic')
  const error = { type: 'error', of: 'join', room: 'attic', message: 'no' }
  socket().tell({ ...error, code: 'rate_limited', retryAfterMs: 800 })
  clock.pass(800)
  assert.equal(sent('join').filter((frame) => frame.room === 'attic').length, 2)
  socket().tell({ ...error, code: 'forbidden' })
  clock.pass(30_000)
  assert.equal(attic.shut, 'forbidden')
  assert.equal(sent('join').filter((frame) => frame.room === 'attic').length, 2)
})

test('a room one was removed from is not asked for again, and nothing of it stays', async () => {
  const { clock, client, socket, sent, room } = await inLobby()
  const joins = () => sent('join').length
  const before = joins()
  socket().tell({ type: 'removed', room: 'lobby' })
  // Still looked at: the page says so, and goes elsewhere.
  assert.deepEqual([room.shut, room.live, room.timeline.items], ['removed', false, []])
  client.say('lobby', 'anybody?')
  socket().tell({ type: 'ping', heads: {} }, said(6))
  clock.pass(30_000)
  assert.deepEqual([joins(), sent('say').length], [before, 0])

  const attic = client.open('attic')
  socket().tell(joined({ room: 'attic', private: true }))
  assert.equal(attic.isPrivate, true)
  // A frame of one's own that may not be: the room has nothing to do with it.
  const error = { type: 'error', room: 'attic', code: 'forbidden', message: 'no' }
  socket().tell({ ...error, of: 'edit' })
  assert.deepEqual([attic.shut, attic.live], [undefined, true])
  client.open('garden')
  // What one does not look at goes without a word, also when it is found out late.
  for (const of of ['read', 'history', 'join']) {
    client.open('attic')
    client.open('garden')
    socket().tell({ ...error, of })
    assert.equal(client.rooms.has('attic'), false)
  }
})

test('the ticket goes with every message where the server asks for it', async () => {
  const { client, socket, sent } = await inLobby()
  socket().tell({ ...welcome, tokenEveryMessage: true })
  client.say('lobby', 'hi')
  assert.equal(sent('say')[0]?.token, TICKET)
})

test('read: at most every 2 s, the last one counts; unread follows', async () => {
  const { clock, socket, sent, room } = await inLobby({
    rooms: [{ room: 'lobby', head: 5, read: 5, unread: 0 }],
  })
  socket().tell(said(6))
  assert.equal(room.unread, 1)
  room.markRead()
  assert.equal(room.unread, 0)
  socket().tell(said(7))
  room.markRead()
  socket().tell(said(8))
  room.markRead()
  assert.deepEqual(
    sent('read').map((frame) => frame.seq),
    [6],
  )
  clock.pass(2000)
  assert.deepEqual(
    sent('read').map((frame) => frame.seq),
    [6, 8],
  )
  socket().tell(said(9), { type: 'read', room: 'lobby', seq: 9 })
  assert.equal(room.unread, 0, 'read on another device')
})

test('what was read on a connection that was dead already is told to the next one', async () => {
  const { clock, socket, sent, room } = await inLobby({
    rooms: [{ room: 'lobby', head: 5, read: 5, unread: 0 }],
  })
  socket().tell(said(6))
  room.markRead()
  assert.equal(sent('read').length, 1)
  socket().end(1006)
  clock.pass(2_000)
  await settle()
  socket().tell(welcome, joined({ from: 7, head: 6 }))
  assert.deepEqual(sent('read'), [{ type: 'read', room: 'lobby', seq: 6 }])
})

test('unread counts others’ messages alone', async () => {
  const { client, socket } = await inLobby({
    rooms: [{ room: 'garden', head: 3, read: 1, unread: 2 }],
  })
  const garden = client.rooms.get('garden')
  const room = 'garden'
  socket().tell(joined({ room, head: 3, from: 4 }))
  socket().tell({ ...page, room, head: 3, messages: [] })
  socket().tell(said(4, { room }), said(5, { room, author: me }))
  socket().tell(entryOf(6, 'reaction', { room, target: 4, emoji: '🔥', on: true }))
  assert.equal(garden?.unread, 3)
})

test('who is here follows the differences; a list that does not add up is fetched anew', async () => {
  const { clock, socket, sent, room } = await inLobby()
  const third = { id: idOf(3), name: 'Ken' }
  socket().tell({ type: 'presence', room: 'lobby', count: 3, joined: [third] })
  assert.deepEqual(room.members, [me, other, third])
  socket().tell({ type: 'presence', room: 'lobby', count: 2, left: [other] })
  assert.equal(sent('join').length, 1)
  socket().tell({ type: 'presence', room: 'lobby', count: 5, joined: [other] })
  socket().tell({ type: 'presence', room: 'lobby', count: 6 })
  assert.equal(sent('join').length, 2)
  socket().tell(joined({ count: 7, members: [me] }))
  clock.pass(5000)
  socket().tell({ type: 'presence', room: 'lobby', count: 7 })
  assert.equal(sent('join').length, 3)
  socket().tell(joined({ count: 500, members: undefined }))
  socket().tell({ type: 'presence', room: 'lobby', count: 501 })
  assert.deepEqual([room.members, room.count], [undefined, 501])
})

test('typing is sent every 3 s at most, shown for 6 s, over when the message is there', async () => {
  const { clock, socket, sent, room } = await inLobby()
  room.sendTyping()
  room.sendTyping()
  clock.pass(3000)
  room.sendTyping()
  assert.equal(sent('typing').length, 2)
  socket().tell({ type: 'typing', room: 'lobby', user: other })
  assert.deepEqual(room.typing, [other])
  clock.pass(6000)
  assert.deepEqual(room.typing, [])
  socket().tell({ type: 'typing', room: 'lobby', user: other }, said(6))
  assert.deepEqual(room.typing, [])
})

test('older pages: one at a time, before the oldest, until there are no more', async () => {
  const { socket, sent, room } = await inLobby()
  room.older()
  room.older()
  assert.deepEqual(sent('history'), [{ type: 'history', room: 'lobby', before: 5 }])
  const messages = [messageOf(1), messageOf(2)]
  socket().tell({ ...page, messages, more: false })
  room.older()
  assert.equal(sent('history').length, 1)
  assert.deepEqual(
    room.timeline.items.map((item) => item.seq),
    [1, 2, 5],
  )
})

/** A room that is not looked at, as the server counts it and then lets us in. */
async function besideGarden(garden: Omit<Summary, 'room'>, head = garden.head) {
  const room = 'garden'
  const lobby = { room: 'lobby', head: 5, read: 5, unread: 0 }
  const all = await inLobby({ rooms: [lobby, { room, ...garden }] })
  all.socket().tell(joined({ room, head, from: head + 1 }))
  all.socket().tell({ ...page, room, head, messages: [] })
  /** What the server says when it is asked the next time. */
  const recount = async (next: Omit<Summary, 'room'>) => {
    all.server.rooms = [lobby, { room, ...next }]
    all.clock.pass(500)
    await settle()
  }
  return { ...all, garden: all.client.rooms.get(room) ?? assert.fail('no garden'), recount }
}

test('mentions of me are counted as unread is: the server’s and those since', async () => {
  const { socket, garden, mentions } = await besideGarden({
    ...{ head: 9, read: 3, unread: 4, mentions: 1 },
  })
  const inGarden = { room: 'garden', mentions: [me.id] }
  socket().tell(said(10, inGarden), said(11, { room: 'garden', mentions: [other.id] }))
  socket().tell(said(12, { ...inGarden, author: me }))
  assert.deepEqual([garden.unread, garden.mentions], [6, 2])
  socket().tell({ ...entryOf(13, 'delete', { room: 'garden', target: 10 }) })
  assert.deepEqual([garden.unread, garden.mentions], [5, 1])
  socket().tell({ type: 'read', room: 'garden', seq: 13 })
  assert.deepEqual([garden.unread, garden.mentions], [0, 0])
  assert.deepEqual(mentions, ['garden: message 10'])
})

test('a mention is told once, also when it comes late; not when it is read or on a page', async () => {
  const { clock, socket, mentions } = await inLobby()
  const named = { mentions: [me.id] }
  socket().tell(said(6, named), said(6, named), said(8, named))
  socket().tell(joined({ from: 7, head: 8 }), said(7), said(8, named))
  socket().tell({ type: 'read', room: 'lobby', seq: 9 }, said(9, named))
  assert.deepEqual(mentions, ['lobby: message 6', 'lobby: message 8'])
  socket().end(1006)
  clock.pass(500)
  await settle()
  socket().tell(welcome, joined({ from: 10, head: 10 }), said(10, named))
  socket().tell(joined({ reset: true, from: 31, head: 30 }))
  socket().tell({ ...page, head: 30, messages: [messageOf(30, named)] })
  assert.deepEqual(mentions.slice(2), ['lobby: message 10'])
})

test('read elsewhere in the middle of what the server counted: it is asked again', async () => {
  const { socket, garden, recount } = await besideGarden({ head: 9, read: 3, unread: 5 })
  socket().tell({ type: 'read', room: 'garden', seq: 8 })
  assert.equal(garden.unread, 1, 'at most the one that is left')
  await recount({ head: 9, read: 8, unread: 0 })
  assert.equal(garden.unread, 0, 'it was our own')
  socket().tell(said(10, { room: 'garden' }))
  assert.equal(garden.unread, 1)
})

test('what came between the count and the join, and what is deleted of it, is asked for', async () => {
  const { socket, garden, recount } = await besideGarden({ head: 9, read: 3, unread: 5 }, 10)
  await recount({ head: 10, read: 3, unread: 6 })
  assert.equal(garden.unread, 6)
  socket().tell(entryOf(11, 'delete', { room: 'garden', target: 7 }))
  await recount({ head: 11, read: 3, unread: 5 })
  assert.equal(garden.unread, 5)
})

test('a log that was restored begins at its own read position', async () => {
  const { socket, garden, recount } = await besideGarden({ head: 90, read: 90, unread: 0 })
  socket().tell(joined({ room: 'garden', reset: true, epoch: 'f', head: 4, from: 5 }))
  await recount({ head: 4, read: 2, unread: 2 })
  assert.deepEqual([garden.read, garden.unread], [2, 2])
})

test('rooms entered and left on another device are found out on waking', async () => {
  const { client, clock, server, sent, socket } = await besideGarden({
    ...{ head: 9, read: 9, unread: 0 },
  })
  server.rooms = [{ room: 'attic', head: 3, read: 0, unread: 3 }]
  client.wake()
  clock.pass(500)
  await settle()
  assert.deepEqual([...client.rooms.keys()], ['lobby', 'attic'], 'what is looked at stays')
  assert.equal(client.rooms.get('attic')?.unread, 3)
  assert.deepEqual(sent('join').at(-1), { type: 'join', room: 'attic', limit: 0 })
  server.rooms = [{ room: 'cellar', head: 3, read: 1, unread: 2 }]
  socket().tell({ type: 'read', room: 'cellar', seq: 1 })
  clock.pass(500)
  await settle()
  assert.equal(client.rooms.get('cellar')?.unread, 2, 'one that was read elsewhere')
})

test('a list that comes too soon is asked for again, then and not before', async () => {
  const { client, clock, server } = await besideGarden({ head: 9, read: 9, unread: 0 })
  server.rooms = [{ room: 'attic', head: 3, read: 0, unread: 3 }]
  server.failure = { status: 429, code: 'rate_limited', retryAfterMs: 1_000 }
  client.wake()
  clock.pass(500)
  await settle()
  const { asked } = server
  client.wake()
  clock.pass(999)
  await settle()
  assert.equal(server.asked, asked)
  server.failure = undefined
  clock.pass(1)
  await settle()
  assert.equal(server.asked, asked + 1)
  assert.equal(client.rooms.get('attic')?.unread, 3)
})

test('a room that was just left does not come back with an older list', async () => {
  const { client, clock, server, sent } = await besideGarden({ head: 9, read: 9, unread: 0 })
  client.wake()
  clock.pass(500)
  client.leave('garden')
  await settle()
  assert.equal(client.rooms.has('garden'), false)
  server.rooms = []
  clock.pass(500)
  await settle()
  assert.equal(sent('join').filter((frame) => frame.room === 'garden').length, 1)
})

test('a room that was entered after the list was asked for is not missing in it', async () => {
  const { client, clock, socket } = await inLobby()
  client.wake()
  clock.pass(500)
  client.open('attic')
  socket().tell(joined({ room: 'attic' }))
  client.open('lobby')
  await settle()
  assert.ok(client.rooms.has('attic'))
})

test('more rooms than a connection has places: counted, and entered when looked at', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `room-${i + 10}`)
  const rooms = names.map((room) => ({ room, head: 4, read: 1, unread: 3 }))
  const { client, clock, server, socket, sockets, sent } = await inLobby({ rooms })
  const joins = () => sent('join').map((frame) => frame.room)
  assert.deepEqual(joins(), ['lobby', ...names.slice(0, 31)])
  server.rooms = rooms.map((room) => ({ ...room, unread: 5 }))
  socket().tell({ type: 'ping', heads: { lobby: 5 } })
  clock.pass(500)
  await settle()
  assert.equal(client.rooms.get('room-49')?.unread, 5)
  client.open('room-49')
  const error = { type: 'error', of: 'join', code: 'too_many', message: 'at most 32 rooms' }
  socket().tell({ ...error, room: 'room-49' })
  await settle()
  assert.equal(sockets.length, 2)
  socket().tell(welcome)
  await settle()
  assert.deepEqual([joins()[0], joins().length], ['room-49', 32])
  socket().tell({ ...error, room: 'room-10' })
  assert.equal(sockets.length, 2)
})
