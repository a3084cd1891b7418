/** Signing in with tokens of another issuer: a real one, over HTTP, whose keys change. */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey } from 'jose'
import { createForeignUsers } from '../../src/login/login.ts'
import { systemClock } from '../../src/clock.ts'
import { connect, post, signIn, startServer, TestClock } from '../helpers.ts'

const ISSUER = 'https://login.example.org'
const AUDIENCE = 'chat'
/** When a TestClock starts. s */
const START = Date.parse('2026-01-01T00:00:00Z') / 1000

interface Key {
  kid: string
  alg: string
  privateKey: CryptoKey
  publicKey: CryptoKey
}

async function newKey(kid: string, alg = 'ES256'): Promise<Key> {
  return { kid, alg, ...(await generateKeyPair(alg)) }
}

/** An issuer that publishes whichever keys it is told to. */
async function startIssuer(t: TestContext, ...keys: Key[]) {
  const published = new Set(keys)
  const state = { asked: 0, status: 200 }
  const server = createServer(async (_request, response) => {
    state.asked += 1
    const jwks = [...published].map(async ({ kid, alg, publicKey }) => {
      return { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
    })
    response.writeHead(state.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ keys: await Promise.all(jwks) }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const jwksUrl = `http://127.0.0.1:${port}/keys`
  const env = { JWKS_URL: jwksUrl, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE }
  return { published, state, env, jwksUrl }
}

interface Claims {
  [claim: string]: unknown
}

function tokenOf({ kid, alg, privateKey }: Key, claims: Claims = {}) {
  const usual = { iss: ISSUER, aud: AUDIENCE, sub: 'u1', exp: START + 600 }
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg, kid }).sign(privateKey)
}

async function setUp(t: TestContext, env: Record<string, string> = {}) {
  const key = await newKey('k1')
  const issuer = await startIssuer(t, key)
  const clock = new TestClock()
  const limits = { silenceMs: 1e9, sweepMs: 60_000 }
  const { url } = await startServer(t, { clock, limits, env: { ...issuer.env, ...env } })
  const enter = async (token: string, body: unknown = {}) => {
    const response = await post(`${url}/api/session`, body, token)
    return { status: response.status, answer: await response.json() }
  }
  return { url, clock, key, issuer, enter }
}

test('a good token is a session of the same user each time, until the token ends', async (t) => {
  const { url, clock, key, enter } = await setUp(t)
  const { status, answer } = await enter(await tokenOf(key, { preferred_username: 'Ann' }))
  assert.deepEqual([status, answer.user.name, answer.role], [201, 'Ann', 'member'])
  assert.equal(answer.expiresAt, '2026-01-01T00:10:00.000Z')
  const again = await enter(await tokenOf(key, { preferred_username: 'Ann' }))
  assert.deepEqual(again.answer.user, answer.user)
  const ann = await connect(t, url, answer)
  assert.equal(ann.all('welcome')[0]?.expiresAt, answer.expiresAt)
  const link = await (await post(`${url}/api/session/link`, {}, answer.token)).json()
  const device = await (await post(`${url}/api/session`, { link: link.link })).json()
  assert.deepEqual([device.user, device.expiresAt], [answer.user, answer.expiresAt])
  await ann.join('lobby')
  await clock.advance(600_000)
  assert.equal(await ann.closeCode(), 4501)
  const headers = { authorization: `Bearer ${device.token}` }
  assert.equal((await fetch(`${url}/api/session`, { headers })).status, 401)
})

test('a browser that is signed in stays so, unless the token is to replace the session', async (t) => {
  const { url, key, enter } = await setUp(t)
  const token = await tokenOf(key, { name: 'Ann' })
  const other = await tokenOf(key, { name: 'Bob', sub: 'u2' })
  const { answer } = await enter(token)
  const from = (body: string | null) =>
    fetch(`${url}/api/session`, {
      method: 'POST',
      headers: { authorization: `Bearer ${other}`, cookie: `hearth=${answer.token}`, origin: url },
      body,
    })
  for (const body of [
    null,
    '{}',
    'true',
    '{"replace":true}',
    `{"replace":"${crypto.randomUUID()}"}`,
  ]) {
    assert.equal((await from(body)).status, 409, `${body}`)
  }
  const replaced = await from(JSON.stringify({ replace: answer.user.id }))
  assert.deepEqual([replaced.status, (await replaced.json()).user.name], [201, 'Bob'])
  const headers = { authorization: `Bearer ${answer.token}` }
  assert.equal((await fetch(`${url}/api/session`, { headers })).status, 401)
  assert.equal((await enter(token)).status, 201, 'whose own server has no cookie')
})

test('whom the issuer renames is not shown by the old name on an open socket', async (t) => {
  const { url, clock, key, enter } = await setUp(t)
  const { answer } = await enter(await tokenOf(key, { name: 'Zelda' }))
  const zelda = await connect(t, url, answer)
  await zelda.join('lobby')
  await clock.advance(60_000)
  assert.equal((await enter(await tokenOf(key, { name: 'Zoey' }))).answer.user.name, 'Zoey')
  await clock.advance(60_000)
  assert.equal(await zelda.closeCode(), 4000)
  const zoey = await connect(t, url, answer)
  assert.equal(zoey.all('welcome')[0]?.user.name, 'Zoey')
  const next = (await enter(await tokenOf(key, { name: 'Zelda', sub: 'u2' }))).answer.user
  assert.deepEqual([next.name, next.id === answer.user.id], ['Zelda', false])
  await clock.advance(60_000)
  await zoey.join('lobby')
  assert.equal((await zoey.say('lobby', 'still me')).author.name, 'Zoey')
})

test('a session lasts 12 h at most, however long the token', async (t) => {
  const { key, enter } = await setUp(t)
  const { answer } = await enter(await tokenOf(key, { exp: START + 30 * 86_400 }))
  assert.equal(answer.expiresAt, '2026-01-01T12:00:00.000Z')
})

test('the name is the first claim that fits, and made unique', async (t) => {
  const { key, enter } = await setUp(t)
  const nameOf = async (claims: Claims) =>
    (await enter(await tokenOf(key, claims))).answer.user.name
  assert.equal(await nameOf({ sub: '1', preferred_username: 'ann', name: 'Ann Lee' }), 'ann')
  assert.equal(await nameOf({ sub: '2', name: 'Ann' }), 'Ann 2')
  assert.equal(await nameOf({ sub: '3' }), '3')
  assert.equal(await nameOf({ sub: '4', preferred_username: 'Аnn', name: 'Bob' }), 'Bob')
  assert.equal(await nameOf({ sub: '5', preferred_username: '\u202e🔥', name: 7 }), '5')
  assert.equal(await nameOf({ sub: '7', preferred_username: 'Zoë 🔥 (it)' }), 'Zoë it')
  assert.equal(await nameOf({ sub: '8', preferred_username: 'admin', name: 'Cid' }), 'Cid')
  assert.equal(await nameOf({ sub: '6', preferred_username: 'x'.repeat(99) }), 'x'.repeat(32))
  assert.equal(await nameOf({ sub: '\u200b' }), 'someone')
})

test('guests stay out, unless they are wanted; an admin comes in', async (t) => {
  const ADMIN_TOKEN = 'correct horse'
  const { url, key, enter } = await setUp(t, { ADMIN_TOKEN })
  const refused = await (await post(`${url}/api/session`, { name: 'Eve' })).json()
  assert.deepEqual([refused.status, refused.code, refused.needs], [403, 'forbidden', 'login'])
  const asks = await (await fetch(`${url}/api/session`)).json()
  assert.deepEqual([asks.status, asks.needs], [401, 'login'], 'before anybody fills in a form')
  await signIn(url, 'Root', { admin: ADMIN_TOKEN })
  assert.equal((await enter(await tokenOf(key))).status, 201)
  const open = await setUp(t, { GUESTS: 'true', ACCESS_CODE: 'sesame' })
  const asked = await (await post(`${open.url}/api/session`, { name: 'Eve' })).json()
  assert.deepEqual([asked.code, asked.needs], ['forbidden', 'code'])
  await signIn(open.url, 'Eve', { code: 'sesame' })
  assert.equal((await open.enter(await tokenOf(open.key))).status, 201, 'no code is asked for')
})

test('who is banned stays out, with whatever token', async (t) => {
  const ADMIN_TOKEN = 'correct horse'
  const { url, key, enter } = await setUp(t, { ADMIN_TOKEN })
  const { answer } = await enter(await tokenOf(key))
  const root = await signIn(url, 'Root', { admin: ADMIN_TOKEN })
  const headers = { authorization: `Bearer ${root.token}` }
  const banned = await fetch(`${url}/api/users/${answer.user.id}`, { method: 'DELETE', headers })
  assert.equal(banned.status, 204)
  const refused = await enter(await tokenOf(key))
  assert.deepEqual([refused.status, refused.answer.code], [403, 'forbidden'])
})

test('a token with any fault is 401, and says nothing more', async (t) => {
  const { key, enter } = await setUp(t)
  const other = await newKey('k1')
  const shared = new TextEncoder().encode('x'.repeat(32))
  const hs256 = new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'u1', exp: START + 600 })
  const good = await tokenOf(key)
  const faults: Record<string, string> = {
    'another key': await tokenOf(other),
    'an unknown key': await tokenOf({ ...other, kid: 'k9' }),
    'a changed body': good.replace(/\.(.)/, (_, letter) => `.${letter === 'e' ? 'f' : 'e'}`),
    'no signature': new UnsecuredJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'u1' }).encode() + 'x',
    'a shared secret': await hs256.setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(shared),
    'another issuer': await tokenOf(key, { iss: 'https://evil.example' }),
    'another audience': await tokenOf(key, { aud: 'mail' }),
    'no audience': await tokenOf(key, { aud: undefined }),
    'no subject': await tokenOf(key, { sub: undefined }),
    'an empty subject': await tokenOf(key, { sub: '' }),
    'no end': await tokenOf(key, { exp: undefined }),
    'an end just now': await tokenOf(key, { exp: START }),
    'an end long ago': await tokenOf(key, { exp: START - 600 }),
    'a beginning to come': await tokenOf(key, { nbf: START + 60 }),
    'nothing of a token': 'a.b.c',
  }
  const answers = new Set<string>()
  for (const [fault, token] of Object.entries(faults)) {
    const { status, answer } = await enter(token)
    assert.equal(status, 401, fault)
    answers.add(JSON.stringify(answer))
  }
  assert.equal(answers.size, 1)
  assert.equal((await enter(good)).status, 201)
})

test('keys are rotated without a restart, and withdrawn', async (t) => {
  const [first, second] = [await newKey('k1'), await newKey('k2', 'EdDSA')]
  const issuer = await startIssuer(t, first)
  const options = { jwksUrl: issuer.jwksUrl, issuer: ISSUER, audience: AUDIENCE }
  const clock = { date: () => new Date(START * 1000) }
  const check = createForeignUsers(options, clock, 0)
  assert.ok(await check(await tokenOf(first)))
  assert.ok(await check(await tokenOf(first)))
  assert.equal(issuer.state.asked, 1, 'keys are kept')
  issuer.published.add(second)
  issuer.published.delete(first)
  assert.ok(await check(await tokenOf(second)))
  assert.equal(await check(await tokenOf(first)), null)
  const patient = createForeignUsers(options, clock)
  await patient(await tokenOf(second))
  const { asked } = issuer.state
  for (let n = 0; n < 50; n += 1) await patient(await tokenOf({ ...first, kid: `k${n + 9}` }))
  assert.equal(issuer.state.asked, asked, 'unknown keys do not make us ask each time')
})

test('an issuer that cannot be asked is 503, and nobody is let in', async (t) => {
  const { url, key, issuer, enter } = await setUp(t)
  issuer.state.status = 500
  const token = await tokenOf(key)
  const response = await post(`${url}/api/session`, {}, token)
  assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1'])
  issuer.state.status = 200
  assert.equal((await enter(token)).status, 201)
})

test('without JWKS_URL no foreign token is good', async (t) => {
  const { url } = await startServer(t)
  const token = await tokenOf(await newKey('k1'), { exp: systemClock.now() + 1e10 })
  assert.equal((await post(`${url}/api/session`, { name: 'Ann' }, token)).status, 401)
})
