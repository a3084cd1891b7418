/** Raw requests and the exact answer to each, on both runtimes. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { Hono } from 'hono'
import { runtime } from '#runtime'
import { hashSecret } from '../../src/auth/secrets.ts'
import { openApp } from '../http/app.ts'
import {
  GENEROUS,
  newcomer,
  newTicket,
  post,
  SERVING,
  signIn,
  startServer,
  TestClock,
  turn,
} from '../helpers.ts'
import { METRICS_TOKEN, scrapeUntil } from '../scrape.ts'
import { handshake, knock, RawSocket, request, type RawHeaders } from './raw.ts'

const IS_DENO = Boolean(process.versions.deno)
const NO_TICKET = 'x'.repeat(43)
const KIB = 1_024
const PEERS = 300
/** Longest wait for what should come at once. ms */
const PATIENCE_MS = 10_000

/** A status, or one for each runtime where they cannot be made the same. */
type Answer = number | { node: number; deno: number }

const answerHere = (answer: Answer) =>
  typeof answer === 'number' ? answer : answer[IS_DENO ? 'deno' : 'node']

/** A handshake that lacks nothing but a good ticket: 401 means that it came as far as that. */
const knocking = (headers: RawHeaders = {}, line: Parameters<typeof handshake>[2] = {}) =>
  handshake(NO_TICKET, headers, line)

const many = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`X-${n}`, '']))

/** Refused handshakes: one answer each, and then the end. */
const HANDSHAKES: Record<string, [request: string, answer: Answer]> = {
  'as it should be': [knocking(), 401],
  'a query': [knocking({}, { target: '/ws?x=/../y' }), 401],
  'an absolute target, of whatever host': [knocking({}, { target: 'http://evil.com/ws' }), 401],
  '//': [knocking({}, { target: '//' }), 404],
  '//[]/ws': [knocking({}, { target: '//[]/ws' }), 404],
  '//evil.com/ws': [knocking({}, { target: '//evil.com/ws' }), 404],
  'a backslash': [knocking({}, { target: '/\\evil.com/ws' }), 400],
  'http://[': [knocking({}, { target: 'http://[' }), 400],
  'a user in the target': [knocking({}, { target: 'http://a:b@evil.com/ws' }), 400],
  'another scheme': [knocking({}, { target: 'ftp://127.0.0.1/ws' }), 400],
  '*': [knocking({}, { target: '*' }), 400],
  'no slash': [knocking({}, { target: 'ws' }), 400],
  '/%zz': [knocking({}, { target: '/%zz' }), 404],
  '/ws/../ws': [knocking({}, { target: '/ws/../ws' }), 404],
  '/./ws': [knocking({}, { target: '/./ws' }), 404],
  'dots in hexadecimal': [knocking({}, { target: '/x/%2E%2e/ws' }), 404],
  'dots in an absolute target': [knocking({}, { target: 'http://evil.com/x/../ws' }), 404],
  'a path of 15 KiB': [knocking({}, { target: `/${'a'.repeat(15 * KIB)}` }), 404],
  'a query of 15 KiB': [knocking({}, { target: `/ws?${'a'.repeat(15 * KIB)}` }), 401],

  'two hosts': [knocking({ Host: ['127.0.0.1', 'evil.com'] }), 400],
  'one host twice': [knocking({ Host: ['127.0.0.1', '127.0.0.1'] }), 400],
  // Over HTTP/2 there is none, and Deno does not say which version a request has.
  'no host': [knocking({ Host: null }), { node: 400, deno: 401 }],
  'an empty host': [knocking({ Host: '' }), 400],
  'a host with a blank': [knocking({ Host: 'a b' }), 400],
  'a host that holds a path': [knocking({ Host: 'evil.com/ws?' }, { target: '/x' }), 400],
  'a user in the host': [knocking({ Host: 'a@evil.com' }), 400],
  'any other host': [knocking({ Host: '[::1]:99' }), 401],

  'HTTP/1.0': [knocking({}, { version: '1.0' }), 401],
  'HTTP/2.0': [knocking({}, { version: '2.0' }), 400],
  capitals: [knocking({ Upgrade: 'WebSocket', Connection: 'keep-alive, UPGRADE' }), 401],
  'no connection header': [knocking({ Connection: null }), 426],
  'another connection header': [knocking({ Connection: 'keep-alive' }), 426],
  'no key': [knocking({ 'Sec-WebSocket-Key': null }), 400],
  'a short key': [knocking({ 'Sec-WebSocket-Key': 'AAAA' }), 400],
  'version 12': [knocking({ 'Sec-WebSocket-Version': '12' }), 426],
  'version 0': [knocking({ 'Sec-WebSocket-Version': '0' }), 426],
  'no version': [knocking({ 'Sec-WebSocket-Version': null }), 426],
  'two versions': [knocking({ 'Sec-WebSocket-Version': ['13', '12'] }), 426],

  POST: [knocking({}, { method: 'POST' }), 405],
  PUT: [knocking({}, { method: 'PUT' }), 405],
  TRACE: [knocking({}, { method: 'TRACE' }), 405],
  CONNECT: [knocking({}, { method: 'CONNECT' }), 400],
  'CONNECT elsewhere': [knocking({}, { method: 'CONNECT', target: 'evil.com:443' }), 400],
  // Node's parser knows the methods that there are.
  'a method of its own': [knocking({}, { method: 'HEARTH' }), { node: 400, deno: 405 }],

  'a foreign origin': [knocking({ Origin: 'https://evil.com' }), 403],
  'origin null': [knocking({ Origin: 'null' }), 403],
  'an empty origin': [knocking({ Origin: '' }), 403],
  'a blank origin': [knocking({ Origin: ' ' }), 403],
  'two origins': [knocking({ Origin: ['URL', 'https://evil.com'] }), 403],
  'two origins, the good one last': [knocking({ Origin: ['https://evil.com', 'URL'] }), 403],
  'one origin twice': [knocking({ Origin: ['URL', 'URL'] }), 403],
  'our origin': [knocking({ Origin: 'URL' }), 401],
  'a cookie and no ticket': [
    knocking({ 'Sec-WebSocket-Protocol': 'hearth.v1', Cookie: `hearth=${NO_TICKET}` }),
    400,
  ],
  'a cookie and a bad ticket': [knocking({ Cookie: `hearth=${NO_TICKET}` }), 401],
  'a bearer token and no ticket': [
    knocking({ 'Sec-WebSocket-Protocol': 'hearth.v1', Authorization: `Bearer ${NO_TICKET}` }),
    400,
  ],

  'another handshake behind it': [knocking() + knocking(), 401],
  'a request behind it': [
    knocking({ 'Sec-WebSocket-Version': '12' }) + request('/api/session'),
    426,
  ],
  'a frame behind it': [`${knocking()}\x81\x80\0\0\0\0`, 401],
  'a request behind one for elsewhere': [knocking({}, { target: '/' }) + request('/'), 404],
  'a body': [`${knocking({ 'Content-Length': '5' })}hello`, 400],
  'a body in chunks': [`${knocking({ 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`, 400],
  'a body of two lengths': [
    `${knocking({ 'Content-Length': '5', 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`,
    400,
  ],
  // Deno reads a head of up to 64 KiB, which cannot be set.
  'a header of 17 KiB': [knocking({ 'X-Long': 'a'.repeat(17 * KIB) }), { node: 431, deno: 401 }],
  'a header of 70 KiB': [knocking({ 'X-Long': 'a'.repeat(70 * KIB) }), { node: 431, deno: 400 }],
  '2,001 headers': [knocking(many(2_001)), 400],
  '129 headers': [knocking(many(123)), 400],
  '128 headers': [knocking(many(122)), 401],
  'a protocol list of 14,000 blanks': [
    knocking({ 'Sec-WebSocket-Protocol': `b${' '.repeat(14_000)}x` }),
    400,
  ],
  'a protocol list of 30,000 blanks': [
    knocking({ 'Sec-WebSocket-Protocol': `b${' '.repeat(30_000)}x` }),
    { node: 431, deno: 400 },
  ],
}

/** Ordinary requests: one answer each. */
const REQUESTS: Record<string, [request: string, answer: Answer]> = {
  'the page': [request('/'), 200],
  '//': [request('//'), 200],
  '//evil.com/': [request('//evil.com/'), 200],
  'a backslash': [request('/\\evil.com/ws'), 400],
  'http://[': [request('http://['), 400],
  '*': [request('*'), 400],
  '/%zz': [request('/%zz'), 200],
  'a path of 15 KiB': [request(`/${'a'.repeat(15 * KIB)}`), 200],
  // Deno does not resolve dots, so that this is a page like any other.
  '/ws/../ws': [request('/ws/../ws'), { node: 404, deno: 200 }],
  'two hosts': [request('/', { Host: ['127.0.0.1', 'evil.com'] }), 400],
  'no host': [request('/', { Host: null }), { node: 400, deno: 200 }],
  'a host with a blank': [request('/', { Host: 'a b' }), 400],
  'a host that holds a path': [request('/x', { Host: 'evil.com/api/session?' }), 400],
  'HTTP/1.0': [request('/', {}, { version: '1.0' }), 200],
  'HTTP/2.0': [request('/', {}, { version: '2.0' }), 400],
  'no upgrade at /ws': [request('/ws'), 426],
  h2c: [request('/', { Upgrade: 'h2c', Connection: 'Upgrade', 'HTTP2-Settings': 'AAMA' }), 200],
  'h2c at /ws': [request('/ws', { Upgrade: 'h2c', Connection: 'Upgrade' }), 426],
  'two upgrades': [request('/ws', { Upgrade: 'websocket, h2c', Connection: 'Upgrade' }), 426],
  CONNECT: [request('evil.com:443', {}, { method: 'CONNECT' }), 400],
  'TRACE at /ws': [request('/ws', {}, { method: 'TRACE' }), 405],
  'POST at /ws': [request('/ws', {}, { method: 'POST' }), 405],
  'a body of GET': [`${request('/', { 'Content-Length': '5' })}hello`, 200],
  'a body of two lengths': [
    `${request('/', { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`,
    400,
  ],
  'two lengths': [request('/', { 'Content-Length': ['5', '6'] }), 400],
  'a blank before the colon': ['GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n', 400],
  'a folded header': ['GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\r\n b\r\n\r\n', 400],
  'NUL in a header': [request('/', { 'X-A': 'a\0b' }), 400],
  // hyper takes a line feed for the end of a line (RFC 9112, 2.2 allows it).
  'bare line feeds': ['GET / HTTP/1.1\nHost: 127.0.0.1\n\n', { node: 400, deno: 200 }],
  'HTTP/0.9': ['GET /\r\n\r\n', 400],
  TLS: ['\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 400],
  'a header of 17 KiB': [
    request('/', { 'X-Long': 'a'.repeat(17 * KIB) }),
    { node: 431, deno: 200 },
  ],
  '2,001 headers': [request('/', many(2_001)), 400],
  'an empty origin': [
    `${request('/api/session', { Origin: '', 'Content-Length': '2' }, { method: 'POST' })}{}`,
    403,
  ],
}

/** Sends every row at once; a row counts as seen when `isOver` says so. */
async function assertAnswers(
  t: TestContext,
  table: typeof HANDSHAKES,
  isOver: (raw: RawSocket) => boolean,
) {
  const { url } = await startServer(t, { limits: GENEROUS })
  const wrong = await Promise.all(
    Object.entries(table).map(async ([what, [text, answer]]) => {
      const raw = new RawSocket(t, url)
      raw.socket.write(text.replaceAll('URL', url), 'latin1')
      await raw.until(() => isOver(raw)).catch(() => {})
      const isAnswered = raw.status === answerHere(answer) && raw.answers === 1
      return isAnswered && isOver(raw) ? [] : [`${what}: ${raw.text || 'nothing'}`]
    }),
  )
  assert.deepEqual(wrong.flat(), [])
  await newcomer(t, url, 'Ann')
}

test('handshakes by hand: one answer to each, then the end', async (t) => {
  await assertAnswers(t, HANDSHAKES, (raw) => raw.isClosed)
})

test('requests by hand: one answer to each', async (t) => {
  await assertAnswers(t, REQUESTS, (raw) => raw.text.includes('\r\n\r\n'))
})

test('a refusal to be a WebSocket carries no page and nothing to keep', async (t) => {
  const { url } = await startServer(t)
  for (const [headers, target] of [
    [{}, '/ws'],
    [{ Upgrade: 'h2c' }, '/ws'],
    [{ Origin: 'https://evil.com' }, '/ws'],
    [{}, '/elsewhere'],
  ] as const) {
    const raw = await knock(t, url, NO_TICKET, headers, { target })
    assert.equal(raw.header('cache-control'), 'no-store')
    assert.equal(
      raw.header('content-security-policy'),
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
    assert.equal(raw.header('cross-origin-resource-policy'), 'same-origin')
    assert.equal(raw.header('referrer-policy'), 'no-referrer')
    assert.equal(raw.header('x-content-type-options'), 'nosniff')
    assert.equal(raw.header('set-cookie'), undefined)
  }
})

test('HEAD with an upgrade: no body to break off, so Deno goes on', async (t) => {
  const { url } = await startServer(t)
  const raw = await knock(t, url, NO_TICKET, {}, { method: 'HEAD' })
  assert.equal(raw.status, 405)
  if (!IS_DENO) return raw.end()
  raw.write(request('/api/session'))
  await raw.until(() => raw.answers === 2)
})

test('what came behind h2c is not answered on Node, and is on Deno', async (t) => {
  const { url } = await startServer(t)
  const raw = new RawSocket(t, url)
  raw.write(request('/', { Upgrade: 'h2c', Connection: 'Upgrade' }) + request('/api/session'))
  if (IS_DENO) await raw.until(() => raw.answers === 2)
  else await raw.end()
  assert.equal(raw.answers, IS_DENO ? 2 : 1)
})

test('a request that cannot become a socket leaves the ticket alone', async (t) => {
  const { url } = await startServer(t)
  const { token } = await signIn(url, 'Ann')
  const ticket = await newTicket(url, token)
  const tries: [RawHeaders, { target?: string }?][] = [
    [{ Connection: 'keep-alive' }],
    [{ 'Content-Length': '5' }],
    [{ Host: ['127.0.0.1', '127.0.0.1'] }],
    [{ Origin: '' }],
    [{}, { target: '/ws/../ws' }],
  ]
  for (const [headers, line] of tries) {
    const raw = await knock(t, url, ticket, headers, line)
    assert.ok(raw.status >= 400, raw.text)
  }
  assert.equal((await knock(t, url, ticket)).status, 101)
})

test('no header costs more time than its length', async (t) => {
  const { url } = await startServer(t)
  const blanks = `b${' '.repeat(14_000)}x`
  const before = process.cpuUsage()
  for (const name of ['Sec-WebSocket-Protocol', 'Connection', 'Upgrade', 'Origin', 'Cookie']) {
    for (let i = 0; i < 4; i += 1) await knock(t, url, NO_TICKET, { [name]: blanks })
  }
  const { user } = process.cpuUsage(before)
  assert.ok(user < 700_000, `${user} µs of CPU`)
})

test('peers that go while their ticket is looked at: nothing breaks, no place is lost', async (t) => {
  let asked = 0
  let release = () => {}
  let held = Promise.resolve()
  const hold = () => void (held = new Promise((resolve) => (release = resolve)))
  let session = ''
  const redeem = async () => {
    asked += 1
    const isGood = asked % 2 === 0
    await held
    return isGood ? { user: '', session, address: null } : null
  }
  const issue = () => assert.fail('nobody asks for one')
  const limits = { connectionsPerIp: PEERS, connectionsPerUser: PEERS, handshakeMs: 10_000 }
  const { app, clock, faults, signIn } = openApp(t, {
    limits,
    tickets: { issue, redeem, look: issue },
  })
  session = hashSecret((await signIn('Ann')).token)
  const listener = await runtime.serve(app, SERVING)
  t.after(() => listener.close())
  const url = `http://127.0.0.1:${listener.port}`

  for (const round of [1, 2]) {
    hold()
    const raws = Array.from({ length: PEERS }, () => new RawSocket(t, url))
    for (const raw of raws) raw.write(knocking())
    await until(() => asked === PEERS * round)
    for (const { socket } of raws) socket.resetAndDestroy()
    await Promise.all(raws.map((raw) => raw.end()))
    release()
    // The places of who was let in and had gone are free again when nobody opens the socket.
    await turn()
    await clock.advance(limits.handshakeMs)
  }
  assert.deepEqual(faults, [])
  asked = 1
  assert.equal((await knock(t, url, NO_TICKET)).status, 101)
})

test('a head that comes byte by byte: Node ends it, Deno waits, nobody else notices', async (t) => {
  const { url } = await startServer(t, { limits: { handshakeMs: 300 } })
  const slow = Array.from({ length: 20 }, () => new RawSocket(t, url))
  for (const raw of slow) raw.write('GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ')
  const timer = setInterval(() => {
    for (const { socket } of slow) if (socket.writable) socket.write('x')
  }, 20)
  t.after(() => clearInterval(timer))
  const ann = await newcomer(t, url, 'Ann')
  if (!IS_DENO) await Promise.all(slow.map((raw) => raw.end()))
  await ann.join('lobby')
})

const PIPELINED: Record<string, string> = {
  'plain requests': request('/'),
  'with an Expect that nobody knows': request('/', { Expect: 'the unexpected' }),
  'with a head that is waited for': request('/', { Expect: '100-continue' }),
}

for (const [what, text] of Object.entries(PIPELINED)) {
  test(`requests that pile up, ${what}: Node ends the connection, Deno reads one at a time`, async (t) => {
    const { app, held, release } = holdingApp()
    const refused: string[] = []
    const onRefusal = (_peer: string, why: string) => void refused.push(why)
    const listener = await runtime.serve(app, { ...SERVING, onRefusal })
    t.after(() => listener.close())
    t.after(release)
    const most = IS_DENO ? 1 : SERVING.unansweredRequests
    const raw = new RawSocket(t, `http://127.0.0.1:${listener.port}`)
    raw.write(text.repeat(SERVING.unansweredRequests))
    await until(() => held() === most)
    assert.equal(raw.isClosed, false)
    raw.write(text.repeat(1_000))
    if (!IS_DENO) await raw.end()
    // Whoever comes later is answered: all of the read before it has been looked at.
    const other = new RawSocket(t, `http://127.0.0.1:${listener.port}`)
    other.write(request('/'))
    await until(() => held() > most)
    assert.equal(held(), most + 1)
    assert.deepEqual(refused, IS_DENO ? [] : ['piled up'])
  })
}

test('a request without a host is charged like any other', { skip: IS_DENO }, async (t) => {
  const refused: string[] = []
  const onRefusal = (_peer: string, why: string) => void refused.push(why)
  const listener = await runtime.serve(holdingApp().app, { ...SERVING, onRefusal })
  t.after(() => listener.close())
  const raw = new RawSocket(t, `http://127.0.0.1:${listener.port}`)
  raw.write(request('/', { Host: null }).repeat(1_000))
  await raw.end()
  assert.equal(refused.filter((why) => why === 'unclear').length, SERVING.unansweredRequests)
  assert.equal(refused.at(-1), 'piled up')
})

test('answers over HTTP/2 that nobody reads: Deno refuses more of them, Node does not speak it', async (t) => {
  const limits = { ...GENEROUS, connectionsPerIp: 64, unreadBytes: 64 * KIB }
  const { url } = await startServer(t, { limits })
  const session = connectHttp2(url, { settings: { initialWindowSize: 0 } })
  t.after(() => session.destroy())
  const failed = new Promise((resolve) => session.on('error', resolve))
  if (!IS_DENO) return assert.ok(await failed)
  await once(session, 'connect')
  /** What came of all, in rounds: there may be 200 of a connection at a time. */
  const statuses: number[] = []
  let ended = 0
  for (let round = 1; round <= 4; round += 1) {
    for (let count = 0; count < 40; count += 1) {
      const stream = session.request({ ':path': '/vendor/valibot.js' })
      stream.on('response', (headers) => void statuses.push(headers[':status']!))
      stream.on('end', () => (ended += 1)).resume()
    }
    await until(() => statuses.length === round * 40)
  }
  const refused = statuses.filter((status) => status === 429).length
  // One in eight is counted, for 600 KiB of the 4 MiB.
  assert.ok(refused >= 10, `${refused} refused`)
  await until(() => ended === refused)
  assert.equal((await fetch(url)).status, 429)
  session.destroy()
  await until(async () => (await fetch(url)).status === 200)
})

test('a hundred requests in a row on one connection are no pile', async (t) => {
  const { url } = await startServer(t)
  const raw = new RawSocket(t, url)
  for (let count = 1; count <= 100; count += 1) {
    raw.write(request('/livez'))
    await raw.until(() => raw.answers === count)
  }
})

test('connections above the limit of an address are ended on Node, and Deno shows none', async (t) => {
  let open = 0
  const admit = () => {
    if (open === 3) return null
    open += 1
    return () => void (open -= 1)
  }
  const listener = await runtime.serve(new Hono(), { ...SERVING, admit })
  t.after(() => listener.close())
  const url = `http://127.0.0.1:${listener.port}`
  const silent = Array.from({ length: 3 }, () => new RawSocket(t, url))
  const tooMany = IS_DENO ? null : new RawSocket(t, url)
  await tooMany?.end()
  assert.equal(open, IS_DENO ? 0 : 3)
  silent[0]!.socket.end()
  await until(() => open < 3)
  const next = new RawSocket(t, url)
  next.write(request('/'))
  assert.equal(await next.head(), 404)
})

test('a refused peer that never goes is gone in time, also on a connection used before', async (t) => {
  const { url } = await startServer(t, { limits: { closeMs: 200 } })
  for (const before of ['', request('/api/session')]) {
    const raw = new RawSocket(t, url, { allowHalfOpen: true })
    raw.write(before)
    await raw.until(() => raw.answers === (before ? 1 : 0))
    raw.write(knocking())
    await raw.until(() => raw.answers === (before ? 2 : 1))
    // Its own half stays open; only writing tells whether the other still listens.
    const timer = setInterval(() => raw.write('x'), 20)
    t.after(() => clearInterval(timer))
    await raw.end()
    clearInterval(timer)
  }
})

/** An app that answers when it is told to. */
function holdingApp() {
  let held = 0
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  const app = new Hono()
  app.all('*', async (c) => {
    held += 1
    await released
    return c.text('')
  })
  return { app, held: () => held, release }
}

/** Looks again and again, for what tells nobody. */
async function until(condition: () => boolean | Promise<boolean>) {
  const end = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('a body that is cut off is refused, and no fault', async (t) => {
  const { url } = await startServer(t, { env: { METRICS_TOKEN } })
  const { token } = await signIn(url, 'Ann')
  const json = { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` }
  const cut: [RawHeaders, body: string][] = [
    [{ 'Content-Length': '100' }, '{"body":'],
    [{ 'Transfer-Encoding': 'chunked' }, '8\r\n{"body":\r\n'],
  ]
  for (const [headers, body] of cut) {
    const raw = new RawSocket(t, url)
    const head = request('/api/rooms/lobby/messages', { ...json, ...headers }, { method: 'POST' })
    raw.socket.write(head + body, () => raw.socket.destroy())
  }
  const refused = 'hearth_refusals_total{what="request",code="invalid"}'
  const samples = await scrapeUntil(url, (read) => read(refused) === cut.length, 'the refusals')
  assert.equal(samples('hearth_faults_total'), 0)
})

test('who was signed out while a body was on its way has no part in it', async (t) => {
  const clock = new TestClock()
  const { url } = await startServer(t, { clock })
  const { token } = await signIn(url, 'Ann')
  const body = '{"room":"den"}'
  const headers = {
    ...{ 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    'Content-Length': String(body.length),
  }
  const raw = new RawSocket(t, url)
  raw.write(request('/api/rooms', headers, { method: 'POST' }) + body.slice(0, -1))
  await (await fetch(`${url}/livez`)).body?.cancel()
  const authorization = `Bearer ${token}`
  await fetch(`${url}/api/session`, { method: 'DELETE', headers: { authorization } })
  await clock.advance(2_000)
  raw.write(body.slice(-1))
  await raw.until(() => raw.status > 0)
  assert.equal(raw.status, 401)
  const bob = await signIn(url, 'Bob')
  assert.equal((await post(`${url}/api/rooms`, { room: 'den' }, bob.token)).status, 201)
})

test('a body that does not come is waited for 20 s', async (t) => {
  const clock = new TestClock()
  const { url } = await startServer(t, { clock })
  const { token } = await signIn(url, 'Ann')
  const headers = {
    ...{ 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    'Content-Length': '100',
  }
  const raw = new RawSocket(t, url)
  raw.write(request('/api/rooms', headers, { method: 'POST' }) + '{')
  for (let waited = 0; waited < 30 && !(raw.status > 0); waited += 1) {
    await clock.advance(1_000)
    await (await fetch(`${url}/livez`)).body?.cancel()
  }
  assert.equal(raw.status, 400)
})
