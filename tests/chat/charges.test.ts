/** What users and the address that they come from are charged together. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Charges } from '../../src/chat/charges.ts'
import { DEFAULT_LIMITS, TokenBucket, type Limits } from '../../src/limits.ts'
import { nthUser } from '../store/drafts.ts'
import { openHub } from './fakes.ts'

const HERE = '192.0.2.1'
const say = () => ({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'hello' })
/** An address may do what two users may. */
const NARROW = { messageRate: 1, messageBurst: 3, connectionsPerIp: 16 }

function purse() {
  const { messageRate, messageBurst, readRate, readBurst } = DEFAULT_LIMITS
  return {
    messages: new TokenBucket(messageRate, messageBurst, 0),
    reads: new TokenBucket(readRate, readBurst, 0),
    rooms: new TokenBucket(1, 30, 0),
  }
}

/** How many messages an address may write at once, whoever writes them. */
function burstOf(changed: Partial<Limits>, address = (_n: number) => HERE) {
  const limits = { ...DEFAULT_LIMITS, ...changed }
  const charges = new Charges(limits)
  for (let n = 0; ; n += 1) {
    if (charges.take('messages', purse(), address(n), 0)) return n
  }
}

test('an address may do what its connections allow to whole users, and more when these may more', () => {
  const { messageBurst, connectionsPerIp, connectionsPerUser, networksPerSite } = DEFAULT_LIMITS
  const usual = (messageBurst * connectionsPerIp) / connectionsPerUser
  assert.equal(usual, 160)
  assert.equal(burstOf({}), usual)
  assert.equal(burstOf({ connectionsPerIp: connectionsPerIp * 3 }), usual * 3)
  assert.equal(burstOf({ messageBurst: messageBurst * 2 }), usual * 2)
  assert.equal(burstOf({ connectionsPerUser: connectionsPerIp }), usual)
  assert.equal(burstOf({ connectionsPerIp: 1 }), messageBurst, 'never less than one user')
  const site = (n: number) => `2001:db8:7:${(n % 1_000).toString(16)}::`
  assert.equal(burstOf({}, site), usual * networksPerSite)
})

test('what the address refuses costs the user nothing', () => {
  const charges = new Charges({ ...DEFAULT_LIMITS, ...NARROW })
  const [greedy, late] = [purse(), purse()]
  for (let n = 0; n < 6; n += 1) assert.equal(charges.take('messages', greedy, HERE, 0), null)
  const refused = charges.take('messages', late, HERE, 0)
  assert.match(refused?.reason ?? '', /^too many messages from this address$/)
  assert.equal(refused?.retryAfterMs, 500)
  assert.ok(late.messages.isFull(0))
  assert.equal(charges.take('messages', late, '192.0.2.2', 0), null)
  assert.equal(charges.take('reads', late, HERE, 0), null, 'each kind has its own')
  assert.equal(charges.take('messages', late, HERE, 500), null)
})

test('users of one address share what it may write, by socket and over HTTP, and are told why', async (t) => {
  const { hub, connect, clock } = openHub(t, { limits: NARROW })
  const people = [1, 2, 3].map((n) => connect(nthUser(n)))
  for (const one of people) {
    await one.join()
    await one.ask(say(), say(), say())
  }
  const [first, , last] = people
  assert.deepEqual([first!.codes(), last!.codes()], [[], Array(3).fill('rate_limited')])
  const [error] = last!.all('error')
  assert.match(error!.message, /^too many messages from this address: again in \d+ ms$/)
  assert.ok(error!.id && error!.retryAfterMs! > 0)
  assert.ok(hub.charge('messages', nthUser(4).id, HERE))
  assert.equal(hub.charge('messages', nthUser(4).id, '192.0.2.2'), null)
  await clock.advance(error!.retryAfterMs!)
  await last!.ask(say())
  assert.equal(last!.codes().length, 3)
})
