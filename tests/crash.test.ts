/** `kill -9` in the middle of it all, again and again; then the log has to tell the truth. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { openDatabase } from '../src/log/sqlite.ts'
import { createSqliteLog } from '../src/log/sqlite-log.ts'
import { systemClock } from '../src/clock.ts'
import { createRandom, type Random } from './arbitraries.ts'
import { check } from './checker.ts'
import { signIn, tempFolder } from './helpers.ts'
import { freePort, startProcess } from './process.ts'
import { Survivor } from './survivor.ts'

const KILLS = 8
const SENDERS = 4
const OBSERVERS = 3
const ROOM = 'lobby'
/** Between two messages of one sender. ms */
const PAUSE_MS = 8
/** Somebody who waits for so many answers waits with the next message, too. */
const MOST_WAITING = 30
/** For the last messages to be answered. ms */
const SETTLE_MS = 10_000
const UNLIMITED = {
  ...{ MESSAGE_RATE: '1000000', MESSAGE_BURST: '1000000', FRAME_RATE: '1000000' },
  ...{ FRAME_BURST: '1000000', READ_RATE: '1000000', READ_BURST: '1000000', LOG_LEVEL: 'off' },
  SESSION_RATE: '1000000',
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Says one thing after the other, and a tenth of it twice. */
async function talk(survivor: Survivor, random: Random, isOver: () => boolean) {
  const { name } = survivor.account.user
  for (let n = 1; !isOver(); n += 1) {
    if (survivor.waiting < MOST_WAITING)
      survivor.say(`${name} ${n} ${'x'.repeat(random.below(500))}`)
    if (random.chance(0.1)) survivor.repeat(random.below(survivor.sent.length))
    await pause(random.below(2 * PAUSE_MS))
  }
}

async function readLog(file: string) {
  const database = openDatabase(file)
  const log = createSqliteLog(database, systemClock)
  const entries = await log.after(ROOM, 0, 1_000_000)
  await log.close()
  return entries
}

/** Waits until nobody waits for an answer and all have seen the same. */
async function settle(everybody: Survivor[]) {
  const end = performance.now() + SETTLE_MS
  const isSettled = () => {
    const lengths = everybody.map(({ view }) => view.seen.length)
    return everybody.every(({ waiting }) => waiting === 0) && new Set(lengths).size === 1
  }
  while (!isSettled() && performance.now() < end) await pause(20)
}

async function crash(t: TestContext, seed: number) {
  const random = createRandom(seed)
  const file = `${tempFolder(t)}/hearth.db`
  const port = await freePort()
  const start = () => startProcess(t, { PORT: `${port}`, DATA_FILE: file, ...UNLIMITED })
  let server = start()
  await server.started()
  const url = `http://127.0.0.1:${port}`
  const everybody: Survivor[] = []
  for (let n = 0; n < SENDERS + OBSERVERS; n += 1) {
    everybody.push(new Survivor(url, await signIn(url, `User ${n}`), ROOM))
  }
  t.after(() => everybody.forEach((survivor) => survivor.stop()))
  const lives = everybody.map((survivor) => survivor.live())
  const senders = everybody.slice(0, SENDERS)
  let isOver = false
  const talks = senders.map((survivor) =>
    talk(survivor, createRandom(random.below(1e9)), () => isOver),
  )
  for (let kill = 0; kill < KILLS; kill += 1) {
    await pause(100 + random.below(300))
    server.kill('SIGKILL')
    assert.equal(await server.ended(), 'SIGKILL', server.output.stderr)
    server = start()
    await server.started()
  }
  await pause(300)
  isOver = true
  await Promise.all(talks)
  await settle(everybody)
  for (const survivor of everybody) survivor.stop()
  await Promise.all(lives)
  server.kill('SIGKILL')
  await server.ended()
  return { everybody, senders, entries: await readLog(file) }
}

test(`killed ${KILLS} times: nothing acknowledged is lost, nothing is seen twice`, async (t) => {
  const seed = Date.now() % 1e9
  const { everybody, senders, entries } = await crash(t, seed)
  const faults = check({
    sent: senders.flatMap(({ sent }) => sent),
    acks: senders.flatMap(({ acks }) => acks),
    views: everybody.map(({ view }) => view),
    log: new Map([[ROOM, entries]]),
  })
  assert.deepEqual(faults, [], `seed ${seed}`)
  for (const { sent, waiting, connections } of everybody) {
    assert.equal(waiting, 0, `seed ${seed}: each message is answered in the end`)
    assert.ok(connections >= 2, `seed ${seed}: it came back`)
    assert.ok(sent.every(({ id }) => entries.some((entry) => entry.id === id)))
  }
  t.diagnostic(`seed ${seed}: ${entries.length} entries`)
})
