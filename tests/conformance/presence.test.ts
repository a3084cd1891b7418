import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  connect,
  GENEROUS,
  newcomer,
  startServer,
  TestClock,
  type Client,
  type ServerOptions,
} from '../helpers.ts'

async function quietServer(t: TestContext, limits: ServerOptions['limits'] = {}) {
  const clock = new TestClock()
  const { url, hub } = await startServer(t, { clock, limits: { ...GENEROUS, ...limits } })
  const come = async (name: string) => {
    const client = await newcomer(t, url, name)
    await client.join('lobby')
    return client
  }
  /** Waits until the server knows that a socket is gone. */
  const gone = async (client: Client) => {
    const { size } = hub.connections
    client.cut()
    await client.closeCode()
    while (hub.connections.size === size) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return { clock, url, come, gone }
}

const names = (users: readonly { name: string }[] | undefined) => users?.map(({ name }) => name)

test('who comes is told, with the number of people here', async (t) => {
  const { clock, come } = await quietServer(t)
  const ann = await come('Ann')
  await clock.advance(1_000)
  const bob = await come('Bob')
  const { members, count } = bob.all('joined')[0]!
  assert.deepEqual([names(members), count], [['Ann', 'Bob'], 2])
  await clock.advance(1_000)
  const event = await ann.next('presence', (presence) => presence.count === 2)
  assert.deepEqual([event.room, names(event.joined), event.left], ['lobby', ['Bob'], undefined])
})

test('an absence under 8 s is not shown', async (t) => {
  const { clock, url, come, gone } = await quietServer(t)
  const ann = await come('Ann')
  const bob = await come('Bob')
  await clock.advance(2_000)
  await ann.next('presence', ({ count }) => count === 2)
  const before = ann.all('presence').length
  await gone(bob)
  await clock.advance(7_000)
  const again = await connect(t, url, bob.account)
  await again.join('lobby')
  await clock.advance(20_000)
  await ann.settle()
  assert.equal(ann.all('presence').length, before)
  await gone(again)
  await clock.advance(10_000)
  const { count, left, joined } = await ann.next('presence')
  assert.deepEqual([count, names(left), joined], [1, ['Bob'], undefined])
})

test('a user with two connections is one, and is here until the last is gone', async (t) => {
  const { clock, url, come, gone } = await quietServer(t)
  const ann = await come('Ann')
  const bob = await come('Bob')
  const second = await connect(t, url, bob.account)
  const { joined } = await second.join('lobby')
  assert.equal(joined.count, 2)
  await clock.advance(2_000)
  await ann.next('presence', ({ count }) => count === 2)
  await gone(bob)
  await clock.advance(20_000)
  await ann.settle()
  assert.ok(ann.all('presence').every(({ left }) => left === undefined))
})

test('changes are told together, at most once a second', async (t) => {
  const { clock, come } = await quietServer(t)
  const ann = await come('Ann')
  await clock.advance(1_000)
  await ann.next('presence')
  for (const name of ['Bob', 'Cy', 'Dee']) await come(name)
  await ann.settle()
  assert.equal(ann.all('presence').length, 1)
  await clock.advance(1_000)
  const { joined, count } = await ann.next('presence')
  assert.deepEqual([names(joined), count], [['Bob', 'Cy', 'Dee'], 4])
})

test('a big room only counts, at most every 5 s, and nobody is shown typing', async (t) => {
  const { clock, come } = await quietServer(t, { membersNamed: 2 })
  const ann = await come('Ann')
  await come('Bob')
  await clock.advance(1_000)
  await ann.next('presence', ({ count }) => count === 2)
  const cy = await come('Cy')
  const { members, count } = cy.all('joined')[0]!
  assert.deepEqual([members, count], [undefined, 3])
  cy.send({ type: 'typing', room: 'lobby' })
  await cy.settle()
  await clock.advance(5_000)
  const event = await ann.next('presence')
  assert.deepEqual(event, { type: 'presence', room: 'lobby', count: 3 })
  await come('Dee')
  await clock.advance(4_000)
  await ann.settle()
  assert.equal(ann.all('presence').at(-1)?.count, 3)
  await clock.advance(1_000)
  assert.equal((await ann.next('presence')).count, 4)
  assert.deepEqual(ann.all('typing'), [])
})

test('when a room is small enough again, its people have names again', async (t) => {
  const { clock, come, gone } = await quietServer(t, { membersNamed: 2 })
  const ann = await come('Ann')
  await come('Bob')
  const cy = await come('Cy')
  await clock.advance(6_000)
  await ann.next('presence', ({ count }) => count === 3)
  await gone(cy)
  await clock.advance(10_000)
  const { count, joined } = await ann.next('presence')
  assert.deepEqual([count, names(joined)], [2, ['Ann', 'Bob']])
})

test('typing is shown to the others, at most every 3 s, never to oneself', async (t) => {
  const { clock, url, come } = await quietServer(t)
  const ann = await come('Ann')
  const bob = await come('Bob')
  const annToo = await connect(t, url, ann.account)
  await annToo.join('lobby')
  const type = async () => {
    ann.send({ type: 'typing', room: 'lobby' })
    await ann.settle()
    await bob.settle()
    return bob.all('typing').length
  }
  assert.deepEqual([await type(), await type()], [1, 1])
  await clock.advance(2_999)
  assert.equal(await type(), 1)
  await clock.advance(1)
  assert.equal(await type(), 2)
  assert.deepEqual(bob.all('typing')[0], { type: 'typing', room: 'lobby', user: ann.account.user })
  await annToo.settle()
  assert.deepEqual([ann.all('typing'), annToo.all('typing')], [[], []])
})

test('typing reaches the room it is meant for', async (t) => {
  const { come } = await quietServer(t)
  const ann = await come('Ann')
  const bob = await come('Bob')
  const cy = await come('Cy')
  await ann.join('den')
  await bob.join('den')
  ann.send({ type: 'typing', room: 'den' })
  await ann.settle()
  assert.equal((await bob.next('typing')).room, 'den')
  await cy.settle()
  assert.deepEqual(cy.all('typing'), [])
})
