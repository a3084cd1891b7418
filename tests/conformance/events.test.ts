/** A room followed as server-sent events, by a real EventSource and byte by byte. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { EventSource } from 'eventsource'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import type { EventOf, ServerEvent } from '../../src/protocol.ts'
import {
  GENEROUS,
  newcomer,
  post,
  signIn,
  startServer,
  TestClock,
  turn,
  type Account,
  type Client,
  type ServerOptions,
} from '../helpers.ts'
import { RawSocket } from './raw.ts'

const PATIENCE_MS = 5_000
const NAMES = ['joined', 'message', 'history', 'removed', 'admitted', 'owner', 'bye'] as const

interface Received {
  name: string
  id: string
  event: ServerEvent
}

/** What an `EventSource` gets, and the requests that it made. */
class Reader {
  readonly received: Received[] = []
  readonly statuses: number[] = []
  readonly lastIds: (string | null)[] = []
  readonly source: EventSource
  #wake = () => {}

  constructor(t: TestContext, url: string, account: Account) {
    this.source = new EventSource(url, {
      fetch: async (input, init) => {
        const headers = { ...init.headers, authorization: `Bearer ${account.token}` }
        this.lastIds.push(new Headers(headers).get('last-event-id'))
        const response = await fetch(input, { ...init, headers })
        this.statuses.push(response.status)
        this.#wake()
        return response
      },
    })
    t.after(() => this.source.close())
    for (const name of NAMES) {
      this.source.addEventListener(name, ({ data, lastEventId: id }: MessageEvent<string>) => {
        const [event] = protocol.parseEvents(`[${data}]`)
        assert.ok(event && event.type !== 'broken' && event.type !== 'position', data)
        this.received.push({ name, id, event })
        this.#wake()
      })
    }
  }

  all<T extends ServerEvent['type']>(type: T) {
    const events = this.received.map(({ event }) => event)
    return events.filter((event) => event.type === type) as EventOf<T>[]
  }

  async until(condition: () => boolean) {
    const end = performance.now() + PATIENCE_MS
    while (!condition()) {
      const left = end - performance.now()
      assert.ok(left > 0, JSON.stringify([this.statuses, this.received.slice(-4)]))
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => (clearTimeout(timer), resolve())
      })
    }
  }

  get seqs() {
    return this.all('message').map(({ seq }) => seq)
  }
}

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const hearth = await startServer(t, { limits: GENEROUS, ...options })
  const { url } = hearth
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const follow = (account: Account, room = 'lobby', query = '') =>
    new Reader(t, `${url}/api/rooms/${room}/events${query}`, account)
  return { ...hearth, hearth, ann, follow, bob: await signIn(url, 'Bob') }
}

/** A stream byte by byte, by a reader who may stop reading. */
async function openRaw(t: TestContext, url: string, { token }: Account, query = '', lastId = '') {
  const raw = new RawSocket(t, url)
  const position = lastId && `Last-Event-ID: ${lastId}\r\n`
  raw.write(
    `GET /api/rooms/lobby/events${query} HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
      `Authorization: Bearer ${token}\r\n${position}\r\n`,
  )
  await raw.head()
  return raw
}

test('who follows a room gets what is said, each with its seq as the id', async (t) => {
  const { ann, bob, follow } = await setUp(t)
  await ann.say('lobby', 'before')
  const reader = follow(bob)
  await reader.until(() => reader.all('joined').length === 1)
  const [joined] = reader.received
  assert.ok(joined?.event.type === 'joined')
  assert.deepEqual([joined.event.head, joined.event.from, joined.event.reset], [1, 2, false])
  const said = await ann.say('lobby', 'hello\nto two lines')
  ann.send({
    type: 'react',
    room: 'lobby',
    id: crypto.randomUUID(),
    target: 2,
    emoji: '👍',
    on: true,
  })
  await reader.until(() => reader.seqs.length === 2)
  assert.deepEqual(reader.all('message')[0], said)
  assert.deepEqual(
    reader.received.slice(1).map(({ name, id }) => [name, id]),
    [
      ['message', '2'],
      ['message', '3'],
    ],
  )
})

test('who only follows is not shown, and is no member', async (t) => {
  const { ann, bob, follow, url, hub } = await setUp(t)
  const reader = follow(bob)
  await reader.until(() => reader.all('joined').length === 1)
  assert.equal(reader.all('joined')[0]!.count, 1)
  const carl = await newcomer(t, url, 'Carl')
  const { joined } = await carl.join('lobby')
  assert.deepEqual(joined.members?.map(({ name }) => name).sort(), ['Ann', 'Carl'])
  const headers = { authorization: `Bearer ${bob.token}` }
  assert.deepEqual(await (await fetch(`${url}/api/rooms`, { headers })).json(), [])
  // It is one of the connections, until its reader goes.
  assert.equal(hub.connections.size, 3)
  reader.source.close()
  while (hub.connections.size > 2) await turn()
  await ann.say('lobby', 'still here')
})

test('an EventSource comes back by itself and misses nothing', async (t) => {
  const { ann, bob, follow, hub } = await setUp(t)
  const reader = follow(bob)
  await reader.until(() => reader.all('joined').length === 1)
  const cut = () => {
    for (const each of hub.connections) if (each.user.id === bob.user.id) each.close(4000, 0)
  }
  await ann.say('lobby', 'live')
  await reader.until(() => reader.seqs.length === 1)
  for (const body of ['one', 'two']) {
    cut()
    await ann.say('lobby', body)
    await ann.say('lobby', 'and more')
    await reader.until(() => reader.seqs.at(-1) === ann.all('message').length)
  }
  assert.deepEqual(reader.seqs, [1, 2, 3, 4, 5])
  assert.deepEqual(reader.lastIds, [null, '1', '3'])
  assert.deepEqual(
    reader.all('bye').map(({ code }) => code),
    [4000, 4000],
  )
})

test('a stream starts behind Last-Event-ID, else behind `after`', async (t) => {
  const { ann, bob, follow, url } = await setUp(t)
  for (const body of ['one', 'two', 'three']) await ann.say('lobby', body)
  const reader = follow(bob, 'lobby', '?after=1')
  await reader.until(() => reader.seqs.length === 2)
  assert.deepEqual(reader.seqs, [2, 3])
  const raw = await openRaw(t, url, bob, '?after=0', '2')
  await raw.until(() => raw.text.includes('"three"'))
  assert.doesNotMatch(raw.text, /"one"|"two"|event: history/)
  assert.match(raw.text, /event: joined\r?\ndata: \{[^\n]*"from":3/)
})

test('who missed too much, or comes from another log, starts afresh with a page', async (t) => {
  const { ann, bob, follow } = await setUp(t)
  for (const body of ['one', 'two']) await ann.say('lobby', body)
  for (const [query, head] of [
    ['?after=99', 2],
    ['?after=1&epoch=another', 3],
  ] as const) {
    const reader = follow(bob, 'lobby', query)
    await reader.until(() => reader.all('history').length === 1)
    const [joined, history] = reader.received
    assert.ok(joined?.event.type === 'joined' && history?.event.type === 'history')
    assert.deepEqual([joined.event.reset, joined.event.from], [true, head + 1])
    assert.equal(history.id, String(head))
    assert.deepEqual(
      history.event.messages.slice(0, 2).map(({ body }) => body),
      ['one', 'two'],
    )
    await ann.say('lobby', 'live')
    await reader.until(() => reader.seqs.length === 1)
    reader.source.close()
  }
})

test('when the session is over the stream ends, and its reader does not come back', async (t) => {
  const { bob, follow, url, hub } = await setUp(t)
  const reader = follow(bob)
  await reader.until(() => reader.all('joined').length === 1)
  const headers = { authorization: `Bearer ${bob.token}` }
  assert.equal((await fetch(`${url}/api/session`, { method: 'DELETE', headers })).status, 204)
  await reader.until(() => reader.statuses.length === 2)
  assert.deepEqual(reader.statuses, [200, 204])
  assert.equal(reader.all('bye')[0]?.code, 4501)
  assert.equal(hub.connections.size, 1)
  for (const [token, status] of [
    ['x'.repeat(43), 401],
    ['', 401],
  ] as const) {
    const again = await fetch(`${url}/api/rooms/lobby/events`, {
      headers: { authorization: `Bearer ${token}` },
    })
    assert.equal(again.status, status)
  }
})

test('who is banned or taken out of a private room reads no further', async (t) => {
  const { ann, bob, url, follow } = await setUp(t, { env: { ADMIN_TOKEN: 'open sesame' } })
  const owner = ann.account
  await post(`${url}/api/rooms`, { room: 'den' }, owner.token)
  const invited = await post(`${url}/api/rooms/den/invites`, {}, owner.token)
  const { invite } = v.parse(protocol.Invitation, await invited.json())
  await post(`${url}/api/rooms/den/members`, { invite }, bob.token)
  const inDen = follow(bob, 'den')
  const inLobby = follow(bob)
  await inDen.until(() => inDen.all('joined').length === 1)
  await inLobby.until(() => inLobby.all('joined').length === 1)
  assert.equal(inDen.all('joined')[0]?.private, true)
  await ann.join('den')
  await ann.say('den', 'among us')
  await inDen.until(() => inDen.seqs.length === 1)

  const headers = { authorization: `Bearer ${owner.token}` }
  const member = `${url}/api/rooms/den/members/${bob.user.id}`
  assert.equal((await fetch(member, { method: 'DELETE', headers })).status, 204)
  await inDen.until(() => inDen.statuses.length === 2)
  assert.deepEqual([inDen.statuses, inDen.all('removed').length], [[200, 403], 1])
  await ann.say('den', 'not for him')
  await ann.say('lobby', 'for everybody')
  await inLobby.until(() => inLobby.seqs.length === 1)
  assert.equal(inDen.seqs.length, 1)

  const admin = await signIn(url, 'Root', { admin: 'open sesame' })
  const asAdmin = { method: 'DELETE', headers: { authorization: `Bearer ${admin.token}` } }
  assert.equal((await fetch(`${url}/api/users/${bob.user.id}`, asAdmin)).status, 204)
  await inLobby.until(() => inLobby.statuses.length === 2)
  assert.deepEqual([inLobby.statuses, inLobby.all('bye')[0]?.code], [[200, 204], 4503])
})

test('who is taken out while the stream opens is not let in', async (t) => {
  const { ann, bob, url, follow, hub } = await setUp(t)
  const { token } = ann.account
  await post(`${url}/api/rooms`, { room: 'den' }, token)
  const invited = await post(`${url}/api/rooms/den/invites`, {}, token)
  const { invite } = v.parse(protocol.Invitation, await invited.json())
  await post(`${url}/api/rooms/den/members`, { invite }, bob.token)
  const { log } = hub
  const { visit } = log
  let visits = 0
  // The second look at the door is the one that the seat is taken with.
  log.visit = async (...args) => {
    const entrance = await visit(...args)
    visits += 1
    const headers = { authorization: `Bearer ${token}` }
    const member = `${url}/api/rooms/den/members/${bob.user.id}`
    if (visits === 2) await fetch(member, { method: 'DELETE', headers })
    return entrance
  }
  const reader = follow(bob, 'den')
  await reader.until(() => reader.statuses.length === 2)
  assert.deepEqual([reader.statuses, reader.all('removed').length], [[200, 403], 1])
  assert.equal(hub.connections.size, 1)
})

test('a quiet stream says that it lives; one that ended takes no place', async (t) => {
  const clock = new TestClock()
  const { bob, url, hub } = await setUp(t, { clock })
  const raw = await openRaw(t, url, bob)
  await raw.until(() => raw.text.includes(': live'))
  await clock.advance(24_000)
  assert.doesNotMatch(raw.text, /still here/)
  await clock.advance(2_000)
  await raw.until(() => raw.text.includes(': still here'))
  await clock.advance(26_000)
  await raw.until(() => raw.text.split(': still here').length === 3)
  raw.socket.destroy()
  const others = [...hub.connections].filter(({ user }) => user.id !== bob.user.id)
  while (hub.connections.size > others.length) await turn()
})

test('a stream takes one of the places; one that is refused says when to come again', async (t) => {
  const limits = { ...GENEROUS, connectionsPerUser: 2 }
  const { bob, url, follow } = await setUp(t, { limits })
  const readers = [follow(bob), follow(bob)]
  for (const reader of readers) await reader.until(() => reader.all('joined').length === 1)
  const headers = { authorization: `Bearer ${bob.token}` }
  const ask = () => fetch(`${url}/api/rooms/lobby/events`, { headers })
  const refused = await ask()
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '10'])
  assert.equal(v.parse(protocol.Problem, await refused.json()).code, 'too_many')
  assert.equal(
    (await fetch(`${url}/api/rooms/lobby/events`, { method: 'HEAD', headers })).status,
    200,
  )
  readers[0]!.source.close()
  for (let status = 429; status !== 200;) {
    const response = await ask()
    status = response.status
    await response.body?.cancel()
  }
  for (const query of ['?after=x', '?after=-1', '?after=1.5']) {
    assert.equal((await fetch(`${url}/api/rooms/lobby/events${query}`, { headers })).status, 400)
  }
  const bad = { ...headers, 'last-event-id': 'seven' }
  assert.equal((await fetch(`${url}/api/rooms/lobby/events`, { headers: bad })).status, 400)
})

/** Talks until `isEnough`. */
async function talk(ann: Client, isEnough: () => boolean) {
  for (let count = 0; !isEnough(); count += 20) {
    assert.ok(count < 4_000, 'somebody swallows it all')
    const before = ann.all('message').length
    for (let burst = 0; burst < 20; burst += 1) {
      ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: '火'.repeat(4_000) })
    }
    await ann.until(() => ann.all('message').length === before + 20)
  }
}

test('a slow reader is cut off with an unbroken prefix, and goes on from there', async (t) => {
  const limits = { ...GENEROUS, waitingBytesToClose: 1e9, waitingToClose: 1e9, pauseAt: 1e9 }
  const { ann, bob, url, hub, follow } = await setUp(t, { limits })
  const raw = await openRaw(t, url, bob)
  await raw.until(() => raw.text.includes(': live'))
  raw.socket.pause()
  await talk(ann, () => hub.connections.size === 1)
  raw.socket.resume()
  await raw.until(() => raw.isClosed)
  const ids = [...raw.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)).slice(1)
  assert.deepEqual(
    ids,
    ids.map((_, index) => index + 1),
  )
  assert.doesNotMatch(raw.tail, /event: bye/)
  const whole = raw.text.slice(0, raw.text.lastIndexOf('\n\n'))
  const held = Number([...whole.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1])
  const count = ann.all('message').length
  assert.ok(held > 0 && held < count)
  const reader = follow(bob, 'lobby', `?after=${held}`)
  await reader.until(() => reader.seqs.length === count - held)
  assert.equal(reader.seqs[0], held + 1)
})

test('at the end of the server every stream is told goodbye and when to come back', async (t) => {
  const { hearth, ann, bob, url } = await setUp(t)
  const raw = await openRaw(t, url, bob)
  await raw.until(() => raw.text.includes(': live'))
  ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'the last word' })
  await ann.isRead()
  await hearth.close()
  await raw.until(() => raw.isClosed)
  assert.match(raw.text, /"the last word"[^]*retry: \d{4,}\nevent: bye\ndata: .*"code":4000/)
})
