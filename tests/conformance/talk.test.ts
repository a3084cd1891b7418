import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, newcomer, startServer } from '../helpers.ts'

test('a message from one reaches all, once and in order', async (t) => {
  const { url } = await startServer(t)
  const [ann, bob, cy] = await Promise.all(
    ['Ann', 'Bob', 'Cy'].map((name) => newcomer(t, url, name)),
  )
  const clients = [ann!, bob!, cy!]
  for (const client of clients) await client.join('lobby')
  const sent = [await ann!.say('lobby', 'hello'), await bob!.say('lobby', 'hi')]
  assert.deepEqual(
    sent.map(({ seq }) => seq),
    [1, 2],
  )
  for (const client of clients) {
    await client.until(() => client.all('message').length === 2)
    assert.deepEqual(client.all('message'), sent)
  }
})

test('a client that comes back gets exactly what it missed', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  const { joined } = await bob.join('lobby')
  const first = await ann.say('lobby', 'one')
  await bob.next('message')
  bob.cut()
  await ann.say('lobby', 'two')
  await ann.say('lobby', 'three')
  const again = await connect(t, url, bob.account)
  const back = await again.join('lobby', { after: 1, last: first.id, epoch: joined.epoch })
  assert.equal(back.joined.from, 2)
  assert.equal(back.joined.reset, false)
  await again.until(() => again.all('message').length === 2)
  assert.deepEqual(
    again.all('message').map((event) => event.kind === 'message' && event.body),
    ['two', 'three'],
  )
})
