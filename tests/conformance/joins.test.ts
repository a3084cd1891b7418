import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  connect,
  GENEROUS,
  newcomer,
  signIn,
  startServer,
  type Account,
  type Client,
} from '../helpers.ts'
import { viewOf } from './view.ts'

/** A generator of numbers below `n` that a seed repeats (mulberry32). */
function random(seed: number) {
  return (n: number) => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

/** A writer does something to the room: says, edits, deletes or reacts. */
function actAtRandom(writer: Client, below: (n: number) => number, step: number) {
  const id = crypto.randomUUID()
  const target = 1 + below(step + 1)
  const common = { room: 'lobby', id }
  const emoji = ['👍', '🎉', '❤️'][below(3)]
  switch (below(8)) {
    case 0:
      return writer.send({ type: 'edit', ...common, target, body: `edited at ${step}` })
    case 1:
      return writer.send({ type: 'delete', ...common, target })
    case 2:
    case 3:
      return writer.send({ type: 'react', ...common, target, emoji, on: below(3) > 0 })
    default:
      return writer.send({ type: 'say', ...common, body: `said at ${step}` })
  }
}

/** Somebody joins, fresh or from a place in the past, while others write. */
async function arrive(t: TestContext, url: string, account: Account, more: object) {
  const client = await connect(t, url, account)
  client.send({ type: 'join', room: 'lobby', limit: 100, ...more })
  return client
}

/** Whether a client has an entry, as such or folded into its page. */
function hasSeen({ events }: Client, seq: number) {
  return events.some(
    (event) =>
      (event.type === 'message' && !event.repeat && event.seq === seq) ||
      (event.type === 'history' && event.head >= seq),
  )
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`whoever joins while others write sees the same in the end (seed ${seed})`, async (t) => {
    const flushMs = [0, 16, 50][seed % 3]!
    const tailEntries = [4, 1_024][seed % 2]!
    const limits = { ...GENEROUS, connectionsPerUser: 100, flushMs, tailEntries }
    const { url, hub } = await startServer(t, { limits })
    const below = random(seed)
    const writers = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Bob')]
    for (const writer of writers) await writer.join('lobby')
    const guest = await signIn(url, 'Cy')
    const arriving: Promise<Client>[] = []
    for (let step = 0; step < 150; step += 1) {
      const writer = writers[below(2)]!
      actAtRandom(writer, below, step)
      if (below(4) === 0) await writer.settle()
      if (below(10) > 0) continue
      arriving.push(arrive(t, url, guest, below(2) > 0 ? { after: 0 } : {}))
    }
    const readers = await Promise.all(arriving)
    for (const writer of writers) await writer.settle()
    const last = await writers[0]!.say('lobby', 'the end')
    const all = [...readers, ...writers]
    for (const client of all) await client.until(() => hasSeen(client, last.seq))
    const late = await connect(t, url, guest)
    await late.join('lobby', { limit: 100 })
    const truth = viewOf(late, 'lobby')
    assert.ok(truth.length > 50 && readers.length > 5)
    for (const client of all) assert.deepEqual(viewOf(client, 'lobby'), truth)
    assert.equal((await hub.log.page('lobby', 1)).head, last.seq)
  })
}

test('a reader that leaves and returns all the time still sees every entry once', async (t) => {
  const { url } = await startServer(t, { limits: { ...GENEROUS, connectionsPerUser: 100 } })
  const below = random(7)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  let bob = await newcomer(t, url, 'Bob')
  bob.send({ type: 'join', room: 'lobby' })
  const held: number[] = []
  const take = () => held.push(...bob.all('message').map(({ seq }) => seq))
  for (let step = 0; step < 200; step += 1) {
    ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: `${step}` })
    if (below(20) > 0) continue
    take()
    bob.cut()
    bob = await connect(t, url, bob.account)
    bob.send({ type: 'join', room: 'lobby', after: held.at(-1) ?? 0 })
  }
  await bob.next('message', ({ seq }) => seq === 200)
  take()
  assert.deepEqual(
    held,
    Array.from({ length: 200 }, (_, index) => index + 1),
  )
})
