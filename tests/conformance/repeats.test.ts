import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { connect, newcomer, startServer, type Client } from '../helpers.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const say = (body: string, id = ID) => ({ type: 'say', room: 'lobby', id, body })

async function annAndBob(t: TestContext): Promise<{ url: string; ann: Client; bob: Client }> {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  return { url, ann, bob }
}

test('what is sent twice is stored once, and answered with the stored entry', async (t) => {
  const { ann, bob } = await annAndBob(t)
  const first = await ann.say('lobby', 'hello', { id: ID })
  ann.send(say('hello'))
  const second = await ann.next('message')
  assert.deepEqual(second, { ...first, repeat: true })
  assert.equal((await ann.say('lobby', 'next')).seq, 2)
  await bob.until(() => bob.all('message').length === 2)
  assert.deepEqual(
    bob.all('message').map(({ seq, repeat }) => [seq, repeat]),
    [
      [1, undefined],
      [2, undefined],
    ],
  )
})

test('a repeat of what still waits in the same batch is a repeat', async (t) => {
  const { ann, bob } = await annAndBob(t)
  for (let times = 0; times < 3; times += 1) ann.send(say('hello'))
  await ann.until(() => ann.all('message').length === 3)
  const repeats = ann.all('message').filter(({ repeat }) => repeat)
  assert.equal(repeats.length, 2)
  await ann.say('lobby', 'next')
  await bob.next('message', ({ seq }) => seq === 2)
  assert.equal(bob.all('message').length, 2)
})

test('the same text in other Unicode clothes is a repeat', async (t) => {
  const { ann } = await annAndBob(t)
  await ann.say('lobby', 'caf\u00e9', { id: ID })
  ann.send(say('cafe\u0301'))
  assert.equal((await ann.next('message')).repeat, true)
})

test('the same id with other content is a conflict', async (t) => {
  const { ann } = await annAndBob(t)
  await ann.say('lobby', 'hello', { id: ID })
  const others = [
    say('goodbye'),
    { ...say('hello'), replyTo: 1 },
    { ...say('hello'), mentions: [ann.account.user.id] },
    { type: 'edit', room: 'lobby', id: ID, target: 1, body: 'hello' },
    { type: 'delete', room: 'lobby', id: ID, target: 1 },
    { type: 'react', room: 'lobby', id: ID, target: 1, emoji: '👍', on: true },
  ]
  for (const frame of others) {
    ann.send(frame)
    const { code, of, id, room } = await ann.next('error')
    assert.deepEqual([code, of, id, room], ['conflict', frame.type, ID, 'lobby'])
  }
})

test('edits, deletes and reactions are repeated like messages', async (t) => {
  const { ann } = await annAndBob(t)
  await ann.say('lobby', 'hello')
  const frames = [
    { type: 'edit', body: 'hi' },
    { type: 'react', emoji: '👍', on: true },
    { type: 'delete' },
  ].map((frame) => ({ ...frame, room: 'lobby', target: 1, id: crypto.randomUUID() }))
  for (const frame of frames) {
    ann.send(frame)
    const entry = await ann.next('message', ({ id }) => id === frame.id)
    assert.equal(entry.repeat, undefined)
    ann.send(frame)
    assert.deepEqual(await ann.next('message'), { ...entry, repeat: true })
  }
})

test('a repeat of what is deleted meanwhile comes without its body', async (t) => {
  const { ann } = await annAndBob(t)
  await ann.say('lobby', 'secret', { id: ID })
  ann.send({ type: 'delete', room: 'lobby', id: crypto.randomUUID(), target: 1 })
  await ann.next('message', ({ kind }) => kind === 'delete')
  ann.send(say('secret'))
  const entry = await ann.next('message')
  assert.ok(entry.kind === 'message')
  assert.deepEqual([entry.repeat, entry.deleted, entry.body], [true, true, undefined])
  ann.send(say('another secret'))
  assert.equal((await ann.next('error')).code, 'conflict')
})

test('an id belongs to its author and room', async (t) => {
  const { ann, bob } = await annAndBob(t)
  await ann.join('den')
  const entries = [
    await ann.say('lobby', 'hello', { id: ID }),
    await ann.say('den', 'elsewhere', { id: ID }),
  ]
  assert.deepEqual(
    entries.map(({ seq, repeat }) => [seq, repeat]),
    [
      [1, undefined],
      [1, undefined],
    ],
  )
  bob.send(say('mine'))
  const { seq } = await bob.next('message', ({ author }) => author.id === bob.account.user.id)
  assert.equal(seq, 2)
})

test('what was sent before a cut is a repeat after it', async (t) => {
  const { url, ann, bob } = await annAndBob(t)
  ann.send(say('hello'))
  await bob.next('message')
  ann.cut()
  const again = await connect(t, url, ann.account)
  const { joined, page } = await again.join('lobby')
  assert.equal(page?.messages[0]?.id, ID)
  assert.equal(joined.head, 1)
  again.send(say('hello'))
  const repeat = await again.next('message')
  assert.deepEqual([repeat.seq, repeat.repeat], [1, true])
})

test('a message sent just before leaving is answered after it', async (t) => {
  const { ann, bob } = await annAndBob(t)
  ann.send(say('goodbye'))
  ann.send({ type: 'leave', room: 'lobby' })
  const entry = await ann.next('message')
  assert.deepEqual([entry.id, entry.seq], [ID, 1])
  const heard = await bob.next('message')
  assert.deepEqual([heard.id, heard.repeat], [ID, undefined])
})

test('who left and came back repeats without moving', async (t) => {
  const { ann } = await annAndBob(t)
  await ann.say('lobby', 'hello', { id: ID })
  ann.send({ type: 'leave', room: 'lobby' })
  ann.send(say('hello'))
  assert.equal((await ann.next('error')).code, 'not_joined')
  const { joined } = await ann.join('lobby')
  ann.send(say('hello'))
  assert.equal((await ann.next('message')).repeat, true)
  assert.equal((await ann.say('lobby', 'next')).seq, joined.from)
})
