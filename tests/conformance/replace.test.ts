/** A session that a request carries: nothing takes its place unasked, and what does ends it. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import { connect, newTicket, post, signIn, startServer, TestClock } from '../helpers.ts'
import { type Account, type ServerOptions } from '../helpers.ts'

const ADMIN = 'correct horse'

async function server(t: TestContext, options: ServerOptions = {}) {
  const limits = { sessionsPerMinute: 1e6, ...options.limits }
  const { url } = await startServer(t, { env: { ADMIN_TOKEN: ADMIN }, ...options, limits })
  const session = async ({ token }: Pick<Account, 'token'>) =>
    fetch(`${url}/api/session`, { headers: { authorization: `Bearer ${token}` } })
  const linkOf = async ({ token }: Account) => {
    const answer = await (await post(`${url}/api/session/link`, {}, token)).json()
    return v.parse(protocol.Link, answer).link
  }
  const whose = (link: string) => post(`${url}/api/session/link/whose`, { link })
  /** As a browser does it that is signed in; without an origin, as no browser does. */
  const fromPage = (cookie: string, body: object, origin: string | undefined = url) =>
    fetch(`${url}/api/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie, ...(origin && { origin }) },
      body: JSON.stringify(body),
    })
  const inBrowser = async (name: string) => {
    const response = await post(`${url}/api/session`, { name })
    const account = v.parse(protocol.Session, await response.json()) as Account
    return { account, cookie: response.headers.get('set-cookie')!.split(';')[0]! }
  }
  return { url, session, linkOf, whose, fromPage, inBrowser }
}

async function refusalOf(response: Response) {
  const { code } = v.parse(protocol.Problem, await response.json())
  return `${response.status} ${code}`
}

test('whoever is signed in stays so, whatever else signs in with the request', async (t) => {
  const { url, session, linkOf, whose, fromPage, inBrowser } = await server(t)
  const mallory = await signIn(url, 'Mallory')
  const link = await linkOf(mallory)
  const { account: vic, cookie } = await inBrowser('Vic')
  const ways = [
    { link },
    { link, replace: mallory.user.id },
    { name: 'Bob', replace: mallory.user.id },
    { name: 'Bob' },
    { name: 'Root', admin: ADMIN },
    { link: await linkOf(vic) },
  ]
  for (const body of ways) {
    assert.equal(await refusalOf(await fromPage(cookie, body)), '409 conflict')
    assert.equal(await refusalOf(await fromPage(cookie, body, '')), '409 conflict')
    const asProgram = await post(`${url}/api/session`, body, vic.token)
    assert.equal(await refusalOf(asProgram), '409 conflict')
    assert.equal(asProgram.headers.get('set-cookie'), null)
  }
  assert.equal((await session(vic)).status, 200)
  assert.equal((await whose(link)).status, 200, 'and the link is not used up')
  assert.equal((await post(`${url}/api/session`, { name: 'Bob' })).status, 201, 'nor the name')
})

test('`replace` ends the old session in the same go: its sockets, and a guest’s name', async (t) => {
  const { url, session, linkOf, fromPage, inBrowser } = await server(t)
  const mallory = await signIn(url, 'Mallory')
  const { account: vic, cookie } = await inBrowser('Vic')
  const socket = await connect(t, url, vic)
  const body = { link: await linkOf(mallory), replace: vic.user.id }
  const response = await fromPage(cookie, body)
  assert.equal(response.status, 201)
  const now = v.parse(protocol.Session, await response.json()) as Account
  assert.deepEqual(now.user, mallory.user)
  assert.match(response.headers.get('set-cookie') ?? '', new RegExp(`=${now.token};`))
  assert.equal(await socket.closeCode(), 4501)
  assert.equal((await session(vic)).status, 401)
  const deviceOf = await Promise.all([session(mallory), session(now)])
  assert.deepEqual(
    deviceOf.map(({ status }) => status),
    [200, 200],
  )
  assert.notEqual((await signIn(url, 'Vic')).user.id, vic.user.id)
})

test('another session of one’s own takes the place as well, and nobody else gets the name', async (t) => {
  const { url, session, linkOf } = await server(t)
  const vic = await signIn(url, 'Vic')
  const body = { link: await linkOf(vic), replace: vic.user.id }
  const response = await post(`${url}/api/session`, body, vic.token)
  const now = v.parse(protocol.Session, await response.json()) as Account
  assert.deepEqual(now.user, vic.user)
  assert.deepEqual([(await session(vic)).status, (await session(now)).status], [401, 200])
  assert.equal(await refusalOf(await post(`${url}/api/session`, { name: 'Vic' })), '409 name_taken')
})

test('what is refused ends nothing; and only our own pages may say it with a cookie', async (t) => {
  const { url, session, linkOf, fromPage, inBrowser } = await server(t)
  const mallory = await signIn(url, 'Mallory')
  const link = await linkOf(mallory)
  const { account: vic, cookie } = await inBrowser('Vic')
  const replace = vic.user.id
  for (const [body, refusal] of [
    [{ name: 'Mallory', replace }, '409 name_taken'],
    [{ name: 'Vic', replace }, '409 name_taken'],
    [{ link: 'x'.repeat(43), replace }, '401 unauthorized'],
    [{ name: 'Root', admin: 'guess', replace }, '403 forbidden'],
    [{ name: 'Bob', replace: true }, '400 invalid'],
    [{ name: 'Bob', replace: mallory.user.id }, '409 conflict'],
  ] as const) {
    assert.equal(await refusalOf(await fromPage(cookie, body)), refusal, JSON.stringify(body))
  }
  for (const origin of ['', 'https://evil.example', 'null']) {
    const response = await fromPage(cookie, { link, replace }, origin)
    assert.equal(await refusalOf(response), '403 forbidden', origin)
  }
  assert.equal((await session(vic)).status, 200)
  assert.equal((await fromPage(cookie, { link, replace })).status, 201)
})

test('of several that would take the place of one session the first does', async (t) => {
  const { url, session, fromPage, inBrowser } = await server(t)
  const { account: vic, cookie } = await inBrowser('Vic')
  const names = ['Bob', 'Cleo', 'Dan', 'Eve']
  const become = (name: string) => fromPage(cookie, { name, replace: vic.user.id })
  const answers = await Promise.all(names.map(become))
  const statuses = answers.map(({ status }) => status)
  assert.deepEqual([...statuses].sort(), [201, 409, 409, 409])
  const taken = await Promise.all(
    names.map(async (name) => (await post(`${url}/api/session`, { name })).status),
  )
  assert.deepEqual(
    taken,
    statuses.map((status) => (status === 201 ? 409 : 201)),
    'no name is owned by a session that nobody has',
  )
  assert.equal(await refusalOf(await become('Fay')), '409 conflict', 'nor later')
  assert.equal((await session(vic)).status, 401)
})

test('a good cookie beside a token that is none, or that is another: none is left behind', async (t) => {
  const { url, session, inBrowser } = await server(t)
  const { account: vic, cookie } = await inBrowser('Vic')
  const ann = await signIn(url, 'Ann')
  const ask = (token: string, method: string, body?: object, origin = url) =>
    fetch(`${url}/api/session`, {
      method,
      headers: {
        ...{ 'content-type': 'application/json', cookie, authorization: `Bearer ${token}` },
        ...(origin && { origin }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
  for (const [token, body] of [
    ['nonsense', { name: 'Bob' }],
    ['nonsense', { name: 'Bob', replace: ann.user.id }],
    [ann.token, { name: 'Bob', replace: ann.user.id }],
    [ann.token, { name: 'Bob', replace: vic.user.id }],
  ] as const) {
    assert.equal(await refusalOf(await ask(token, 'POST', body)), '409 conflict')
  }
  const body = { name: 'Bob', replace: vic.user.id }
  assert.equal(await refusalOf(await ask('nonsense', 'POST', body, '')), '403 forbidden')
  assert.deepEqual([(await session(vic)).status, (await session(ann)).status], [200, 200])
  const bob = (await (await ask('nonsense', 'POST', body)).json()) as Account
  assert.equal((await session(vic)).status, 401)
  assert.equal((await ask(bob.token, 'DELETE')).status, 204)

  const { account: eve, cookie: hers } = await inBrowser('Eve')
  const headers = { authorization: `Bearer ${ann.token}`, cookie: hers }
  assert.equal((await fetch(`${url}/api/session`, { method: 'DELETE', headers })).status, 204)
  assert.deepEqual([(await session(ann)).status, (await session(eve)).status], [401, 401])
})

test('a session that is over stands in nobody’s way', async (t) => {
  const { url, fromPage, inBrowser } = await server(t)
  const { account: vic, cookie } = await inBrowser('Vic')
  const headers = { authorization: `Bearer ${vic.token}` }
  await fetch(`${url}/api/session`, { method: 'DELETE', headers })
  assert.equal((await fromPage(cookie, { name: 'Bob' })).status, 201)
})

test('whose a link is: asked any number of times, and then it still works once', async (t) => {
  const clock = new TestClock()
  const { url, linkOf, whose } = await server(t, { clock })
  const ann = await signIn(url, 'Ann')
  const [link, late] = [await linkOf(ann), await linkOf(ann)]
  for (const _ of [1, 2, 3]) {
    const response = await whose(link)
    assert.deepEqual([response.status, await response.json()], [200, { user: ann.user }])
    assert.equal(response.headers.get('set-cookie'), null)
  }
  assert.equal((await post(`${url}/api/session`, { link })).status, 201)
  const ticket = await newTicket(url, ann.token)
  const bad = [link, ticket, 'x'.repeat(43)]
  const answers = await Promise.all(bad.map(async (one) => (await whose(one)).text()))
  await clock.advance(600_000)
  answers.push(await (await whose(late)).text())
  assert.equal(new Set(answers).size, 1, 'one answer for every fault')
  assert.equal(await refusalOf(await whose(link)), '401 unauthorized')
  const orphan = await linkOf(ann)
  const headers = { authorization: `Bearer ${ann.token}` }
  await fetch(`${url}/api/session`, { method: 'DELETE', headers })
  assert.equal(await refusalOf(await whose(orphan)), '401 unauthorized')
})

test('asking whose a link is counts for the address, like a sign-in', async (t) => {
  const { url, whose } = await server(t, { limits: { sessionsPerMinute: 3 } })
  await signIn(url, 'Ann')
  for (const _ of [1, 2]) assert.equal((await whose('x'.repeat(43))).status, 401)
  assert.equal(await refusalOf(await whose('x'.repeat(43))), '429 rate_limited')
  assert.equal(
    await refusalOf(await post(`${url}/api/session`, { name: 'Bob' })),
    '429 rate_limited',
  )
})

test('one is told whether the name ends with this session', async (t) => {
  const { url, session, linkOf } = await server(t)
  const frees = async (account: Account) => (await (await session(account)).json()).frees
  const vic = await signIn(url, 'Vic')
  assert.equal(await frees(vic), true)
  const response = await post(`${url}/api/session`, { link: await linkOf(vic) })
  const phone = (await response.json()) as Account
  assert.deepEqual([await frees(vic), await frees(phone)], [undefined, undefined])
  const headers = { authorization: `Bearer ${phone.token}` }
  await fetch(`${url}/api/session`, { method: 'DELETE', headers })
  assert.equal(await frees(vic), true)
  assert.equal(await frees(await signIn(url, 'Root', { admin: ADMIN })), undefined)
})
