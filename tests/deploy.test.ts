/** Hearth behind nginx and behind Caddy, with the very settings in deploy/. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { request } from 'node:https'
import { PassThrough, type Readable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { handshake } from './conformance/raw.ts'
import { Client, type Account } from './helpers.ts'
import { startProcess } from './process.ts'
import {
  ask,
  bearer,
  CADDY,
  claim,
  find,
  HEADER_MS,
  NAME,
  newTicket,
  NGINX,
  openSocket,
  ORIGIN,
  PATIENCE_MS,
  signIn,
  startSite,
  tell,
  toSite,
  type Proxy,
  type Site,
} from './site.ts'

const SESSION_RATE = 12
const SOCKETS = 6
/** An address of the range for documentation, which is nobody's. */
const ELSEWHERE = '203.0.113.9'

/** A client with an open socket through the proxy. */
async function enter(t: TestContext, site: Site, account: Account): Promise<Client> {
  const client = new Client(account, openSocket(site, await newTicket(site, account)))
  t.after(() => client.cut())
  await client.next('welcome')
  return client
}

/** @returns the status of the answer to a handshake that is refused */
function refusal(site: Site, ticket: string, headers = {}) {
  return new Promise<number | undefined>((resolve, reject) => {
    const socket = openSocket(site, ticket, headers)
    socket.on('unexpected-response', (_request, { statusCode }) => {
      resolve(statusCode)
      socket.terminate()
    })
    socket.on('open', () => (socket.terminate(), reject(new Error('it was let in'))))
    socket.on('error', () => {})
  })
}

/** Sends bytes over TLS. @returns what came until the end, and how long that took in ms */
function talkTls(t: TestContext, site: Site, text: string, drip = '') {
  return new Promise<{ text: string; ms: number }>((resolve) => {
    const started = performance.now()
    let answer = ''
    const { host, ...options } = toSite(site)
    const socket = connectTls({ ...options, host, ALPNProtocols: ['http/1.1'] }, () => {
      socket.write(text)
    })
    const timer = drip && setInterval(() => socket.write(drip), 100)
    t.after(() => socket.destroy())
    socket.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(timer)
      resolve({ text: answer, ms: performance.now() - started })
    })
  })
}

/** What came of an event stream so far, and what will. */
function gather(stream: Readable) {
  let text = ''
  stream.setEncoding('utf8').on('data', (more: string) => (text += more))
  const until = async (wanted: string) => {
    const timer = setTimeout(() => stream.destroy(), PATIENCE_MS)
    while (!text.includes(wanted)) {
      assert.ok(!stream.destroyed, `it ended without ${wanted}:\n${text}`)
      await Promise.race(['data', 'close'].map((name) => once(stream, name)))
    }
    clearTimeout(timer)
  }
  return { until }
}

const EVENTS = '/api/rooms/hall/events'

function followHttp1(t: TestContext, site: Site, account: Account) {
  const stream = new PassThrough()
  const headers = { host: NAME, ...bearer(account) }
  const outgoing = request({ ...toSite(site), path: EVENTS, agent: false, headers })
  outgoing.on('response', (incoming) => incoming.pipe(stream)).on('error', () => stream.destroy())
  outgoing.end()
  t.after(() => outgoing.destroy())
  return gather(stream)
}

function followHttp2(t: TestContext, site: Site, account: Account) {
  const { host, port, ...options } = toSite(site)
  const session = connectHttp2(`https://${host}:${port}`, options)
  t.after(() => session.destroy())
  return gather(session.request({ ':path': EVENTS, ':authority': NAME, ...bearer(account) }))
}

const statusOf = (text: string) => Number(/^HTTP\/1\.1 (\d+) /.exec(text)?.[1])

/** A server of its own behind the proxy. */
async function startAlone(t: TestContext, proxy: Proxy): Promise<Site> {
  const server = startProcess(t, {
    PORT: '0',
    DATA_FILE: ':memory:',
    TRUST_PROXY: '1',
    ALLOWED_ORIGINS: ORIGIN,
    SESSION_RATE: String(SESSION_RATE),
  })
  return startSite(t, proxy, [Number(new URL(await server.url()).port)], SOCKETS)
}

/** Everything that holds behind a proxy of ours, whichever it is. */
async function holds(t: TestContext, proxy: Proxy, site: Site) {
  const ada = await signIn(site, 'Ada')

  await t.test('two people talk over wss', async (t) => {
    const grace = await signIn(site, 'Grace')
    const [one, two] = [await enter(t, site, ada), await enter(t, site, grace)]
    await one.join('lobby')
    await two.join('lobby')
    await one.say('lobby', 'hello')
    assert.equal((await two.next('message')).author.name, 'Ada')
    await two.say('lobby', 'hello yourself')
    await one.next('message', ({ author }) => author.name === 'Grace')
  })

  await t.test('a room is followed as events, also over HTTP/2', async (t) => {
    for (const follow of [followHttp1, followHttp2]) {
      const stream = follow(t, site, ada)
      await stream.until('event: joined')
      const posted = await tell(site, '/api/rooms/hall/messages', { body: 'at once' }, bearer(ada))
      assert.equal(posted.status, 201)
      // Whoever gathered events before passing them on would not send so few.
      await stream.until(`"id":"${(JSON.parse(posted.text) as { id: string }).id}"`)
    }
  })

  await t.test('the page and its headers come through, and no version', async () => {
    const page = await ask(site, 'GET', '/r/lobby')
    assert.equal(page.status, 200)
    assert.match(page.text, /Welcome to the chat application/)
    assert.match(String(page.headers['strict-transport-security']), /^max-age=63072000/)
    assert.match(String(page.headers['content-security-policy']), /upgrade-insecure-requests$/)
    assert.doesNotMatch(String(page.headers.server ?? ''), /\d|Caddy/)
    const file = await ask(site, 'GET', '/vendor/valibot.js')
    assert.deepEqual([file.status, file.text.length > 50_000], [200, true])
  })

  await t.test('in the clear: the page moves, everything else is refused', async () => {
    const page = await ask(site, 'GET', '/r/lobby?a=b', { secure: false })
    assert.equal(page.status, 308)
    assert.equal(page.headers.location, `${ORIGIN}/r/lobby?a=b`)
    for (const path of ['/api/session', '/api/ticket', '/ws']) {
      const answer = await ask(site, 'POST', path, { secure: false })
      assert.deepEqual([answer.status, answer.headers.location], [403, undefined])
    }
  })

  await t.test('nobody comes from where he claims to', async () => {
    // Good from whatever he claims, as nobody listens to it.
    const spoofed = await newTicket(site, ada, claim(ELSEWHERE))
    const client = new Client(ada, openSocket(site, spoofed, claim('198.51.100.1')))
    await client.next('welcome')
    client.cut()
    // A ticket of somebody else's address, as another proxy of ours would have asked for it.
    const direct = `http://127.0.0.1:${site.upstreams[0]}/api/ticket`
    const headers = { ...bearer(ada), ...claim(ELSEWHERE) }
    const response = await fetch(direct, { method: 'POST', headers })
    const { ticket } = (await response.json()) as { ticket: string }
    for (const claimed of [ELSEWHERE, `${ELSEWHERE}, ${ELSEWHERE}`]) {
      assert.equal(await refusal(site, ticket, claim(claimed)), 401, claimed)
    }
  })

  await t.test('too much of everything', async () => {
    const big = 'x'.repeat(70_000)
    const head = await ask(site, 'GET', '/', { headers: { cookie: big.slice(0, 30_000) } }).catch(
      () => ({ status: 431 }),
    )
    assert.ok([400, 414, 431, 494].includes(head.status), `${head.status}`)
    const body = await tell(site, '/api/session', { name: big })
    assert.equal(body.status, 413)
  })

  await t.test('odd targets and other upgrades', async (t) => {
    const lines = ['GET //', 'GET //evil.example/ws', 'GET /..%2f..%2fetc/passwd', 'GET /%00']
    lines.push('GET /../../etc/passwd', 'TRACE /', 'CONNECT evil.example:443', 'GET /\\..\\x.y')
    for (const line of lines) {
      const headers = `Host: ${NAME}\r\nConnection: close\r\n`
      const { text } = await talkTls(t, site, `${line} HTTP/1.1\r\n${headers}\r\n`)
      assert.ok([200, 400, 403, 404, 405, 421].includes(statusOf(text)), `${line}: ${text}`)
      if (statusOf(text) === 200) assert.match(text, /<title>Chat Application/, line)
      assert.doesNotMatch(text, /root:/)
    }
    const h2c = `Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`
    for (const path of ['/', '/ws']) {
      const headers = `Host: ${NAME}\r\nConnection: Upgrade, HTTP2-Settings, close\r\n${h2c}`
      const { text } = await talkTls(t, site, `GET ${path} HTTP/1.1\r\n${headers}\r\n`)
      assert.equal(statusOf(text), path === '/' ? 200 : 426, text)
    }
    const elsewhere = handshake('x'.repeat(43), { Host: NAME }, { target: '/elsewhere' })
    const cross = handshake('x'.repeat(43), { Host: NAME, Origin: 'https://evil.example' })
    for (const [text, status] of [
      [elsewhere, 404],
      [cross, 403],
    ] as const) {
      const socket = talkTls(
        t,
        site,
        text.replace('Connection: Upgrade', 'Connection: Upgrade, close'),
      )
      assert.equal(statusOf((await socket).text), status)
    }
  })

  await t.test('who never finishes his request is cut', async (t) => {
    const { ms, text } = await talkTls(t, site, `GET / HTTP/1.1\r\nHost: ${NAME}\r\nA: `, 'a')
    assert.ok(ms >= HEADER_MS - 50 && ms < HEADER_MS + PATIENCE_MS, `after ${ms} ms`)
    assert.ok(text === '' || statusOf(text) === 408, text)
  })

  if (proxy.limitsConnections)
    await t.test('one address has only so many of them', async (t) => {
      const clients: Client[] = []
      for (const _ of Array.from({ length: SOCKETS })) clients.push(await enter(t, site, ada))
      assert.equal((await ask(site, 'GET', '/')).status, 429)
      for (const client of clients) client.cut()
      const deadline = performance.now() + PATIENCE_MS
      while ((await ask(site, 'GET', '/')).status === 429) assert.ok(performance.now() < deadline)
    })

  await t.test('sign-ins count for the address they come from', async () => {
    const statuses = []
    for (const n of Array.from({ length: SESSION_RATE }, (_, i) => i)) {
      const headers = claim(`198.51.100.${n}`)
      statuses.push((await tell(site, '/api/session', { name: `Eve ${n}` }, headers)).status)
    }
    assert.equal(statuses.at(-1), 429, `${statuses}`)
  })
}

test('behind a proxy', async (t) => {
  const proxies = [NGINX, CADDY].filter(find)
  if (proxies.length === 0) return t.skip('there is no proxy')
  const sites = await Promise.all(proxies.map((proxy) => startAlone(t, proxy)))
  for (const [n, proxy] of proxies.entries()) {
    await t.test(proxy.program, (t) => holds(t, proxy, sites[n]!))
  }
})
