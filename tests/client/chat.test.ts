/** static/hearth.js, as a program uses it, against a real server. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { RESUME_LIMIT } from '../../static/protocol.js'
import { Refused } from '../../static/hearth.js'
import { GENEROUS, newcomer, signIn, startServer } from '../helpers.ts'
import { openChat, record, startAgain, until, valueOf } from './chats.ts'

test('it comes in, enters a room, says, changes, takes back, and hears it all in order', async (t) => {
  const { url } = await startServer(t)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  const earlier = await bob.say('lobby', 'before')
  const chat = await openChat(t, url, { name: 'Bot' })
  const heard = record(chat)
  const view = await valueOf(chat.join('lobby'))
  assert.deepEqual([view.head, view.messages.map(({ body }) => body)], [1, ['before']])
  const said = await valueOf(chat.say('lobby', 'hello', { replyTo: earlier.seq }))
  assert.deepEqual([said.seq, said.kind, said.author], [2, 'message', chat.user])
  assert.equal((await valueOf(chat.edit('lobby', 2, 'hello!'))).kind, 'edit')
  assert.equal((await valueOf(chat.react('lobby', 1, '👍'))).kind, 'reaction')
  assert.equal((await valueOf(chat.react('lobby', 1, '👍', { on: false }))).seq, 5)
  assert.equal((await valueOf(chat.delete('lobby', 2))).seq, 6)
  const kinds = ['message', 'edit', 'reaction', 'reaction', 'delete']
  assert.deepEqual(heard.lines, ['reset lobby', ...kinds])
  const [first, second] = chat.messages('lobby')
  assert.deepEqual([first?.body, second?.deleted], ['before', true])
  assert.deepEqual(chat.rooms, ['lobby'])
})

test('the types of what is heard follow from its name, and a listener can be taken off', async (t) => {
  const { url } = await startServer(t)
  const chat = await openChat(t, url, { name: 'Bot' })
  const bodies: (string | undefined)[] = []
  const off = chat.on('message', ({ room, entry }) => bodies.push(`${room} ${entry.body}`))
  await chat.say('lobby', 'one')
  off()
  await chat.say('lobby', 'two')
  assert.deepEqual(bodies, ['lobby one'])
})

test('who is here, who types, what is read elsewhere', async (t) => {
  const { url } = await startServer(t)
  const { token } = await signIn(url, 'Bot')
  const chat = await openChat(t, url, { token })
  const twin = await openChat(t, url, { token })
  const people: number[] = []
  const typing: string[] = []
  const reads: number[] = []
  chat.on('presence', ({ count }) => people.push(count))
  chat.on('typing', ({ user }) => typing.push(user.name))
  twin.on('read', ({ seq }) => reads.push(seq))
  await chat.join('lobby')
  await twin.join('lobby')
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  await until(
    () => people.at(-1) === 2,
    () => `${people}`,
  )
  bob.send({ type: 'typing', room: 'lobby' })
  await until(
    () => typing.includes('Bob'),
    () => `${typing}`,
  )
  chat.typing('lobby')
  await bob.next('typing')
  await bob.say('lobby', 'hi')
  await until(
    () => chat.messages('lobby').length === 1,
    () => 'the message',
  )
  chat.markRead('lobby')
  await until(
    () => reads.includes(1),
    () => `${reads}`,
  )
})

test('a refusal is a failure; the next thing said goes on', async (t) => {
  const { url } = await startServer(t)
  const chat = await openChat(t, url, { name: 'Bot' })
  const codes = await Promise.all([
    chat.say('lobby', 'x'.repeat(4_001)),
    chat.say('No Room', 'hello'),
    chat.join('No Room'),
    chat.edit('lobby', 99, 'what?'),
    chat.say('lobby', 'hello'),
  ])
  const found = codes.map(({ value, failure }) => failure?.code ?? value)
  assert.deepEqual(found.slice(0, 4), ['invalid', 'invalid', 'invalid', 'not_found'])
  assert.equal(codes[4].failure, undefined)
})

test('the same id twice is one message; with other words it is a conflict', async (t) => {
  const { url } = await startServer(t)
  const chat = await openChat(t, url, { name: 'Bot' })
  const id = crypto.randomUUID()
  const first = await valueOf(chat.say('lobby', 'once', { id }))
  const again = await valueOf(chat.say('lobby', 'once', { id }))
  assert.equal(again.seq, first.seq)
  const { failure } = await chat.say('lobby', 'twice', { id })
  assert.equal(failure?.code, 'conflict')
})

test('a private room: not let in, then invited, then removed', async (t) => {
  const { url } = await startServer(t)
  const ann = await signIn(url, 'Ann')
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` }
  const ask = (method: string, path: string, body: object = {}) =>
    fetch(`${url}/api/rooms${path}`, { method, headers, body: JSON.stringify(body) })
  await ask('POST', '', { room: 'den' })
  const chat = await openChat(t, url, { name: 'Bot' })
  const heard = record(chat)
  const [joined, said] = await Promise.all([chat.join('den'), chat.say('den', 'knock')])
  assert.deepEqual([joined.failure?.code, said.failure?.code], ['forbidden', 'forbidden'])
  const { invite } = await (await ask('POST', '/den/invites')).json()
  await fetch(`${url}/api/rooms/den/members`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${chat.token}` },
    body: JSON.stringify({ invite }),
  })
  assert.equal((await valueOf(chat.say('den', 'hello'))).seq, 1)
  await fetch(`${url}/api/rooms/den/members/${chat.user.id}`, { method: 'DELETE', headers })
  await until(
    () => heard.lines.includes('removed den removed'),
    () => `${heard.lines.slice(-9)}`,
  )
  assert.deepEqual(chat.rooms, [])
})

test('a name that is taken, a code that is wrong, nobody there: no session', async (t) => {
  const { url } = await startServer(t, { env: { ACCESS_CODE: 'sesame' } })
  const refused = (code: string) => (error: unknown) =>
    error instanceof Refused && error.code === code
  const come = (options: object) => openChat(t, url, { name: 'Bot', ...options })
  await assert.rejects(come({}), refused('forbidden'))
  await come({ code: 'sesame' })
  await assert.rejects(come({ code: 'sesame' }), refused('name_taken'))
  await assert.rejects(come({ token: 'x'.repeat(43) }), refused('unauthorized'))
  await assert.rejects(come({ base: 'http://127.0.0.1:9' }), refused('offline'))
})

test('too fast: it waits as it is told, and everything arrives once, in order', async (t) => {
  const { url } = await startServer(t, { limits: { messageRate: 20, messageBurst: 2 } })
  const chat = await openChat(t, url, { name: 'Bot' })
  const heard = record(chat)
  const words = Array.from({ length: 6 }, (_, n) => `${n}`)
  const answers = await Promise.all(words.map((word) => valueOf(chat.say('lobby', word))))
  assert.deepEqual(
    answers.map(({ seq }) => seq),
    [1, 2, 3, 4, 5, 6],
  )
  assert.ok(heard.lines.includes('error rate_limited'))
  assert.deepEqual(
    chat.messages('lobby').map(({ body }) => body),
    words,
  )
})

test('a token with every message, where the server asks for it', async (t) => {
  const { url } = await startServer(t, { env: { TOKEN_EVERY_MESSAGE: 'true' } })
  const chat = await openChat(t, url, { name: 'Bot' })
  assert.equal((await valueOf(chat.say('lobby', 'with a token'))).seq, 1)
})

test('signed out elsewhere: told so, and whatever waits fails', async (t) => {
  const { url } = await startServer(t)
  const chat = await openChat(t, url, { name: 'Bot' })
  const heard = record(chat)
  await chat.join('lobby')
  const headers = { authorization: `Bearer ${chat.token}` }
  await fetch(`${url}/api/session`, { method: 'DELETE', headers })
  await until(
    () => heard.lines.includes('state signed-out 4501'),
    () => `${heard.lines.slice(-9)}`,
  )
  assert.equal((await chat.say('lobby', 'anybody?')).failure?.code, 'unauthorized')
  assert.equal((await chat.join('garden')).failure?.code, 'unauthorized')
})

test('closed by the program: what waits fails, and nothing comes back', async (t) => {
  const { url } = await startServer(t)
  const chat = await openChat(t, url, { name: 'Bot' })
  const waiting = chat.say('lobby', 'never mind')
  chat.close()
  assert.equal((await waiting).failure?.code, 'closed')
})

test('a listener that throws is heard of, and costs nobody else an event', async (t) => {
  const { url } = await startServer(t)
  const chat = await openChat(t, url, { name: 'Bot' })
  const thrown: unknown[] = []
  const { queueMicrotask } = globalThis
  globalThis.queueMicrotask = (run) => {
    try {
      run()
    } catch (error) {
      thrown.push(error)
    }
  }
  t.after(() => (globalThis.queueMicrotask = queueMicrotask))
  chat.on('message', () => assert.fail('a bug'))
  const heard = record(chat)
  await chat.say('lobby', 'hello')
  assert.deepEqual(heard.lines, ['reset lobby', 'message'])
  assert.match(String(thrown[0]), /a bug/)
})

test('months of talk: no more is held than was asked for', async (t) => {
  const { url } = await startServer(t, { limits: GENEROUS })
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  const chat = await openChat(t, url, { name: 'Bot', keep: 10 })
  await valueOf(chat.join('lobby'))
  const heard = record(chat)
  for (let n = 1; n <= 300; n += 1) {
    bob.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: `${n}` })
    if (n % 3 === 0) await bob.settle()
  }
  await until(
    () => heard.entries.length === 300,
    () => `${heard.entries.length} of 300`,
  )
  assert.deepEqual(
    chat.messages('lobby').map(({ seq }) => seq),
    Array.from({ length: 10 }, (_, n) => 291 + n),
  )
  await chat.react('lobby', 300, '👍')
  assert.equal(chat.messages('lobby').at(-1)?.reactions.length, 1)
})

test('the server is killed and comes back: each event once, in order, nothing said is lost', async (t) => {
  const { url, start } = await startAgain(t)
  const server = await start()
  const [chat, other] = [await openChat(t, url, { name: 'Bot' }), await newcomer(t, url, 'Bob')]
  const heard = record(chat)
  await valueOf(chat.join('lobby'))
  await other.join('lobby')
  await other.say('lobby', 'one')
  server.kill('SIGKILL')
  await server.ended()
  const waiting = ['two', 'three'].map((body) => valueOf(chat.say('lobby', body)))
  await until(
    () => heard.lines.includes('state waiting 1006'),
    () => `${heard.lines.slice(-9)}`,
  )
  await start()
  const seqs = (await Promise.all(waiting)).map(({ seq }) => seq)
  assert.deepEqual(seqs, [2, 3])
  assert.deepEqual(
    heard.entries.map(({ seq }) => seq),
    [1, 2, 3],
  )
  assert.equal(heard.lines.filter((line) => line.startsWith('reset')).length, 1)
})

test('away for too long: told so, with the newest page, and then it goes on', async (t) => {
  const { url } = await startServer(t, { limits: GENEROUS })
  const away = { isOver: Promise.resolve() }
  let comeBack = () => {}
  const sockets: WebSocket[] = []
  class Socket extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols)
      sockets.push(this)
    }
  }
  const chat = await openChat(t, url, {
    name: 'Bot',
    WebSocket: Socket as unknown as typeof globalThis.WebSocket,
    fetch: async (input, init) => {
      await away.isOver
      return fetch(input, init)
    },
  })
  await valueOf(chat.join('lobby'))
  const heard = record(chat)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  away.isOver = new Promise((resolve) => (comeBack = resolve))
  sockets[0]?.terminate()
  await until(
    () => heard.lines.includes('state connecting'),
    () => `${heard.lines.slice(-9)}`,
  )
  for (let n = 1; n <= RESUME_LIMIT + 1; n += 1) {
    bob.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: `${n}` })
    if (n % 100 === 0) await bob.settle()
  }
  await bob.until(() => bob.all('message').length === RESUME_LIMIT + 1)
  comeBack()
  await until(
    () => heard.lines.includes('reset lobby'),
    () => `${heard.lines.slice(-9)}`,
  )
  assert.deepEqual([heard.entries, chat.messages('lobby').at(-1)?.body], [[], '1001'])
  await bob.say('lobby', 'on')
  await until(
    () => heard.entries.length > 0,
    () => `${heard.lines.slice(-9)}`,
  )
  assert.equal(heard.entries[0]?.seq, RESUME_LIMIT + 2)
})

test('a page of history, older than what is held', async (t) => {
  const { url } = await startServer(t, { limits: GENEROUS })
  const chat = await openChat(t, url, { name: 'Bot', keep: 2 })
  for (const body of ['one', 'two', 'three', 'four']) await valueOf(chat.say('lobby', body))
  const page = await valueOf(chat.history('lobby', { before: 4, limit: 2 }))
  assert.deepEqual([page.messages.map(({ body }) => body), page.more], [['two', 'three'], true])
  assert.equal((await chat.history('No Room')).failure?.code, 'invalid')
})
