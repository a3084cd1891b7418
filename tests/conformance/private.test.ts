/** Private rooms and bans, as clients meet them: the same answer for every way in. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  asker,
  connect,
  GENEROUS,
  newcomer,
  newTicket,
  post,
  signIn,
  startServer,
  type Account,
  type ServerOptions,
} from '../helpers.ts'
import { knock } from './raw.ts'

const ADMIN = 'correct horse battery'
const NOBODY = '00000000-0000-4000-8000-000000000000'

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const { url } = await startServer(t, { limits: GENEROUS, ...options })
  const ask = asker(url)
  const invite = async (room: string, owner: Account, body: object = {}) => {
    const { result, answer } = await ask('POST', `/rooms/${room}/invites`, owner, body)
    assert.equal(result, '201')
    return v.parse(protocol.Invitation, answer)
  }
  const rooms = async (account: Account) =>
    v.parse(protocol.Rooms, (await ask('GET', '/rooms', account)).answer)
  return { url, ask, invite, rooms }
}

test('a private room is made by one, and let into by invitation', async (t) => {
  const { url, ask, invite, rooms } = await setUp(t)
  const [ann, bob] = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Bob')]
  const made = await ask('POST', '/rooms', ann.account, { room: 'den' })
  const den = { room: 'den', head: 0, read: 0, unread: 0, mentions: 0, private: true, owner: true }
  assert.deepEqual([made.result, made.answer], ['201', den])
  assert.deepEqual(await rooms(ann.account), [den])
  assert.equal((await ann.join('den')).joined.private, true)
  await ann.say('den', 'between us')

  bob.send({ type: 'join', room: 'den' })
  const { code, of, room } = await bob.refusal()
  assert.deepEqual([code, of, room], ['forbidden', 'join', 'den'])
  const { invite: key } = await invite('den', ann.account)
  const members = '/rooms/den/members'
  assert.equal((await ask('POST', members, bob.account, { invite: key })).result, '204')
  assert.deepEqual(
    await rooms(bob.account),
    [{ ...den, head: 1, unread: 1, owner: undefined }].map(({ owner: _, ...room }) => room),
  )
  assert.equal((await bob.join('den')).page?.messages[0]?.body, 'between us')
  await bob.say('den', 'thank you')
  assert.equal((await ann.next('message', ({ seq }) => seq === 2)).author.name, 'Bob')
})

test('a stranger gets nothing out of a private room, and nothing in', async (t) => {
  const { url, ask } = await setUp(t)
  const [ann, eve] = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Eve')]
  await ask('POST', '/rooms', ann.account, { room: 'den' })
  await ann.join('den')
  await ann.say('den', 'between us')
  const frames = [
    { type: 'join', room: 'den' },
    { type: 'join', room: 'den', after: 0 },
    { type: 'join', room: 'den', after: 1, epoch: 'x', limit: 100 },
    { type: 'history', room: 'den' },
    { type: 'say', room: 'den', id: crypto.randomUUID(), body: 'let me in' },
    { type: 'edit', room: 'den', id: crypto.randomUUID(), target: 1, body: 'mine' },
    { type: 'delete', room: 'den', id: crypto.randomUUID(), target: 1 },
    { type: 'react', room: 'den', id: crypto.randomUUID(), target: 1, emoji: '👍', on: true },
    { type: 'read', room: 'den', seq: 1 },
    { type: 'typing', room: 'den' },
  ]
  for (const frame of frames) eve.send(frame)
  const refused = () => eve.all('error').filter(({ room }) => room === 'den')
  await eve.until(() => refused().length === frames.length, 'every refusal')
  for (const { code, of } of refused()) {
    assert.equal(code, of === 'join' ? 'forbidden' : 'not_joined')
  }
  const key = 'x'.repeat(43)
  for (const [method, path, body] of [
    ['POST', '/rooms/den/invites', {}],
    ['DELETE', '/rooms/den/invites', undefined],
    ['POST', '/rooms/den/members', { invite: key }],
    ['DELETE', `/rooms/den/members/${ann.account.user.id}`, undefined],
    // A room that is not there answers the same.
    ['POST', '/rooms/nowhere/invites', {}],
    ['POST', '/rooms/nowhere/members', { invite: key }],
  ] as const) {
    assert.equal((await ask(method, path, eve.account, body)).result, '403 forbidden', path)
  }
  await ann.say('den', 'still us')
  await eve.settle()
  const heard = eve.events.filter(({ type }) => !['welcome', 'error'].includes(type))
  assert.deepEqual(heard, [])
  assert.equal(ann.all('message').length, 2)
})

test('what is no room, no invitation or no user is refused with a code', async (t) => {
  const { url, ask } = await setUp(t)
  const ann = await signIn(url, 'Ann')
  await ask('POST', '/rooms', ann, { room: 'den' })
  for (const [result, method, path, body] of [
    ['409 conflict', 'POST', '/rooms', { room: 'den' }],
    ['400 invalid', 'POST', '/rooms', { room: 'No Room' }],
    ['400 invalid', 'POST', '/rooms', {}],
    ['400 invalid', 'POST', '/rooms/No.Room/invites', {}],
    ['400 invalid', 'POST', '/rooms/den/invites', { expiresIn: 59 }],
    ['400 invalid', 'POST', '/rooms/den/invites', { expiresIn: 2_592_001 }],
    ['400 invalid', 'POST', '/rooms/den/invites', { expiresIn: '60' }],
    ['400 invalid', 'POST', '/rooms/den/members', { invite: 'short' }],
    ['400 invalid', 'DELETE', '/rooms/den/members/ann', undefined],
    ['404 not_found', 'DELETE', `/rooms/den/members/${NOBODY}`, undefined],
    ['403 forbidden', 'DELETE', `/rooms/den/members/${ann.user.id}`, undefined],
  ] as const) {
    assert.equal((await ask(method, path, ann, body)).result, result, `${method} ${path}`)
  }
  for (const path of ['/rooms', '/rooms/den/invites', '/rooms/den/members']) {
    assert.equal((await post(`${url}/api${path}`, {})).status, 401)
  }
  assert.equal((await ask('POST', '/rooms/den/invites', ann, { expiresIn: 60 })).result, '201')
})

test('a room that is public stays public', async (t) => {
  const { url, ask } = await setUp(t)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('garden')
  const ann = await signIn(url, 'Ann')
  assert.equal((await ask('POST', '/rooms', ann, { room: 'garden' })).result, '409 conflict')
  assert.equal((await ask('POST', '/rooms/garden/invites', ann, {})).result, '403 forbidden')
  const remove = `/rooms/garden/members/${bob.account.user.id}`
  assert.equal((await ask('DELETE', remove, ann)).result, '403 forbidden')
})

test('who is removed hears it, and comes back only by a new invitation', async (t) => {
  const { url, ask, invite } = await setUp(t)
  const [ann, bob] = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Bob')]
  await ask('POST', '/rooms', ann.account, { room: 'den' })
  await ann.join('den')
  const { invite: key } = await invite('den', ann.account)
  await ask('POST', '/rooms/den/members', bob.account, { invite: key })
  const phone = await connect(t, url, bob.account)
  for (const device of [bob, phone]) await device.join('den')
  const remove = `/rooms/den/members/${bob.account.user.id}`
  assert.equal((await ask('DELETE', remove, bob.account)).result, '403 forbidden')
  assert.equal((await ask('DELETE', remove, ann.account)).result, '204')
  for (const device of [bob, phone]) await device.next('removed', ({ room }) => room === 'den')
  await ann.say('den', 'he is gone')
  bob.send({ type: 'say', room: 'den', id: crypto.randomUUID(), body: 'am I' })
  assert.equal((await bob.refusal()).code, 'not_joined')
  bob.send({ type: 'join', room: 'den', after: 0 })
  assert.equal((await bob.refusal()).code, 'forbidden')
  const again = { invite: key }
  assert.equal(
    (await ask('POST', '/rooms/den/members', bob.account, again)).result,
    '403 forbidden',
  )
  assert.deepEqual([...bob.all('message'), ...phone.all('message')], [])
  const fresh = { invite: (await invite('den', ann.account)).invite }
  assert.equal((await ask('POST', '/rooms/den/members', bob.account, fresh)).result, '204')
  assert.equal((await bob.join('den')).page?.messages.length, 1)
})

test('revoked invitations open nothing', async (t) => {
  const { url, ask, invite } = await setUp(t)
  const [ann, bob] = [await signIn(url, 'Ann'), await signIn(url, 'Bob')]
  await ask('POST', '/rooms', ann, { room: 'den' })
  const keys = [await invite('den', ann), await invite('den', ann, { expiresIn: 3_600 })]
  const { result, answer } = await ask('DELETE', '/rooms/den/invites', ann)
  assert.deepEqual([result, answer], ['200', { ended: 2, members: 1 }])
  for (const { invite: key } of keys) {
    const { result } = await ask('POST', '/rooms/den/members', bob, { invite: key })
    assert.equal(result, '403 forbidden')
  }
})

test('a stranger learns that a private room exists, and nothing else of it', async (t) => {
  const { url, ask } = await setUp(t)
  const [ann, eve] = [await signIn(url, 'Ann'), await signIn(url, 'Eve')]
  await ask('POST', '/rooms', ann, { room: 'den' })
  const read = async (room: string) => (await ask('GET', `/rooms/${room}/messages`, eve)).result
  // As docs/security.md says: one space of names cannot hide which of them are taken.
  assert.deepEqual([await read('den'), await read('elsewhere')], ['403 forbidden', '200'])
  assert.equal((await ask('POST', '/rooms', eve, { room: 'den' })).result, '409 conflict')
  const show = (room: string) => {
    return ask('POST', `/rooms/${room}/members`, eve, { invite: 'x'.repeat(43) })
  }
  const answers = [await show('den'), await show('elsewhere')]
  assert.deepEqual(answers[0], answers[1])
  assert.equal(answers[0]?.result, '403 forbidden')
  assert.doesNotMatch(JSON.stringify(answers), /Ann/)
})

test('the owner and an admin may delete what others wrote, and nobody else', async (t) => {
  const { url, ask, invite } = await setUp(t, { env: { ADMIN_TOKEN: ADMIN } })
  const [ann, bob] = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Bob')]
  const root = await connect(t, url, await signIn(url, 'Root', { admin: ADMIN }))
  await ask('POST', '/rooms', ann.account, { room: 'den' })
  const { invite: key } = await invite('den', ann.account)
  for (const guest of [bob, root]) {
    await ask('POST', '/rooms/den/members', guest.account, { invite: key })
  }
  for (const client of [ann, bob, root]) await client.join('den')
  for (let n = 0; n < 3; n += 1) await bob.say('den', `rude ${n}`)
  await ann.say('den', 'please')
  const erase = (target: number) => {
    return { type: 'delete', room: 'den', id: crypto.randomUUID(), target }
  }
  bob.send(erase(4))
  assert.equal((await bob.refusal()).code, 'forbidden')
  ann.send({ type: 'edit', room: 'den', id: crypto.randomUUID(), target: 1, body: 'kind' })
  assert.equal((await ann.refusal()).code, 'forbidden')
  ann.send(erase(1))
  await bob.next('message', ({ kind }) => kind === 'delete')
  root.send(erase(2))
  const { author } = await bob.next('message', ({ kind }) => kind === 'delete')
  assert.equal(author.name, 'Root')
})

test('an admin is a stranger to a private room, too', async (t) => {
  const { url, ask } = await setUp(t, { env: { ADMIN_TOKEN: ADMIN } })
  const ann = await signIn(url, 'Ann')
  const root = await connect(t, url, await signIn(url, 'Root', { admin: ADMIN }))
  await ask('POST', '/rooms', ann, { room: 'den' })
  root.send({ type: 'join', room: 'den' })
  assert.equal((await root.refusal()).code, 'forbidden')
  assert.equal((await ask('POST', '/rooms/den/invites', root.account, {})).result, '403 forbidden')
})

test('whom an admin bans is out at once: every socket, session, ticket and the name', async (t) => {
  const { url, ask } = await setUp(t, { env: { ADMIN_TOKEN: ADMIN } })
  const root = await signIn(url, 'Root', { admin: ADMIN })
  const troll = await newcomer(t, url, 'Troll')
  const phone = await connect(t, url, troll.account)
  await troll.join('lobby')
  await troll.say('lobby', 'rude')
  const ticket = await newTicket(url, troll.account.token)
  const ban = `/users/${troll.account.user.id}`
  assert.equal((await ask('DELETE', ban, troll.account)).result, '403 forbidden')
  assert.equal((await ask('DELETE', `/users/${root.user.id}`, root)).result, '403 forbidden')
  assert.equal((await ask('DELETE', `/users/${NOBODY}`, root)).result, '404 not_found')
  assert.equal((await ask('DELETE', '/users/troll', root)).result, '400 invalid')
  assert.equal((await ask('DELETE', ban, root)).result, '204')
  for (const device of [troll, phone]) {
    assert.equal(await device.closeCode(), 4503)
    assert.deepEqual(device.events.at(-1), { type: 'bye', code: 4503, retryAfterMs: 0 })
  }
  assert.equal((await ask('GET', '/session', troll.account)).result, '401 unauthorized')
  assert.equal((await knock(t, url, ticket)).status, 401)
  assert.equal((await post(`${url}/api/session`, { name: 'TROLL' })).status, 409)
  const ann = await newcomer(t, url, 'Ann')
  assert.equal((await ann.join('lobby')).page?.messages[0]?.body, 'rude', 'what was said stays')
})

test('making rooms and invitations has a rate', async (t) => {
  const { url, ask } = await setUp(t, { limits: { ...GENEROUS, roomChangesPerMinute: 3 } })
  const ann = await signIn(url, 'Ann')
  const results = []
  for (let n = 0; n < 4; n += 1) {
    results.push((await ask('POST', '/rooms', ann, { room: `den-${n}` })).result)
  }
  assert.deepEqual(results, ['201', '201', '201', '429 rate_limited'])
})
