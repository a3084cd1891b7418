import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { connect, GENEROUS, newcomer, startServer, tempFolder, type Client } from '../helpers.ts'

const seqs = (client: Client) => client.all('message').map(({ seq }) => seq)
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** A room with `count` messages of Ann, and somebody who comes to it. */
async function roomWith(t: TestContext, count: number, limits = {}) {
  const { url, hub } = await startServer(t, { limits: { ...GENEROUS, ...limits } })
  const ann = await newcomer(t, url, 'Ann')
  const { joined } = await ann.join('lobby')
  const say = (body: string, room = 'lobby') =>
    ann.send({ type: 'say', room, id: crypto.randomUUID(), body })
  for (let seq = 1; seq <= count; seq += 1) say(`${seq}`)
  await ann.until(() => ann.all('message').length === count)
  const bob = await newcomer(t, url, 'Bob')
  const idAt = (seq: number) => ann.all('message')[seq - 1]!.id
  return { url, hub, ann, bob, say, idAt, epoch: joined.epoch }
}

test('a fresh join brings the newest 50, or as many as one asks for', async (t) => {
  const { bob, epoch } = await roomWith(t, 120)
  for (const [limit, least] of [
    [undefined, 71],
    [0, 121],
    [1, 120],
    [100, 21],
  ] as const) {
    const { joined, page } = await bob.join('lobby', limit === undefined ? {} : { limit })
    const { members, ...rest } = joined
    assert.deepEqual(rest, {
      type: 'joined',
      room: 'lobby',
      epoch,
      head: 120,
      from: 121,
      reset: false,
      count: 2,
      private: false,
    })
    assert.deepEqual(members?.map(({ name }) => name).toSorted(), ['Ann', 'Bob'])
    assert.ok(page)
    assert.deepEqual(
      page.messages.map(({ seq }) => seq),
      range(least, 120),
    )
    assert.deepEqual([page.head, page.more], [120, true])
  }
})

test('an empty room is a page without messages', async (t) => {
  const { bob } = await roomWith(t, 0)
  const { joined, page } = await bob.join('lobby')
  assert.deepEqual([joined.head, joined.from, joined.reset], [0, 1, false])
  assert.deepEqual([page?.head, page?.messages, page?.more], [0, [], false])
})

test('who comes back gets every entry after the last one, and nothing twice', async (t) => {
  const { bob, idAt, epoch } = await roomWith(t, 350)
  const { joined } = await bob.join('lobby', { after: 10, last: idAt(10), epoch, limit: 5 })
  assert.deepEqual([joined.from, joined.head, joined.reset], [11, 350, false])
  await bob.until(() => bob.all('message').length === 340)
  assert.deepEqual(seqs(bob), range(11, 350))
  assert.deepEqual(bob.all('history'), [])
  assert.ok(bob.frames.every((events) => events.length <= 100))
})

test('a replay from the log is the same as one from memory', async (t) => {
  const { ann, bob } = await roomWith(t, 250, { tailEntries: 0 })
  await bob.join('lobby', { after: 0 })
  await bob.until(() => bob.all('message').length === 250)
  assert.deepEqual(bob.all('message'), ann.all('message'))
})

test('after the newest nothing is missed', async (t) => {
  const { ann, bob, idAt } = await roomWith(t, 5)
  const { joined } = await bob.join('lobby', { after: 5, last: idAt(5) })
  assert.deepEqual([joined.from, joined.reset], [6, false])
  await ann.say('lobby', 'six')
  await bob.until(() => bob.all('message').length > 0)
  assert.deepEqual(seqs(bob), [6])
})

test('a position that means nothing here starts afresh', async (t) => {
  const { bob, idAt, epoch } = await roomWith(t, 5)
  const stranger = crypto.randomUUID()
  for (const place of [
    { after: 3, epoch: 'another log' },
    { after: 3, last: idAt(2), epoch },
    { after: 3, last: stranger },
    { after: 6 },
    { after: Number.MAX_SAFE_INTEGER, last: stranger },
  ]) {
    const { joined, page } = await bob.join('lobby', place)
    assert.deepEqual([joined.reset, joined.from, joined.head], [true, 6, 5], JSON.stringify(place))
    assert.equal(page?.messages.length, 5)
  }
  assert.deepEqual(seqs(bob), [])
})

test('more than 1,000 missed entries are a page instead', async (t) => {
  const { bob } = await roomWith(t, 1_001)
  const { joined, page } = await bob.join('lobby', { after: 0 })
  assert.deepEqual([joined.reset, joined.from, page?.messages.length], [true, 1_002, 50])
  const again = await bob.join('lobby', { after: 1 })
  assert.deepEqual([again.joined.reset, again.joined.from], [false, 2])
  await bob.until(() => bob.all('message').length === 1_000)
  assert.deepEqual(seqs(bob), range(2, 1_001))
})

test('a second join on the same socket starts again where it says', async (t) => {
  const { ann, bob, idAt } = await roomWith(t, 5)
  await bob.join('lobby')
  await bob.join('lobby', { after: 2, last: idAt(2) })
  await bob.until(() => bob.all('message').length === 3)
  await bob.join('lobby', { after: 0 })
  await bob.until(() => bob.all('message').length === 8)
  await ann.say('lobby', 'six')
  await bob.until(() => bob.all('message').length === 9)
  await bob.settle()
  assert.deepEqual(seqs(bob), [...range(3, 5), ...range(1, 5), 6])
  const { joined } = await bob.join('lobby')
  assert.equal(joined.count, 2)
})

test('who comes back while others talk misses nothing and gets nothing twice', async (t) => {
  const { ann, bob, say } = await roomWith(t, 400)
  const said = () => ann.all('message').length
  for (let i = 0; i < 300; i += 1) {
    if (i === 100) bob.send({ type: 'join', room: 'lobby', after: 7 })
    say(`live ${i}`)
    if (i % 10 === 0) await ann.settle()
  }
  await ann.until(() => said() === 700)
  await bob.until(() => bob.all('message').length === 693)
  assert.deepEqual(seqs(bob), range(8, 700))
})

test('an edit and a delete during an absence come as entries', async (t) => {
  const { ann, bob, idAt } = await roomWith(t, 3)
  ann.send({ type: 'edit', room: 'lobby', id: crypto.randomUUID(), target: 2, body: 'second' })
  ann.send({ type: 'delete', room: 'lobby', id: crypto.randomUUID(), target: 1 })
  await ann.until(() => ann.all('message').length === 5)
  await bob.join('lobby', { after: 3, last: idAt(3) })
  await bob.until(() => bob.all('message').length === 2)
  assert.deepEqual(
    bob.all('message').map(({ kind, seq }) => [kind, seq]),
    [
      ['edit', 4],
      ['delete', 5],
    ],
  )
})

test('after a restart on the same file the position still holds', async (t) => {
  const env = { DATA_FILE: `${tempFolder(t)}/hearth.db` }
  const before = await startServer(t, { env })
  const ann = await newcomer(t, before.url, 'Ann')
  const { joined } = await ann.join('lobby')
  const { id } = await ann.say('lobby', 'one')
  await ann.say('lobby', 'two')
  await before.close()
  const after = await startServer(t, { env })
  const again = await connect(t, after.url, ann.account)
  const back = await again.join('lobby', { after: 1, last: id, epoch: joined.epoch })
  assert.deepEqual([back.joined.reset, back.joined.from], [false, 2])
  assert.equal((await again.next('message')).seq, 2)
  assert.equal((await again.say('lobby', 'three')).seq, 3)
})
