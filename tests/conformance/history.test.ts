import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test, type TestContext } from 'node:test'
import { GENEROUS, newcomer, startServer } from '../helpers.ts'

async function roomOf(t: TestContext, bodies: string[]) {
  const { url } = await startServer(t, { limits: GENEROUS })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby', { limit: 0 })
  for (const body of bodies) {
    ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body })
  }
  await ann.until(() => ann.all('message').length === bodies.length)
  const history = async (more: object = {}) => {
    ann.send({ type: 'history', room: 'lobby', ...more })
    return ann.next('history')
  }
  return { url, ann, history }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index + 1}`)

test('older messages come in pages, down to the first', async (t) => {
  const { history } = await roomOf(t, numbers(120))
  const seen: number[] = []
  let before: number | undefined
  for (let isMore = true; isMore;) {
    const page = await history({ limit: 50, ...(before !== undefined && { before }) })
    assert.deepEqual([page.room, page.head], ['lobby', 120])
    seen.unshift(...page.messages.map(({ seq }) => seq))
    before = page.messages[0]?.seq
    isMore = page.more
  }
  assert.deepEqual(seen, numbers(120).map(Number))
})

test('a page has 50 messages unless one asks otherwise', async (t) => {
  const { history } = await roomOf(t, numbers(120))
  const sizes = []
  for (const more of [{}, { limit: 1 }, { limit: 100 }, { before: 11, limit: 10 }]) {
    const { messages, more: isMore } = await history(more)
    sizes.push([messages.length, isMore])
  }
  assert.deepEqual(sizes, [
    [50, true],
    [1, true],
    [100, true],
    [10, false],
  ])
})

test('before the first and beyond the last there is nothing special', async (t) => {
  const { history } = await roomOf(t, numbers(3))
  const count = async (before: number) => (await history({ before })).messages.length
  assert.deepEqual(
    [await count(0), await count(1), await count(2), await count(Number.MAX_SAFE_INTEGER)],
    [0, 0, 1, 3],
  )
  assert.equal((await history({ before: 1 })).more, false)
})

test('a page holds messages only, as they read now', async (t) => {
  const { ann, history } = await roomOf(t, numbers(3))
  ann.send({ type: 'edit', room: 'lobby', id: crypto.randomUUID(), target: 1, body: 'uno' })
  ann.send({ type: 'delete', room: 'lobby', id: crypto.randomUUID(), target: 2 })
  await ann.until(() => ann.all('message').length === 5)
  const { head, messages } = await history()
  assert.equal(head, 5)
  assert.deepEqual(
    messages.map(({ seq, body, deleted }) => [seq, body, deleted]),
    [
      [1, 'uno', undefined],
      [2, undefined, true],
      [3, '3', undefined],
    ],
  )
})

test('a page ends at 64 KiB, with the newest, and more to come', async (t) => {
  const { ann, history } = await roomOf(t, Array<string>(20).fill('é'.repeat(4_000)))
  const { messages, more } = await history({ limit: 20 })
  assert.ok(messages.length >= 7 && messages.length < 9, `${messages.length}`)
  assert.deepEqual([messages.at(-1)?.seq, more], [20, true])
  const bytes = Buffer.byteLength(JSON.stringify(ann.frames.at(-1)))
  assert.ok(bytes < 66_000, `${bytes}`)
  const older = await history({ before: messages[0]!.seq, limit: 20 })
  assert.equal(older.messages.at(-1)?.seq, messages[0]!.seq - 1)
})

test('a replay goes in steps of at most 64 KiB, without a hole', async (t) => {
  const { url } = await roomOf(t, Array<string>(40).fill('é'.repeat(4_000)))
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby', { after: 0 })
  await bob.until(() => bob.all('message').length === 40)
  for (const events of bob.frames) assert.ok(Buffer.byteLength(JSON.stringify(events)) < 66_000)
  assert.deepEqual(
    bob.all('message').map(({ seq }) => seq),
    numbers(40).map(Number),
  )
})
