/** Nobody is in a private room unseen: whoever comes in is told of, listed, and can be put out. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  asker,
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
  const ask = asker(url)
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

test('readers by a leaked invitation who leave at once leave a trace for those in it', async (t) => {
  const { url, ask, ann, comeIn, list, members } = await setUp(t)
  await ann.say('den', 'the secret')
  for (const [name, path] of [
    ['Eve', '/session'],
    ['Eve', '/session'],
    ['Mole', ''],
  ] as const) {
    const guest = await newcomer(t, url, name)
    assert.equal((await comeIn(guest.account)).result, '204')
    const { answer } = await ask('GET', '/rooms/den/messages?limit=9', guest.account)
    assert.match(JSON.stringify(answer), /the secret/)
    if (path) assert.equal((await ask('DELETE', path, guest.account)).result, '204')
    else {
      await guest.join('den')
      guest.send({ type: 'leave', room: 'den' })
      await guest.settle()
    }
  }
  assert.deepEqual(await list(ann.account), ['Ann owns here'])
  const { members: past, more } = await members(ann.account, '?past=true')
  assert.deepEqual(past.map(({ user }) => user.name).sort(), ['Eve', 'Eve', 'Mole'])
  assert.ok(past.every(({ since, until, here }) => !here && since! <= until!))
  assert.equal(more, false)
  const { answer } = await ask('POST', '/rooms/den/invites', ann.account, {})
  const { invite } = v.parse(protocol.Invitation, answer)
  const look = await ask('POST', '/rooms/den/invites/look', ann.account, { invite })
  assert.equal(v.parse(protocol.InvitedRoom, look.answer).members, 1)
  const strange = await signIn(url, 'Stan')
  assert.equal((await ask('GET', '/rooms/den/members?past=true', strange)).result, '403 forbidden')
  assert.equal((await ask('GET', '/rooms/den/members?past=x', ann.account)).result, '400 invalid')
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

const ADMIN = { env: { ADMIN_TOKEN: 'correct horse battery' } }
const admin = (url: string) => signIn(url, 'Root', { admin: ADMIN.env.ADMIN_TOKEN })

test('the owner is banned: the invitation that is out lets nobody in any more', async (t) => {
  const { url, ask, ann, comeIn, list } = await setUp(t, ADMIN)
  const [root, bob, eve] = [await admin(url), await signIn(url, 'Bob'), await signIn(url, 'Eve')]
  assert.equal((await comeIn(bob)).result, '204')
  assert.equal((await ask('DELETE', `/users/${ann.account.user.id}`, root)).result, '204')
  assert.equal((await comeIn(eve)).result, '403 forbidden')
  assert.deepEqual(await list(bob), ['Bob'])
  // The room goes on: an admin gives it to one who is in it.
  const owner = { user: bob.user.id }
  assert.equal((await ask('PUT', '/rooms/den/owner', root, owner)).result, '204')
  assert.deepEqual(await list(bob), ['Bob owns'])
  assert.equal((await ask('POST', '/rooms/den/invites', bob, {})).result, '201')
})

test('an owner who signs out for good leaves no invitation behind', async (t) => {
  const { url, ask, ann, comeIn } = await setUp(t, ADMIN)
  const [root, eve] = [await admin(url), await signIn(url, 'Eve')]
  assert.equal((await ask('DELETE', '/session', ann.account)).result, '204')
  assert.equal((await comeIn(eve)).result, '403 forbidden')
  assert.equal((await ask('PUT', '/rooms/den/owner', root, { user: root.user.id })).result, '204')
})

test('an admin ends the invitations of any room, and sees nothing of it', async (t) => {
  const { url, ask, comeIn, list } = await setUp(t, ADMIN)
  const [root, bob, eve] = [await admin(url), await signIn(url, 'Bob'), await signIn(url, 'Eve')]
  await comeIn(bob)
  const ended = await ask('DELETE', '/rooms/den/invites', root)
  assert.deepEqual([ended.result, ended.answer], ['200', { ended: 1, members: 2 }])
  assert.equal((await comeIn(eve)).result, '403 forbidden')
  assert.equal((await ask('GET', '/rooms/den/members', root)).result, '403 forbidden')
  assert.equal((await ask('DELETE', '/rooms/nowhere/invites', root)).result, '403 forbidden')
  assert.equal((await ask('DELETE', `/rooms/den/members/${bob.user.id}`, root)).result, '204')
  assert.equal((await ask('GET', '/rooms/den/members', bob)).result, '403 forbidden')
  // Whoever wants to see takes it over, and that is told.
  assert.equal((await ask('PUT', '/rooms/den/owner', root, { user: root.user.id })).result, '204')
  assert.deepEqual(await list(root), ['Ann here', 'Root owns'])
})

test('a room that is handed over: everybody is told, and rights go with it at once', async (t) => {
  const { url, ask, ann, comeIn } = await setUp(t, ADMIN)
  const [root, bob] = [await admin(url), await newcomer(t, url, 'Bob')]
  await comeIn(bob.account)
  const { joined } = await bob.join('den')
  assert.equal(joined.owner, ann.account.user.id)
  for (const body of ['rude', 'ruder']) await bob.say('den', body)
  const erase = (target: number) => {
    return { type: 'delete', room: 'den', id: crypto.randomUUID(), target }
  }
  ann.send(erase(1))
  await bob.next('message', ({ kind }) => kind === 'delete')
  const give = { user: bob.account.user.id }
  assert.equal((await ask('PUT', '/rooms/den/owner', bob.account, give)).result, '403 forbidden')
  assert.equal((await ask('PUT', '/rooms/den/owner', ann.account, give)).result, '204')
  for (const client of [ann, bob]) {
    assert.equal((await client.next('owner')).owner, give.user)
  }
  ann.send(erase(2))
  assert.equal((await ann.refusal()).code, 'forbidden')
  const said = await ann.say('den', 'please')
  bob.send(erase(said.seq))
  await ann.next('message', ({ kind }) => kind === 'delete')
  await ask('PUT', '/rooms/den/owner', root, { user: root.user.id })
  assert.equal((await ann.next('owner')).owner, root.user.id)
  assert.deepEqual((await ann.join('den')).joined.owner, root.user.id)
  assert.deepEqual(
    ann.all('admitted').map(({ user }) => user.name),
    ['Bob', 'Root'],
  )
})

test('an invitation for one person lets in one', async (t) => {
  const { url, ask, ann } = await setUp(t)
  const { answer } = await ask('POST', '/rooms/den/invites', ann.account, { once: true })
  const { invite } = v.parse(protocol.Invitation, answer)
  const [bob, eve] = [await signIn(url, 'Bob'), await signIn(url, 'Eve')]
  const comeIn = (account: Account) => ask('POST', '/rooms/den/members', account, { invite })
  for (let n = 0; n < 2; n += 1) assert.equal((await comeIn(bob)).result, '204')
  assert.equal((await comeIn(eve)).result, '403 forbidden')
})

test('nobody makes the lobby private, nor what an admin reserved', async (t) => {
  const { url, ask, ann } = await setUp(t, ADMIN)
  const root = await admin(url)
  const make = async (account: Account, room: string, more = {}) =>
    (await ask('POST', '/rooms', account, { room, ...more })).result
  assert.equal(await make(ann.account, 'lobby'), '409 conflict')
  assert.equal(await make(ann.account, 'news', { private: false }), '403 forbidden')
  assert.equal(await make(root, 'news', { private: false }), '201')
  assert.equal(await make(root, 'news', { private: false }), '409 conflict')
  assert.equal(await make(ann.account, 'news'), '409 conflict')
  assert.equal((await ann.join('news')).joined.private, false)
  assert.equal(await make(ann.account, 'attic', { private: true }), '201')
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
