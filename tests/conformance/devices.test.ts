/** Devices: a user sees where it is signed in, and ends what is not its own. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import { hashSecret } from '../../src/auth/secrets.ts'
import {
  connect,
  post,
  signIn,
  startServer,
  TestClock,
  type Account,
  type ServerOptions,
} from '../helpers.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'

/**
 * Days go by, though no timer does: hours of ticks would only take long. With it goes a `newsKeptMs`
 * beyond them, or everybody is sent away to come again, as after a long stop.
 */
class Calendar extends TestClock {
  daysAhead = 0

  override date() {
    return new Date(super.date().getTime() + this.daysAhead * DAY)
  }
}

async function server(t: TestContext, options: ServerOptions = {}) {
  const { url } = await startServer(t, {
    ...options,
    limits: { sessionsPerMinute: 1e6, ...options.limits },
  })
  const ask = (method: string, path: string, { token }: Account) =>
    fetch(`${url}/api/${path}`, { method, headers: { authorization: `Bearer ${token}` } })
  const devices = async (account: Account) => {
    const response = await ask('GET', 'sessions', account)
    assert.equal(response.status, 200)
    return v.parse(protocol.Devices, await response.json())
  }
  const holds = async (account: Account) => (await ask('GET', 'session', account)).status === 200
  /** Another device of a user, as this program. */
  const addDevice = async (account: Account, agent = 'a thief'): Promise<Account> => {
    const response = await post(`${url}/api/session/link`, {}, account.token)
    const { link } = v.parse(protocol.Link, await response.json())
    const added = await fetch(`${url}/api/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': agent },
      body: JSON.stringify({ link }),
    })
    assert.equal(added.status, 201, await added.clone().text())
    const { user, token } = v.parse(protocol.Session, await added.json())
    return { user, token: token! }
  }
  return { url, ask, devices, holds, addDevice }
}

test('a user sees the devices: since when, last seen, from where, by which program', async (t) => {
  const clock = new TestClock()
  const { url, devices, addDevice } = await server(t, { clock })
  const ann = await signIn(url, 'Ann')
  await signIn(url, 'Bob')
  await clock.advance(60_000)
  const second = await addDevice(ann, FIREFOX)
  await connect(t, url, second)
  const [phone, desk] = await devices(ann)
  assert.deepEqual(phone, {
    id: hashSecret(second.token).slice(0, 16),
    madeAt: '2026-01-01T00:01:00.000Z',
    seenAt: '2026-01-01T00:01:00.000Z',
    address: '127.0.0.1',
    agent: FIREFOX,
    here: true,
  })
  assert.equal(desk?.current, true)
  assert.equal(desk.madeAt, '2026-01-01T00:00:00.000Z')
  assert.equal(desk.here, undefined)
  assert.equal((await devices(second)).find(({ current }) => current)?.id, phone?.id)
  assert.equal((await devices(ann)).length, 2)
  for (const { id } of await devices(ann)) {
    const headers = { authorization: `Bearer ${id}` }
    assert.equal((await fetch(`${url}/api/session`, { headers })).status, 401)
  }
})

test('what a program calls itself is kept short and readable, and may be missing', async (t) => {
  const { url, devices, addDevice } = await server(t)
  const ann = await signIn(url, 'Ann')
  await addDevice(ann, 'x'.repeat(201))
  await addDevice(ann, 'tab\there')
  await addDevice(ann, '')
  const agents = (await devices(ann)).map(({ agent }) => agent)
  assert.ok(agents.includes('x'.repeat(200)))
  assert.ok(agents.includes('tabhere'))
  assert.ok(agents.includes(null))
})

test('a thief’s device is seen and ended, and what it has open with it', async (t) => {
  const { url, ask, devices, holds, addDevice } = await server(t)
  const ann = await signIn(url, 'Ann')
  const thief = await addDevice(ann)
  const friend = await addDevice(ann, FIREFOX)
  const [mine, theirs, other] = [
    await connect(t, url, ann),
    await connect(t, url, thief),
    await connect(t, url, friend),
  ]
  const stream = await fetch(`${url}/api/rooms/lobby/events`, {
    headers: { authorization: `Bearer ${thief.token}` },
  })
  const id = (await devices(ann)).find(({ agent }) => agent === 'a thief')!.id
  assert.equal((await ask('DELETE', `sessions/${id}`, ann)).status, 204)
  assert.equal(await theirs.closeCode(), 4501)
  assert.match(await stream.text(), /event: bye\ndata: .*4501/)
  assert.ok(!(await holds(thief)))
  assert.equal((await ask('DELETE', `sessions/${id}`, ann)).status, 404)
  await mine.settle()
  await other.settle()
  assert.deepEqual((await devices(ann)).map(({ agent }) => agent).includes('a thief'), false)
})

test('the others hear of a device that is added, and of nobody’s but their own', async (t) => {
  const clock = new TestClock()
  const env = { ADMIN_TOKEN: 'correct horse' }
  const { url, addDevice } = await server(t, { clock, env })
  const ann = await signIn(url, 'Ann')
  const mine = await connect(t, url, ann)
  const bob = await connect(t, url, await signIn(url, 'Bob'))
  const thief = await addDevice(ann, FIREFOX)
  const theirs = await connect(t, url, thief)
  await clock.advance(2_000)
  const { type, ...told } = await mine.next('device')
  assert.equal(type, 'device')
  assert.deepEqual(told, {
    id: hashSecret(thief.token).slice(0, 16),
    at: '2026-01-01T00:00:00.000Z',
    address: '127.0.0.1',
    agent: FIREFOX,
  })
  await clock.advance(10_000)
  for (const client of [mine, theirs, bob]) await client.settle()
  assert.equal(mine.all('device').length, 1)
  assert.deepEqual([...theirs.all('device'), ...bob.all('device')], [])
  // An admin's token, known to somebody else, is seen as well.
  const root = await connect(t, url, await signIn(url, 'Root', { admin: 'correct horse' }))
  await signIn(url, 'Root', { admin: 'correct horse' })
  await clock.advance(2_000)
  await root.next('device')
})

test('a device that is signed out again at once is told of all the same', async (t) => {
  const clock = new TestClock()
  const { url, ask, addDevice } = await server(t, { clock })
  const ann = await signIn(url, 'Ann')
  const mine = await connect(t, url, ann)
  const thief = await addDevice(ann, FIREFOX)
  assert.equal((await ask('GET', 'rooms', thief)).status, 200)
  assert.equal((await ask('DELETE', 'session', thief)).status, 204)
  await clock.advance(2_000)
  const { id, address, agent } = await mine.next('device')
  assert.deepEqual(
    [id, address, agent],
    [hashSecret(thief.token).slice(0, 16), '127.0.0.1', FIREFOX],
  )
  await clock.advance(10_000)
  await mine.settle()
  assert.equal(mine.all('device').length, 1)
})

test('a session that a socket or a stream uses does not idle out under it', async (t) => {
  const clock = new Calendar()
  const touchMs = 2_000
  const { url, devices, holds } = await server(t, {
    clock,
    limits: { touchMs, silenceMs: 1e9, newsKeptMs: 400 * DAY },
  })
  const [ann, eve, bob] = [
    await signIn(url, 'Ann'),
    await signIn(url, 'Eve'),
    await signIn(url, 'Bob'),
  ]
  const socket = await connect(t, url, ann)
  const cut = new AbortController()
  t.after(() => cut.abort())
  const headers = { authorization: `Bearer ${eve.token}` }
  const stream = await fetch(`${url}/api/rooms/lobby/events`, { headers, signal: cut.signal })
  for (let day = 0; day < 31; day += 1) {
    clock.daysAhead += 1
    await clock.advance(2 * touchMs)
  }
  for (const name of ['Ann', 'Eve']) {
    const response = await post(`${url}/api/session`, { name })
    assert.equal(response.status, 409, `nobody is ${name} beside her`)
  }
  assert.equal(socket.closed, null)
  assert.ok(!stream.bodyUsed)
  assert.deepEqual(await Promise.all([ann, eve, bob].map(holds)), [true, true, false])
  const [device] = await devices(ann)
  assert.ok(clock.date().getTime() - Date.parse(device!.seenAt) <= 2 * touchMs)
})

test('a session that idled out closes what is open, and its name goes to one alone', async (t) => {
  const clock = new Calendar()
  const { url, holds } = await server(t, {
    clock,
    limits: { silenceMs: 1e9, newsKeptMs: 400 * DAY },
  })
  const [ann, bob] = [await signIn(url, 'Ann'), await signIn(url, 'Bob')]
  const [first, second] = [await connect(t, url, ann), await connect(t, url, bob)]
  await clock.advance(2_000)
  // The machine slept, and the stranger is there before the server has looked.
  clock.daysAhead = 31
  const stranger = await signIn(url, 'Ann')
  assert.notEqual(stranger.user.id, ann.user.id)
  await clock.advance(3_000)
  assert.equal(await first.closeCode(), 4501)
  assert.equal(second.closed, null)
  await clock.advance(HOUR)
  assert.equal(await second.closeCode(), 4501, 'one whose name nobody asked for, within the hour')
  assert.ok(await holds(stranger))
  assert.equal((await signIn(url, 'Bob')).user.name, 'Bob')
})

test('nobody ends a device of another user, or one that is made up', async (t) => {
  const { url, ask, devices, holds } = await server(t)
  const [ann, bob] = [await signIn(url, 'Ann'), await signIn(url, 'Bob')]
  const [device] = await devices(ann)
  for (const id of [device!.id, 'x'.repeat(16), 'x', '%00', '%', hashSecret(ann.token)]) {
    const response = await ask('DELETE', `sessions/${encodeURIComponent(id)}`, bob)
    assert.equal(response.status, 404, id)
  }
  assert.ok(await holds(ann))
})

test('all others are ended at once; and this one as at sign-out', async (t) => {
  const { url, ask, devices, holds, addDevice } = await server(t)
  const ann = await signIn(url, 'Ann')
  const others = [await addDevice(ann), await addDevice(ann)]
  const bob = await signIn(url, 'Bob')
  const sockets = [await connect(t, url, others[0]!), await connect(t, url, others[1]!)]
  const mine = await connect(t, url, ann)
  assert.equal((await ask('DELETE', 'sessions', ann)).status, 204)
  for (const socket of sockets) assert.equal(await socket.closeCode(), 4501)
  await mine.settle()
  assert.deepEqual(await Promise.all([ann, bob, ...others].map(holds)), [true, true, false, false])
  const [last] = await devices(ann)
  const ended = await ask('DELETE', `sessions/${last!.id}`, ann)
  assert.equal(ended.status, 204)
  assert.match(ended.headers.get('set-cookie') ?? '', /^hearth-[0-9a-f]{8}=;.*Max-Age=0/)
  assert.equal(await mine.closeCode(), 4501)
  assert.notEqual((await signIn(url, 'Ann')).user.id, ann.user.id, 'the name was free')
})

test('devices are no more than so many, and asked for no more often', async (t) => {
  const limits = { sessionsPerUser: 3, devicesPerMinute: 4 }
  const { url, ask, addDevice } = await server(t, { limits })
  const ann = await signIn(url, 'Ann')
  const thief = await addDevice(ann)
  await addDevice(ann)
  // What one device asks is none of the others' matter: each must be able to end the rest.
  for (let count = 0; count < 4; count += 1) await ask('GET', 'sessions', thief)
  assert.equal((await ask('GET', 'sessions', thief)).status, 429)
  const link = async () => {
    const response = await post(`${url}/api/session/link`, {}, ann.token)
    return v.parse(protocol.Link, await response.json()).link
  }
  const full = await post(`${url}/api/session`, { link: await link() })
  assert.equal(full.status, 429)
  assert.equal(v.parse(protocol.Problem, await full.json()).code, 'too_many')
  const asked = [
    await ask('GET', 'sessions', ann),
    await ask('DELETE', 'sessions/x', ann),
    await ask('DELETE', 'sessions', ann),
    await ask('GET', 'sessions', ann),
    await ask('GET', 'sessions', ann),
  ]
  assert.deepEqual(
    asked.map(({ status }) => status),
    [200, 404, 204, 200, 429],
  )
  assert.equal((await post(`${url}/api/session`, { link: await link() })).status, 201)
})
