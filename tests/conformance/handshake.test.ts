import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  newcomer,
  newTicket,
  signIn,
  startServer,
  TestClock,
  type ServerOptions,
} from '../helpers.ts'
import { handshake, knock, RawSocket } from './raw.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

async function annAtTheDoor(t: TestContext, options: ServerOptions = {}) {
  const hearth = await startServer(t, options)
  const { token } = await signIn(hearth.url, 'Ann')
  return { ...hearth, token, ticket: () => newTicket(hearth.url, token) }
}

/** Everything that can be wrong, in the order in which it is looked at. */
const FAULTS: { what: string; status: number; method?: string; headers?: object }[] = [
  { what: 'the method', status: 405, method: 'POST' },
  { what: 'no upgrade', status: 426, headers: { Upgrade: null } },
  { what: 'the version', status: 426, headers: { 'Sec-WebSocket-Version': '12' } },
  { what: 'the key', status: 400, headers: { 'Sec-WebSocket-Key': 'short' } },
  { what: 'the protocol list', status: 400, headers: { 'Sec-WebSocket-Protocol': 'chat' } },
  { what: 'the origin', status: 403, headers: { Origin: 'https://evil.example' } },
]

for (const [index, { what, status, method }] of FAULTS.entries()) {
  test(`the handshake looks at ${what} before anything after it: ${status}`, async (t) => {
    const { url, hub, ticket } = await annAtTheDoor(t, { limits: { connections: 0 } })
    const headers = Object.assign({}, ...FAULTS.slice(index).map((fault) => fault.headers ?? {}))
    hub.isDraining = true
    const raw = await knock(t, url, await ticket(), headers, { method: method ?? 'GET' })
    assert.equal(raw.status, status)
    if (status === 426) assert.equal(raw.header('sec-websocket-version'), '13')
  })
}

test('then draining, then the places, then the ticket', async (t) => {
  const { url, hub, ticket } = await annAtTheDoor(t, { limits: { connectionsPerIp: 1 } })
  assert.equal((await knock(t, url, await ticket())).status, 101)
  hub.isDraining = true
  const drained = await knock(t, url, 'x'.repeat(43))
  assert.deepEqual([drained.status, drained.header('retry-after')], [503, '5'])
  hub.isDraining = false
  assert.equal((await knock(t, url, 'x'.repeat(43))).status, 429)
  const other = await annAtTheDoor(t, { limits: { connectionsPerUser: 1 } })
  assert.equal((await knock(t, other.url, await other.ticket())).status, 101)
  assert.equal((await knock(t, other.url, await ticket())).status, 401)
  assert.equal((await knock(t, other.url, await other.ticket())).status, 429)
})

test('a handshake refused before the ticket does not consume it', async (t) => {
  const { url, hub, ticket } = await annAtTheDoor(t)
  const good = await ticket()
  for (const { headers, method, status } of FAULTS.slice(0)) {
    const raw = await knock(t, url, good, { ...headers }, { method: method ?? 'GET' })
    assert.equal(raw.status, status)
  }
  hub.isDraining = true
  assert.equal((await knock(t, url, good)).status, 503)
  hub.isDraining = false
  assert.equal((await knock(t, url, good)).status, 101)
})

test('a refused handshake closes its connection; bytes after it are not answered', async (t) => {
  const { url } = await annAtTheDoor(t)
  const raw = new RawSocket(t, url)
  raw.write(handshake('x'.repeat(43)) + handshake('x'.repeat(43)))
  await raw.end()
  assert.deepEqual([raw.status, raw.answers], [401, 1])
  assert.match(raw.header('connection') ?? 'close', /close/i)
})

const GOOD_LISTS = [
  'hearth.v1, ticket.T',
  'hearth.v1,ticket.T',
  'ticket.T,hearth.v1',
  'ticket.T , hearth.v1',
  'hearth.v1, ticket.T, hearth.v2',
  'ticket.short, hearth.v1, ticket.T',
]

for (const list of GOOD_LISTS) {
  test(`the answer to "${list}" names hearth.v1 and never the ticket`, async (t) => {
    const { url, ticket } = await annAtTheDoor(t)
    const good = await ticket()
    const protocols = { 'Sec-WebSocket-Protocol': list.replace('T', good) }
    const raw = await knock(t, url, good, protocols)
    assert.equal(raw.status, 101)
    assert.equal(raw.header('sec-websocket-protocol'), 'hearth.v1')
    assert.equal(raw.header('sec-websocket-accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
    await raw.until(() => raw.text.includes('"welcome"'))
    assert.ok(!raw.text.includes(good))
  })
}

test('a protocol list without ours or without a ticket is 400', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const good = await ticket()
  const lists = [
    'hearth.v1',
    `ticket.${good}`,
    `hearth.v2, ticket.${good}`,
    'hearth.v1, ticket.',
    null,
  ]
  for (const list of lists) {
    const raw = await knock(t, url, good, { 'Sec-WebSocket-Protocol': list })
    assert.equal(raw.status, 400, String(list))
    assert.ok(!raw.text.includes(good))
  }
})

test('a key is 16 bytes in base64', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const good = await ticket()
  for (const key of [null, '', 'AAAA', KEY.slice(0, 22), `${KEY}AAAA`, '!'.repeat(24)]) {
    const raw = await knock(t, url, good, { 'Sec-WebSocket-Key': key })
    assert.equal(raw.status, 400, String(key))
  }
})

test('Upgrade is read in any case', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  for (const upgrade of ['WebSocket', 'WEBSOCKET']) {
    const raw = await knock(t, url, await ticket(), { Upgrade: upgrade, Connection: 'upgrade' })
    assert.equal(raw.status, 101)
  }
})

test('an origin is one of ours letter by letter, or absent', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const { port } = new URL(url)
  for (const [origin, status] of [
    [url, 101],
    [`http://localhost:${port}`, 101],
    [null, 101],
    ['null', 403],
    [`https://127.0.0.1:${port}`, 403],
    [`${url}/`, 403],
    [`${url}.evil.example`, 403],
    ['http://127.0.0.1', 403],
    [`http://LOCALHOST:${port}`, 403],
  ] as const) {
    const raw = await knock(t, url, await ticket(), { Origin: origin })
    assert.equal(raw.status, status, String(origin))
  }
})

test('a ticket opens one door once', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const good = await ticket()
  const raws = await Promise.all(Array.from({ length: 5 }, () => knock(t, url, good)))
  assert.deepEqual(
    raws.map(({ status }) => status).sort((a, b) => a - b),
    [101, 401, 401, 401, 401],
  )
})

test('a ticket is good for 30 s', async (t) => {
  const clock = new TestClock()
  const { url, ticket } = await annAtTheDoor(t, { clock })
  const [early, late] = [await ticket(), await ticket()]
  await clock.advance(29_999)
  assert.equal((await knock(t, url, early)).status, 101)
  await clock.advance(1)
  assert.equal((await knock(t, url, late)).status, 401)
})

test('a ticket ends with its session', async (t) => {
  const { url, ticket, token } = await annAtTheDoor(t)
  const good = await ticket()
  const headers = { authorization: `Bearer ${token}` }
  await fetch(`${url}/api/session`, { method: 'DELETE', headers })
  assert.equal((await knock(t, url, good)).status, 401)
})

test('peers that ignore our goodbye are counted for their address until they go', async (t) => {
  // Node would end them after closeMs by itself.
  const limits = { connectionsPerIp: 2, closeMs: 60_000 }
  const most = 4 * limits.connectionsPerIp
  const { url, token, ticket } = await annAtTheDoor(t, { limits })
  const stay = async () => {
    const account = await signIn(url, `Stayer ${stayers.length}`)
    const raw = new RawSocket(t, url, { ignoresClose: true })
    raw.write(handshake(await newTicket(url, account.token)))
    await raw.until(() => raw.text.includes('"welcome"'))
    await fetch(`${url}/api/session`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${account.token}` },
    })
    await raw.until(() => raw.text.includes('"bye"'))
    return raw
  }
  const stayers: RawSocket[] = []
  while (stayers.length < most) stayers.push(await stay())
  const good = await newTicket(url, token)
  const refused = await knock(t, url, good)
  assert.deepEqual([refused.status, refused.header('retry-after')], [429, '10'])
  assert.ok(stayers.every(({ isClosed }) => !isClosed))
  for (const { socket } of stayers) socket.destroy()
  let status = 429
  while (status === 429) status = (await knock(t, url, good)).status
  assert.equal(status, 101)
  assert.equal((await knock(t, url, await ticket())).status, 101)
})

test('permessage-deflate may be offered and is never agreed on', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const offer = 'permessage-deflate; client_max_window_bits'
  const raw = await knock(t, url, await ticket(), { 'Sec-WebSocket-Extensions': offer })
  assert.deepEqual([raw.status, raw.header('sec-websocket-extensions')], [101, undefined])
})

test('every fault of a ticket gets the same answer', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const used = await ticket()
  await knock(t, url, used)
  const [a, b] = [await knock(t, url, used), await knock(t, url, 'x'.repeat(43))]
  const plain = (text: string) => text.replace(/^(date|x-request-id):.*$/gim, '')
  assert.equal(plain(a.text), plain(b.text))
})

test('the cookie is never looked at: the ticket says who it is', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const { account } = await newcomer(t, url, 'Bob')
  const raw = await knock(t, url, await ticket(), { Cookie: `hearth=${account.token}` })
  await raw.until(() => raw.text.includes('"welcome"'))
  assert.match(raw.text, /"name":"Ann"/)
  const refused = await knock(t, url, 'x'.repeat(43), { Cookie: `hearth=${account.token}` })
  assert.equal(refused.status, 401)
})

test('there is no socket but at /ws, and no odd target ends the server', async (t) => {
  const { url, ticket } = await annAtTheDoor(t)
  const good = await ticket()
  const odd = ['//', '///', '/', '/wss', '/ws/', '/WS', '/api/ws', '/r/lobby', '/index.html', '/%']
  const worse = ['/%00', '/ws%', '/%2e%2e', '*', 'ws', 'http://[', '//evil.example/ws', '/\\']
  for (const target of [...odd, ...worse]) {
    const raw = await knock(t, url, good, {}, { target })
    assert.ok([400, 404].includes(raw.status), `${target}: ${raw.status}`)
    assert.doesNotMatch(raw.text, /<html/i)
    await raw.end()
  }
  for (const target of odd.slice(0, 6)) {
    const raw = await knock(t, url, good, {}, { target })
    assert.equal(raw.status, 404, target)
  }
  assert.equal((await knock(t, url, good, {}, { target: '/ws?x=1' })).status, 101)
})

test('any other upgrade gets an ordinary answer', async (t) => {
  const { url } = await annAtTheDoor(t)
  for (const [upgrade, target] of [
    ['h2c', '/'],
    ['h2c', '/ws'],
    ['TLS/1.0', '/'],
    ['websocket2', '/api/session'],
  ]) {
    const raw = await knock(t, url, 'x', { Upgrade: upgrade!, 'HTTP2-Settings': '' }, { target })
    assert.ok(raw.status >= 200 && raw.status < 500, `${upgrade} ${target}: ${raw.status}`)
  }
})

test('noise and half requests do not harm the others', async (t) => {
  const { url } = await annAtTheDoor(t)
  const noise = [
    '\0\0\0\0',
    'GET',
    'GET /ws HTTP/1.1\r\n',
    '\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ]
  for (const text of noise) new RawSocket(t, url).write(text)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  assert.equal((await bob.say('lobby', 'fine')).seq, 1)
})

test('a ticket is for the address that asked for it, behind a proxy too', async (t) => {
  const from = async (url: string, token: string, address: string) => {
    const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': address }
    const response = await fetch(`${url}/api/ticket`, { method: 'POST', headers })
    return ((await response.json()) as { ticket: string }).ticket
  }
  const env = { TRUST_PROXY: '1' }
  const bound = await annAtTheDoor(t, { env })
  for (const [asks, knocks, status] of [
    ['192.0.2.1', '192.0.2.1', 101],
    ['192.0.2.1', '::ffff:192.0.2.1', 101],
    ['2001:db8::1', '2001:db8::2', 101],
    ['192.0.2.1', '192.0.2.2', 401],
    ['2001:db8::1', '2001:db8:0:1::1', 401],
    ['192.0.2.1', '192.0.2.1, 192.0.2.2', 401],
  ] as const) {
    const ticket = await from(bound.url, bound.token, asks)
    const raw = await knock(t, bound.url, ticket, { 'X-Forwarded-For': knocks })
    assert.equal(raw.status, status, `${asks} → ${knocks}`)
  }
  const free = await annAtTheDoor(t, { env: { ...env, TICKET_BIND_IP: 'false' } })
  const ticket = await from(free.url, free.token, '192.0.2.1')
  const raw = await knock(t, free.url, ticket, { 'X-Forwarded-For': '192.0.2.2' })
  assert.equal(raw.status, 101)
})
