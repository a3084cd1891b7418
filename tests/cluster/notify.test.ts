/** The bus on Postgres keeps what any bus promises, and what is its own. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { Backlog, parsePayload } from '../../src/cluster/backlog.ts'
import type { Hint } from '../../src/chat/bus.ts'
import { createNotifyBus } from '../../src/cluster/notify.ts'
import { sleep, systemClock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { LogUnavailable } from '../../src/store/log.ts'
import type { Postgres } from '../../src/cluster/postgres.ts'
import { rooms, seqs, uuids } from '../arbitraries.ts'
import { TestClock } from '../helpers.ts'
import { openDatabase, startPostgres, type PostgresServer } from '../postgres.ts'
import { startProxy } from '../proxy.ts'
import { busContract, listenTo, openNode, until, type Network } from './contract.ts'
import { recordLogs } from './logs.ts'

/** Nodes reach the server through a proxy; strangers go straight to it. */
async function openNetwork(t: TestContext, server: PostgresServer): Promise<Network> {
  const url = await server.lendDatabase(t)
  const proxy = await startProxy(t, server.port)
  // Made beforehand, as a node starts only with its database.
  const spare = await Promise.all(
    [1, 2, 3].map(() => openDatabase(t, url.replace(`:${server.port}/`, `:${proxy.port}/`))),
  )
  const { epoch } = spare[0]!
  return {
    open: async (options) => createNotifyBus(spare.pop()!, options),
    shout: async (_, text) => {
      await server.query(url, 'SELECT pg_notify($1, $2)', [`hearth_${epoch}`, text])
    },
    garbage: [
      '',
      'no json',
      '{}',
      '[]',
      '[7]',
      '["me", ["lobby"]]',
      '["me", ["lobby", -1]]',
      '["me", ["lobby", 1], ["Lobby", 1]]',
      '["me", ["lobby", ["typing", "x", "y"]]]',
      '["me", ["lobby", ["entries"]]]',
      `["me", ["lobby", "${'x'.repeat(7_900)}"]]`,
    ],
    stop: async () => {
      server.kill('SIGQUIT')
      await server.ended()
    },
    start: server.start,
    freeze: proxy.freeze,
    thaw: proxy.pass,
  }
}

void test('NOTIFY', async (t) => {
  const server = await startPostgres(t)
  await busContract(t, (part) => openNetwork(part, server))

  await t.test('a connection that is terminated is opened again', async (t) => {
    const url = await server.lendDatabase(t)
    const db = await openDatabase(t, url)
    const node = await openNode(t, { open: async (options) => createNotifyBus(db, options) })
    await until(() => node.gaps === 1, 'the bus')
    await server.query(
      url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
    )
    await until(() => node.gaps === 2 && node.bus.isUp, 'the bus again')
  })

  await t.test('a LISTEN that hears nothing is noticed, and said once', async (t) => {
    const logs = recordLogs(t)
    const db = await openDatabase(t, await server.lendDatabase(t))
    // As a transaction-mode pooler does: LISTEN is taken, and lost when its transaction ends.
    const connect = async () => {
      const client = await db.connect()
      void client.query('LISTEN nothing').catch(() => {})
      client.escapeIdentifier = () => 'nothing'
      return client
    }
    const open = async (options: Parameters<typeof createNotifyBus>[1]) =>
      createNotifyBus({ ...db, connect }, options)
    const node = await openNode(t, { open }, { busProbeMs: 200 })
    const isSaid = () => /transaction-mode pooler/.test(logs.text())
    await until(isSaid, 'a word')
    const { length } = logs.records
    await sleep(systemClock, 800)
    assert.ok(!node.bus.isUp)
    assert.equal(node.bus.trustMs, DEFAULT_LIMITS.compareDownMs)
    assert.equal(logs.records.length, length)
  })
})

/** A database that notifies nobody, and says what it was asked for. */
function fakeDatabase(clock: TestClock) {
  const sent: { at: number; payload: string }[] = []
  const state = { isDown: false, inFlight: 0, queryMs: 0 }
  const db: Pick<Postgres, 'epoch' | 'query' | 'connect'> = {
    epoch: 'e1',
    query: async (_, values) => {
      assert.equal((state.inFlight += 1), 1, 'two in flight')
      if (state.queryMs) await sleep(clock, state.queryMs)
      state.inFlight -= 1
      if (state.isDown) throw new LogUnavailable('gone')
      sent.push({ at: clock.now(), payload: String(values?.[1]) })
      return []
    },
    connect: async () => {
      throw new LogUnavailable('gone')
    },
  }
  return { db, sent, state }
}

function openFake() {
  const clock = new TestClock()
  const fake = fakeDatabase(clock)
  const options = { limits: DEFAULT_LIMITS, clock, onFault: assert.ifError }
  return { clock, ...fake, node: listenTo(createNotifyBus(fake.db, options)) }
}

const hintsOf = (sent: { payload: string }[]) =>
  sent.flatMap(({ payload }) => parsePayload(payload)?.hints ?? assert.fail(payload))

const head = (room: string, seq: number): Hint => ({ type: 'head', room, head: seq })

void test('at most one NOTIFY in 10 ms, never two at a time, the newest head wins', async () => {
  const { clock, sent, state, node } = openFake()
  for (let ms = 0; ms < 1_000; ms += 1) {
    node.bus.publish(head('lobby', ms + 1))
    if (ms === 500) state.queryMs = 35
    await clock.advance(1)
  }
  await clock.advance(100)
  const gaps = sent.slice(1).map(({ at }, i) => at - sent[i]!.at)
  assert.ok(Math.min(...gaps) >= 10, `${Math.min(...gaps)} ms`)
  assert.ok(sent.length > 50 && sent.length < 70, `${sent.length}`)
  assert.deepEqual(hintsOf(sent).at(-1), head('lobby', 1_000))
  await node.bus.close()
})

void test('the heads of a NOTIFY that failed go out with a later one, unless overtaken', async () => {
  const { clock, sent, state, node } = openFake()
  state.isDown = true
  node.bus.publish(head('lobby', 1))
  node.bus.publish(head('garden', 1))
  await clock.advance(100)
  node.bus.publish(head('lobby', 2))
  state.isDown = false
  await clock.advance(300)
  assert.deepEqual(hintsOf(sent), [head('lobby', 2), head('garden', 1)])
  await node.bus.close()
})

const users = fc.record({ id: uuids, name: fc.string({ unit: 'grapheme', minLength: 1 }) })
const hints: fc.Arbitrary<Hint> = fc.oneof(
  fc.record({ type: fc.constant('head' as const), room: rooms, head: seqs }),
  fc.record({ type: fc.constant('presence' as const), room: rooms }),
  fc.record({ type: fc.constant('typing' as const), room: rooms, user: users }),
  fc.record({ type: fc.constant('read' as const), room: rooms, user: uuids, seq: seqs }),
)

void test('every payload fits, and no head is lost on the way', () => {
  const many = fc.array(hints, { maxLength: 1_500, size: 'max' })
  const property = fc.property(many, fc.integer({ min: 200, max: 7_500 }), (given, maxBytes) => {
    const backlog = new Backlog('01234567', maxBytes)
    for (const hint of given) backlog.add(hint)
    const taken: Hint[] = []
    while (backlog.size > 0) {
      const { payload, hints } = backlog.take()
      assert.ok(Buffer.byteLength(payload) <= maxBytes)
      assert.deepEqual(parsePayload(payload), { node: '01234567', hints })
      taken.push(...hints)
    }
    assert.deepEqual(headsOf(taken), headsOf(given))
  })
  fc.assert(property, { numRuns: 20 })
})

/** The highest head of each room. */
function headsOf(hints: Hint[]) {
  const heads = new Map<string, number>()
  for (const hint of hints) {
    if (hint.type === 'head') heads.set(hint.room, Math.max(hint.head, heads.get(hint.room) ?? 0))
  }
  return heads
}

void test('when too many hints wait only heads are taken', () => {
  const backlog = new Backlog('01234567', 7_500)
  for (let n = 0; n < 5_000; n += 1) backlog.add({ type: 'presence', room: `room-${n}` })
  assert.equal(backlog.size, 1_000)
  for (let n = 0; n < 5_000; n += 1) backlog.add(head(`room-${n}`, 1))
  assert.equal(backlog.size, 6_000)
  const { payload } = backlog.take()
  assert.ok(payload.length > 7_400, 'it is filled')
})

void test("what fits no payload stands in nobody's way", () => {
  const backlog = new Backlog('01234567', 300)
  const user = { id: crypto.randomUUID(), name: 'x'.repeat(400) }
  backlog.add({ type: 'typing', room: 'lobby', user })
  backlog.add(head('lobby', 1))
  assert.deepEqual(backlog.take().hints, [])
  assert.deepEqual(backlog.take().hints, [head('lobby', 1)])
})
