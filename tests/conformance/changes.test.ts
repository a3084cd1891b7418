import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  connect,
  GENEROUS,
  newcomer,
  signIn,
  startServer,
  type Client,
  type ServerOptions,
} from '../helpers.ts'

/** Sends a change and waits for its entry. */
async function change(client: Client, frame: { type: string; [key: string]: unknown }) {
  const id = crypto.randomUUID()
  client.send({ room: 'lobby', id, target: 1, ...frame })
  return client.next('message', (entry) => entry.id === id)
}

/** Sends a change that is refused. */
async function refused(client: Client, frame: { type: string; [key: string]: unknown }) {
  const id = crypto.randomUUID()
  client.send({ room: 'lobby', id, target: 1, ...frame })
  const error = await client.next('error', (event) => event.id === id)
  assert.deepEqual([error.of, error.room], [frame.type, 'lobby'])
  return error.code
}

/** Ann and Bob in a room where Ann has said 'hello'. */
async function helloRoom(t: TestContext, options: ServerOptions = {}) {
  const { url } = await startServer(t, { ...options, limits: { ...GENEROUS, ...options.limits } })
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  const hello = await ann.say('lobby', 'hello')
  /** The room as somebody sees it who comes only now. */
  const page = async () => {
    const { page } = await (await connect(t, url, bob.account)).join('lobby')
    assert.ok(page)
    return page.messages
  }
  /** The entries as somebody replays them who comes back only now. */
  const replay = async () => {
    const late = await connect(t, url, bob.account)
    const { joined } = await late.join('lobby', { after: 0 })
    await late.until(() => late.all('message').length === joined.head)
    return late.all('message')
  }
  return { url, ann, bob, hello, page, replay }
}

test('an edit is an entry of its own; a page shows the newest', async (t) => {
  const { ann, bob, hello, page } = await helloRoom(t)
  await change(ann, { type: 'edit', body: 'hullo' })
  const edit = await change(ann, { type: 'edit', body: 'hey' })
  assert.ok(edit.kind === 'edit')
  assert.deepEqual([edit.seq, edit.target, edit.body], [3, 1, 'hey'])
  assert.deepEqual(await bob.next('message', ({ seq }) => seq === 3), edit)
  const { id, author, at } = hello
  assert.deepEqual(await page(), [
    { seq: 1, id, author, at, body: 'hey', editedAt: edit.at, reactions: [] },
  ])
})

test('only its author edits a message', async (t) => {
  const { bob } = await helloRoom(t)
  assert.equal(await refused(bob, { type: 'edit', body: 'mine' }), 'forbidden')
  assert.equal(await refused(bob, { type: 'delete' }), 'forbidden')
})

test('a deleted message is a tombstone, its body gone from everywhere', async (t) => {
  const { ann, hello, page, replay } = await helloRoom(t)
  await change(ann, { type: 'edit', body: 'hello again' })
  await change(ann, { type: 'react', emoji: '👍', on: true })
  const gone = await change(ann, { type: 'delete' })
  assert.ok(gone.kind === 'delete')
  assert.deepEqual([gone.seq, gone.target], [4, 1])
  const { id, author, at } = hello
  assert.deepEqual(await page(), [{ seq: 1, id, author, at, deleted: true, reactions: [] }])
  const entries = await replay()
  assert.deepEqual(
    entries.map((entry) => [entry.kind, 'deleted' in entry && entry.deleted, 'body' in entry]),
    [
      ['message', true, false],
      ['edit', true, false],
      ['reaction', false, false],
      ['delete', false, false],
    ],
  )
})

test('an erased body is read from no log either', async (t) => {
  const { url, hub } = await startServer(t, { limits: { ...GENEROUS, tailEntries: 0 } })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await ann.say('lobby', 'secret')
  await change(ann, { type: 'edit', body: 'still secret' })
  await change(ann, { type: 'delete' })
  assert.doesNotMatch(JSON.stringify(await hub.log.after('lobby', 0, 100)), /secret/)
  assert.doesNotMatch(JSON.stringify(await hub.log.page('lobby', 100)), /secret/)
})

test('what is deleted before the flush never leaves with its body', async (t) => {
  const { url } = await startServer(t, { limits: { ...GENEROUS, flushMs: 200 } })
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  await ann.say('lobby', 'hello')
  // Both wait for the same flush. The sequence is known: it has no holes.
  ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'secret' })
  await change(ann, { type: 'delete', target: 2 })
  await bob.next('message', ({ kind }) => kind === 'delete')
  for (const { frames } of [ann, bob]) assert.doesNotMatch(JSON.stringify(frames), /secret/)
})

test('nothing can be done to a deleted message', async (t) => {
  const { ann } = await helloRoom(t)
  await change(ann, { type: 'delete' })
  assert.equal(await refused(ann, { type: 'edit', body: 'back' }), 'not_found')
  assert.equal(await refused(ann, { type: 'react', emoji: '👍', on: true }), 'not_found')
  assert.equal(await refused(ann, { type: 'delete' }), 'not_found')
})

test('only messages can be changed, and only where they are', async (t) => {
  const { ann } = await helloRoom(t)
  await change(ann, { type: 'edit', body: 'hey' })
  await ann.join('den')
  for (const more of [{ target: 2 }, { target: 99 }, { room: 'den' }]) {
    const id = crypto.randomUUID()
    ann.send({ type: 'edit', room: 'lobby', target: 1, body: 'x', id, ...more })
    assert.equal((await ann.next('error', (event) => event.id === id)).code, 'not_found')
  }
})

test('reactions are counted per emoji in the order of the first, and taken back', async (t) => {
  const { ann, bob, page } = await helloRoom(t)
  const [a, b] = [ann.account.user.id, bob.account.user.id]
  await change(bob, { type: 'react', emoji: '🎉', on: true })
  await change(ann, { type: 'react', emoji: '👍', on: true })
  await change(ann, { type: 'react', emoji: '🎉', on: true })
  await change(ann, { type: 'react', emoji: '🎉', on: true })
  assert.deepEqual((await page())[0]?.reactions, [
    { emoji: '🎉', count: 2, users: [b, a] },
    { emoji: '👍', count: 1, users: [a] },
  ])
  await change(ann, { type: 'react', emoji: '👍', on: false })
  const off = await change(bob, { type: 'react', emoji: '🎉', on: false })
  assert.ok(off.kind === 'reaction')
  assert.deepEqual([off.target, off.emoji, off.on], [1, '🎉', false])
  assert.deepEqual((await page())[0]?.reactions, [{ emoji: '🎉', count: 1, users: [a] }])
})

test('at most 20 different emoji on a message', async (t) => {
  const { ann, bob } = await helloRoom(t)
  const emoji = Array.from({ length: 21 }, (_, i) => String.fromCodePoint(0x1f600 + i))
  for (const one of emoji.slice(0, 20)) await change(ann, { type: 'react', emoji: one, on: true })
  const last = { type: 'react', emoji: emoji[20], on: true }
  assert.equal(await refused(ann, last), 'too_many')
  await change(bob, { type: 'react', emoji: emoji[0], on: true })
  await change(ann, { type: 'react', emoji: emoji[1], on: false })
  await change(ann, last)
})

test('an admin deletes what others wrote, and edits it not', async (t) => {
  const { url, ann, page } = await helloRoom(t, { env: { ADMIN_TOKEN: 'correct horse' } })
  const account = await signIn(url, 'Root', { admin: 'correct horse' })
  const root = await connect(t, url, account)
  await root.join('lobby')
  assert.equal(await refused(root, { type: 'edit', body: 'no' }), 'forbidden')
  await change(root, { type: 'delete' })
  const gone = await ann.next('message', ({ kind }) => kind === 'delete')
  assert.equal(gone.author.name, 'Root')
  assert.equal((await page())[0]?.deleted, true)
})
