/** What an invitation says before it is used: to whom it is shown, and to nobody in the room. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import { connect, post, signIn, startServer, TestClock, type ServerOptions } from '../helpers.ts'

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const { url } = await startServer(t, options)
  const [ann, bob] = [await signIn(url, 'Ann'), await signIn(url, 'Bob')]
  assert.equal((await post(`${url}/api/rooms`, { room: 'den' }, ann.token)).status, 201)
  const invite = async () => {
    const response = await post(`${url}/api/rooms/den/invites`, {}, ann.token)
    return ((await response.json()) as { invite: string }).invite
  }
  const look = async (invite: string, token?: string, room = 'den') => {
    const response = await post(`${url}/api/rooms/${room}/invites/look`, { invite }, token)
    const answer: unknown = await response.json()
    return response.ok
      ? v.parse(protocol.InvitedRoom, answer)
      : `${response.status} ${v.parse(protocol.Problem, answer).code}`
  }
  return { url, ann, bob, invite, look }
}

test('whose room it is and how many are in it, without coming in or being seen', async (t) => {
  const { url, ann, bob, invite, look } = await setUp(t)
  const owner = await connect(t, url, ann)
  await owner.join('den')
  const secret = await invite()
  const den = { room: 'den', owner: ann.user, members: 1 }
  for (const _ of [1, 2]) assert.deepEqual(await look(secret, bob.token), den)
  await owner.settle()
  assert.doesNotMatch(JSON.stringify(owner.events), /Bob/)
  const rooms = await fetch(`${url}/api/rooms`, {
    headers: { authorization: `Bearer ${bob.token}` },
  })
  assert.deepEqual(await rooms.json(), [])
  const admit = await post(`${url}/api/rooms/den/members`, { invite: secret }, bob.token)
  assert.equal(admit.status, 204)
  const inside = { ...den, members: 2, member: true }
  assert.deepEqual(await look(secret, bob.token), inside)
  assert.deepEqual(await look(secret, ann.token), inside)
})

test('one answer for whatever is not good', async (t) => {
  const clock = new TestClock()
  const { url, ann, bob, invite, look } = await setUp(t, { clock })
  const [secret, late] = [await invite(), await invite()]
  assert.equal(await look(secret), '401 unauthorized')
  assert.equal(await look('x'.repeat(43), bob.token), '403 forbidden')
  assert.equal(await look('short', bob.token), '400 invalid')
  assert.equal(await look(secret, bob.token, 'attic'), '403 forbidden')
  assert.equal((await post(`${url}/api/rooms`, { room: 'attic' }, ann.token)).status, 201)
  assert.equal(await look(secret, bob.token, 'attic'), '403 forbidden')
  clock.skip(7 * 86_400_000)
  const eve = await signIn(url, 'Eve')
  assert.equal(await look(late, eve.token), '403 forbidden')
  const fresh = await invite()
  assert.notEqual(await look(fresh, eve.token), '403 forbidden')
  const headers = { authorization: `Bearer ${ann.token}` }
  await fetch(`${url}/api/rooms/den/invites`, { method: 'DELETE', headers })
  assert.equal(await look(fresh, eve.token), '403 forbidden')
})

test('guesses are counted', async (t) => {
  const { bob, look } = await setUp(t, { limits: { roomChangesPerMinute: 3 } })
  for (const _ of [1, 2, 3]) assert.equal(await look('x'.repeat(43), bob.token), '403 forbidden')
  assert.equal(await look('x'.repeat(43), bob.token), '429 rate_limited')
})
