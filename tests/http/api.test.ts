/** /api: sessions, tickets, rooms, and how each refusal reads. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { Link, Rooms, Session, Ticket } from '../../static/protocol.js'
import { hashSecret } from '../../src/auth/secrets.ts'
import { LogUnavailable, SearchTooLong, type Search } from '../../src/store/log.ts'
import { assertProblem, openApp, ORIGIN } from './app.ts'

test('a guest signs in, is known, and signs out', async (t) => {
  const { get, post, send } = openApp(t)
  const created = await post('/api/session', { name: ' Ann ' })
  assert.equal(created.status, 201)
  assert.equal(created.headers.get('cache-control'), 'no-store')
  const { user, token, role } = v.parse(Session, await created.json())
  assert.deepEqual([user.name, role], ['Ann', 'member'])
  const cookie = created.headers.get('set-cookie')!
  for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/']) assert.ok(cookie.includes(part))
  assert.doesNotMatch(cookie, /Secure|Domain/)
  const bearer = { authorization: `Bearer ${token}` }
  for (const headers of [bearer, { cookie: cookie.split(';')[0]! }]) {
    const known = v.parse(Session, await (await get('/api/session', headers)).json())
    assert.deepEqual([known.user, known.token], [user, undefined])
  }
  const gone = await send('DELETE', '/api/session', undefined, bearer)
  assert.equal(gone.status, 204)
  assert.match(gone.headers.get('set-cookie') ?? '', /Max-Age=0/)
  await assertProblem(await get('/api/session', bearer), 401, 'unauthorized')
})

test('who only asks whether somebody is signed in is not told off', async (t) => {
  for (const [env, answer] of [
    [{}, {}],
    [{ ACCESS_CODE: 'open sesame' }, { needs: 'code' }],
    [{ GUESTS: 'false' }, { needs: 'login' }],
  ] as const) {
    const { get } = openApp(t, { env })
    for (const authorization of ['', `Bearer ${'x'.repeat(43)}`]) {
      const response = await get('/api/session?quiet=true', { authorization })
      assert.equal(response.status, 200)
      assert.deepEqual(await response.json(), answer)
    }
    const plain = await get('/api/session?quiet=yes')
    const { needs } = await assertProblem(plain, 401, 'unauthorized')
    assert.equal(needs, answer.needs)
  }
  const { get, signIn } = openApp(t)
  const { bearer } = await signIn('Ann')
  const known = await (await get('/api/session?quiet=true', bearer)).json()
  assert.equal(v.parse(Session, known).user.name, 'Ann')
})

test('over https the cookie says so', async (t) => {
  const { post } = openApp(t, { env: { ALLOWED_ORIGINS: 'https://a.example' } })
  const cookie = (await post('/api/session', { name: 'Ann' })).headers.get('set-cookie')!
  assert.match(cookie, /^__Host-/)
  assert.match(cookie, /; Secure/)
})

test('a name is owned, and a bad one refused', async (t) => {
  const { post } = openApp(t)
  assert.equal((await post('/api/session', { name: 'Ann' })).status, 201)
  await assertProblem(await post('/api/session', { name: 'ＡＮＮ' }), 409, 'name_taken')
  const bad = ['', ' ', 'x'.repeat(33), 'a\u202eb', 'a\nb', 'Аnn', '\u200b', 7, null, ['Ann'], {}]
  for (const name of bad) await assertProblem(await post('/api/session', { name }), 400, 'invalid')
})

test('an address signs in so often a minute, and an IPv6 site as often as four of its networks', async (t) => {
  const { clock, post } = openApp(t, { env: { SESSION_RATE: '2', TRUST_PROXY: '1' } })
  let people = 0
  const signIn = async (address: string) => {
    const name = `Guest ${(people += 1)}`
    return (await post('/api/session', { name }, { 'x-forwarded-for': address })).status
  }
  const statuses: number[] = []
  for (let n = 0; n < 15; n += 1) statuses.push(await signIn(`2001:db8:7:${n % 5}::${n}`))
  assert.equal(statuses.filter((status) => status === 201).length, 8)
  assert.ok(statuses.slice(8).every((status) => status === 429))
  const other = [await signIn('192.0.2.1'), await signIn('192.0.2.1'), await signIn('192.0.2.1')]
  assert.deepEqual(other, [201, 201, 429])
  assert.equal(await signIn('2001:db8:8::'), 201)
  clock.skip(60_000)
  assert.equal(await signIn('2001:db8:7:1::'), 201)
})

test('everything but signing in asks for a session', async (t) => {
  const { send } = openApp(t)
  const requests = [
    ...['GET /api/session', 'DELETE /api/session', 'POST /api/ticket', 'POST /api/session/link'],
    ...['GET /api/rooms', 'GET /api/nothing', 'POST /api/nothing', 'GET /api/', 'PUT /api/session'],
  ]
  for (const request of requests) {
    const [method = '', path = ''] = request.split(' ')
    for (const authorization of ['', 'Bearer x', 'Basic eDp5', `Bearer ${'x'.repeat(43)}`]) {
      await assertProblem(
        await send(method, path, undefined, { authorization }),
        401,
        'unauthorized',
      )
    }
  }
})

test('a path that is not there is 404 for who is signed in', async (t) => {
  const { get, send, signIn } = openApp(t)
  const { bearer } = await signIn('Ann')
  for (const path of [
    '/api/nothing',
    '/api/',
    '/api/session/x',
    '/api/rooms/../secret',
    '/api/x.js',
  ]) {
    await assertProblem(await get(path, bearer), 404, 'not_found')
  }
  await assertProblem(await send('PUT', '/api/rooms', undefined, bearer), 405, 'invalid')
})

test('a body is JSON, not too long, and of the right shape', async (t) => {
  const { post } = openApp(t)
  const json = JSON.stringify({ name: 'Ann' })
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    '',
  ]) {
    await assertProblem(await post('/api/session', json, { 'content-type': type }), 415, 'invalid')
  }
  for (const body of ['', '{', '[]', 'null', '7', '{"__proto__":{"name":"Ann"}}']) {
    await assertProblem(await post('/api/session', body), 400, 'invalid')
  }
  const long = { name: 'Ann', code: 'x'.repeat(65_536) }
  await assertProblem(await post('/api/session', long), 413, 'too_long')
  const utf8 = { 'content-type': 'Application/JSON; charset=utf-8' }
  assert.equal((await post('/api/session', json, utf8)).status, 201)
})

test('a foreign page writes nothing, with or without the cookie', async (t) => {
  const { get, post, send, signIn } = openApp(t)
  const { bearer, cookie } = await signIn('Ann')
  for (const origin of [
    'https://evil.example',
    'null',
    `${ORIGIN}.evil.example`,
    ORIGIN.toUpperCase(),
    '',
  ]) {
    for (const headers of [bearer, cookie]) {
      await assertProblem(await post('/api/ticket', {}, { ...headers, origin }), 403, 'forbidden')
    }
    await assertProblem(await post('/api/session', { name: 'Bob' }, { origin }), 403, 'forbidden')
    assert.equal((await get('/api/session', { ...cookie, origin })).status, 200)
  }
  await assertProblem(await post('/api/ticket', {}, cookie), 403, 'forbidden')
  await assertProblem(await send('DELETE', '/api/session', undefined, cookie), 403, 'forbidden')
  assert.equal((await post('/api/ticket', {}, { ...cookie, origin: ORIGIN })).status, 201)
  assert.equal((await post('/api/ticket', {}, bearer)).status, 201)
})

test('tickets and links are secrets of their own', async (t) => {
  const { post, signIn } = openApp(t)
  const { bearer, token } = await signIn('Ann')
  const { ticket } = v.parse(Ticket, await (await post('/api/ticket', {}, bearer)).json())
  const { link } = v.parse(Link, await (await post('/api/session/link', {}, bearer)).json())
  assert.equal(new Set([token, ticket, link]).size, 3)
  await assertProblem(await post('/api/session', { link: ticket }), 401, 'unauthorized')
  const device = await post('/api/session', { link })
  assert.equal(v.parse(Session, await device.json()).user.name, 'Ann')
  await assertProblem(await post('/api/session', { link }), 401, 'unauthorized')
})

test('a link is over after ten minutes, or with the session it came from', async (t) => {
  const { clock, post, send, signIn } = openApp(t)
  const [ann, bob] = [await signIn('Ann'), await signIn('Bob')]
  const linkOf = async ({ bearer }: typeof ann) =>
    v.parse(Link, await (await post('/api/session/link', {}, bearer)).json()).link
  const [late, orphan] = [await linkOf(ann), await linkOf(bob)]
  await send('DELETE', '/api/session', undefined, bob.bearer)
  await assertProblem(await post('/api/session', { link: orphan }), 401, 'unauthorized')
  await clock.advance(600_000)
  await assertProblem(await post('/api/session', { link: late }), 401, 'unauthorized')
})

test('an access code, and an admin token, when they are set', async (t) => {
  const env = { ACCESS_CODE: 'open sesame', ADMIN_TOKEN: 'a long secret' }
  const { post } = openApp(t, { env })
  for (const code of [undefined, '', 'open', 'OPEN SESAME', 'a long secret']) {
    await assertProblem(await post('/api/session', { name: 'Ann', code }), 403, 'forbidden')
  }
  assert.equal((await post('/api/session', { name: 'Ann', code: 'open sesame' })).status, 201)
  await assertProblem(await post('/api/session', { name: 'Root', admin: 'x' }), 403, 'forbidden')
  const admin = await post('/api/session', { name: 'Root', admin: 'a long secret' })
  assert.equal(v.parse(Session, await admin.json()).role, 'admin')
  const without = openApp(t)
  for (const token of ['', 'undefined', 'a long secret']) {
    const response = await without.post('/api/session', { name: 'Root', admin: token })
    await assertProblem(response, 403, 'forbidden')
  }
})

test('30 sign-ins a minute from one address', async (t) => {
  const { clock, post } = openApp(t)
  for (let n = 0; n < 30; n += 1) {
    assert.equal((await post('/api/session', { name: `User ${n}` })).status, 201)
  }
  const refused = await post('/api/session', { name: 'Ann' })
  assert.equal(refused.headers.get('retry-after'), '2')
  await assertProblem(refused, 429, 'rate_limited')
  await clock.advance(2_000)
  assert.equal((await post('/api/session', { name: 'Ann' })).status, 201)
})

test('80 tickets a minute for one user', async (t) => {
  const { post, signIn } = openApp(t, { limits: { frameBurst: 100 } })
  const [ann, bob] = [await signIn('Ann'), await signIn('Bob')]
  for (let n = 0; n < 80; n += 1)
    assert.equal((await post('/api/ticket', {}, ann.bearer)).status, 201)
  const refused = await post('/api/ticket', {}, ann.bearer)
  assert.equal(refused.headers.get('retry-after'), '1')
  await assertProblem(refused, 429, 'rate_limited')
  assert.equal((await post('/api/ticket', {}, bob.bearer)).status, 201)
})

test('rooms one is a member of', async (t) => {
  const { get, signIn } = openApp(t)
  const { bearer } = await signIn('Ann')
  const response = await get('/api/rooms', bearer)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.deepEqual(v.parse(Rooms, await response.json()), [])
})

test('the list of rooms is charged as a read, and more of them cost more', async (t) => {
  const { hub, clock, get, signIn } = openApp(t)
  const { bearer, token } = await signIn('Ann')
  const { readBurst, readRate, roomsPerRead } = hub.limits
  for (let n = 0; n < readBurst; n += 1) {
    assert.equal((await get('/api/rooms', bearer)).status, 200)
  }
  const refused = await get('/api/rooms', bearer)
  assert.equal(refused.headers.get('retry-after'), '1')
  await assertProblem(refused, 429, 'rate_limited')
  await assertProblem(await get('/api/rooms/lobby/messages', bearer), 429, 'rate_limited')
  const { user } = v.parse(Session, await (await get('/api/session', bearer)).json())
  const rooms = Array.from({ length: roomsPerRead * 3 }, (_, n) => `room-${n}`)
  for (const room of rooms) await hub.log.enter(room, user.id, hashSecret(token))
  clock.skip((readBurst / readRate) * 1_000)
  // They come together, as those do that somebody pipelines.
  const asked = await Promise.all(rooms.slice(0, 20).map(async () => get('/api/rooms', bearer)))
  assert.equal(asked.filter(({ status }) => status === 200).length, readBurst / (1 + 3))
  assert.equal(asked.filter(({ status }) => status === 429).length, 20 - readBurst / (1 + 3))
})

test('a list of rooms is read some at a time, complete, and not on when its asker has gone', async (t) => {
  const { app, hub, clock, get, signIn } = openApp(t)
  const { bearer, token } = await signIn('Ann')
  const { roomsAtOnce, listMs } = hub.limits
  const { user } = v.parse(Session, await (await get('/api/session', bearer)).json())
  const all = Array.from({ length: roomsAtOnce * 2 + 1 }, (_, n) => `room-${100 + n}`)
  for (const room of all) await hub.log.enter(room, user.id, hashSecret(token))
  const { rooms } = hub.log
  const limits: unknown[] = []
  let onRead = () => {}
  hub.log.rooms = (id, after, limit) => {
    limits.push(limit)
    onRead()
    return rooms(id, after, limit)
  }
  const list = v.parse(Rooms, await (await get('/api/rooms', bearer)).json())
  assert.deepEqual(
    list.map(({ room }) => room),
    all,
  )
  assert.deepEqual(limits.splice(0), [roomsAtOnce, roomsAtOnce, roomsAtOnce])

  const gone = new AbortController()
  onRead = () => gone.abort()
  await app.request('/api/rooms', { headers: bearer, signal: gone.signal })
  assert.equal(limits.splice(0).length, 1)

  onRead = () => clock.skip(listMs)
  const late = await assertProblem(await get('/api/rooms', bearer), 503, 'unavailable')
  assert.equal(late.detail, 'other lists of rooms took too long')
})

test('who is in no room need not wait for the lists of others', async (t) => {
  const { hub, get, signIn } = openApp(t)
  const { bearer } = await signIn('Ann')
  hub.log.rooms = () => new Promise(() => {})
  assert.deepEqual(await (await get('/api/rooms', bearer)).json(), [])
})

test('what goes wrong inside is told to the operator, and to nobody else', async (t) => {
  const accounts = { session: () => Promise.reject(new Error('SELECT secret at /src/x.ts')) }
  const { get, faults } = openApp(t, { accounts: accounts as never })
  const response = await get('/api/session', { authorization: `Bearer ${'x'.repeat(43)}` })
  await assertProblem(response, 503, 'unavailable')
  assert.equal(faults.length, 1)
})

test('a search that takes too long is refused for now, which is no fault and no outage', async (t) => {
  const search: Search = {
    search: () => Promise.reject(new SearchTooLong('the search took too long')),
    note: () => {},
    close: async () => {},
  }
  const { get, signIn, faults, lines } = openApp(t, { search })
  const { bearer } = await signIn('Ann')
  const response = await get('/api/rooms/lobby/search?q=words', bearer)
  const { detail } = await assertProblem(response, 503, 'unavailable')
  assert.equal(detail, 'the search took too long')
  assert.equal(response.headers.get('retry-after'), '1')
  assert.deepEqual(faults, [])
  const { what, code, reason } = lines.at(-1)!
  assert.deepEqual([what, code, reason], ['request refused', 'unavailable', detail])
  search.search = () => Promise.reject(new LogUnavailable('gone'))
  await assertProblem(await get('/api/rooms/lobby/search?q=words', bearer), 503, 'unavailable')
  assert.equal(faults.length, 1)
})

test('a search is paid for by its work, so that one cannot ask for long ones at the rate of short ones', async (t) => {
  let waits = 0
  let workedMs = 0
  const search: Search = {
    search: async (_room, _query, _limit, _before, onWork) => {
      clock.skip(waits)
      onWork?.(workedMs)
      return { messages: [], head: 0, more: false }
    },
    note: () => {},
    close: async () => {},
  }
  const { clock, hub, get, signIn } = openApp(t, { search })
  const { readBurst, readRate, searchMsPerRead, readsPerSearch } = hub.limits
  const { bearer } = await signIn('Ann')
  const ask = async () => (await get('/api/rooms/lobby/search?q=words', bearer)).status
  /** How many are let through by full buckets. */
  const count = async () => {
    clock.skip((readBurst / readRate) * 2_000)
    for (let n = 0; ; n += 1) if ((await ask()) === 429) return n
  }
  assert.equal(await count(), readBurst)
  workedMs = searchMsPerRead * 5
  assert.equal(await count(), readBurst / 5)
  workedMs = searchMsPerRead * 1_000
  assert.equal(await count(), readBurst / readsPerSearch, 'none costs more')
  // To wait costs nothing: behind others, or for the index.
  clock.skip((readBurst / readRate) * 2_000)
  waits = 1_000 / readRate
  workedMs = searchMsPerRead
  for (let n = 0; n < readBurst * 2; n += 1) assert.equal(await ask(), 200)
})

test('where search is switched off there is none', async (t) => {
  const { get, signIn } = openApp(t, { search: undefined })
  const { bearer } = await signIn('Ann')
  const response = await get('/api/rooms/lobby/search?q=words', bearer)
  assert.match((await assertProblem(response, 404, 'not_found')).detail!, /switched off/)
})

test('a handshake that fails inside gives its place back', async (t) => {
  const tickets = {
    issue: () => Promise.reject(new Error('not asked')),
    redeem: () => Promise.reject(new Error('the database is gone')),
    look: () => Promise.reject(new Error('not asked')),
  }
  const { get, faults } = openApp(t, { tickets, limits: { connectionsPerIp: 2, connections: 2 } })
  for (const _ of [1, 2, 3, 4]) {
    const response = await get('/ws', {
      ...{ connection: 'Upgrade', upgrade: 'websocket' },
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-protocol': `hearth.v1, ticket.${'a'.repeat(43)}`,
    })
    await assertProblem(response, 503, 'unavailable')
    // The fourth too fails in the database, not for want of a place, which takes longer.
    assert.equal(response.headers.get('retry-after'), '1')
  }
  assert.equal(faults.length, 4)
})

test('a body that is cut off is the sender’s fault, unless the server is about to end', async (t) => {
  const { app, hub, signIn } = openApp(t)
  const { bearer } = await signIn('Ann')
  const post = (path: string) => {
    const start = (controller: ReadableStreamDefaultController) =>
      controller.error(new Error('cut'))
    const headers = { ...bearer, 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: new ReadableStream({ start }), duplex: 'half' }
    return app.request(path, init as RequestInit)
  }
  const paths = ['/api/rooms', '/api/session', '/api/rooms/lobby/messages']
  for (const path of paths) await assertProblem(await post(path), 400, 'invalid')
  hub.isDraining = true
  for (const path of paths) await assertProblem(await post(path), 503, 'unavailable')
})
