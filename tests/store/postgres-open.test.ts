/**
 * Opening a Postgres: its tables, what it is told when it is not as it must be, and its plans,
 * which `SHOW_PLANS=1` prints.
 */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { configure, reset, type LogRecord } from '@logtape/logtape'
import { systemClock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { ruleOfNames } from '../../src/auth/names.ts'
import { DatabaseError, type Draft } from '../../src/store/log.ts'
import type { PostgresOptions } from '../../src/cluster/postgres.ts'
import { SQL } from '../../src/search/gin.ts'
import { LOOK, ROOMS, savingReads } from '../../src/store/doors.ts'
import { readingKnown } from '../../src/store/known.ts'
import { readingKinds } from '../../src/store/authors.ts'
import { AFTER, comparing, PAGE } from '../../src/store/reads.ts'
import { stepsAfter, VERSION } from '../../src/store/schema.ts'
import { exec, rows, type Sql } from '../../src/store/sql.ts'
import { TestClock } from '../helpers.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { ROOT } from '../process.ts'
import { ann, bob, edit, erase, react, say, userId } from './drafts.ts'
import { openLog } from './opened.ts'

/** Rows in the tables whose plans are shown: 5,000 rooms, 250 entries in each of 400. */
const FILL = `
  INSERT INTO rooms (room, head) SELECT 'room-' || n, 250 FROM generate_series(1, 5000) AS n;
  INSERT INTO users SELECT gen_random_uuid(), 'User ' || n, 'user ' || n, 'guest'
    FROM generate_series(1, 2000) AS n;
  INSERT INTO sessions SELECT 'hash-' || row_number() OVER (), id, 'member', now() FROM users;
  INSERT INTO members SELECT 'room-' || n, id FROM users, generate_series(1, 400, 40) AS n;
  INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, digest)
    SELECT 'room-' || room, seq, gen_random_uuid(),
      CASE WHEN seq % 3 = 0 THEN 'reaction' ELSE 'message' END, '${userId(1)}', 'Ann', now(),
      repeat('word ', 20), 'digest'
    FROM generate_series(1, 400) AS room, generate_series(1, 250) AS seq;
  INSERT INTO reactions SELECT room, seq, '👍', author_id, seq FROM messages WHERE seq % 5 = 0;
  INSERT INTO indexed SELECT room, 50 FROM rooms;
  INSERT INTO words SELECT room, seq, 'word' FROM messages WHERE seq < 50 AND kind = 'message'`

/** A message, one that was edited twice, and one elsewhere. */
const OLD_DATA = `
  INSERT INTO rooms (room, head) VALUES ('garden', 1), ('lobby', 4);
  INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, target, newest_edit,
      digest)
    SELECT room, seq, gen_random_uuid(), CASE WHEN target IS NULL THEN 'message' ELSE 'edit' END,
      '${userId(1)}', 'Ann', now(), body, target, newest_edit, 'digest'
    FROM (VALUES ('lobby', 1, 'never again', NULL, NULL), ('lobby', 2, 'old', NULL, 4),
      ('lobby', 3, 'older', 2, NULL), ('lobby', 4, 'newest', 2, NULL),
      ('garden', 1, 'newest elsewhere', NULL, NULL))
      AS said (room, seq, body, target, newest_edit)`

void test('opening Postgres', async (t) => {
  const server = await startPostgres(t)
  const check = (title: string, body: (each: TestContext) => Promise<void>) => t.test(title, body)

  await check('five nodes that start at once make the tables once', async (each) => {
    const url = await server.newDatabase()
    const all = await Promise.all([1, 2, 3, 4, 5].map(() => openDatabase(each, url)))
    const epochs = new Set(all.map(({ epoch }) => epoch))
    assert.equal(epochs.size, 1)
    assert.match([...epochs][0]!, /^[0-9a-f]{32}$/)
    const meta = await server.query(url, 'SELECT * FROM meta')
    assert.deepEqual(meta, [{ epoch: [...epochs][0], version: VERSION, names: ruleOfNames() }])
  })

  await check(
    'a log without an epoch, and an encoding that cannot keep every text',
    async (each) => {
      const url = await server.newDatabase()
      await server.query(url, 'CREATE TABLE meta (epoch text NOT NULL, version int NOT NULL)')
      await assert.rejects(openDatabase(each, url), /no epoch/)
      const latin = `latin_${crypto.randomUUID().slice(0, 8)}`
      const more = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
      await server.query(url, `CREATE DATABASE ${latin} ${more}`)
      const other = new URL(url)
      other.pathname = `/${latin}`
      await assert.rejects(openDatabase(each, other.href), /encoding is LATIN1/)
    },
  )

  for (const version of [1, 2, 3]) {
    await check(`the tables of version ${version} keep all, and their epoch`, async (each) => {
      const url = await server.newDatabase()
      await server.query(url, 'CREATE TABLE meta (epoch text NOT NULL, version int NOT NULL)')
      await server.query(url, `INSERT INTO meta VALUES ('old', ${version})`)
      for (const step of stepsAfter(0, 'postgres').slice(0, version)) await server.query(url, step)
      await server.query(url, OLD_DATA)
      // The first is as it was made, the second as a node left it that knew of no words.
      const old = "INSERT INTO words VALUES ('lobby', 1, 'made before'), ('lobby', 2, NULL)"
      if (version === 3) await server.query(url, old)
      const db = await openDatabase(each, url)
      assert.equal(db.epoch, 'old')
      const behind = async () =>
        (await db.query<{ room: string }>(SQL.behind)).map(({ room }) => room)
      assert.deepEqual(await behind(), version === 3 ? ['lobby'] : ['garden', 'lobby'])
      assert.deepEqual(await db.query('SELECT room, head, owner FROM rooms ORDER BY room'), [
        { room: 'garden', head: 1, owner: null },
        { room: 'lobby', head: 4, owner: null },
      ])
      const clock = new TestClock()
      const log = await openLog(db, clock)
      await log.append([say(ann, 'new'), erase(ann, 1), say(ann, 'newer')])
      const { messages } = await log.search('lobby', 'ne', 100)
      assert.deepEqual(
        messages.map(({ body }) => body),
        ['newest', 'new', 'newer'],
      )
      assert.deepEqual(await behind(), version === 3 ? [] : ['garden'])
    })
  }

  await check('words that are made are not made again, but left out are made', async (each) => {
    const url = await server.newDatabase()
    const db = await openDatabase(each, url)
    const log = await openLog(db, new TestClock())
    await server.query(url, OLD_DATA)
    await server.query(url, "INSERT INTO words VALUES ('lobby', 1, 'made before')")
    await log.search('lobby', 'x', 1)
    assert.deepEqual(await server.query(url, 'SELECT room, seq, text FROM words ORDER BY seq'), [
      { room: 'lobby', seq: '1', text: 'made before' },
      { room: 'lobby', seq: '2', text: 'newest' },
    ])
  })

  await check('nodes of earlier versions append beside, and are found', async (each) => {
    const url = await server.newDatabase()
    await server.query(url, 'CREATE TABLE meta (epoch text NOT NULL, version int NOT NULL)')
    await server.query(url, "INSERT INTO meta VALUES ('old', 4)")
    for (const step of stepsAfter(0, 'postgres').slice(0, 4)) await server.query(url, step)
    const released = `${ROOT}/tests/store/released/postgres-functions-4.sql`
    await server.query(url, readFileSync(released, 'utf8'))
    const log = await openLog(await openDatabase(each, url), new TestClock())
    const append = (row: object) =>
      server.query(url, 'SELECT outcome, (entry).seq FROM hearth_append($1, 20)', [
        JSON.stringify([row]),
      ])
    const found = async () =>
      (await log.search('lobby', 'said', 100)).messages.map(({ body }) => body)
    assert.deepEqual(await append(rowOf(1)), [{ outcome: 'new', seq: '1' }])
    assert.deepEqual(await found(), ['said 1'])
    await append({ ...rowOf(2), words: 'said 2' })
    await append({ ...rowOf(3), kind: 'edit', target: 1, words: 'said 3' })
    await append({ ...rowOf(4), kind: 'delete', target: 2 })
    assert.deepEqual(await found(), ['said 3'])
    assert.deepEqual((await append(rowOf(1)))[0], { outcome: 'repeat', seq: '1' })
  })

  await check(
    'a rare word of a large room is found by its keys, whatever the statistics',
    async (each) => {
      const url = await server.newDatabase()
      const db = await openDatabase(each, url)
      const [found] = await db.query<{ source: string; settings: string[] }>(
        `SELECT prosrc AS source, proconfig AS settings FROM pg_proc
         WHERE proname = 'hearth_search_all'`,
      )
      const { source, settings } = found!
      const values: Record<string, string> = {
        ...{ place: "'a'", below: '9', most: '5', patterns: "'{% b%}'", keys: "'x'::tsquery" },
      }
      const statement = source.replace(/\b[a-z]+\b/g, (name) => values[name] ?? name)
      const plans = await db.sql.transaction(function* () {
        for (const setting of settings) yield* exec(`SET LOCAL ${setting}`)
        return yield* rows(`EXPLAIN ${statement}`)
      })
      assert.match(JSON.stringify(plans), /Bitmap Index Scan on words_by_key/)
    },
  )

  await check('a person can read the messages', async (each) => {
    const url = await server.newDatabase()
    const log = await openLog(await openDatabase(each, url), systemClock)
    each.after(() => log.close())
    await log.append([say(ann, 'Hello, 😀', { mentions: [bob.id] }), say(bob, 'secret')])
    await log.append([edit(ann, 1, 'Hello'), react(bob, 1), erase(bob, 2)])
    const rows = await server.query(
      url,
      `SELECT room, seq, kind, author_name, body, mentions, deleted, at > now() - interval '1 min' AS new
       FROM messages ORDER BY room, seq`,
    )
    const common = { room: 'lobby', new: true, mentions: null, deleted: false, body: null }
    assert.deepEqual(rows, [
      ...[
        {
          ...{ ...common, seq: '1', kind: 'message', author_name: 'Ann' },
          ...{ body: 'Hello, 😀', mentions: [bob.id] },
        },
        { ...common, seq: '2', kind: 'message', author_name: 'Bob', deleted: true },
        { ...common, seq: '3', kind: 'edit', author_name: 'Ann', body: 'Hello' },
        { ...common, seq: '4', kind: 'reaction', author_name: 'Bob' },
        { ...common, seq: '5', kind: 'delete', author_name: 'Bob' },
      ],
    ])
    assert.doesNotMatch(JSON.stringify(await server.query(url, 'SELECT * FROM messages')), /secret/)
  })

  await check('what is not as it must be is refused at once, in words', async (each) => {
    const newer = await server.newDatabase()
    await (await openDatabase(each, newer)).close()
    await server.query(newer, 'UPDATE meta SET version = 99')
    const foreign = await server.newDatabase()
    await server.query(foreign, 'CREATE TABLE messages (subject text)')
    const bare = await server.newDatabase()
    await server.query(bare, "CREATE ROLE guest LOGIN PASSWORD 'hush-hush'")
    // As it is by default since version 15.
    await server.query(bare, 'REVOKE CREATE ON SCHEMA public FROM PUBLIC')
    const guest = bare.replace('postgres@', 'guest:hush-hush@')
    const refused = async (url: string, words: RegExp) => {
      await assert.rejects(openDatabase(each, url), (error) => {
        assert.ok(error instanceof DatabaseError, String(error))
        assert.match(error.message, words)
        assert.doesNotMatch(error.message, /hush|\n/)
        return true
      })
    }
    await refused(newer, /newer Hearth/)
    await refused(newer, /newer Hearth/)
    await refused(foreign, /messages.*already exists/)
    assert.deepEqual(await server.query(foreign, "SELECT to_regclass('meta') AS meta"), [
      { meta: null },
    ])
    await refused(guest, /permission denied/)
    await refused(newer.replace(/hearth_\d+/, 'nowhere'), /127\.0\.0\.1:\d+.*nowhere.*not exist/)
    await refused(newer.replace('postgres@', 'nobody:hush@'), /nobody.*not exist/)
    await refused(`${newer}?sslmode=verify-full`, /SSL/)
    await refused('postgres://a:hush-hush@[1/x', /address/)
  })

  await check('a server that cannot be reached is waited for, and that is said', async (each) => {
    const records: LogRecord[] = []
    await configure({
      sinks: { memory: (record) => void records.push(record) },
      loggers: [
        { category: 'hearth', lowestLevel: 'warning', sinks: ['memory'] },
        { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: [] },
      ],
    })
    each.after(() => reset())
    const limits: PostgresOptions['limits'] = { ...DEFAULT_LIMITS, logRetryMs: 50 }
    const said = () =>
      JSON.stringify(records.map(({ message, properties }) => [message, properties]))
    const url = (await server.newDatabase()).replace('postgres@', 'postgres:hush-hush@')
    server.kill('SIGQUIT')
    await server.ended()
    const opening = openDatabase(each, url, { limits })
    await new Promise((resolve) => setTimeout(resolve, 400))
    assert.equal(records.length, 1, said())
    assert.match(said(), new RegExp(`127.0.0.1.*${server.port}.*ECONNREFUSED`))
    await server.start()
    assert.ok((await opening).epoch)
    assert.match(said(), /fsync=off/)
    assert.doesNotMatch(said(), /hush/)
  })

  await check('every read is an index scan', async (each) => {
    const url = await server.newDatabase()
    const db = await openDatabase(each, url)
    await server.query(url, FILL)
    const room = 'room-41'
    const [user] = await db.query<{ id: string }>('SELECT id FROM users LIMIT 1')
    const entry = await db.query<{ id: string }>('SELECT id FROM messages LIMIT 1')
    const now = new Date()
    const json = (...list: object[]) => [JSON.stringify(list)]
    const drafts = [
      say(ann, 'x', { room, id: entry[0]!.id, replyTo: 3 }),
      react(ann, 5, '👍', { room }),
    ]
    const cases: [string, string, readonly unknown[]][] = [
      ['after', AFTER, [room, 100, 100]],
      ['page', PAGE, [room, 200, 51]],
      ['kinds', readingKinds(db.sql.dialect), json({ id: user!.id })],
      ['unindexed', SQL.unindexed, [room]],
      ['enter', LOOK, [room, user!.id, 'hash-1', 100, now]],
      ['compare', comparing(db.sql), json({ room: 'room-1', seq: 200 }, { room, seq: 250 })],
      ['rooms', ROOMS, [user!.id, user!.id, '', 25]],
      ['saveReads', savingReads(db.sql), json({ room, user: user!.id, seq: 100 })],
    ]
    const explain = async (text: string, values: readonly unknown[], query: typeof db.query) => {
      const sql = `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ${text}`
      const rows = await query<{ 'QUERY PLAN': string }>(sql, values)
      return rows.map((row) => row['QUERY PLAN']).join('\n')
    }
    const assertIndexed = async () => {
      for (const [name, text, values] of cases) {
        const plan = await explain(text, values, db.query)
        assert.doesNotMatch(plan, /Seq Scan|Bitmap/, name)
        if (name === 'after') assert.doesNotMatch(plan, /Sort/)
      }
      await assertLookedUp(db.sql, room, drafts)
    }
    // As on the first day, when nothing is known of the tables.
    await assertIndexed()
    await server.query(url, 'ANALYZE')
    await assertIndexed()
    // As anybody would be answered, without any setting of ours; two take a list of keys.
    for (const [name, text, values] of cases) {
      if (name === 'compare' || name === 'saveReads') continue
      const plan = await explain(text, values, (sql, given) =>
        server.query(url, sql, given && [...given]),
      )
      assert.doesNotMatch(plan, /Seq Scan/, name)
      assert.match(plan, /Index (Only )?Scan/, name)
      if (process.env.SHOW_PLANS) console.log(`${name}\n${plan}\n`)
    }
  })
})

/** What the rules ask behind their lock is looked up key by key, with statistics and without. */
async function assertLookedUp(sql: Sql, room: string, drafts: readonly Draft[]) {
  const plans = await sql.transaction(function* () {
    yield sql.dialect.hold([room])
    const texts: string[] = []
    for (const { text, values } of readingKnown(sql.dialect, drafts)) {
      const plan = yield* rows<{ 'QUERY PLAN': string }>(`EXPLAIN (COSTS OFF) ${text}`, ...values)
      texts.push(plan.map((row) => row['QUERY PLAN']).join('\n'))
    }
    return texts
  })
  for (const plan of plans) {
    assert.doesNotMatch(plan, /Seq Scan|Bitmap|Hash|Merge|Materialize/)
    const scans = plan.match(/Index (Only )?Scan/g)?.length
    assert.equal(plan.match(/Index Cond: \(.*\(?(seq|target|id)\b/g)?.length, scans, plan)
  }
}

/** A draft as a node of an earlier version sends it: without words. */
function rowOf(n: number) {
  return {
    ...{ room: 'lobby', id: userId(n), kind: 'message', author_id: ann.id, author_name: ann.name },
    ...{ at: new Date(0), body: `said ${n}`, digest: `digest ${n}`, moderates: false },
  }
}
