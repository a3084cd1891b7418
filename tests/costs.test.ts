/** What things cost, counted: figures that no busy machine can change. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { Hono } from 'hono'
import { runtime } from '#runtime'
import { openDataFile } from '../src/store/file.ts'
import { createLonelyDirectory } from '../src/store/nodes.ts'
import { createSqliteSql } from '../src/store/sqlite.ts'
import type { Sqlite } from '../src/runtime/runtime.ts'
import { NO_RATES, openHub } from './chat/fakes.ts'
import { handshake, RawSocket } from './conformance/raw.ts'
import { holdAppends, SERVING, TestClock } from './helpers.ts'
import { nthUser, userId } from './store/drafts.ts'

const MEMBERS = 200

test('a message is checked and encoded once, and a flush written once to each', async (t) => {
  const { hub, log, connect, clock } = openHub(t, { limits: NO_RATES })
  const people = Array.from({ length: MEMBERS }, (_, n) => connect(nthUser(n)))
  for (const { join } of people) await join()
  const release = holdAppends(log)
  const messages = 40
  const say = (n: number) => ({ type: 'say', room: 'lobby', id: userId(n), body: `${n}` })
  for (let n = 0; n < messages; n += 1) people[n]!.send(say(n))
  const before = people.map(({ socket }) => socket.frames.length)
  const counts = countEncodings(t)
  release()
  await clock.advance(100)
  assert.equal(hub.room('lobby').head, messages)
  assert.equal(counts.entries, messages, 'each entry is made JSON once')
  assert.equal(counts.frames, 1, 'and all of them one frame')
  for (const [index, { socket }] of people.entries()) {
    assert.equal(socket.frames.length - before[index]!, 1, 'one write for each member')
    assert.equal(socket.frames.at(-1), people[0]!.socket.frames.at(-1), 'of the same bytes')
  }
})

test('who comes back costs one indexed read, and no more memory of it', async (t) => {
  const { log, connect, clock } = openHub(t, { limits: NO_RATES })
  const talker = connect(nthUser(0))
  await talker.join()
  for (let n = 0; n < 100; n += 1) {
    await talker.ask({ type: 'say', room: 'lobby', id: userId(n), body: 'hello' })
  }
  await clock.advance(100)
  const before = log.reads
  for (let n = 1; n <= MEMBERS; n += 1) {
    const late = connect(nthUser(n))
    await late.join('lobby', { after: 60, last: userId(59) })
    assert.equal(late.all('message').length, 40)
  }
  assert.equal(log.reads - before, MEMBERS, 'the entrance: who one is, and where the log stands')
})

test('a quiet node sends nothing between two pings', async (t) => {
  const { connect, clock, hub } = openHub(t)
  const people = Array.from({ length: MEMBERS }, (_, n) => connect(nthUser(n)))
  for (const { join } of people) await join()
  await clock.advance(6_000)
  const sent = () => people.reduce((sum, { socket }) => sum + socket.frames.length, 0)
  const before = sent()
  await clock.advance(hub.limits.heartbeatMs / 2)
  assert.equal(sent(), before)
  await clock.advance(hub.limits.heartbeatMs)
  assert.equal(sent(), before + MEMBERS, 'then one each')
})

test('a quiet node on SQLite asks little, by its keys, and writes nothing', async (t) => {
  const clock = new TestClock()
  const { db, close } = openDataFile(':memory:', clock)
  t.after(close)
  const counts = { statements: 0 }
  const directory = createLonelyDirectory(createSqliteSql(countRuns(db, counts), clock))
  const { log, connect } = openHub(t, { directory, clock })
  for (let n = 0; n < MEMBERS; n += 1) await connect(nthUser(n)).join()
  await clock.advance(6_000)
  const written = () => (db.prepare('SELECT total_changes() AS n').get() as { n: number }).n
  const [reads, asked, before] = [log.reads, counts.statements, written()]
  await clock.advance(20_000)
  assert.equal(log.reads - reads, 2, 'where its rooms stand, since a tool may append')
  assert.equal(
    counts.statements - asked,
    20 + 2,
    'the time and what ended; what is old of that, and of past members',
  )
  assert.equal(written(), before)
  const plan = db.prepare('EXPLAIN QUERY PLAN SELECT session FROM revocations WHERE at >= 1').all()
  assert.match(JSON.stringify(plan), /SEARCH revocations USING INDEX revocations_by_time/)
})

test('a frame of any length arrives as one text frame', async (t) => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
  const app = new Hono()
  app.get('/ws', (c) =>
    runtime.upgradeWebSocket(c, 'hearth.v1', {
      onOpen: (_event, ws) => {
        const socket = runtime.socket(ws)
        for (const length of lengths) socket.send(runtime.encode(textOf(length)))
        socket.send(runtime.encode('end'))
      },
    }),
  )
  const listener = await runtime.serve(app, SERVING)
  t.after(() => listener.close())
  const peer = new RawSocket(t, `http://127.0.0.1:${listener.port}`)
  peer.write(handshake('none'))
  await peer.until(() => peer.tail.endsWith('end'))
  const wanted = lengths.map((length) => frameOf(textOf(length)))
  const [, ...frames] = peer.text.split('\r\n\r\n')
  assert.equal(frames.join('\r\n\r\n'), [...wanted, frameOf('end')].join(''))
})

/** Counts what its statements are asked. */
function countRuns(db: Sqlite, counts: { statements: number }): Sqlite {
  const counted = <A extends unknown[], R>(call: (...args: A) => R) => {
    return (...args: A) => {
      counts.statements += 1
      return call(...args)
    }
  }
  const prepare = (sql: string) => {
    const { get, all } = db.prepare(sql)
    return { get: counted(get), all: counted(all) }
  }
  return { ...db, prepare }
}

/** So many bytes of UTF-8. */
function textOf(length: number) {
  return 'é'.repeat(length / 2) + 'x'.repeat(length % 2)
}

/** As RFC 6455, 5.2 has it; byte by byte. */
function frameOf(text: string) {
  const payload = Buffer.from(text)
  const head = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10)
  head[0] = 0x81
  head[1] = head.length === 2 ? payload.length : head.length === 4 ? 126 : 127
  if (head.length === 4) head.writeUInt16BE(payload.length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(payload.length), 2)
  return Buffer.concat([head, payload]).toString('latin1')
}

/** Counts what is made JSON as an entry, and what is made a frame, until the test is over. */
function countEncodings(t: { after(cleanup: () => void): void }) {
  const counts = { entries: 0, frames: 0 }
  const { encode } = runtime
  const { stringify } = JSON
  runtime.encode = (text) => {
    counts.frames += 1
    return encode(text)
  }
  JSON.stringify = (value: unknown) => {
    if ((value as { type?: unknown } | null)?.type === 'message') counts.entries += 1
    return stringify(value)
  }
  t.after(() => {
    runtime.encode = encode
    JSON.stringify = stringify
  })
  return counts
}
