/** Many nodes in one room at once: what they append together, and the index of words that follows. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { dialect, drive } from '../../src/cluster/driver.ts'
import type { Postgres } from '../../src/cluster/postgres.ts'
import { SQL } from '../../src/search/gin.ts'
import { append } from '../../src/store/append.ts'
import type { Query, Sql, Work } from '../../src/store/sql.ts'
import { TestClock } from '../helpers.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { ann, bob, edit, erase, nthUser, react, say, tell } from './drafts.ts'
import { openLog } from './opened.ts'

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
      nodes.push(await openLog({ ...db, ...hook(db) }, clock))
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
    sql: before(db, SQL.index, first),
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
    const query: Query = async (text, values) =>
      (await holder.query(text, values && [...values])).rows
    await drive(query, append({ dialect }, [erase(ann, 1)], new Date().toISOString()))
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
        sql: before(db, SQL.search, async () => state.hook?.()),
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

  await check(
    'new messages are one round trip, everything else at most five more',
    async (each) => {
      let trips = 0
      const { nodes } = await openNodes(each, (db) => ({
        queryFirst: ((text, values) => {
          trips += 1
          return db.queryFirst(text, values)
        }) as Postgres['queryFirst'],
        appendSql: counting(db.appendSql, () => (trips += 1)),
      }))
      const log = nodes[0]!
      const first = say(ann)
      const cases: [drafts: Parameters<typeof log.append>[0], told: unknown[], trips: number][] = [
        [[first, say(bob), say(ann, 'x', { room: 'garden' })], [1, 2, 1], 1],
        [[say(ann, 'x', { mentions: [bob.id] })], [3], 1],
        [
          [say(ann, 'x', { replyTo: 1 }), react(ann, 1), react(bob, 1), edit(ann, 1)],
          [4, 5, 6, 7],
          5,
        ],
        [[edit(ann, 1, 'a'), say(ann), edit(ann, 1, 'b')], [8, 9, 10], 5],
        [[say(ann), edit(bob, 1), say(ann)], [11, 'forbidden', 12], 5],
        [[say(ann), say(ann, 'x', { replyTo: 13 })], [13, 14], 5],
        [[react(ann, 1, '👍', { on: false }), say(ann)], [15, 16], 5],
        [[say(ann), erase(bob, 2), edit(bob, 2)], [17, 18, 'not_found'], 5],
        [[react(bob, 99)], ['not_found'], 4],
        [[say(ann), first, say(bob)], [19, 'repeat 1', 20], 6],
      ]
      for (const [drafts, told, expected] of cases) {
        trips = 0
        assert.deepEqual(tell(await log.append(drafts)), told)
        assert.equal(trips, expected, JSON.stringify(told))
      }
      const [message] = (await log.page('lobby', 1, 2)).messages
      assert.equal(message?.body, 'b')
      assert.deepEqual(message?.reactions, [{ emoji: '👍', count: 1, users: [bob.id] }])
      const many = Array.from({ length: 21 }, (_, n) =>
        react(ann, 1, String.fromCodePoint(0x1f600 + n)),
      )
      const told = tell(await log.append([...many, say(ann)]))
      assert.equal(told.filter((one) => one === 'too_many').length, 2)
    },
  )

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

/** Has something done before each statement of this text; each has a connection of its own. */
function before(db: Postgres, wanted: string, first: () => Promise<unknown>): Sql {
  const query: Query = async (text, values) => {
    if (text === wanted) await first()
    return db.query(text, values)
  }
  return { ...db.sql, run: (work) => drive(query, work()) }
}

/** Counts the round trips of a transaction. */
function counting(sql: Sql, onTrip: () => void): Sql {
  function* counted<T>(work: Work<T>): Work<T> {
    let step = work.next()
    for (; !step.done; step = work.next(yield step.value)) onTrip()
    return step.value
  }
  const transaction: Sql['transaction'] = (work) => {
    // BEGIN and COMMIT.
    for (let n = 0; n < 2; n += 1) onTrip()
    return sql.transaction(() => counted(work()))
  }
  return { ...sql, transaction }
}
