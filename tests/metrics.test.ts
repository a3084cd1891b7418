/** What a node says of itself in numbers: each is moved by what it counts, over real sockets. */

import assert from 'node:assert/strict'
import { statSync, truncateSync } from 'node:fs'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { PROTOCOL } from '../static/protocol.js'
import { handshake, knock, RawSocket } from './conformance/raw.ts'
import {
  connect,
  GENEROUS,
  holdAppends,
  newcomer,
  newTicket,
  post,
  signIn,
  startServer,
  tempFolder,
  TestClock,
} from './helpers.ts'
import { assertProblem } from './http/app.ts'
import { startPostgres } from './postgres.ts'
import { findProgram } from './programs.ts'
import { ask, METRICS_TOKEN, promtool, scrape, scrapeText, scrapeUntil } from './scrape.ts'
import { wire } from './wire.ts'

const env = { METRICS_TOKEN }
const say = (more: object = {}) => {
  return { type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'hi', ...more }
}

test('metrics open to their token, and are not there without one', async (t) => {
  const [open, closed] = [await startServer(t, { env }), await startServer(t)]
  await assertProblem(await ask(closed.url), 404, 'not_found')
  await assertProblem(await ask(closed.url, METRICS_TOKEN), 404, 'not_found')
  await assertProblem(await ask(open.url), 401, 'unauthorized')
  await assertProblem(await ask(open.url, `${METRICS_TOKEN}x`), 401, 'unauthorized')
  const response = await ask(open.url, METRICS_TOKEN)
  const text = await response.text()
  assert.equal(response.status, 200)
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.match(
    text,
    /^hearth_build_info\{version="\d+\.\d+\.\d+",runtime="(node|deno) [\d.]+"\} 1$/m,
  )
  const head = await fetch(`${open.url}/metrics`, {
    ...{ method: 'HEAD', headers: { authorization: `Bearer ${METRICS_TOKEN}` } },
  })
  assert.deepEqual([head.status, await head.text()], [200, ''])
})

test('people, what they say and who hears it', async (t) => {
  const { url, hub } = await startServer(t, { env })
  const before = await scrape(url)
  const [ann, bob] = [await newcomer(t, url, 'Ann'), await newcomer(t, url, 'Bob')]
  const phone = await connect(t, url, bob.account)
  const { joined } = await ann.join('lobby')
  await bob.join('lobby')
  const { seq } = await ann.say('lobby', 'one')
  ann.send({ type: 'edit', room: 'lobby', id: crypto.randomUUID(), target: seq, body: 'two' })
  const react = { type: 'react', room: 'lobby', target: seq, emoji: '👍', on: true }
  ann.send({ ...react, id: crypto.randomUUID() })
  ann.send({ type: 'delete', room: 'lobby', id: crypto.randomUUID(), target: seq })
  await bob.until(() => bob.all('message').length === 4)
  const twice = say()
  ann.send(twice)
  await ann.next('message', ({ id }) => id === twice.id)
  ann.send(twice)
  await ann.next('message', ({ repeat }) => repeat === true)
  await phone.join('lobby', { after: 1, epoch: joined.epoch })
  await phone.until(() => phone.all('message').length === 4)
  await phone.join('lobby', { after: 1, epoch: 'another' })
  await phone.settle()

  const after = await scrapeUntil(
    url,
    (read) => read('hearth_entries_delivered_total{by="flush"}') >= 10,
    'the flush',
  )
  const expected = {
    'hearth_connections{kind="websocket"}': 3,
    ...{ hearth_connections_opened_total: 3, hearth_users: 2, hearth_rooms: 1 },
    'hearth_entries_appended_total{kind="message"}': 2,
    'hearth_entries_appended_total{kind="edit"}': 1,
    'hearth_entries_appended_total{kind="reaction"}': 1,
    'hearth_entries_appended_total{kind="delete"}': 1,
    hearth_entries_repeated_total: 1,
    // Five entries to two members.
    'hearth_entries_delivered_total{by="flush"}': 10,
    'hearth_entries_delivered_total{by="catch_up"}': 4,
    'hearth_joins_total{outcome="fresh"}': 2,
    'hearth_joins_total{outcome="continued"}': 1,
    'hearth_joins_total{outcome="reset"}': 1,
    hearth_append_duration_seconds_count: 6,
    hearth_frames_received_total: 11,
  }
  for (const [series, value] of Object.entries(expected)) {
    assert.deepEqual([before(series), after(series)], [0, value], series)
  }
  const drafts = after('hearth_commit_entries_sum')
  const [commits, flushes] = ['commit_entries', 'delivery_delay_seconds'].map((name) =>
    after(`hearth_${name}_count`),
  )
  assert.equal(drafts, 6)
  assert.ok(commits! >= 2 && commits! <= 6 && flushes! >= 2 && flushes! <= 5)
  assert.ok(after('hearth_append_duration_seconds_sum') > 0)
  assert.ok(after('hearth_tail_bytes') > 500)
  assert.equal(after('hearth_connections_limit'), hub.limits.connections)

  phone.socket.close()
  hub.endSessions([...hub.connections].map(({ session }) => session).slice(0, 1))
  await ann.closeCode()
  const left = await scrapeUntil(url, (read) => read('hearth_users') === 1, 'people who leave')
  assert.equal(left('hearth_connections{kind="websocket"}'), 1)
  assert.equal(left('hearth_connections_closed_total{code="4501"}'), 1)
  assert.equal(left('hearth_connections_closed_total{code="none"}'), 1)
})

test('what is refused, by what it was and why', async (t) => {
  const limits = { frameRate: 0.001, frameBurst: 10, refusalRate: 2, refusalsToClose: 20 }
  const { url } = await startServer(t, { env, limits })
  await knock(t, url, 'x'.repeat(43))
  await post(`${url}/api/rooms`, { room: 'den' }, 'y'.repeat(43))
  const ann = await newcomer(t, url, 'Ann')
  for (let n = 0; n < 30; n += 1) ann.send(say())
  assert.equal(await ann.closeCode(), 4029)
  const after = await scrape(url)
  const refused = (what: string, code: string) =>
    after(`hearth_refusals_total{what="${what}",code="${code}"}`)
  assert.equal(refused('handshake', 'unauthorized'), 1)
  assert.equal(refused('request', 'unauthorized'), 1)
  assert.equal(refused('frame', 'not_joined'), 10)
  assert.equal(refused('frame', 'rate_limited'), 2)
  assert.equal(after('hearth_frames_dropped_total'), 18)
  assert.equal(after('hearth_connections_closed_total{code="4029"}'), 1)
})

test('what waits: in a socket nobody reads, and before a commit', async (t) => {
  const { url, hub } = await startServer(t, { env, limits: GENEROUS })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  for (let n = 0; n < 8; n += 1) await ann.say('lobby', '火'.repeat(4_000))
  const { token } = await signIn(url, 'Rip')
  const raw = new RawSocket(t, url)
  raw.write(handshake(await newTicket(url, token)))
  await raw.until(() => raw.text.includes('"welcome"'))
  raw.socket.write(wire(JSON.stringify({ type: 'join', room: 'lobby' })))
  await raw.until(() => raw.text.includes('"history"'))
  raw.socket.pause()
  let longest = 0
  await scrapeUntil(
    url,
    (read) => {
      longest = Math.max(longest, read('hearth_queue_max_bytes'))
      assert.ok(read('hearth_queue_bytes') >= read('hearth_queue_max_bytes'))
      // Little by little, so that the queue is seen before it is too long.
      raw.socket.write(wire(JSON.stringify({ type: 'history', room: 'lobby' })))
      return read('hearth_connections_closed_total{code="4008"}') === 1
    },
    'a slow reader that is closed',
  )
  assert.ok(longest > 0)

  const release = holdAppends(hub.log)
  ann.send(say())
  await scrapeUntil(url, () => hub.sizes.appendsWaiting === 0, 'the first to be taken')
  for (let n = 0; n < 3; n += 1) ann.send(say())
  await scrapeUntil(url, (read) => read('hearth_appends_waiting') === 3, 'three that wait')
  release()
  await scrapeUntil(url, (read) => read('hearth_appends_waiting') === 0, 'a commit')
})

test('entries that did not come by themselves', async (t) => {
  const { url, hub } = await startServer(t, { env, limits: { repairMs: 200 } })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await ann.say('lobby', 'one')
  const author = ann.account.user
  // As if another node had stored it, and nobody had said so.
  const id = crypto.randomUUID()
  await hub.log.append([
    { room: 'lobby', id, author, moderates: false, kind: 'message', body: 'two' },
  ])
  ann.send(say())
  await scrapeUntil(url, (read) => read('hearth_entries_behind') === 2, 'a hole')
  await ann.next('message', (entry) => entry.id === id)
  const after = await scrapeUntil(url, (read) => read('hearth_entries_behind') === 0, 'the repair')
  assert.equal(after('hearth_gap_repairs_total'), 1)
})

test('a late event loop, a log that does not answer, and what nobody expected', async (t) => {
  const clock = new TestClock()
  const { url, hub } = await startServer(t, { env, clock })
  await clock.advance(1_000)
  const idle = await scrape(url)
  assert.equal(idle('hearth_event_loop_lag_seconds_count'), 10)
  assert.equal(idle('hearth_event_loop_lag_seconds_sum'), 0)
  clock.skip(700)
  await clock.advance(100)
  const late = await scrape(url)
  assert.ok(late('hearth_event_loop_lag_seconds_sum') >= 0.6)

  const { compare } = hub.log
  hub.log.compare = () => new Promise(() => {})
  await clock.advance(5_000)
  const silent = await scrape(url)
  assert.deepEqual([silent('hearth_log_up'), silent('hearth_log_errors_total')], [0, 1])
  assert.ok(silent('hearth_log_silence_seconds') >= 4)
  hub.log.compare = compare
  await assertRuns(url, (read) => read('process_cpu_seconds_total') > 0)

  const { roomCount } = hub.log
  hub.log.roomCount = () => Promise.reject(new Error('odd'))
  const { token } = await signIn(url, 'Ann')
  await fetch(`${url}/api/rooms`, { headers: { authorization: `Bearer ${token}` } })
  hub.log.roomCount = roomCount
  await assertRuns(url, (read) => read('hearth_faults_total') === 1)
})

async function assertRuns(url: string, isSo: (read: (series: string) => number) => boolean) {
  const read = await scrape(url)
  assert.ok(isSo(read))
  assert.ok(read('process_resident_memory_bytes') > 1e6)
  assert.ok(read('process_heap_bytes') > 1e5)
  assert.ok(Math.abs(read('process_start_time_seconds') - Date.now() / 1000) < 3_600)
  assert.equal(read('hearth_bus_up'), 1)
  assert.equal(read('hearth_draining'), 0)
}

test('a node that ends says so as long as it answers', async (t) => {
  const { url, hub, close } = await startServer(t, { env, limits: { drainMs: 60_000 } })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const release = holdAppends(hub.log)
  ann.send(say())
  await ann.isRead()
  const closing = close()
  await scrapeUntil(url, (read) => read('hearth_draining') === 1, 'draining')
  release()
  await closing
})

test('open descriptors are counted where the system shows them', async (t) => {
  const { url } = await startServer(t, { env })
  const before = await scrape(url)
  if (before('process_max_fds') === 0) return t.skip('there is no /proc that may be read')
  const account = await signIn(url, 'Ann')
  for (let n = 0; n < 5; n += 1) {
    const ticket = await newTicket(url, account.token)
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, [PROTOCOL, `ticket.${ticket}`])
    t.after(() => socket.terminate())
    await new Promise((resolve) => socket.once('message', resolve))
  }
  const after = await scrape(url)
  assert.ok(after('process_open_fds') >= before('process_open_fds') + 5)
  assert.ok(after('process_max_fds') > after('process_open_fds'))
})

test('how large the database is, asked once a minute', async (t) => {
  const clock = new TestClock()
  const file = `${tempFolder(t)}/hearth.db`
  const { url } = await startServer(t, { env: { ...env, DATA_FILE: file }, clock })
  const read = async () => (await scrape(url))('hearth_log_bytes')
  const { size } = statSync(file)
  assert.equal(await read(), size)
  truncateSync(file, size + 4_096)
  assert.equal(await read(), size)
  await clock.advance(60_000)
  assert.equal(await read(), size + 4_096)
  const database = await (await startPostgres(t)).newDatabase()
  const shared = await startServer(t, { env: { ...env, DATABASE_URL: database } })
  assert.ok((await scrape(shared.url))('hearth_log_bytes') > 1_048_576)
})

test('promtool finds nothing to complain of', async (t) => {
  const program = findProgram('promtool', '--version', 'prometheus')
  if (!program) return t.skip('there is no promtool')
  const { url } = await startServer(t, { env })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await ann.say('lobby', 'one')
  assert.equal(promtool(program, ['check', 'metrics'], await scrapeText(url)), '')
})
