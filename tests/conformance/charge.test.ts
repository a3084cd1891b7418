/** What an address, and a user, may ask over HTTP: charged before anything is made of it. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { assertProblem, openApp } from '../http/app.ts'
import { createCharge } from '../../src/http/charge.ts'
import { signIn, startServer, TestClock, testConfig, testJournal } from '../helpers.ts'
import { METRICS_TOKEN } from '../scrape.ts'
import { handshake, RawSocket, request } from './raw.ts'

/** One request a second, and eight at once. */
const LIMITS = { connectionsPerIp: 2, requestRate: 0.5, requestBurst: 4 }
/** A stranger’s requests, of every kind there is. */
const KINDS = [
  '/',
  '/main.js',
  '/no.file',
  '/api/session',
  '/api/none',
  '/openapi.json',
  '/metrics',
]

async function openHouse(t: TestContext, env: Record<string, string> = {}) {
  const clock = new TestClock()
  const { url } = await startServer(t, { limits: LIMITS, clock, env })
  return { clock, url }
}

test('every request of an address is charged, and refused as everything is', async (t) => {
  const { clock, url } = await openHouse(t)
  const usual = await fetch(`${url}/no.file`)
  for (const path of KINDS) {
    const response = await fetch(url + path)
    assert.notEqual(response.status, 429, path)
    await response.body?.cancel()
  }
  for (const path of KINDS) {
    const response = await fetch(url + path)
    assert.equal(response.headers.get('retry-after'), '1')
    for (const [name] of usual.headers) {
      const isThere = response.headers.has(name) || /^(connection|keep-alive|vary)$/.test(name)
      assert.ok(isThere, name)
    }
    assert.notEqual(response.headers.get('x-request-id'), usual.headers.get('x-request-id'))
    await assertProblem(response, 429, 'rate_limited')
  }
  await clock.advance(1_000)
  assert.equal((await fetch(url)).status, 200)
  assert.equal((await fetch(url)).status, 429)
})

test('what can be read in two ways is charged, too', async (t) => {
  const { url } = await openHouse(t)
  const answers = []
  for (let count = 0; count < 10; count += 1) {
    const raw = new RawSocket(t, url)
    raw.write(request('/', { Host: 'a b' }))
    await raw.head()
    answers.push(raw.status)
  }
  assert.deepEqual(answers, [...Array.from({ length: 8 }, () => 400), 429, 429])
})

test('a handshake is charged, too, and ends its connection', async (t) => {
  const { url } = await openHouse(t)
  const answers = []
  for (let count = 0; count < 9; count += 1) {
    const raw = new RawSocket(t, url)
    raw.write(handshake('x'.repeat(43)))
    await raw.end()
    answers.push(raw.status)
  }
  assert.deepEqual(answers, [...Array.from({ length: 8 }, () => 401), 429])
})

test('what follows a refused request in the same read is not looked at, on Node', async (t) => {
  const { url } = await openHouse(t)
  const raw = new RawSocket(t, url)
  raw.write(request('/api/session').repeat(12))
  await raw.until(() => raw.text.includes(' 429 '))
  if (!process.versions.deno) await raw.end()
  else await raw.until(() => raw.answers === 12)
  assert.equal(raw.answers, process.versions.deno ? 12 : 9)
})

test('a flood leaves the questions of a balancer alone, which have tokens of their own', async (t) => {
  const { url } = await openHouse(t)
  for (let count = 0; count < 10; count += 1) await (await fetch(url)).body?.cancel()
  const statuses = []
  for (let count = 0; count < 9; count += 1) {
    statuses.push((await fetch(`${url}/${count % 2 ? 'livez' : 'readyz?x'}`)).status)
  }
  assert.deepEqual(statuses, [...Array.from({ length: 8 }, () => 200), 429])
})

test('behind a proxy each address has its own', async (t) => {
  const { url } = await openHouse(t, { TRUST_PROXY: '1' })
  const ask = async (address: string) => {
    const response = await fetch(url, { headers: { 'x-forwarded-for': address } })
    await response.body?.cancel()
    return response.status
  }
  for (let count = 0; count < 8; count += 1) assert.equal(await ask('192.0.2.1'), 200)
  assert.equal(await ask('192.0.2.1'), 429)
  assert.equal(await ask('192.0.2.2'), 200)
})

test('a proxy that names no address is told of, once', () => {
  const { journal, lines } = testJournal()
  const clock = new TestClock()
  const config = testConfig({ env: { TRUST_PROXY: '1' } })
  const charge = createCharge({ config, clock, journal }, {})
  const ask = (forwardedFor: string | undefined) => {
    const asking = { peer: '127.0.0.1', method: 'GET', target: '/', forwardedFor }
    assert.equal(charge(asking), null)
  }
  for (const good of [undefined, '192.0.2.1', '192.0.2.1:8080']) ask(good)
  assert.deepEqual(lines, [])
  for (const bad of ['unknown', '_hidden']) ask(bad)
  const what = 'the proxy names no address: all count as its own'
  assert.deepEqual(lines, [{ what, proxy: '127.0.0.1' }])
})

test('forty people of one address load the page at the same time', async (t) => {
  const { url } = await startServer(t)
  const page = await (await fetch(url)).text()
  const files = [...page.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path!)
  assert.ok(files.length > 0)
  for (let count = 0; count < 40 * 50; count += 1) {
    const response = await fetch(url + files[count % files.length]!)
    assert.equal(response.status, 200)
    await response.body?.cancel()
  }
})

test('60 requests of a user at once, then 20 a second, whatever they ask', async (t) => {
  const { clock, get, send, signIn } = openApp(t)
  const { bearer } = await signIn('Ann')
  const other = await signIn('Bob')
  const ask = [
    () => get('/api/session', bearer),
    () => get('/api/none', bearer),
    () => send('DELETE', `/api/users/${crypto.randomUUID()}`, undefined, bearer),
  ]
  for (let count = 0; count < 60; count += 1) {
    assert.notEqual((await ask[count % ask.length]!()).status, 429)
  }
  for (const one of ask) await assertProblem(await one(), 429, 'rate_limited')
  assert.equal((await get('/api/session', other.bearer)).status, 200)
  await clock.advance(50)
  assert.equal((await get('/api/session', bearer)).status, 200)
  assert.equal((await get('/api/session', bearer)).status, 429)
})

test('the metrics token is guessed 30 times a minute, and the right one is always good', async (t) => {
  const { clock, url } = await startMeasured(t)
  const ask = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` }
    const response = await fetch(`${url}/metrics`, { headers })
    await response.body?.cancel()
    return response.status
  }
  for (let count = 0; count < 30; count += 1) assert.equal(await ask('guess'), 401)
  assert.equal(await ask('guess'), 429)
  assert.equal(await ask(METRICS_TOKEN), 200)
  await clock.advance(2_000)
  assert.equal(await ask('guess'), 401)
})

async function startMeasured(t: TestContext) {
  const clock = new TestClock()
  const { url } = await startServer(t, { clock, env: { METRICS_TOKEN } })
  await signIn(url, 'Ann')
  return { clock, url }
}
