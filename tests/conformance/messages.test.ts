/** The log over plain HTTP: reading it in pages and from a position, and writing to it. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  GENEROUS,
  holdAppends,
  newcomer,
  post,
  signIn,
  startServer,
  TestClock,
  type Account,
  type ServerOptions,
} from '../helpers.ts'

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const hearth = await startServer(t, { limits: GENEROUS, ...options })
  const { url } = hearth
  const ask = (account: Account | null, path: string) =>
    fetch(`${url}/api/rooms/${path}`, {
      headers: account ? { authorization: `Bearer ${account.token}` } : {},
    })
  const say = (account: Account | null, room: string, body: unknown) =>
    post(`${url}/api/rooms/${room}/messages`, body, account?.token)
  return { ...hearth, hearth, ask, say, ann: await signIn(url, 'Ann') }
}

const read = async (response: Promise<Response>) => {
  const { status, text } = await bodyOf(response)
  assert.equal(status, 200, text)
  return JSON.parse(text) as unknown
}
const bodyOf = async (response: Promise<Response>) => {
  const answer = await response
  return { status: answer.status, text: await answer.text() }
}
const entriesOf = async (response: Promise<Response>) =>
  v.parse(protocol.LogEntries, await read(response))
const pageOf = async (response: Promise<Response>) =>
  v.parse(protocol.LogPage, await read(response))

async function refusalOf(response: Promise<Response>) {
  const answer = await response
  assert.equal(answer.headers.get('content-type'), 'application/problem+json')
  const { code, status } = v.parse(protocol.Problem, await answer.json())
  assert.equal(status, answer.status)
  return { code: `${status} ${code}`, retryAfter: answer.headers.get('retry-after') }
}

test('what is posted is an entry of the log, which everybody gets', async (t) => {
  const { url, say, ann } = await setUp(t)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  const id = crypto.randomUUID()
  const body = { id, body: 'hello', mentions: [bob.account.user.id] }
  const response = await say(ann, 'lobby', body)
  assert.equal(response.status, 201)
  const entry = v.parse(protocol.Entry, await response.json())
  assert.deepEqual([entry.seq, entry.id, entry.author], [1, id, ann.user])
  assert.deepEqual(await bob.next('message'), entry)

  const again = await say(ann, 'lobby', body)
  assert.equal(again.status, 200)
  assert.deepEqual(await again.json(), { ...entry, repeat: true })
  const other = await refusalOf(say(ann, 'lobby', { ...body, body: 'something else' }))
  assert.equal(other.code, '409 conflict')
  const reply = await say(ann, 'lobby', { body: 'and an answer', replyTo: 1 })
  assert.equal(reply.status, 201)
  assert.equal((await bob.next('message')).seq, 2)
})

test('the log is read from a position, in steps, and as pages from its end', async (t) => {
  const { url, ask, ann } = await setUp(t)
  const bob = await newcomer(t, url, 'Bob')
  const { joined } = await bob.join('lobby')
  for (const body of ['one', 'two', 'three', 'four']) await bob.say('lobby', body)
  bob.send({ type: 'delete', room: 'lobby', id: crypto.randomUUID(), target: 2 })
  await bob.next('message', ({ kind }) => kind === 'delete')

  const entries = await entriesOf(ask(ann, 'lobby/messages?after=0&limit=3'))
  const { room, epoch, head, more, floor } = entries
  assert.deepEqual([room, epoch, head, more, floor], ['lobby', joined.epoch, 5, true, 0])
  assert.deepEqual(
    entries.messages.map(({ seq, kind }) => [seq, kind]),
    [1, 2, 3].map((seq) => [seq, 'message']),
  )
  const second = entries.messages[1]!
  assert.ok(second.kind === 'message' && second.deleted && second.body === undefined)
  const rest = await entriesOf(ask(ann, 'lobby/messages?after=3'))
  assert.deepEqual(
    [rest.messages.map(({ kind }) => kind), rest.more],
    [['message', 'delete'], false],
  )
  for (const after of [5, 99]) {
    const none = await entriesOf(ask(ann, `lobby/messages?after=${after}`))
    assert.deepEqual([none.messages, none.more, none.head], [[], false, 5])
  }

  const newest = await pageOf(ask(ann, 'lobby/messages?limit=2'))
  assert.deepEqual([newest.messages.map(({ seq }) => seq), newest.more], [[3, 4], true])
  const older = await pageOf(ask(ann, 'lobby/messages?before=3'))
  assert.deepEqual(
    [older.messages.map(({ seq }) => seq), older.more, older.head],
    [[1, 2], false, 5],
  )
  assert.equal(older.messages[1]!.deleted, true)
  const nowhere = await pageOf(ask(ann, 'nowhere/messages'))
  assert.deepEqual([nowhere.head, nowhere.messages], [0, []])
  // Who only reads and writes here is no member of anything.
  assert.deepEqual(await (await fetch(`${url}/api/rooms`, bearer(ann))).json(), [])
})

const bearer = ({ token }: Account) => ({ headers: { authorization: `Bearer ${token}` } })

test('a step ends at 64 KiB, and says that there is more', async (t) => {
  const { ask, say, ann } = await setUp(t)
  const body = '火'.repeat(4_000)
  for (let count = 0; count < 7; count += 1)
    assert.equal((await say(ann, 'lobby', { body })).status, 201)
  for (const query of ['after=0', 'limit=100']) {
    const response = await ask(ann, `lobby/messages?${query}`)
    const text = await response.text()
    const { more, messages } = JSON.parse(text) as { more: boolean; messages: unknown[] }
    assert.deepEqual([more, messages.length], [true, 5], query)
  }
})

test('what is wrong is refused with its code, and nothing is stored', async (t) => {
  const { ask, say, ann, url } = await setUp(t)
  const refusals: [Promise<Response>, string][] = [
    [say(null, 'lobby', { body: 'x' }), '401 unauthorized'],
    [ask(null, 'lobby/messages'), '401 unauthorized'],
    [say(ann, 'NoRoom', { body: 'x' }), '400 invalid'],
    [ask(ann, 'NoRoom/messages'), '400 invalid'],
    [say(ann, 'lobby', { body: '' }), '400 invalid'],
    [say(ann, 'lobby', { body: 'x'.repeat(4_001) }), '413 too_long'],
    [say(ann, 'lobby', { body: 'x'.repeat(70_000) }), '413 too_long'],
    [say(ann, 'lobby', { body: 'a\u0000b' }), '400 invalid'],
    [say(ann, 'lobby', { body: 'x', id: 'mine' }), '400 invalid'],
    [say(ann, 'lobby', { body: 'x', replyTo: 7 }), '404 not_found'],
    [say(ann, 'lobby', []), '400 invalid'],
    [ask(ann, 'lobby/messages?after=-1'), '400 invalid'],
    [ask(ann, 'lobby/messages?after=x'), '400 invalid'],
    [ask(ann, 'lobby/messages?limit=0'), '400 invalid'],
    [ask(ann, 'lobby/messages?limit=101'), '400 invalid'],
    [ask(ann, 'lobby/messages?after=1&before=2'), '400 invalid'],
    [ask(ann, 'lobby/messages?after=99999999999999999'), '400 invalid'],
  ]
  for (const [response, code] of refusals) assert.equal((await refusalOf(response)).code, code)
  const wrong = await fetch(`${url}/api/rooms/lobby/messages`, {
    ...{ method: 'POST', body: '{"body":"x"}' },
    headers: { authorization: `Bearer ${ann.token}`, 'content-type': 'text/plain' },
  })
  assert.equal((await refusalOf(Promise.resolve(wrong))).code, '415 invalid')
  const put = await fetch(`${url}/api/rooms/lobby/messages`, { method: 'PUT', ...bearer(ann) })
  assert.deepEqual([put.status, put.headers.get('allow')], [405, 'GET, HEAD, POST'])
  assert.equal((await pageOf(ask(ann, 'lobby/messages'))).head, 0)
})

test('a private room is closed to strangers in every way', async (t) => {
  const { ask, say, ann, url } = await setUp(t)
  const eve = await signIn(url, 'Eve')
  assert.equal((await post(`${url}/api/rooms`, { room: 'den' }, ann.token)).status, 201)
  assert.equal((await say(ann, 'den', { body: 'a secret' })).status, 201)
  for (const response of [
    ask(eve, 'den/messages'),
    ask(eve, 'den/messages?after=0'),
    ask(eve, 'den/events'),
    say(eve, 'den', { body: 'hello?' }),
  ]) {
    assert.equal((await refusalOf(response)).code, '403 forbidden')
  }
  assert.equal((await entriesOf(ask(ann, 'den/messages?after=0'))).head, 1)
  // What somebody wrote to without a claim is nobody's to close.
  assert.equal((await say(eve, 'yard', { body: 'mine' })).status, 201)
  assert.equal((await post(`${url}/api/rooms`, { room: 'yard' }, ann.token)).status, 409)
})

test('the same rates as on a socket, and when to come again', async (t) => {
  const clock = new TestClock()
  const limits = { ...GENEROUS, messageRate: 1, messageBurst: 2, readRate: 0.5, readBurst: 3 }
  const { ask, say, ann } = await setUp(t, { clock, limits })
  for (const status of [201, 201, 429])
    assert.equal((await say(ann, 'lobby', { body: 'x' })).status, status)
  for (const status of [200, 200, 200, 429])
    assert.equal((await ask(ann, 'lobby/messages')).status, status)
  const tooFast = { code: '429 rate_limited', retryAfter: '1' }
  assert.deepEqual(await refusalOf(say(ann, 'lobby', { body: 'x' })), tooFast)
  assert.deepEqual(await refusalOf(ask(ann, 'lobby/messages')), { ...tooFast, retryAfter: '2' })
  await clock.advance(2_000)
  assert.equal((await ask(ann, 'lobby/messages')).status, 200)
})

test('a post that the server has read when it ends is answered', async (t) => {
  const { hearth, ask, say, ann, hub } = await setUp(t)
  await ask(ann, 'lobby/messages')
  const release = holdAppends(hub.log)
  const posted = say(ann, 'lobby', { body: 'the last word' })
  const { append } = hub
  const received = new Promise<void>((resolve) => {
    hub.append = (draft) => {
      resolve()
      return append.call(hub, draft)
    }
  })
  await received
  const closing = hearth.close()
  release()
  assert.equal((await posted).status, 201)
  await closing
})
