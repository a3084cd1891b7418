/** Many nodes in one room at once: what they append together, and the index of words that follows. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Postgres } from '../../src/cluster/postgres.ts'
import { createPostgresLog, SQL } from '../../src/store/postgres-log.ts'
import { TestClock } from '../helpers.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { ann, bob, edit, erase, nthUser, react, say, tell } from './drafts.ts'

void test('many nodes, one Postgres', async (t) => {
  const server = await startPostgres(t)
  const check = (title: string, body: (each: TestContext) => Promise<void>) => t.test(title, body)

  /** Nodes on one database whose background does nothing unless their clock is told to. */
  const openNodes = async (
    each: TestContext,
    ...hooks: ((db: Postgres) => Partial<Postgres>)[]
  ) => {
    const url = await server.lendDatabase(each)
    const clock = new TestClock()
    const nodes = []
    for (const hook of hooks) {
      const db = await openDatabase(each, url)
      nodes.push(createPostgresLog({ ...db, ...hook(db) }, clock))
    }
    const words = () =>
      server.query<{ seq: number; text: string }>(
        url,
        'SELECT seq::int, text FROM words ORDER BY room, seq',
      )
    return { url, clock, nodes, words }
  }
  const asItIs = () => ({})
  /** Has `first` done before the words that were made are kept. */
  const beforeIndex = (first: () => Promise<unknown>) => (db: Postgres) => ({
    query: (async (text, values) => {
      if (text === SQL.index) await first()
      return db.query(text, values)
    }) as Postgres['query'],
  })

  await check('an append leaves the index alone, which follows at leisure', async (each) => {
    const { url, clock, nodes, words } = await openNodes(each, asItIs)
    const log = nodes[0]!
    await log.append(Array.from({ length: 300 }, () => say(ann, 'word')))
    await log.append([edit(ann, 1, 'other'), react(bob, 2), erase(ann, 2)])
    assert.deepEqual(await words(), [])
    for (;;) {
      await clock.advance(100)
      await new Promise((resolve) => setTimeout(resolve, 1))
      const [place] = await server.query<{ seq: string }>(url, 'SELECT seq FROM indexed')
      if (place?.seq === '303') break
    }
    const made = await words()
    assert.equal(made.length, 299)
    assert.deepEqual(made.slice(0, 2), [
      { seq: 1, text: 'other' },
      { seq: 3, text: 'word' },
    ])
  })

  await check('two nodes take one room in at once: each word once', async (each) => {
    const { nodes, words } = await openNodes(each, asItIs, asItIs)
    const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    for (let n = 0; n < 2; n += 1) {
      await one.append(Array.from({ length: 500 }, (_, nth) => say(ann, `word ${n * 500 + nth}`)))
    }
    const edits = Array.from({ length: 20 }, (_, n) => two.append([edit(ann, n + 1, `new ${n}`)]))
    const searches = Array.from({ length: 10 }, () =>
      Promise.all([one.search('lobby', 'word', 1), two.search('lobby', '"word 999"', 1)]),
    )
    for (const pages of await Promise.all(searches)) {
      for (const { messages } of pages) assert.equal(messages[0]?.body, 'word 999')
    }
    await Promise.all(edits)
    assert.equal((await two.search('lobby', 'new', 100)).messages.length, 20)
    assert.equal((await one.search('lobby', '"word 7"', 100)).messages.length, 0)
    const made = await words()
    assert.equal(made.length, 1_000)
    assert.equal(made[19]!.text, 'new 19')
  })

  await check('deleted while its words are made: none of them is left', async (each) => {
    const others: (() => Promise<unknown>)[] = []
    const { nodes, words } = await openNodes(
      each,
      asItIs,
      beforeIndex(() => others.pop()?.() ?? Promise.resolve()),
    )
    const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    await one.append([say(ann, 'secret one'), say(ann, 'secret two'), say(ann, 'secret three')])
    others.push(() => one.append([erase(ann, 1)]))
    const page = await two.search('lobby', 'secret', 9)
    assert.deepEqual(
      page.messages.map(({ seq }) => seq),
      [2, 3],
    )
    // Now that some are in: a new one, and one whose new words are being made.
    await one.append([say(ann, 'secret four'), edit(ann, 2, 'secret five')])
    others.push(() => one.append([erase(ann, 2), erase(ann, 5)]))
    await two.search('lobby', 'secret', 9)
    assert.deepEqual(await words(), [{ seq: 3, text: 'secret three' }])
  })

  await check('a delete that is not done yet is waited for', async (each) => {
    const { url, nodes, words } = await openNodes(each, asItIs, asItIs)
    const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    await one.append([say(ann, 'secret'), say(ann, 'open')])
    const holder = await (await openDatabase(each, url)).connect()
    each.after(() => holder.end())
    await holder.query('BEGIN')
    const row = { ...erasure, id: crypto.randomUUID(), author_id: ann.id, author_name: ann.name }
    await holder.query('SELECT hearth_append($1, 20)', [JSON.stringify([row])])
    let isDone = false
    const search = two.search('lobby', 'secret', 9).finally(() => (isDone = true))
    await untilSomebodyWaits(url)
    assert.equal(isDone, false)
    await holder.query('COMMIT')
    assert.deepEqual((await search).messages, [])
    assert.deepEqual(await words(), [{ seq: 2, text: 'open' }])
  })

  await check(
    'a message edited while it is searched is found by its newest words',
    async (each) => {
      const state: { hook: (() => Promise<unknown>) | null } = { hook: null }
      const { nodes } = await openNodes(each, asItIs, (db) => ({
        query: (async (text, values) => {
          if (text === SQL.search) await state.hook?.()
          return db.query(text, values)
        }) as Postgres['query'],
      }))
      const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      await one.append([say(ann, 'old words'), say(ann, 'old words')])
      state.hook = () => one.append([edit(ann, 1, 'new words'), edit(ann, 2, 'old, too')])
      const page = await two.search('lobby', 'old', 9)
      state.hook = null
      assert.deepEqual(
        page.messages.map(({ body }) => body),
        ['old, too'],
      )
    },
  )

  await check('repeats in a batch, and the same batch on two nodes at once', async (each) => {
    const { nodes } = await openNodes(each, asItIs, asItIs)
    const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    const first = say(ann)
    const told = tell(await one.append([first, say(bob), first, say(ann, 'x', { id: first.id })]))
    assert.deepEqual(told, [1, 2, 'repeat 1', 'conflict'])
    const garden = { room: 'garden' }
    for (let n = 0; n < 10; n += 1) {
      const batch = Array.from({ length: 20 }, (_, nth) =>
        say(nthUser(nth % 3), `${nth}`, nth % 2 ? garden : {}),
      )
      const both = await Promise.all([one.append(batch), two.append(batch.toReversed())])
      const [here, there] = [tell(both[0]), tell(both[1]).toReversed()]
      for (const [index, seq] of here.entries()) {
        const pair = [seq, there[index]].map(String).sort()
        assert.equal(pair[1], `repeat ${pair[0]}`)
      }
    }
    assert.deepEqual(
      (await one.compare(['garden', 'lobby'].map((room) => ({ room, seq: 1 })))).map(
        ({ head }) => head,
      ),
      [100, 102],
    )
  })

  await check('what the batch allows is stored at once, else one by one', async (each) => {
    const outcomes: (string | undefined)[] = []
    const { nodes } = await openNodes(each, (db) => ({
      queryFirst: (async (text, values) => {
        const found = await db.queryFirst<{ outcome: string }>(text, values)
        outcomes.push(found[0]?.outcome)
        return found
      }) as Postgres['queryFirst'],
    }))
    const log = nodes[0]!
    const cases: [drafts: Parameters<typeof log.append>[0], told: unknown[], isAtOnce: boolean][] =
      [
        [[say(ann), say(bob), say(ann, 'x', { room: 'garden' })], [1, 2, 1], true],
        [
          [say(ann, 'x', { replyTo: 1 }), react(ann, 1), react(bob, 1), edit(ann, 1)],
          [3, 4, 5, 6],
          true,
        ],
        [
          [edit(ann, 1, 'a'), say(ann, 'x', { mentions: [bob.id] }), edit(ann, 1, 'b')],
          [7, 8, 9],
          true,
        ],
        [[say(ann), edit(bob, 1), say(ann)], [10, 'forbidden', 11], false],
        [[say(ann), say(ann, 'x', { replyTo: 99 })], [12, 'not_found'], false],
        [[say(ann), react(ann, 4)], [13, 'not_found'], false],
        [[say(ann), say(ann, 'x', { replyTo: 14 })], [14, 15], false],
        [[react(ann, 1, '👍', { on: false }), say(ann)], [16, 17], true],
        [[say(ann), erase(bob, 2), edit(bob, 2)], [18, 19, 'not_found'], false],
      ]
    for (const [drafts, told, isAtOnce] of cases) {
      assert.deepEqual(tell(await log.append(drafts)), told)
      assert.equal(outcomes.at(-1) === 'all', isAtOnce, JSON.stringify(told))
    }
    const [message] = (await log.page('lobby', 1, 2)).messages
    assert.equal(message?.body, 'b')
    assert.deepEqual(message?.reactions, [{ emoji: '👍', count: 1, users: [bob.id] }])
    const many = Array.from({ length: 21 }, (_, n) =>
      react(ann, 1, String.fromCodePoint(0x1f600 + n)),
    )
    const told = tell(await log.append([...many, say(ann)]))
    assert.equal(outcomes.at(-1), 'new')
    assert.equal(told.filter((one) => one === 'too_many').length, 2)
  })

  async function untilSomebodyWaits(url: string) {
    for (;;) {
      const waiting = await server.query(
        url,
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%hearth_index%'
         AND datname = current_database()`,
      )
      if (waiting.length > 0) return
      await turn()
    }
  }
})

/** Of the first message of the lobby, as the database is told of it. */
const erasure = { room: 'lobby', kind: 'delete', target: 1, at: new Date(0), digest: 'digest' }
