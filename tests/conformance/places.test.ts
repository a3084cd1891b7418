import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  connect,
  GENEROUS,
  newcomer,
  newTicket,
  post,
  signIn,
  startServer,
  TestClock,
  turn,
} from '../helpers.ts'
import { ROOT } from '../process.ts'
import { knock } from './raw.ts'

const SITTER = fileURLToPath(new URL('../sitter.ts', import.meta.url))
const RUN = process.versions.deno ? ['run', '--allow-all', '--no-check'] : ['--import', 'tsx']

/** Clients in a process of their own. @returns sends it a signal */
async function sit(t: TestContext, url: string, token: string, count: number) {
  const child = spawn(process.execPath, [...RUN, SITTER, url, token, String(count)], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const signal = (name: NodeJS.Signals) => process.kill(child.pid!, name)
  t.after(() => child.exitCode ?? child.signalCode ?? signal('SIGKILL'))
  await once(child.stdout, 'data')
  return signal
}

/** Knocks until there is a place. @returns how long that took, in ms */
async function waitForPlace(t: TestContext, url: string, token: string) {
  const start = performance.now()
  let status = 429
  while (status === 429) status = (await knock(t, url, await newTicket(url, token))).status
  assert.equal(status, 101)
  return performance.now() - start
}

test('the places of a process that is killed are free at once', async (t) => {
  const { url, hub } = await startServer(t, { limits: { connectionsPerIp: 8 } })
  const { token } = await signIn(url, 'Ann')
  const signal = await sit(t, url, token, 8)
  assert.equal((await knock(t, url, await newTicket(url, token))).status, 429)
  signal('SIGKILL')
  assert.ok((await waitForPlace(t, url, token)) < 500)
  const end = performance.now() + 500
  while (hub.connections.size > 1 && performance.now() < end) await turn()
  assert.equal(hub.connections.size, 1)
})

test('the places of a process that is stopped are free within 40 s', async (t) => {
  const clock = new TestClock()
  const { url, hub } = await startServer(t, { clock, limits: { connectionsPerIp: 8 } })
  const { token } = await signIn(url, 'Ann')
  const signal = await sit(t, url, token, 8)
  signal('SIGSTOP')
  await clock.advance(35_000)
  assert.equal(hub.connections.size, 8)
  assert.equal((await knock(t, url, await newTicket(url, token))).status, 429)
  await clock.advance(5_000)
  assert.equal(hub.connections.size, 0)
  assert.equal((await knock(t, url, await newTicket(url, token))).status, 101)
})

test('a connection is in 32 rooms at most', async (t) => {
  const { url } = await startServer(t, { limits: GENEROUS })
  const ann = await newcomer(t, url, 'Ann')
  for (let i = 1; i <= 32; i += 1) await ann.join(`room-${i}`)
  ann.send({ type: 'join', room: 'room-33' })
  const { code, of, room } = await ann.next('error')
  assert.deepEqual([code, of, room], ['too_many', 'join', 'room-33'])
  await ann.join('room-7')
  ann.send({ type: 'leave', room: 'room-8' })
  await ann.join('room-33')
})

test('a user is in so many rooms at most, and told so by socket and over HTTP', async (t) => {
  const { url } = await startServer(t, { limits: { ...GENEROUS, membershipsPerUser: 2 } })
  const [ann, bob] = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Bob')]
  for (const room of ['one', 'two']) await ann.join(room)
  ann.send({ type: 'join', room: 'three' })
  const { code, of, room, message } = await ann.next('error')
  assert.deepEqual([code, of, room], ['too_many', 'join', 'three'])
  assert.match(message, /leave one first/)
  const { token } = ann.account
  const made = await post(`${url}/api/rooms`, { room: 'den' }, token)
  assert.match((await assertTooMany(made)) ?? '', /leave some first/)
  await post(`${url}/api/rooms`, { room: 'den' }, bob.account.token)
  const invited = await post(`${url}/api/rooms/den/invites`, {}, bob.account.token)
  const { invite } = v.parse(protocol.Invitation, await invited.json())
  await assertTooMany(await post(`${url}/api/rooms/den/members`, { invite }, token))
  ann.send({ type: 'leave', room: 'one' })
  await ann.join('three')
})

async function assertTooMany(response: Response) {
  const problem = v.parse(protocol.Problem, await response.json())
  assert.deepEqual([response.status, problem.code], [429, 'too_many'])
  return problem.detail
}

test('a user has 8 connections at most; a place is free at once after a cut', async (t) => {
  const { url } = await startServer(t)
  const account = await signIn(url, 'Ann')
  const clients = []
  for (let i = 0; i < 8; i += 1) clients.push(await connect(t, url, account))
  const refused = await knock(t, url, await newTicket(url, account.token))
  assert.equal(refused.status, 429)
  assert.ok(Number(refused.header('retry-after')) > 0)
  await newcomer(t, url, 'Bob')
  clients[3]!.cut()
  assert.ok((await waitForPlace(t, url, account.token)) < 500)
})

test('an address has its limit, and who is refused keeps the ticket', async (t) => {
  const { url } = await startServer(t, { limits: { connectionsPerIp: 2 } })
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  const ticket = await newTicket(url, ann.account.token)
  const refused = await knock(t, url, ticket)
  assert.equal(refused.status, 429)
  assert.ok(Number(refused.header('retry-after')) > 0)
  bob.cut()
  await bob.closeCode()
  let status = 429
  while (status === 429) status = (await knock(t, url, ticket)).status
  assert.equal(status, 101)
})

test('an IPv6 site holds four times as much as an address, however many networks it has', async (t) => {
  const limits = { connectionsPerIp: 1, connectionsPerUser: 9 }
  const { url } = await startServer(t, {
    limits,
    env: { TRUST_PROXY: '1', TICKET_BIND_IP: 'false' },
  })
  const { token } = await signIn(url, 'Ann')
  const knockFrom = async (network: string) => {
    const from = { 'X-Forwarded-For': `2001:db8:${network}::1` }
    return (await knock(t, url, await newTicket(url, token), from)).status
  }
  const statuses = []
  for (const network of ['7:1', '7:1', '7:2', '7:3', '7:4', '7:5', '8:1']) {
    statuses.push(await knockFrom(network))
  }
  assert.deepEqual(statuses, [101, 429, 101, 101, 101, 429, 101])
})

test('a full node answers 503, and who is refused keeps the ticket', async (t) => {
  const { url } = await startServer(t, { limits: { connections: 1 } })
  const ann = await newcomer(t, url, 'Ann')
  const ticket = await newTicket(url, ann.account.token)
  const refused = await knock(t, url, ticket)
  assert.equal(refused.status, 503)
  assert.ok(Number(refused.header('retry-after')) > 0)
  ann.cut()
  await ann.closeCode()
  let status = 503
  while (status === 503) status = (await knock(t, url, ticket)).status
  assert.equal(status, 101)
})

test('refused handshakes hold no places', async (t) => {
  const { url } = await startServer(t, { limits: { connectionsPerIp: 2, connections: 2 } })
  const { token } = await signIn(url, 'Ann')
  for (let i = 0; i < 5; i += 1) assert.equal((await knock(t, url, 'x'.repeat(43))).status, 401)
  assert.equal((await knock(t, url, await newTicket(url, token))).status, 101)
})

test('80 tickets a minute for a user', async (t) => {
  const clock = new TestClock()
  const { url } = await startServer(t, { clock, limits: { frameBurst: 100 } })
  const ann = await signIn(url, 'Ann')
  const bob = await signIn(url, 'Bob')
  for (let i = 0; i < 80; i += 1) await newTicket(url, ann.token)
  const refused = await post(`${url}/api/ticket`, {}, ann.token)
  assert.equal(refused.status, 429)
  assert.equal(refused.headers.get('retry-after'), '1')
  assert.equal((await refused.json()).code, 'rate_limited')
  await newTicket(url, bob.token)
  await clock.advance(1_000)
  await newTicket(url, ann.token)
})

test('30 new sessions a minute from one address', async (t) => {
  const clock = new TestClock()
  const { url } = await startServer(t, { clock })
  for (let i = 0; i < 30; i += 1) await signIn(url, `Guest ${i}`)
  const refused = await post(`${url}/api/session`, { name: 'Late' })
  assert.equal(refused.status, 429)
  assert.equal(refused.headers.get('retry-after'), '2')
  assert.equal((await refused.json()).code, 'rate_limited')
  await clock.advance(2_000)
  await signIn(url, 'Late')
})
