import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  connect,
  newTicket,
  post,
  signIn,
  startServer,
  tempFolder,
  TestClock,
  type ServerOptions,
} from '../helpers.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

async function server(t: TestContext, options: ServerOptions = {}) {
  const { url, close } = await startServer(t, {
    ...options,
    limits: { sessionsPerMinute: 1e6, ...options.limits },
  })
  const session = (token: string) =>
    fetch(`${url}/api/session`, { headers: { authorization: `Bearer ${token}` } })
  const signOut = (token: string, query = '') =>
    fetch(`${url}/api/session${query}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    })
  const signInStatus = async (body: object) => {
    const response = await post(`${url}/api/session`, body)
    const { code } = (await response.json()) as { code?: string }
    return code === undefined ? response.status : `${response.status} ${code}`
  }
  const link = async (token: string) => {
    const response = await post(`${url}/api/session/link`, {}, token)
    assert.equal(response.status, 201)
    return v.parse(protocol.Link, await response.json()).link
  }
  return { url, close, session, signOut, signInStatus, link }
}

test('a guest signs in with a name, and is who they say from then on', async (t) => {
  const { url, session } = await server(t)
  const { user, token } = await signIn(url, '  Ann ')
  assert.equal(user.name, 'Ann')
  assert.match(token, /^[\w-]{43}$/)
  const response = await session(token)
  assert.equal(response.status, 200)
  const { role, ...rest } = v.parse(protocol.Session, await response.json())
  assert.deepEqual([rest.user, role], [user, 'member'])
})

test('everything under /api but signing in is 401 without a session', async (t) => {
  const { url, signOut } = await server(t)
  const { token } = await signIn(url, 'Ann')
  await signOut(token)
  for (const [method, path] of [
    ['GET', 'session'],
    ['DELETE', 'session'],
    ['POST', 'session/link'],
    ['POST', 'ticket'],
    ['GET', 'sessions'],
    ['DELETE', 'sessions'],
    ['DELETE', 'sessions/x'],
    ['GET', 'rooms'],
    ['GET', 'nothing/here'],
  ] as const) {
    for (const bearer of [null, token, 'x'.repeat(43), 'no good']) {
      const headers = new Headers(bearer === null ? {} : { authorization: `Bearer ${bearer}` })
      const response = await fetch(`${url}/api/${path}`, { method, headers })
      assert.equal(response.status, 401, `${method} ${path}`)
      assert.equal(response.headers.get('content-type'), 'application/problem+json')
      assert.equal(v.parse(protocol.Problem, await response.json()).code, 'unauthorized')
    }
  }
  const { token: good } = await signIn(url, 'Bob')
  const headers = { authorization: `Bearer ${good}` }
  assert.equal((await fetch(`${url}/api/nothing/here`, { headers })).status, 404)
})

test('a name has one owner, however it is written', async (t) => {
  const { url, signInStatus } = await server(t)
  await signIn(url, 'Ann Lee')
  for (const name of [
    'ann lee',
    'ANN LEE',
    'Ａｎｎ Lee',
    'Ann\u00a0Lee',
    'Ann  Lee',
    'AnnLee',
    'Ann Leé',
    'Ann-1ee',
  ]) {
    assert.equal(await signInStatus({ name }), '409 name_taken', name)
  }
  await signIn(url, 'Zoe\u0308')
  assert.equal(await signInStatus({ name: 'Zo\u00eb' }), '409 name_taken')
  assert.equal(await signInStatus({ name: 'Ann Lea' }), 201)
})

test('a name that looks like a taken one is taken, in whatever script', async (t) => {
  const { url, signInStatus } = await server(t)
  for (const name of ['Iris', 'Coco', 'Eva', 'George']) await signIn(url, name)
  for (const name of ['lris', '1RIS', 'сосо', 'СОСО', 'Ενα', 'Georɡe', 'George̲', 'Ge0rge.']) {
    assert.equal(await signInStatus({ name }), '409 name_taken', name)
  }
  for (const name of ['ǀris', 'Georg℮', 'Georgе', 'George\ue000', 'Ge〇rge']) {
    assert.equal(await signInStatus({ name }), '400 invalid', name)
  }
})

test('a name that speaks for the chat is not for guests, and says so', async (t) => {
  const { url } = await server(t)
  for (const name of ['Admin', 'moderator 2', 'Hearth', 'SYSTEM', 'Adm1n']) {
    const problem = await (await post(`${url}/api/session`, { name })).json()
    const { code, detail } = v.parse(protocol.Problem, problem)
    assert.deepEqual([code, /kept for those who run/.test(detail!)], ['forbidden', true], name)
  }
})

test('a name that could fool the eye is refused', async (t) => {
  const { signInStatus } = await server(t)
  const bad = [
    '',
    '   ',
    '\u200b',
    'x'.repeat(33),
    'Аnn',
    'Αnn',
    'Ann\u202e',
    'A\nnn',
    'A\0',
    '\ud800',
    'An\u200dn',
    'Ann 🔥',
    '🔥'.repeat(32),
    'Ann (admin)',
  ]
  for (const name of [...bad, 7, null, ['Ann'], {}]) {
    assert.equal(await signInStatus({ name }), '400 invalid', JSON.stringify(name))
  }
  for (const name of ['Анна', 'Άννα', '安', "O'Neil-Łoś", 'x'.repeat(32)]) {
    assert.equal(await signInStatus({ name }), 201, name)
  }
})

test('a name is free again after the last sign-out, and its next owner is another user', async (t) => {
  const { url, signOut, signInStatus, link } = await server(t)
  const ann = await signIn(url, 'Ann')
  const { token } = await (await post(`${url}/api/session`, { link: await link(ann.token) })).json()
  await signOut(ann.token)
  assert.equal(await signInStatus({ name: 'Ann' }), '409 name_taken')
  await signOut(token)
  const other = await signIn(url, 'Ann')
  assert.notEqual(other.user.id, ann.user.id)
})

test('a name is free again after 30 days unused, not when used', async (t) => {
  const clock = new TestClock()
  const { url, session, signInStatus } = await server(t, { clock })
  const ann = await signIn(url, 'Ann')
  await signIn(url, 'Bob')
  clock.skip(29 * DAY)
  assert.equal((await session(ann.token)).status, 200)
  clock.skip(2 * DAY)
  assert.equal(await signInStatus({ name: 'Ann' }), '409 name_taken')
  assert.equal(await signInStatus({ name: 'Bob' }), 201)
  clock.skip(31 * DAY)
  assert.equal((await session(ann.token)).status, 401)
})

test('signing out closes this session’s sockets 4501, and no others', async (t) => {
  const { url, session, signOut, link } = await server(t)
  const first = await signIn(url, 'Ann')
  const response = await post(`${url}/api/session`, { link: await link(first.token) })
  const second = { ...first, token: (await response.json()).token as string }
  const phone = await connect(t, url, first)
  const desk = await connect(t, url, second)
  const ended = await signOut(first.token)
  assert.equal(ended.status, 204)
  assert.match(ended.headers.get('set-cookie') ?? '', /^hearth-[0-9a-f]{8}=;.*Max-Age=0/)
  assert.equal(await phone.closeCode(), 4501)
  assert.deepEqual(phone.events.at(-1), { type: 'bye', code: 4501, retryAfterMs: 0 })
  assert.equal((await session(first.token)).status, 401)
  await desk.join('lobby')
  assert.equal((await session(second.token)).status, 200)
})

test('signing out everywhere closes all of a user’s sockets', async (t) => {
  const { url, session, signOut, link } = await server(t)
  const first = await signIn(url, 'Ann')
  const response = await post(`${url}/api/session`, { link: await link(first.token) })
  const second = { ...first, token: (await response.json()).token as string }
  const sockets = [await connect(t, url, first), await connect(t, url, second)]
  const bob = await connect(t, url, await signIn(url, 'Bob'))
  assert.equal((await signOut(first.token, '?all=true')).status, 204)
  for (const socket of sockets) assert.equal(await socket.closeCode(), 4501)
  assert.equal((await session(second.token)).status, 401)
  await bob.settle()
})

test('a link signs in another device of the same user, once and within 10 minutes', async (t) => {
  const clock = new TestClock()
  const { url, session, signOut, signInStatus, link } = await server(t, { clock })
  const ann = await signIn(url, 'Ann')
  const [first, second, third] = [
    await link(ann.token),
    await link(ann.token),
    await link(ann.token),
  ]
  const response = await post(`${url}/api/session`, { link: first })
  assert.equal(response.status, 201)
  const { user, token } = v.parse(protocol.Session, await response.json())
  assert.deepEqual(user, ann.user)
  assert.notEqual(token, ann.token)
  assert.equal((await session(token!)).status, 200)
  assert.equal(await signInStatus({ link: first }), '401 unauthorized')
  await clock.advance(10 * MINUTE - 1)
  assert.equal(await signInStatus({ link: second }), 201)
  await clock.advance(1)
  assert.equal(await signInStatus({ link: third }), '401 unauthorized')
  const last = await link(ann.token)
  await signOut(ann.token)
  assert.equal(await signInStatus({ link: last }), '401 unauthorized')
  assert.equal(await signInStatus({ link: await newTicket(url, token!) }), '401 unauthorized')
})

test('with ACCESS_CODE a guest needs the code', async (t) => {
  const { signInStatus } = await server(t, { env: { ACCESS_CODE: 'open sesame' } })
  assert.equal(await signInStatus({ name: 'Ann' }), '403 forbidden')
  assert.equal(await signInStatus({ name: 'Ann', code: 'open' }), '403 forbidden')
  assert.equal(await signInStatus({ name: 'Ann', code: '' }), '403 forbidden')
  assert.equal(await signInStatus({ name: 'Ann', code: 'open sesame' }), 201)
})

test('ADMIN_TOKEN makes an admin; the name stays theirs', async (t) => {
  const admin = 'correct horse'
  const { url, session, signOut, signInStatus } = await server(t, { env: { ADMIN_TOKEN: admin } })
  assert.equal(await signInStatus({ name: 'Root', admin: 'wrong horse' }), '403 forbidden')
  await signIn(url, 'Ann')
  assert.equal(await signInStatus({ name: 'Ann', admin }), '409 name_taken')
  const root = await signIn(url, 'Root', { admin })
  assert.equal((await (await session(root.token)).json()).role, 'admin')
  await signOut(root.token, '?all=true')
  assert.equal(await signInStatus({ name: 'Root' }), '403 forbidden')
  assert.deepEqual((await signIn(url, 'Root', { admin })).user, root.user)
})

test('without ADMIN_TOKEN nobody is an admin', async (t) => {
  const { signInStatus } = await server(t)
  assert.equal(await signInStatus({ name: 'Root', admin: '' }), '403 forbidden')
  assert.equal(await signInStatus({ name: 'Root', admin: 'undefined' }), '403 forbidden')
})

test('at the end of an admin’s session its sockets close 4501', async (t) => {
  const clock = new TestClock()
  const limits = { silenceMs: 1e9, longestSessionMs: 5_000 }
  const { url, session } = await server(t, { clock, limits, env: { ADMIN_TOKEN: 'correct horse' } })
  const account = await signIn(url, 'Root', { admin: 'correct horse' })
  const root = await connect(t, url, account)
  assert.deepEqual(root.all('welcome')[0]?.expiresAt, '2026-01-01T00:00:05.000Z')
  await clock.advance(5_000)
  assert.equal(await root.closeCode(), 4501)
  assert.equal(root.events.at(-1)?.type, 'bye')
  assert.equal((await session(account.token)).status, 401)
})

test('sessions and names survive a restart', async (t) => {
  const env = { DATA_FILE: `${tempFolder(t)}/hearth.db` }
  const before = await server(t, { env })
  const ann = await signIn(before.url, 'Ann')
  await before.close()
  const after = await server(t, { env })
  assert.equal((await after.session(ann.token)).status, 200)
  assert.equal(await after.signInStatus({ name: 'ann' }), '409 name_taken')
})
