/** Hearth behind nginx and behind Caddy, with the very settings in deploy/. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { generate } from 'selfsigned'
import { WebSocket } from 'ws'
import { handshake } from './conformance/raw.ts'
import { Client, tempFolder, type Account } from './helpers.ts'
import { freePort, ROOT, startProcess } from './process.ts'
import { findProgram } from './programs.ts'

const NAME = 'chat.example.org'
const ORIGIN = `https://${NAME}`
const PATIENCE_MS = 5_000
/** Instead of the ten seconds for the head of a request. */
const HEADER_MS = 700
const SESSION_RATE = 12
const SOCKETS = 6
/** An address of the range for documentation, which is nobody's. */
const ELSEWHERE = '203.0.113.9'

interface Site {
  http: number
  https: number
  upstream: number
  folder: string
}

interface Proxy {
  program: string
  /** What makes it print its version. */
  version: string
  package: string
  file: string
  /** What the machine of the test needs otherwise; each is found exactly so often. */
  change(site: Site): [from: string | RegExp, to: string, times: number][]
  argv(file: string): string[]
  /** Whether it limits the connections of one address. */
  limitsConnections: boolean
}

const NGINX: Proxy = {
  program: 'nginx',
  version: '-v',
  package: 'nginx-light',
  file: 'nginx.conf',
  change: ({ http, https, upstream, folder }) => [
    ['http {\n', `pid ${folder}/pid;\nhttp {\n  access_log off;\n${nginxFolders(folder)}`, 1],
    ['worker_rlimit_nofile 65536;', '', 1],
    ['worker_connections 32768;', 'worker_connections 64;', 1],
    ['server 127.0.0.1:3000;', `server 127.0.0.1:${upstream};`, 1],
    ['listen 80;', `listen 127.0.0.1:${http};`, 1],
    ['listen 443 ssl http2;', `listen 127.0.0.1:${https} ssl http2;`, 1],
    [/listen \[::\]:.*;/g, '', 2],
    [/\/etc\/letsencrypt\/live\/chat.example.org\//g, `${folder}/`, 2],
    ['client_header_timeout 10s;', `client_header_timeout ${HEADER_MS}ms;`, 1],
    ['limit_conn addresses 128;', `limit_conn addresses ${SOCKETS};`, 1],
  ],
  argv: (file) => ['-c', file, '-p', join(file, '..'), '-e', 'stderr', '-g', 'daemon off;'],
  limitsConnections: true,
}

const CADDY: Proxy = {
  program: 'caddy',
  version: 'version',
  package: 'caddy',
  file: 'Caddyfile',
  change: ({ http, https, upstream, folder }) => [
    ['{\n\tservers', `{\n\tadmin off\n\thttp_port ${http}\n\thttps_port ${https}\n\tservers`, 1],
    [
      '\nhttps://chat.example.org {\n',
      `$&\ttls ${folder}/fullchain.pem ${folder}/privkey.pem\n`,
      1,
    ],
    ['127.0.0.1:3000', `127.0.0.1:${upstream}`, 1],
    ['read_header 10s', `read_header ${HEADER_MS}ms`, 1],
  ],
  argv: (file) => ['run', '--config', file, '--adapter', 'caddyfile'],
  limitsConnections: false,
}

/** Where nginx may write without being root. */
function nginxFolders(folder: string) {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return kinds.map((kind) => `  ${kind}_temp_path ${folder}/${kind};\n`).join('')
}

/** Where its program is. */
function find({ program, version, package: debian }: Proxy) {
  return findProgram(program, version, debian)
}

function adapt(proxy: Proxy, site: Site) {
  let text = readFileSync(join(ROOT, 'deploy', proxy.file), 'utf8')
  for (const [from, to, times] of proxy.change(site)) {
    assert.equal(text.split(from).length - 1, times, `${proxy.file}: ${from}`)
    text = text.replace(from, to)
  }
  const file = join(site.folder, proxy.file)
  writeFileSync(file, text)
  return file
}

/** Starts the proxy with its file in a folder of its own; killed when the test is over. */
async function startReverseProxy(t: TestContext, proxy: Proxy, site: Site) {
  const env = { ...process.env, HOME: site.folder, XDG_DATA_HOME: site.folder }
  const child = spawn(find(proxy)!, proxy.argv(adapt(proxy, site)), {
    env: { ...env, XDG_CONFIG_HOME: site.folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  let isOver = false
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const end = new Promise<void>((resolve) =>
    child.on('close', () => resolve(((isOver = true), undefined))),
  )
  t.after(async () => {
    if (!isOver && child.pid !== undefined) process.kill(child.pid, 'SIGTERM')
    await end
  })
  const deadline = performance.now() + PATIENCE_MS * 2
  const isUp = () =>
    ask(site, 'GET', '/favicon.svg').then(
      () => true,
      () => false,
    )
  while (!(await isUp())) {
    assert.ok(!isOver && performance.now() < deadline, `${proxy.program} does not start:\n${log}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** What a client of the site needs to know: where it is, and whom to believe. */
const toSite = (site: Site) => ({
  host: '127.0.0.1',
  port: site.https,
  servername: NAME,
  ca: readFileSync(join(site.folder, 'fullchain.pem')),
})

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

function ask(
  site: Site,
  method: string,
  path: string,
  { headers = {}, body = '', secure = true } = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const options = { method, path, agent: false as const, headers: { host: NAME, ...headers } }
    const outgoing = secure
      ? request({ ...toSite(site), ...options })
      : plainRequest({ host: '127.0.0.1', port: site.http, ...options })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const { statusCode: status = 0, headers } = incoming
        resolve({ status, headers, text: Buffer.concat(chunks).toString() })
      })
    })
    outgoing.end(body)
  })
}

/** A POST of JSON, as somebody who may claim to come from elsewhere. */
function tell(site: Site, path: string, body: unknown, headers: Record<string, string> = {}) {
  const all = { 'content-type': 'application/json', ...headers }
  return ask(site, 'POST', path, { headers: all, body: JSON.stringify(body) })
}

const bearer = ({ token }: Account) => ({ authorization: `Bearer ${token}` })
const claim = (address: string) => ({ 'x-forwarded-for': address })

async function signIn(site: Site, name: string): Promise<Account> {
  const { status, text } = await tell(site, '/api/session', { name })
  assert.equal(status, 201, text)
  return JSON.parse(text) as Account
}

async function newTicket(site: Site, account: Account, headers = {}): Promise<string> {
  const { status, text } = await tell(site, '/api/ticket', {}, { ...bearer(account), ...headers })
  assert.equal(status, 201, text)
  return (JSON.parse(text) as { ticket: string }).ticket
}

function openSocket(site: Site, ticket: string, headers = {}) {
  return new WebSocket(`wss://127.0.0.1:${site.https}/ws`, ['hearth.v1', `ticket.${ticket}`], {
    ...toSite(site),
    headers: { host: NAME, ...headers },
  })
}

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

const statusOf = (text: string) => Number(/^HTTP\/1\.1 (\d+) /.exec(text)?.[1])

async function startSite(t: TestContext, proxy: Proxy): Promise<Site> {
  const folder = tempFolder(t)
  const names = [{ type: 2 as const, value: NAME }]
  const pems = await generate([{ name: 'commonName', value: NAME }], {
    keyType: 'ec',
    extensions: [
      // Deno believes no other certificate that it is told to believe.
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: names },
    ],
  })
  writeFileSync(join(folder, 'fullchain.pem'), pems.cert)
  writeFileSync(join(folder, 'privkey.pem'), pems.private, { mode: 0o600 })
  const server = startProcess(t, {
    PORT: '0',
    DATA_FILE: ':memory:',
    TRUST_PROXY: '1',
    ALLOWED_ORIGINS: ORIGIN,
    SESSION_RATE: String(SESSION_RATE),
  })
  const [url, http, https] = [await server.url(), await freePort(), await freePort()]
  const site = { http, https, upstream: Number(new URL(url).port), folder }
  await startReverseProxy(t, proxy, site)
  return site
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
    const direct = `http://127.0.0.1:${site.upstream}/api/ticket`
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
  const sites = await Promise.all(proxies.map((proxy) => startSite(t, proxy)))
  for (const [n, proxy] of proxies.entries()) {
    await t.test(proxy.program, (t) => holds(t, proxy, sites[n]!))
  }
})
