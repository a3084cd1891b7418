/** A private room is given to somebody, whoever owned it, while the server goes on. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createMemberships } from '../../src/store/memberships.ts'
import { owner } from '../../tools/owner.ts'
import { UsageError } from '../../tools/command.ts'
import { newcomer, post, signIn, startServer, TestClock } from '../helpers.ts'
import {
  assertRefused,
  beside,
  faults,
  newFile,
  onBoth,
  run,
  withLog,
  type NewPlace,
} from './places.ts'

async function isGiven(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  await withLog(t, env, async ({ log, accounts }) => {
    const zora = (await accounts.addGuest('Zora', 'z'))!.user
    const yves = (await accounts.addGuest('Yves', 'y'))!.user
    await log.enter('hall', zora.id, 'z')
    await assertRefused(run(owner, env, 'den', 'Zora'), 'den')
    await assertRefused(run(owner, env, 'hall', 'Zora'), 'hall')
    await beside(env, ({ sql }) => createMemberships(sql).create('den', zora.id))
    await accounts.ban(zora.id)
    await assertRefused(run(owner, env, 'den', 'Nobody'), 'Nobody')
    await assertRefused(run(owner, env, 'den', zora.id), zora.id)
    await assert.rejects(run(owner, env, 'den'), UsageError)
    await assert.rejects(run(owner, env, 'den', 'Zora', 'Yves'), UsageError)

    const { text } = await run(owner, env, 'den', 'yVES')
    assert.equal(text, `${yves.id} owns den now, and is a member of it\n`)
    const [den] = await log.rooms(yves.id)
    assert.deepEqual([den?.room, den?.private, den?.owner], ['den', true, true])
    assert.equal((await log.enter('den', zora.id, 'z')).owner, false)
    const { text: again } = await run(owner, env, 'den', yves.id)
    assert.equal(again, text)
  })
  assert.deepEqual(await faults(env), [])
}

void test('a room is given to a user by name or id, who is in it then', (t) =>
  onBoth(t, [['the room of a user who is gone has an owner again', isGiven]]))

test('beside a server, its members hear of it, and the new owner may do all that an owner may', async (t) => {
  const env = await newFile(t)
  const clock = new TestClock()
  const { url } = await startServer(t, { env, clock })
  const [ann, bob] = [await newcomer(t, url, 'Ann'), await signIn(url, 'Bob')]
  await post(`${url}/api/rooms`, { room: 'den' }, ann.account.token)
  await ann.join('den')
  const said = await ann.say('den', 'mine')
  await run(owner, env, 'den', 'Bob')
  await clock.advance(11_000)
  assert.equal((await ann.next('owner', ({ room }) => room === 'den')).owner, bob.user.id)
  const invite = (token: string) => post(`${url}/api/rooms/den/invites`, {}, token)
  assert.deepEqual(
    [(await invite(ann.account.token)).status, (await invite(bob.token)).status],
    [403, 201],
  )
  assert.equal((await ann.join('den', { after: said.seq })).joined.owner, bob.user.id)
})
