/** What every answer carries, which methods there are, and targets that try to get out. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { readdirSync, readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { startServer } from '../helpers.ts'
import { handshake, RawSocket } from '../conformance/raw.ts'
import { assertProblem, openApp, ORIGIN } from './app.ts'

const EVERYWHERE = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'origin-agent-cluster': '?1',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), payment=(), usb=()',
}
const NOWHERE = [
  'server',
  'x-powered-by',
  'access-control-allow-origin',
  'strict-transport-security',
]
const NO_CONTENT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
/** A refused handshake may say less: nothing of it is ever shown. */
const REFUSED =
  /^default-src 'none'; (base-uri 'none'; form-action 'none'; )?frame-ancestors 'none'$/
const PAGE = new RegExp(
  "^default-src 'none'; script-src 'self' 'sha256-[\\w+/]{43}='; style-src 'self'; " +
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'$",
)
const PROBLEM = 'application/problem+json'
const HTML = 'text/html; charset=utf-8'

function assertProtected(headers: Headers, what: string) {
  for (const [name, value] of Object.entries(EVERYWHERE)) {
    assert.equal(headers.get(name), value, `${what}: ${name}`)
  }
  assert.match(headers.get('x-request-id') ?? '', /^[\da-f]{16}$/, what)
  for (const name of NOWHERE) assert.equal(headers.get(name), null, `${what}: ${name}`)
}

test('every answer carries the headers that protect it', async (t) => {
  const { app, signIn, send, get } = openApp(t, { env: { SESSION_RATE: '4' } })
  const { bearer, cookie } = await signIn('Ada')
  const etag = (await get('/')).headers.get('etag')!
  const upgrade = { connection: 'upgrade', upgrade: 'websocket' }
  const table: [status: number, type: string | null, ask: () => Response | Promise<Response>][] = [
    [404, PROBLEM, () => get('/missing.js')],
    [404, PROBLEM, () => get('/api/nothing', bearer)],
    [404, PROBLEM, () => get('/metrics')],
    [200, 'application/json', () => get('/livez')],
    [200, 'application/json', () => get('/readyz')],
    [405, PROBLEM, () => send('POST', '/readyz')],
    [404, PROBLEM, () => get('/elsewhere', upgrade)],
    [405, PROBLEM, () => send('POST', '/')],
    [405, PROBLEM, () => send('DELETE', '/style.css')],
    [405, PROBLEM, () => send('PUT', '/api/rooms', {}, bearer)],
    [405, PROBLEM, () => send('POST', '/ws')],
    [426, PROBLEM, () => get('/ws')],
    [426, PROBLEM, () => get('/ws', upgrade)],
    [400, PROBLEM, () => send('POST', '/api/session', {})],
    [401, PROBLEM, () => get('/api/session')],
    [403, PROBLEM, () => send('POST', '/api/session', {}, { origin: 'https://evil.example' })],
    [413, PROBLEM, () => send('POST', '/api/session', `"${'x'.repeat(70_000)}"`)],
    [415, PROBLEM, () => send('POST', '/api/session', 'x', { 'content-type': 'text/plain' })],
    [409, PROBLEM, () => send('POST', '/api/session', { name: 'Ada' })],
    [429, PROBLEM, () => send('POST', '/api/session', { name: 'Eve' })],
    [200, 'application/json', () => get('/api/rooms', bearer)],
    [201, 'application/json', () => send('POST', '/api/ticket', {}, bearer)],
    [204, null, () => send('DELETE', '/api/session', undefined, { ...cookie, origin: ORIGIN })],
    [200, 'text/css; charset=utf-8', () => get('/style.css')],
    [200, 'text/javascript; charset=utf-8', () => get('/protocol.js')],
    [200, 'text/javascript; charset=utf-8', () => get('/vendor/valibot.js')],
    [200, 'image/svg+xml; charset=utf-8', () => get('/favicon.svg')],
    [200, HTML, () => get('/')],
    [200, HTML, () => get('/r/lobby')],
    [200, HTML, () => app.request('/', { method: 'HEAD' })],
    [304, null, () => get('/r/lobby', { 'if-none-match': etag })],
  ]
  for (const [n, [status, type, ask]] of table.entries()) {
    const { headers, ...response } = await answer(ask)
    const what = `row ${n}, ${status}`
    assert.equal(response.status, status, what)
    assert.equal(headers.get('content-type'), type, what)
    assertProtected(headers, what)
    const policy = headers.get('content-security-policy') ?? ''
    const isPage = type === HTML || status === 304
    if (isPage) assert.match(policy, PAGE, what)
    else if (headers.get('connection') === 'close') assert.match(policy, REFUSED, what)
    else assert.equal(policy, NO_CONTENT, what)
    const isFile = status === 304 || (status === 200 && type !== 'application/json')
    assert.equal(headers.get('cache-control'), isFile ? 'no-cache' : 'no-store', what)
    if (status === 429) assert.match(headers.get('retry-after') ?? '', /^\d+$/)
  }
})

async function answer(ask: () => Response | Promise<Response>) {
  const response = await ask()
  await response.body?.cancel()
  return { status: response.status, headers: response.headers }
}

test('what nobody expected carries them too, and says nothing of itself', async (t) => {
  const fail = () => Promise.reject(new Error('SELECT * FROM secrets'))
  const accounts = { session: fail } as never
  const { get } = openApp(t, { accounts })
  const response = await get('/api/rooms', { authorization: 'Bearer x' })
  assertProtected(response.headers, 'a fault')
  assert.equal(response.headers.get('content-security-policy'), NO_CONTENT)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  await assertProblem(response, 503, 'unavailable')
})

test('only when every origin is https do answers insist on it', async (t) => {
  const https = openApp(t, { env: { ALLOWED_ORIGINS: 'https://a.example,https://b.example' } })
  const mixed = openApp(t, { env: { ALLOWED_ORIGINS: 'https://a.example,http://127.0.0.1:1' } })
  for (const path of ['/', '/api/rooms', '/missing.js']) {
    const [strict, lax] = [await https.get(path), await mixed.get(path)]
    const hsts = 'max-age=63072000; includeSubDomains'
    assert.equal(strict.headers.get('strict-transport-security'), hsts, path)
    assert.equal(lax.headers.get('strict-transport-security'), null, path)
    const insists = /; upgrade-insecure-requests$/
    const policies = [strict, lax].map(({ headers }) => headers.get('content-security-policy')!)
    assert.deepEqual(
      policies.map((policy) => insists.test(policy)),
      [path === '/', false],
    )
  }
})

test('other methods are 405 with those that there are', async (t) => {
  const { send, signIn } = openApp(t)
  const { bearer } = await signIn('Ada')
  const table = [
    ['/', 'POST PUT PATCH DELETE OPTIONS', 'GET, HEAD'],
    ['/r/lobby', 'POST OPTIONS', 'GET, HEAD'],
    ['/style.css', 'POST PUT PATCH DELETE OPTIONS', 'GET, HEAD'],
    ['/vendor/valibot.js', 'POST', 'GET, HEAD'],
    ['/api/rooms', 'PUT PATCH DELETE OPTIONS', 'GET, HEAD'],
    ['/api/session', 'PUT PATCH OPTIONS', 'DELETE, GET, HEAD, POST'],
    ['/api/session/link', 'GET PUT OPTIONS', 'POST'],
    ['/api/ticket', 'GET PUT DELETE OPTIONS', 'POST'],
  ] as const
  for (const [path, methods, allow] of table) {
    for (const method of methods.split(' ')) {
      const response = await send(method, path, undefined, bearer)
      // Sorted, as the order has no meaning. A path may know more methods in a later version.
      const names = (response.headers.get('allow') ?? '').split(', ').sort()
      for (const name of allow.split(', ')) assert.ok(names.includes(name), `${method} ${path}`)
      assert.ok(!names.includes(method), `${method} ${path}`)
      await assertProblem(response, 405, 'invalid')
    }
  }
  // What is not there has no methods; and a stranger is not told which there are.
  await assertProblem(await send('POST', '/missing.js'), 404, 'not_found')
  await assertProblem(await send('PUT', '/api/nothing', {}, bearer), 404, 'not_found')
  await assertProblem(await send('PUT', '/api/rooms'), 401, 'unauthorized')
})

/** Sends a request as it stands. @returns the answer once the connection is closed */
async function ask(t: TestContext, url: string, line: string) {
  const raw = new RawSocket(t, url)
  raw.write(`${line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
  await raw.end()
  return raw
}

test('methods that no page sends are refused on the wire', async (t) => {
  const { url } = await startServer(t)
  for (const line of ['TRACE /', 'TRACE /api/session', 'TRACK /', 'BREW /', 'PROPFIND /']) {
    const raw = await ask(t, url, line)
    const status = Number.isNaN(raw.status) ? 'closed' : raw.status
    assert.ok(['closed', 400, 401, 405, 501].includes(status), `${line}: ${status}`)
    assert.doesNotMatch(raw.text, /Connection: close\r\n\r\n.*Host: 127/s, 'an echo')
  }
  const connect = await ask(t, url, 'CONNECT evil.example:443')
  assert.ok(Number.isNaN(connect.status) || connect.status >= 400, connect.text)
  const page = await ask(t, url, 'GET /')
  assert.deepEqual([page.status, page.header('server')], [200, undefined])
  assert.match(page.header('content-security-policy') ?? '', PAGE)
})

test('a refused handshake carries the headers on the wire, a good one does not', async (t) => {
  const { url } = await startServer(t)
  const raw = new RawSocket(t, url)
  raw.write(handshake('x'.repeat(43)))
  await raw.head()
  assert.equal(raw.status, 401)
  for (const [name, value] of Object.entries(EVERYWHERE)) assert.equal(raw.header(name), value)
  assert.match(raw.header('content-security-policy') ?? '', REFUSED)
  assert.equal(raw.header('server'), undefined)
})

const UP = ['..', '%2e%2e', '.%2e', '..%00', '..;', '%252e%252e', '%c0%ae%c0%ae', '....']
const TRICKS = [
  ...UP.flatMap((up) => [`/${up}/package.json`, `/vendor/${up}/${up}/package.json`]),
  ...[
    '/..%2f..%2fetc/passwd',
    '/..%2fpackage.json',
    '/%2e%2e%2fpackage.json',
    '/..%5cpackage.json',
  ],
  ...['/%5c..%5cpackage.json', '/..\\package.json', '/\\..\\package.json', '/.env', '/.git/config'],
  ...['/.git/x.y', '/%00', '/%00.js', '/protocol.js%00.html', '/protocol.js%00', '/%', '/%zz.js'],
  ...['//style.css', '///etc/passwd', '//etc/x.conf', '/style.css/', '/style.css/../main.ts'],
  ...['/index.html%20', '/index.html/', '/index.html.', '/index.html::$DATA', '/STYLE.CSS'],
  ...['/static/index.html', '/src/main.ts', '/package.json', '/deno.json', '/data/hearth.db'],
  ...['/node_modules/hono/package.json', '/vendor/valibot.js.map', '/protocol.js~', '/main.js.bak'],
  ...['/__proto__.js', '/constructor.js', '/toString', '/C:/windows/win.ini', '/~root/.bashrc'],
  ...['/file:///etc/passwd', '/%2f%2fetc%2fpasswd', '/?/../package.json', '/;/package.json'],
]

test('no target leads to a file that is not the page’s', async (t) => {
  const { url } = await startServer(t)
  const folder = new URL('../../static/', import.meta.url)
  const page = readFileSync(new URL('index.html', folder), 'utf8')
  const known = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'))
  const bodyOf = (text: string) => text.slice(text.indexOf('\r\n\r\n') + 4)
  assert.ok(TRICKS.length >= 40)
  for (const target of TRICKS) {
    const raw = await ask(t, url, `GET ${target}`)
    const body = bodyOf(Buffer.from(raw.text, 'latin1').toString('utf8'))
    if (raw.status === 200) {
      // A target of which a runtime reads only the harmless end may name a file of ours.
      assert.ok(body.includes(page) || known.some((file) => body.includes(file)), target)
    } else assert.ok([400, 404].includes(raw.status), `${target}: ${raw.status}`)
    assert.doesNotMatch(body, /root:|"devDependencies"|SQLite format|\[core\]/, target)
  }
})
