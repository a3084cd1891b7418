/** Several nodes on one real Postgres, with and without NATS: one chat; and what an outage costs. */

import assert from 'node:assert/strict'
import { after, test, type TestContext } from 'node:test'
import { hashSecret, newSecret } from '../src/auth/secrets.ts'
import { systemClock } from '../src/clock.ts'
import type { Hearth } from '../src/hearth.ts'
import { DEFAULT_LIMITS, type Limits } from '../src/limits.ts'
import { createAccounts } from '../src/store/accounts.ts'
import { knock } from './conformance/raw.ts'
import {
  connect,
  GENEROUS,
  newcomer,
  newTicket,
  post,
  signIn,
  startServer,
  type Account,
  type Client,
} from './helpers.ts'
import { hasNats, startNats } from './nats.ts'
import { openDatabase, startPostgres, type PostgresServer } from './postgres.ts'
import { freePort } from './process.ts'
import { startProxy } from './proxy.ts'

/** What a sender may wait for an answer while Postgres is gone, and after its return. ms */
const OUTAGE_MS = 5_000
/** What other nodes may be behind when the bus is lost. ms */
const CATCH_UP_MS = 2_000
/** For a busy machine. ms */
const SLACK_MS = 1_000

/** One server for all tests, each in a database of its own; those about outages start their own. */
let shared: Promise<PostgresServer> | undefined
const cleanups: (() => unknown)[] = []
after(async () => {
  for (const cleanup of cleanups) await cleanup()
})

function sharedPostgres() {
  return (shared ??= startPostgres({ after: (cleanup) => cleanups.push(cleanup) }))
}

async function startNodes(t: TestContext, count: number, env: Record<string, string>) {
  const one = () => startServer(t, { env, limits: GENEROUS })
  return Promise.all(Array.from({ length: count }, one))
}

async function startCluster(t: TestContext, count: number, more = {}) {
  const DATABASE_URL = await (await sharedPostgres()).lendDatabase(t)
  return startNodes(t, count, { DATABASE_URL, ...more })
}

const ids = (client: Client) => client.all('message').map(({ id }) => id)

/** Says something and takes the time until the answer, whichever it is. ms */
async function timedSay(client: Client) {
  const id = crypto.randomUUID()
  const before = performance.now()
  client.send({ type: 'say', room: 'lobby', id, body: 'hello' })
  const code = () => {
    if (client.all('message').some((entry) => entry.id === id)) return 'ok'
    return client.all('error').find((error) => error.id === id)?.code
  }
  await client.until(() => code() !== undefined, 'an answer', 3 * OUTAGE_MS)
  return { id, code: code(), ms: performance.now() - before }
}

/** One chat on several nodes: everybody hears everything once, in one order, and sees everybody. */
async function talk(t: TestContext, nodes: Hearth[]) {
  const clients = await Promise.all(nodes.map(({ url }, n) => newcomer(t, url, `Person ${n}`)))
  for (const client of clients) await client.join('lobby')
  const said = 20
  for (let n = 0; n < said; n += 1) {
    for (const client of clients) {
      client.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: `${n}` })
    }
  }
  const all = said * clients.length
  for (const client of clients) await client.until(() => ids(client).length === all, 'all of it')
  for (const client of clients) {
    assert.deepEqual(ids(client), ids(clients[0]!))
    assert.deepEqual(
      client.all('message').map(({ seq }) => seq),
      ids(client).map((_, n) => n + 1),
    )
  }
  const [first, ...others] = clients
  const seen = () => {
    const joined = first!.all('presence').flatMap((event) => event.joined ?? [])
    return new Set([...(first!.all('joined')[0]?.members ?? []), ...joined].map(({ id }) => id))
  }
  await first!.until(() => others.every(({ account }) => seen().has(account.user.id)), 'everybody')
  first!.send({ type: 'typing', room: 'lobby' })
  for (const other of others) {
    assert.equal((await other.next('typing')).user.id, first!.account.user.id)
  }
}

/** Asks the API of a node as somebody, and for an answer that is none of a fault. @returns its body */
function asks({ url }: Hearth) {
  return async (method: string, path: string, { token }: Account, body?: object) => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    assert.ok(response.ok, `${method} ${path}: ${response.status}`)
    return response.status === 204 ? null : response.json()
  }
}

test('three nodes on one Postgres are one chat', async (t) => {
  const nodes = await startCluster(t, 3)
  await talk(t, nodes)
})

test('three nodes on one Postgres and NATS are one chat', async (t) => {
  if (!hasNats(t)) return
  const nats = await startNats(t)
  const nodes = await startCluster(t, 3, { NATS_URL: `nats://127.0.0.1:${nats.port}` })
  await talk(t, nodes)
})

test('identity holds on every node: a session, a ticket once, a link, a position', async (t) => {
  const nodes = await startCluster(t, 2)
  const [one, two] = nodes as [Hearth, Hearth]
  const ann = await signIn(one.url, 'Ann')
  const bearer = { authorization: `Bearer ${ann.token}` }
  assert.equal((await fetch(`${two.url}/api/session`, { headers: bearer })).status, 200)
  const taken = await fetch(`${two.url}/api/session`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ name: 'ANN' }),
  })
  assert.equal(taken.status, 409)
  const phone = await connect(t, one.url, ann)
  const laptop = await connect(t, two.url, ann)
  const { joined } = (await phone.join('lobby'))!
  await laptop.join('lobby')
  assert.equal(laptop.all('joined')[0]?.epoch, joined.epoch)
  const { seq, id } = await phone.say('lobby', 'hello')
  await laptop.next('message')
  phone.send({ type: 'read', room: 'lobby', seq })
  await laptop.next('read', (event) => event.seq === seq)
  phone.cut()
  const again = await connect(t, two.url, ann)
  const resumed = await again.join('lobby', { after: seq, last: id, epoch: joined.epoch })
  assert.equal(resumed.joined.reset, false)
})

test('a thief’s device is told on the other node, and ended from there, without any bus', async (t) => {
  const nodes = await startCluster(t, 2)
  const [one, two] = nodes as [Hearth, Hearth]
  for (const { hub } of nodes) hub.bus.publish = () => {}
  const ann = await signIn(one.url, 'Ann')
  const mine = await connect(t, one.url, ann)
  const headers = { authorization: `Bearer ${ann.token}` }
  const link = await (await post(`${two.url}/api/session/link`, {}, ann.token)).json()
  const { token } = await (await post(`${two.url}/api/session`, link)).json()
  const theirs = await connect(t, two.url, { ...ann, token: token as string })
  const { id } = await mine.next('device')
  const ended = await fetch(`${one.url}/api/sessions/${id}`, { method: 'DELETE', headers })
  assert.equal(ended.status, 204)
  assert.equal(await theirs.closeCode(), 4501)
  await mine.settle()
})

test('a ticket is redeemed once, on whichever node', async (t) => {
  const nodes = await startCluster(t, 3)
  const { token } = await signIn(nodes[0]!.url, 'Ann')
  const ticket = await newTicket(nodes[0]!.url, token)
  const tries = await Promise.all(
    Array.from({ length: 50 }, (_, n) => knock(t, nodes[n % 3]!.url, ticket)),
  )
  assert.deepEqual(tries.map(({ status }) => status).sort(), [
    101,
    ...Array.from({ length: 49 }, () => 401),
  ])
})

test('signing out and leaving reach the other node within five seconds', async (t) => {
  const nodes = await startCluster(t, 2)
  const [one, two] = nodes as [Hearth, Hearth]
  const ann = await signIn(one.url, 'Ann')
  const [phone, laptop] = [await connect(t, one.url, ann), await connect(t, two.url, ann)]
  for (const device of [phone, laptop]) {
    await device.join('lobby')
    await device.join('garden')
  }
  phone.send({ type: 'leave', room: 'garden' })
  await laptop.next('removed', ({ room }) => room === 'garden')
  laptop.send({ type: 'say', room: 'garden', id: crypto.randomUUID(), body: 'still here?' })
  assert.equal((await laptop.refusal()).code, 'not_joined')
  // Leaving is not for ever: it may come back, and stays.
  await laptop.join('garden')
  await laptop.say('garden', 'back')
  const headers = { authorization: `Bearer ${ann.token}` }
  const gone = await fetch(`${one.url}/api/session`, { method: 'DELETE', headers })
  assert.equal(gone.status, 204)
  assert.equal(await laptop.closeCode(), 4501)
  assert.equal(laptop.all('removed').length, 1)
})

test('who must go is gone on every node within five seconds, without any bus', async (t) => {
  const admin = 'correct horse battery'
  const NATS_URL = `nats://127.0.0.1:${await freePort()}`
  const nodes = await startCluster(t, 3, { NATS_URL, ADMIN_TOKEN: admin })
  const [one, two, three] = nodes as [Hearth, Hearth, Hearth]
  const ask = asks(one)
  const [ann, bob] = [await newcomer(t, one.url, 'Ann'), await newcomer(t, two.url, 'Bob')]
  const troll = await newcomer(t, three.url, 'Troll')
  const root = await signIn(two.url, 'Root', { admin })
  await ask('POST', '/rooms', ann.account, { room: 'den' })
  const { invite } = await ask('POST', '/rooms/den/invites', ann.account, {})
  await ask('POST', '/rooms/den/members', bob.account, { invite })
  for (const client of [ann, bob]) await client.join('den')
  await troll.join('lobby')
  const begun = performance.now()
  await ask('DELETE', `/rooms/den/members/${bob.account.user.id}`, ann.account)
  await ask('DELETE', `/users/${troll.account.user.id}`, root)
  const gone = [bob.next('removed', ({ room }) => room === 'den'), troll.closeCode()] as const
  assert.equal((await Promise.all(gone))[1], 4503)
  assert.ok(performance.now() - begun < 5_000, `${performance.now() - begun} ms`)
  bob.send({ type: 'join', room: 'den' })
  assert.equal((await bob.refusal()).code, 'forbidden')
  await ask('DELETE', '/session', bob.account)
  assert.equal(await bob.closeCode(), 4501)
})

/** Two nodes of one chat; between the second, which heard of the first, and Postgres stands a proxy. */
async function startCutNode(t: TestContext, limits: Partial<Limits> = {}) {
  const { lendDatabase, port } = await sharedPostgres()
  const direct = await lendDatabase(t)
  const proxy = await startProxy(t, port)
  const ADMIN_TOKEN = 'correct horse battery'
  const start = (DATABASE_URL: string) =>
    startServer(t, { env: { DATABASE_URL, ADMIN_TOKEN }, limits: { ...GENEROUS, ...limits } })
  const [one, two] = await Promise.all([
    start(direct),
    start(direct.replace(`:${port}`, `:${proxy.port}`)),
  ])
  const { directory } = two.hub.options
  const { news } = directory
  await new Promise<void>((resolve) => {
    directory.news = async (since) => {
      const answer = await news(since)
      resolve()
      return answer
    }
  })
  return { direct, proxy, one, two, admin: ADMIN_TOKEN }
}

/** Four on the second node, of whom three must go, by what is asked of the first. */
async function gatherBehind(t: TestContext, { one, two, admin }: Cut) {
  const ask = asks(one)
  const root = await signIn(one.url, 'Root', { admin })
  const people = ['Ann', 'Bob', 'Eve', 'Otto'].map((name) => newcomer(t, two.url, name))
  const [ann, bob, eve, otto] = (await Promise.all(people)) as [Client, Client, Client, Client]
  await ask('POST', '/rooms', ann.account, { room: 'den' })
  const { invite } = await ask('POST', '/rooms/den/invites', ann.account, {})
  for (const { account } of [bob, eve, otto]) {
    await ask('POST', '/rooms/den/members', account, { invite })
  }
  for (const client of [ann, bob, eve, otto]) await client.join('den')
  /** Removed, banned and signed out. */
  const expelThem = async () => {
    await ask('DELETE', `/rooms/den/members/${bob.account.user.id}`, ann.account)
    await ask('DELETE', `/users/${eve.account.user.id}`, root)
    await ask('DELETE', '/session', otto.account)
  }
  return { ann, bob, eve, otto, expelThem }
}

type Cut = Awaited<ReturnType<typeof startCutNode>>

test('a node that missed Postgres for longer than it looks back hears who must go', async (t) => {
  const newsOverlapMs = 1_000
  const cut = await startCutNode(t, { newsOverlapMs })
  const { ann, bob, eve, otto, expelThem } = await gatherBehind(t, cut)
  cut.proxy.cut()
  await expelThem()
  await new Promise((resolve) => setTimeout(resolve, newsOverlapMs + SLACK_MS))
  assert.deepEqual([bob.closed, eve.closed, otto.closed], [null, null, null])
  cut.proxy.pass()
  const back = performance.now()
  const removed = bob.next('removed', ({ room }) => room === 'den')
  const codes = await Promise.all([eve.closeCode(), otto.closeCode()])
  await removed
  assert.deepEqual(codes, [4503, 4501])
  assert.ok(performance.now() - back < OUTAGE_MS + SLACK_MS, `${performance.now() - back} ms`)
  await ann.say('den', 'among ourselves')
  assert.deepEqual([ann.closed, bob.closed], [null, null])
})

test('a node that missed Postgres until it is forgotten who must go sends all away', async (t) => {
  const cut = await startCutNode(t)
  const { ann, bob, eve, otto, expelThem } = await gatherBehind(t, cut)
  const { directory } = cut.two.hub.options
  const { news } = directory
  // As if an hour had gone by.
  cut.proxy.cut()
  await expelThem()
  const db = await openDatabase(t, cut.direct)
  await db.query('DELETE FROM revocations')
  directory.news = (since) => news(since && new Date(since.getTime() - 3_600_000))
  cut.proxy.pass()
  for (const client of [ann, bob, eve, otto]) assert.equal(await client.closeCode(), 4000)
  directory.news = news
  const again = await connect(t, cut.two.url, ann.account)
  await again.join('den')
  const back = await connect(t, cut.two.url, bob.account)
  back.send({ type: 'join', room: 'den' })
  assert.equal((await back.refusal()).code, 'forbidden')
  for (const { account } of [eve, otto]) {
    const ticket = await post(`${cut.two.url}/api/ticket`, {}, account.token)
    assert.ok([401, 403].includes(ticket.status), `${ticket.status}`)
  }
})

test('a name that is taken away is gone from open sockets, too, on every node', async (t) => {
  const admin = 'correct horse battery'
  const DATABASE_URL = await (await sharedPostgres()).lendDatabase(t)
  const nodes = await startNodes(t, 2, { DATABASE_URL, ADMIN_TOKEN: admin })
  const [one, two] = nodes as [Hearth, Hearth]
  for (const { hub } of nodes) hub.bus.publish = () => {}
  // A guest of such a name is from before names were reserved.
  const { sql } = await openDatabase(t, DATABASE_URL)
  const token = newSecret()
  const guest = await createAccounts(sql, DEFAULT_LIMITS, systemClock).addGuest(
    'Admin',
    hashSecret(token),
  )
  const account = { user: guest!.user, token }
  const open = await connect(t, two.url, account)
  const url = `${two.url}/api/rooms/lobby/events`
  const stream = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  await open.join('lobby')
  await signIn(one.url, 'Admin', { admin })
  assert.equal(await open.closeCode(), 4000)
  assert.match(await stream.text(), /event: bye\ndata: .*4000/)
  const again = await connect(t, two.url, account)
  assert.equal(again.all('welcome')[0]?.user.name, 'someone')
  await again.join('lobby')
  assert.equal((await again.say('lobby', 'me again')).author.name, 'someone')
  assert.equal(again.closed, null)
})

test('who comes in on another node is told of and listed here, and seen wherever it reads', async (t) => {
  const [one, two] = (await startCluster(t, 2)) as [Hearth, Hearth]
  const ask = async (
    method: string,
    { url }: Hearth,
    path: string,
    { token }: Account,
    body = {},
  ) => {
    const response = await fetch(`${url}/api/rooms${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(method === 'POST' && { body: JSON.stringify(body) }),
    })
    assert.ok(response.ok, `${method} ${path}: ${response.status}`)
    return response
  }
  const [ann, bob] = [await newcomer(t, one.url, 'Ann'), await signIn(two.url, 'Bob')]
  await ask('POST', one, '', ann.account, { room: 'den' })
  const { invite } = await (await ask('POST', one, '/den/invites', ann.account)).json()
  await ann.join('den')
  await ask('POST', two, '/den/members', bob, { invite })
  assert.deepEqual((await ann.next('admitted')).user, bob.user)
  const stream = await ask('GET', two, '/den/events', bob)
  t.after(() => stream.body?.cancel())
  await ann.next('presence', ({ joined }) => joined?.some(({ id }) => id === bob.user.id) === true)
  // The nodes look at each other's people in turns of their own.
  for (const node of [one, two]) {
    for (let here = 0; here < 2;) {
      const { members } = await (await ask('GET', node, '/den/members', bob)).json()
      here = members.filter((member: { here: boolean }) => member.here).length
      if (here < 2) await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
  assert.equal(ann.all('admitted').length, 1)
})

test('Postgres gone: nothing is acknowledged, nobody is thrown out, all goes on after', async (t) => {
  const postgres = await startPostgres(t)
  const nodes = await startNodes(t, 2, { DATABASE_URL: await postgres.newDatabase() })
  const [a, b] = [await newcomer(t, nodes[0]!.url, 'Ann'), await newcomer(t, nodes[1]!.url, 'Bob')]
  for (const client of [a, b]) await client.join('lobby')
  const before = await a.say('lobby', 'before')
  await b.next('message', ({ id }) => id === before.id)
  postgres.kill('SIGQUIT')
  await postgres.ended()
  const refused = await timedSay(a)
  assert.equal(refused.code, 'unavailable')
  assert.ok(refused.ms < OUTAGE_MS, `${refused.ms} ms`)
  assert.deepEqual([a.closed, b.closed], [null, null])
  await postgres.start()
  const back = performance.now()
  for (let answer; answer?.code !== 'ok';) {
    answer = await timedSay(a)
    assert.ok(performance.now() - back < OUTAGE_MS + SLACK_MS, 'acknowledged again')
  }
  const sent = { type: 'say', room: 'lobby', id: refused.id, body: 'hello' }
  a.send(sent)
  await b.until(() => ids(b).filter((id) => id === refused.id).length === 1, 'the retry')
  assert.deepEqual([a.closed, b.closed], [null, null])
  await b.say('lobby', 'after')
})

test('Postgres frozen: senders are told within five seconds', async (t) => {
  const postgres = await startPostgres(t)
  const proxy = await startProxy(t, postgres.port)
  const direct = await postgres.newDatabase()
  const [node] = await startNodes(t, 1, {
    DATABASE_URL: direct.replace(`:${postgres.port}`, `:${proxy.port}`),
  })
  const a = await newcomer(t, node!.url, 'Ann')
  await a.join('lobby')
  await a.say('lobby', 'before')
  proxy.freeze()
  const answers = [timedSay(a)]
  // While the first is being waited for.
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  answers.push(timedSay(a), timedSay(a))
  for (const { code, ms } of await Promise.all(answers)) {
    assert.equal(code, 'unavailable')
    assert.ok(ms < OUTAGE_MS + SLACK_MS, `${ms} ms`)
  }
  proxy.pass()
  const back = performance.now()
  for (let answer; answer?.code !== 'ok';) {
    answer = await timedSay(a)
    assert.ok(performance.now() - back < OUTAGE_MS + SLACK_MS, 'acknowledged again')
  }
  assert.equal(a.closed, null)
})

test('NATS gone: sends are acknowledged, the other node catches up', async (t) => {
  if (!hasNats(t)) return
  const nats = await startNats(t)
  const nodes = await startCluster(t, 2, { NATS_URL: `nats://127.0.0.1:${nats.port}` })
  const [a, b] = [await newcomer(t, nodes[0]!.url, 'Ann'), await newcomer(t, nodes[1]!.url, 'Bob')]
  const c = await newcomer(t, nodes[0]!.url, 'Cyd')
  for (const client of [a, b, c]) await client.join('lobby')
  const first = await a.say('lobby', 'before')
  await b.next('message', ({ id }) => id === first.id)
  nats.kill('SIGKILL')
  await nats.ended()
  for (let n = 0; n < 3; n += 1) {
    const { id } = await a.say('lobby', `without a bus ${n}`)
    const said = performance.now()
    await c.next('message', (event) => event.id === id)
    assert.ok(performance.now() - said < 500, 'same node')
    await b.next('message', (event) => event.id === id)
    assert.ok(performance.now() - said < CATCH_UP_MS + SLACK_MS, `${performance.now() - said} ms`)
  }
  await nats.start()
  const last = await a.say('lobby', 'with it again')
  await b.next('message', ({ id }) => id === last.id)
  assert.deepEqual(ids(b), ids(a))
})
