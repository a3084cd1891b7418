/** Nobody is in a private room unseen: whoever comes in is told of, listed, and can be put out. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  GENEROUS,
  newcomer,
  signIn,
  startServer,
  turn,
  type Account,
  type ServerOptions,
} from '../helpers.ts'
import { RawSocket } from './raw.ts'

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const hearth = await startServer(t, { limits: { ...GENEROUS, absenceMs: 0 }, ...options })
  const { url } = hearth
  const ask = async (method: string, path: string, { token }: Account, body?: unknown) => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer: unknown = text === '' ? undefined : JSON.parse(text)
    const code = v.is(protocol.Problem, answer) ? ` ${answer.code}` : ''
    return { result: `${response.status}${code}`, answer }
  }
  const ann = await newcomer(t, url, 'Ann')
  assert.equal((await ask('POST', '/rooms', ann.account, { room: 'den' })).result, '201')
  await ann.join('den')
  const { answer } = await ask('POST', '/rooms/den/invites', ann.account, {})
  const { invite } = v.parse(protocol.Invitation, answer)
  const comeIn = (account: Account) => ask('POST', '/rooms/den/members', account, { invite })
  const members = async (account: Account, query = '') => {
    const { result, answer } = await ask('GET', `/rooms/den/members${query}`, account)
    assert.equal(result, '200')
    return v.parse(protocol.Members, answer)
  }
  /** Names, owner and whether they are here. */
  const list = async (account: Account) =>
    (await members(account)).members
      .map(({ user, here, owner }) => `${user.name}${owner ? ' owns' : ''}${here ? ' here' : ''}`)
      .sort()
  /** Follows by HTTP, as `curl -N` does. */
  const follow = async ({ token }: Account) => {
    const raw = new RawSocket(t, url)
    raw.write(
      'GET /api/rooms/den/events HTTP/1.1\r\nHost: 127.0.0.1\r\n' +
        `Authorization: Bearer ${token}\r\n\r\n`,
    )
    await raw.head()
    await raw.until(() => raw.text.includes(': live'))
    return raw
  }
  return { ...hearth, ask, ann, comeIn, members, list, follow }
}

test('a reader by HTTP with a leaked invitation is told of, seen, listed, and put out', async (t) => {
  const { url, ask, ann, comeIn, list, follow } = await setUp(t)
  const eve = await signIn(url, 'Eve')
  assert.equal((await comeIn(eve)).result, '204')
  const { user, at } = await ann.next('admitted', ({ room }) => room === 'den')
  assert.deepEqual(user, eve.user)
  assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000)
  assert.deepEqual(await list(ann.account), ['Ann owns here', 'Eve'])

  const raw = await follow(eve)
  assert.deepEqual(await list(ann.account), ['Ann owns here', 'Eve here'])
  await ann.next('presence', ({ joined }) => joined?.some(({ id }) => id === user.id) === true)
  assert.equal((await ann.join('den')).joined.count, 2)

  await ann.say('den', 'the secret')
  await raw.until(() => raw.text.includes('the secret'))
  assert.equal((await ask('DELETE', `/rooms/den/members/${user.id}`, ann.account)).result, '204')
  await raw.until(() => raw.text.endsWith('\r\n0\r\n\r\n'))
  assert.match(raw.text, /event: removed/)
  assert.deepEqual(await list(ann.account), ['Ann owns here'])
  assert.equal((await comeIn(eve)).result, '403 forbidden')
  assert.equal((await ask('GET', '/rooms/den/members', eve)).result, '403 forbidden')
})

test('whoever is in the room hears who comes in, once; a reader by HTTP, too', async (t) => {
  const { url, ann, comeIn, follow } = await setUp(t)
  const [bob, eve] = [await newcomer(t, url, 'Bob'), await signIn(url, 'Eve')]
  await comeIn(eve)
  const raw = await follow(eve)
  for (let n = 0; n < 2; n += 1) assert.equal((await comeIn(bob.account)).result, '204')
  await raw.until(() => raw.text.includes('event: admitted'))
  await bob.join('den')
  await bob.say('den', 'hello')
  await ann.next('message')
  assert.deepEqual(
    ann.all('admitted').map(({ user }) => user.name),
    ['Eve', 'Bob'],
  )
  assert.equal(raw.text.split('event: admitted').length, 2)
  assert.deepEqual(bob.all('admitted'), [], 'nobody is told of himself')
})

test('a stream of a public room shows nobody; one that ended is nobody any more', async (t) => {
  const { url, hub, ann, comeIn, follow, list } = await setUp(t)
  const eve = await signIn(url, 'Eve')
  await comeIn(eve)
  const raw = await follow(eve)
  assert.deepEqual(await list(ann.account), ['Ann owns here', 'Eve here'])
  await ann.next('presence', ({ joined }) => joined?.some(({ name }) => name === 'Eve') === true)
  raw.socket.destroy()
  while ([...hub.connections].length > 1) await turn()
  await ann.next('presence', ({ left }) => left?.[0]?.id === eve.user.id)
  assert.deepEqual(await list(ann.account), ['Ann owns here', 'Eve'])
  await ann.join('lobby')
  const abort = new AbortController()
  const headers = { authorization: `Bearer ${eve.token}` }
  await fetch(`${url}/api/rooms/lobby/events`, { headers, signal: abort.signal })
  assert.equal((await ann.join('lobby')).joined.count, 1)
  abort.abort()
})

test('the list comes in pages, for members only, at the rate of reads', async (t) => {
  const limits = { ...GENEROUS, readBurst: 10, readRate: 0.001 }
  const { url, ask, ann, comeIn, members } = await setUp(t, { limits })
  const guests = await Promise.all(['Bob', 'Carl', 'Dora'].map((name) => signIn(url, name)))
  for (const guest of guests) await comeIn(guest)
  const ids = [ann.account, ...guests].map(({ user }) => user.id).sort()
  const [first, rest] = [
    await members(guests[0]!, '?limit=3'),
    await members(guests[0]!, `?after=${ids[2]}`),
  ]
  assert.deepEqual(
    [first, rest].map(({ more, members }) => [more, members.map(({ user }) => user.id)]),
    [
      [true, ids.slice(0, 3)],
      [false, ids.slice(3)],
    ],
  )
  const newest = first.members
    .concat(rest.members)
    .map(({ since }) => since!)
    .sort()
    .at(-1)!
  const late = await members(guests[0]!, `?since=${encodeURIComponent(newest)}`)
  assert.ok(late.members.length >= 1 && late.members.every(({ since }) => since! >= newest))
  const strange = await signIn(url, 'Eve')
  for (const [result, path] of [
    ['403 forbidden', '/rooms/den/members'],
    ['404 not_found', '/rooms/lobby/members'],
    ['400 invalid', '/rooms/den/members?limit=201'],
    ['400 invalid', '/rooms/den/members?after=x'],
    ['400 invalid', '/rooms/den/members?since=x'],
  ] as const) {
    assert.equal((await ask('GET', path, strange)).result, result, path)
  }
  for (let n = 0; n < 9; n += 1) await ask('GET', '/rooms/den/members', strange)
  assert.equal((await ask('GET', '/rooms/den/members', strange)).result, '429 rate_limited')
})
