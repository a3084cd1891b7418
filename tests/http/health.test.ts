/** Whether a node lives and whether it is ready, as those ask who send people to it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogProbe } from '../../src/store/probe.ts'
import { LogUnavailable } from '../../src/store/log.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { holdAppends, newcomer, startServer, TestClock, testJournal, turn } from '../helpers.ts'
import { hasNats, startNats } from '../nats.ts'
import { startPostgres } from '../postgres.ts'
import { assertProblem, openApp } from './app.ts'

interface Readiness {
  status: string
  log: { state: string; silentMs: number }
  bus: { state: string; kind?: string }
  draining: boolean
}

async function readiness(url: string) {
  const response = await fetch(`${url}/readyz`)
  const { status, headers } = response
  assert.equal(headers.get('retry-after') !== null, status === 503)
  return { code: status, ...((await response.json()) as Readiness) }
}

/** Asks until it is so. */
async function readyUntil(
  url: string,
  isSo: (ready: Awaited<ReturnType<typeof readiness>>) => boolean,
) {
  const end = performance.now() + 15_000
  for (;;) {
    const ready = await readiness(url)
    if (isSo(ready)) return ready
    assert.ok(performance.now() < end, JSON.stringify(ready))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('anybody may ask, in no other way, and nothing keeps the answer', async (t) => {
  const { app, get, send } = openApp(t)
  for (const path of ['/livez', '/readyz']) {
    const response = await get(path)
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
    const head = await app.request(path, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
    await assertProblem(await send('POST', path), 405, 'invalid')
  }
  assert.deepEqual(await (await get('/livez')).json(), { status: 'ok' })
  assert.deepEqual(await (await get('/readyz')).json(), {
    ...{ status: 'ready', log: { state: 'up', silentMs: 0 }, bus: { state: 'local' } },
    draining: false,
  })
})

test('a log that does not answer is no log; how many ask makes no difference to it', async (t) => {
  const clock = new TestClock()
  const { url, hub } = await startServer(t, { clock })
  const { compare } = hub.log
  let asked = 0
  hub.log.compare = () => {
    asked += 1
    return new Promise(() => {})
  }
  await clock.advance(1_000)
  for (let n = 0; n < 20; n += 1) await readiness(url)
  assert.equal(asked, 1)
  await clock.advance(2_000)
  const down = await readiness(url)
  assert.deepEqual([down.code, down.status, down.log.state], [503, 'not ready', 'down'])
  assert.equal((await fetch(`${url}/livez`)).status, 200)
  assert.equal(asked, 1, 'one question at a time')
  hub.log.compare = compare
})

test('the log that is back is ready at the next question', async (t) => {
  const clock = new TestClock()
  const { journal, faults } = testJournal()
  let fault: Error | null = null
  const compare = async () => {
    if (fault) throw fault
    return []
  }
  const probe = createLogProbe({ log: { compare }, clock, limits: DEFAULT_LIMITS, journal })
  t.after(() => probe.close())
  fault = new LogUnavailable('gone')
  await clock.advance(3_000)
  assert.deepEqual([probe.isUp, probe.silentMs, faults.length], [false, 3_000, 3])
  fault = null
  await clock.advance(1_000)
  assert.deepEqual([probe.isUp, probe.silentMs], [true, 0])
  probe.close()
  fault = new Error('asked after the close')
  await clock.advance(3_000)
  await turn()
  assert.equal(probe.isUp, true)
})

test('a node that drains says so until it is gone', async (t) => {
  const { url, hub, close } = await startServer(t, { limits: { drainMs: 60_000 } })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const release = holdAppends(hub.log)
  ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'the last' })
  await ann.isRead()
  const closing = close()
  const { code, status, draining } = await readiness(url)
  assert.deepEqual([code, status, draining], [503, 'draining', true])
  release()
  await closing
})

test('without its bus a node is ready, without its database it is not', async (t) => {
  if (!hasNats(t)) return
  const [postgres, nats] = await Promise.all([startPostgres(t), startNats(t)])
  const DATABASE_URL = await postgres.newDatabase()
  const env = { DATABASE_URL, NATS_URL: `nats://127.0.0.1:${nats.port}` }
  const { url } = await startServer(t, { env })
  const all = await readyUntil(url, ({ bus }) => bus.state === 'up')
  assert.deepEqual([all.code, all.log.state, all.bus.kind], [200, 'up', 'nats'])
  nats.kill('SIGKILL')
  const mute = await readyUntil(url, ({ bus }) => bus.state === 'down')
  assert.deepEqual([mute.code, mute.status], [200, 'ready'])
  postgres.kill('SIGQUIT')
  const down = await readyUntil(url, ({ log }) => log.state === 'down')
  assert.deepEqual([down.code, down.status], [503, 'not ready'])
  await postgres.ended()
  await postgres.start()
  await readyUntil(url, ({ code }) => code === 200)
})

test('the bus that comes with Postgres is told apart', async (t) => {
  const postgres = await startPostgres(t)
  const { url } = await startServer(t, { env: { DATABASE_URL: await postgres.newDatabase() } })
  const { bus } = await readyUntil(url, ({ bus }) => bus.state === 'up')
  assert.equal(bus.kind, 'postgres')
})
