/** What Postgres, the network and other nodes may do to the log, and what it promises all the same. */

import assert from 'node:assert/strict'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { createAppender } from '../../src/store/appender.ts'
import {
  LogUnavailable,
  SearchTooLong,
  type Draft,
  type Log,
  type Outcome,
} from '../../src/store/log.ts'
import { appendAtOnce } from '../../src/cluster/append-new.ts'
import { drive } from '../../src/cluster/driver.ts'
import type { Postgres, PostgresOptions } from '../../src/cluster/postgres.ts'
import { append } from '../../src/store/append.ts'
import { exec, type Query } from '../../src/store/sql.ts'
import { toRow } from '../../src/store/rows.ts'
import { createRandom } from '../random.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { startProxy } from '../proxy.ts'
import { ann, bob, erase, nthUser, say, tell } from './drafts.ts'
import { openLog } from './opened.ts'

const ALL = 100_000
const PATIENT = 20

/** Patience that a test can wait for. ms */
const HASTY: PostgresOptions['limits'] = { ...DEFAULT_LIMITS, databaseMs: 600, statementMs: 5_000 }

void test('Postgres, when things go wrong', async (t) => {
  const server = await startPostgres(t)
  const backends = (url: string) =>
    server.query<{ pid: number }>(
      url,
      `SELECT pid FROM pg_stat_activity
       WHERE application_name = 'hearth' AND datname = current_database()`,
    )
  const newLog = async (each: TestContext, options?: Partial<PostgresOptions>, at?: string) => {
    const url = at ?? (await server.lendDatabase(each))
    const db = await openDatabase(each, url, options)
    const log = await openLog(db, systemClock)
    each.after(() => log.close())
    return { url, db, log }
  }
  const check = (title: string, body: (each: TestContext) => Promise<void>) => t.test(title, body)

  await check('two nodes in the same rooms: 1, 2, 3 … and no double', async (each) => {
    const seed = 11
    const random = createRandom(seed)
    const { url, log } = await newLog(each)
    const other = (await newLog(each, {}, url)).log
    const rooms = ['a', 'b', 'c', 'd']
    const drafts = Array.from({ length: 1_200 }, (_, n) =>
      say(nthUser(n % 7), `${n}`, { room: random.pick(rooms) }),
    )
    const work = async (node: Log, parity: number) => {
      const told: Outcome[] = []
      for (let from = parity * 10; from < drafts.length; from += 20) {
        told.push(...(await node.append(drafts.slice(from, from + 10).toReversed())))
      }
      return told
    }
    const both = [log, other]
    // Each of two also sends what the other does: repeats, as of clients that changed nodes.
    const outcomes = (
      await Promise.all(both.flatMap((node) => [work(node, 0), work(node, 1)]))
    ).flat()
    for (const { entry } of outcomes) assert.ok(entry, `seed ${seed}`)
    assert.equal(outcomes.filter(({ entry, ...rest }) => entry && !isRepeat(rest)).length, 1_200)
    await assertWhole(log, rooms, drafts, outcomes)
  })

  await check('a batch is one statement, one transaction and one round trip', async (each) => {
    const { url, db } = await newLog(each)
    const sent: string[] = []
    const queryFirst: Postgres['queryFirst'] = (text, values) => {
      sent.push(text)
      return db.queryFirst(text, values)
    }
    const appendSql = { ...db.sql, run: fail, transaction: fail }
    const log = await openLog({ ...db, queryFirst, appendSql }, systemClock)
    each.after(() => log.close())
    const appender = createAppender({
      log,
      clock: systemClock,
      limits: DEFAULT_LIMITS,
      onAppended: () => {},
      onFault: (error) => assert.fail(String(error)),
    })
    const outcomes = await Promise.all(
      Array.from({ length: 1_000 }, () => appender.append(say(ann))),
    )
    assert.equal(new Set(tell(outcomes)).size, 1_000)
    assert.equal(sent.length, 2)
    const sql = 'SELECT count(DISTINCT xmin::text)::int AS transactions FROM messages'
    assert.deepEqual(await server.query(url, sql), [{ transactions: 2 }])
  })

  await check(
    'what is acknowledged is on disk, whatever the default of the server',
    async (each) => {
      const { url, db, log } = await newLog(each)
      const name = new URL(url).pathname.slice(1)
      await server.query(url, `ALTER DATABASE ${name} SET synchronous_commit = off`)
      const assertFlushed = async (seq: number) => {
        const [after] = await server.query<{ is_flushed: boolean }>(
          url,
          'SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() AS is_flushed',
        )
        assert.equal(after?.is_flushed, true)
        assert.equal((await log.page('lobby', 1)).head, seq)
      }
      const now = new Date().toISOString()
      // Connections of their own, with that default: what decides is the statement itself.
      const query: Query = (text, values) => server.query(url, text, values && [...values])
      await appendAtOnce(query)([toRow(say(ann), 1, now)])
      await assertFlushed(1)
      const client = await db.connect()
      each.after(() => client.end())
      const ask: Query = async (text, values) =>
        (await client.query(text, values && [...values])).rows
      await ask('BEGIN')
      await drive(ask, append(db.sql, [erase(ann, 1)], now))
      await ask('COMMIT')
      await assertFlushed(2)
    },
  )

  await check('a locked room: unavailable within 5 s, and fine when it is free', async (each) => {
    const { url, log } = await newLog(each)
    const hasty = (await newLog(each, { limits: HASTY }, url)).log
    await log.append([say(ann)])
    const holder = await (await newLog(each, {}, url)).db.connect()
    await holder.query("BEGIN; SELECT * FROM rooms WHERE room = 'lobby' FOR UPDATE")
    const waitsFor = async (node: Log, ms: number) => {
      const draft = say(ann)
      const started = performance.now()
      await assert.rejects(node.append([draft]), LogUnavailable)
      const took = performance.now() - started
      assert.ok(took > ms - 200 && took < ms + 900, `${took}`)
      return draft
    }
    const drafts = await Promise.all([waitsFor(log, 4_000), waitsFor(hasty, 600)])
    const elsewhere = await hasty.append([say(ann, 'x', { room: 'garden' })])
    assert.deepEqual(tell(elsewhere), [1], 'other rooms go on')
    assert.equal((await hasty.after('lobby', 0, ALL)).length, 1, 'reading goes on')
    await holder.query('ROLLBACK')
    await holder.end()
    // The one that its node gave up may have been done since: the id tells.
    const told = await log.append([...drafts, say(bob)])
    assert.equal(told.filter(({ entry }) => entry).length, 3)
    assert.equal((await log.page('lobby', 50)).head, 4)
  })

  await check('connections ended in the middle: every draft is there once', async (each) => {
    const { url, log } = await newLog(each)
    const nodes = [log, (await newLog(each, {}, url)).log]
    let isOver = false
    let ended = 0
    const killer = (async () => {
      while (!isOver) {
        const killed = await server.query(
          url,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'hearth' AND datname = current_database()`,
        )
        ended += killed.length
        await wait(10)
      }
    })()
    const rooms = ['a', 'b']
    let unknown = 0
    const told: Outcome[] = []
    const drafts: Draft[] = []
    const work = async (node: Log, index: number) => {
      for (let n = 0; n < 40 || ended < 10; n += 1) {
        const batch = Array.from({ length: 5 }, () =>
          say(nthUser(index), 'x', { room: rooms[n % 2]! }),
        )
        drafts.push(...batch)
        told.push(...(await untilKnown(node, batch, () => (unknown += 1))))
      }
    }
    await Promise.all(nodes.map(work))
    isOver = true
    await killer
    assert.ok(ended >= 10 && unknown >= 1, `${ended} ended, ${unknown} unknown`)
    each.diagnostic(`${ended} connections ended, ${unknown} appends of unknown fate`)
    await assertWhole(log, rooms, drafts, told)
  })

  await check('a lost answer: the same again is known as a repeat', async (each) => {
    const { url, log } = await newLog(each)
    const proxy = await startProxy(each, server.port)
    const through = url.replace(`:${server.port}/`, `:${proxy.port}/`)
    const far = (await newLog(each, { limits: HASTY }, through)).log
    await far.append([say(ann)])
    proxy.cutReplies()
    const draft = say(ann, 'told to nobody')
    await assert.rejects(far.append([draft]), LogUnavailable)
    assert.equal((await log.page('lobby', 1)).messages[0]?.id, draft.id)
    proxy.pass()
    assert.deepEqual(tell(await far.append([draft, say(ann)])), ['repeat 2', 3])
  })

  await check('connections that died silently: one deadline, and then new ones', async (each) => {
    const { url, log } = await newLog(each, { limits: HASTY })
    await log.append([say(ann)])
    await Promise.all(Array.from({ length: 10 }, () => log.after('lobby', 0, 1)))
    const frozen = await backends(url)
    assert.ok(frozen.length >= 5, `${frozen.length}`)
    for (const { pid } of frozen) process.kill(pid, 'SIGSTOP')
    try {
      const work = [() => log.append([say(ann)]), () => log.after('lobby', 0, 9)]
      await Promise.all(work.map((one) => assert.rejects(one(), LogUnavailable)))
      const started = performance.now()
      assert.deepEqual(tell(await log.append([say(ann)])), [2])
      assert.equal((await log.after('lobby', 0, 9)).length, 2)
      assert.ok(performance.now() - started < 400)
    } finally {
      for (const { pid } of frozen) process.kill(pid, 'SIGCONT')
    }
  })

  await check(
    'a search that is cut off is no outage, a page that is cut off is one',
    async (each) => {
      const limits = { ...DEFAULT_LIMITS, statementMs: 100 }
      const { db, log } = await newLog(each, { limits }, await server.newDatabase())
      await log.append([say(ann, 'word')])
      await log.search('lobby', 'word', 1)
      await db.query(`CREATE OR REPLACE FUNCTION hearth_search(place text, below bigint, most int,
        patterns text[], keys tsquery)
      RETURNS SETOF bigint LANGUAGE sql AS 'SELECT 1::bigint FROM pg_sleep(9)'`)
      let workedMs = 0
      const onWork = (ms: number) => (workedMs = ms)
      const search = log.search('lobby', 'word', 1, undefined, onWork)
      await assert.rejects(search, SearchTooLong)
      assert.ok(workedMs >= 90, 'it is paid for')
      await assert.rejects(db.query('SELECT pg_sleep(9)'), LogUnavailable)
      await log.close()
      await assert.rejects(log.search('lobby', 'word', 1), LogUnavailable)
    },
  )

  await check('reads that wait are told in time, and hold up no append', async (each) => {
    const { log, db } = await newLog(each, { limits: HASTY })
    const started = performance.now()
    const sleepers = Array.from({ length: 30 }, () => db.query('SELECT pg_sleep(2)'))
    const all = Promise.allSettled(sleepers)
    assert.deepEqual(tell(await log.append([say(ann)])), [1])
    assert.ok(performance.now() - started < 500)
    for (const one of await all) {
      assert.ok(one.status === 'rejected' && one.reason instanceof LogUnavailable)
    }
    assert.ok(performance.now() - started < 1_500)
    assert.equal((await log.after('lobby', 0, 9)).length, 1)
  })

  await check('whose data is to blame is told apart from what passes', async (each) => {
    const { db } = await newLog(each)
    const isPassing = async (sql: string) => {
      const error: unknown = await db.query(sql).catch((thrown: unknown) => thrown)
      return error instanceof LogUnavailable
    }
    const raise = (code: string) => `DO $$ BEGIN RAISE SQLSTATE '${code}'; END $$`
    for (const code of ['22021', '23505', '54000']) assert.ok(!(await isPassing(raise(code))), code)
    for (const code of ['53100', '57P01', '40P01', '55P03', '25006', '42P01', '08006']) {
      assert.ok(await isPassing(raise(code)), code)
    }
  })

  await check('no transaction, however it fails, leaves anything behind', async (each) => {
    const { db } = await newLog(each)
    const fail = async (last: string) =>
      db.sql.transaction(function* () {
        yield* exec("INSERT INTO rooms (room) VALUES ('half')")
        yield* exec(last)
        throw new Error('changed my mind')
      })
    await assert.rejects(fail('SELECT 1'))
    await assert.rejects(fail('SELECT 1 / 0'))
    await assert.rejects(fail('SELECT pg_terminate_backend(pg_backend_pid())'), LogUnavailable)
    assert.deepEqual(await db.query('SELECT * FROM rooms'), [])
  })

  await check(
    'Postgres crashes and comes back: acknowledged stays, nobody reopens',
    async (each) => {
      const faults: unknown[] = []
      const { log, db } = await newLog(each, { onFault: (error) => faults.push(error) })
      const before = [say(ann), say(bob)]
      await log.append(before)
      await Promise.all([1, 2, 3].map(() => log.after('lobby', 0, 1)))
      server.kill('SIGQUIT')
      await server.ended()
      const draft = say(ann)
      const started = performance.now()
      await assert.rejects(log.append([draft]), LogUnavailable)
      await assert.rejects(log.page('lobby', 1), LogUnavailable)
      await assert.rejects(db.connect(), LogUnavailable)
      assert.ok(performance.now() - started < 5_000)
      await server.start()
      assert.deepEqual(tell(await log.append([...before, draft])), ['repeat 1', 'repeat 2', 3])
      assert.ok(faults.length > 0)
      assert.ok(faults.every((fault) => fault instanceof LogUnavailable))
    },
  )

  await check('a closed log is unavailable, and closes again', async (each) => {
    const { log } = await newLog(each)
    await log.close()
    await log.close()
    await assert.rejects(log.append([say(ann)]), LogUnavailable)
  })
})

/** Appends until the log has said what became of it. */
async function untilKnown(log: Log, drafts: readonly Draft[], onUnknown: () => void) {
  for (;;) {
    try {
      return await log.append(drafts)
    } catch (error) {
      assert.ok(error instanceof LogUnavailable, String(error))
      onUnknown()
      await wait(PATIENT)
    }
  }
}

/** Every draft is there once, where its sender was told, and the rooms have no hole. */
async function assertWhole(
  log: Log,
  rooms: readonly string[],
  drafts: readonly Draft[],
  told: readonly Outcome[],
) {
  const stored = (await Promise.all(rooms.map((room) => log.after(room, 0, ALL)))).flat()
  const place = new Map(stored.map(({ id, seq }) => [id, seq]))
  assert.equal(stored.length, drafts.length)
  assert.equal(place.size, drafts.length)
  for (const { entry } of told) assert.equal(place.get(entry!.id), entry!.seq)
  for (const room of rooms) {
    const seqs = stored.filter((entry) => entry.room === room).map(({ seq }) => seq)
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => index + 1),
    )
    const [compared] = await log.compare([{ room, seq: 1 }])
    assert.equal(compared?.head, seqs.length)
  }
}

function fail(): never {
  assert.fail('by the rules, which takes more than one statement')
}

function isRepeat(outcome: object) {
  return 'repeat' in outcome && outcome.repeat === true
}

function wait(ms: number) {
  return new Promise<void>((resolve) => setTimeout(resolve, ms))
}
