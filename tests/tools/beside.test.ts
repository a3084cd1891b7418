/** Tools that write to a SQLite file: one after the other, and only the server empties the -wal. */

import assert from 'node:assert/strict'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runtime } from '#runtime'
import { systemClock } from '../../src/clock.ts'
import { openDataFile } from '../../src/store/file.ts'
import { backup } from '../../tools/backup.ts'
import { check } from '../../tools/check.ts'
import { exportLog } from '../../tools/export.ts'
import { forget } from '../../tools/forget.ts'
import { importLog } from '../../tools/import.ts'
import { newEpoch, restore } from '../../tools/restore.ts'
import { retain } from '../../tools/retain.ts'
import { openSqliteStore } from '../../tools/sqlite-store.ts'
import { takeTurn } from '../../tools/turn.ts'
import { createRelief } from '../../tools/wal.ts'
import { startServer, turn } from '../helpers.ts'
import { nthUser, say } from '../store/drafts.ts'
import { startTool } from '../tool.ts'
import {
  age,
  assertRefused,
  beside,
  faults,
  newFile,
  run,
  runWith,
  withLog,
  type Env,
} from './places.ts'

const OLD = ['--days', '30', '--all']
const waitsFor = (env: Env) =>
  `another tool writes to ${env.DATA_FILE}: this one goes on when that is done`

/** Half of the entries are Zora's. */
async function fill(t: TestContext, env: Env, entries: number, body = 'words') {
  await withLog(t, env, async ({ log, accounts }) => {
    const { user } = (await accounts.addGuest('Zora', 'h'))!
    const authors = [user, nthUser(1)]
    for (let n = 0; n < entries; n += 100) {
      await log.append(Array.from({ length: 100 }, (_, nth) => say(authors[nth % 2]!, body)))
    }
  })
}

async function floorOf(env: Env) {
  return beside(env, async ({ query }) => {
    const [room] = await query<{ floor: number }>('SELECT floor FROM rooms')
    return room!.floor
  })
}

test('whoever comes second says so in one line, and goes on by itself', async (t) => {
  const env = await newFile(t)
  await fill(t, env, 500)
  await age(env, 'lobby', 400)
  const end = await takeTurn(env.DATA_FILE!, assert.fail)
  t.after(end)
  const tools = [startTool(t, env, ['retain', ...OLD]), startTool(t, env, ['forget', 'Zora'])]
  await Promise.all(tools.map((tool) => tool.says(waitsFor(env))))
  assert.equal(await floorOf(env), 0)
  end()
  assert.deepEqual(await Promise.all(tools.map((tool) => tool.end)), [0, 0])
  const [first, second] = tools
  assert.match(first!.output.stdout, /^lobby: \d+ entries dropped\n$/)
  assert.equal(first!.output.stderr, `${waitsFor(env)}\n`)
  assert.match(second!.output.stdout, / is forgotten: /)
  assert.deepEqual(await faults(env), [])
})

test('a turn ends however its process ends', async (t) => {
  const env = await newFile(t)
  await fill(t, env, 2_000)
  await age(env, 'lobby', 2_000)
  const first = startTool(t, env, ['retain', ...OLD])
  while ((await floorOf(env)) < 100) await turn()
  // Else it would be done before the other has begun, where nothing holds it up.
  first.kill('SIGSTOP')
  const second = startTool(t, env, ['retain', ...OLD])
  await second.says(waitsFor(env))
  first.kill('SIGKILL')
  await first.end
  const reached = await floorOf(env)
  assert.equal(await second.end, 0)
  assert.equal(second.output.stdout, `lobby: ${1_999 - reached} entries dropped\n`)
  assert.deepEqual(await faults(env), [])
})

test('all that write take turns, and nothing else does', async (t) => {
  const env = await newFile(t)
  await fill(t, env, 100)
  const folder = dirname(env.DATA_FILE!)
  const copy = `${folder}/backup.db`
  const end = await takeTurn(env.DATA_FILE!, assert.fail)
  t.after(end)
  await run(backup, env, copy)
  assert.equal((await run(check, env)).code, 0)
  writeFileSync(`${folder}/log.jsonl`, (await run(exportLog, env)).text)
  const writing = [
    [retain, ...OLD],
    [forget, 'Zora'],
    [newEpoch],
    [importLog, `${folder}/log.jsonl`],
    [restore, copy, '--replace'],
  ] as const
  const running: Promise<unknown>[] = []
  for (const [command, ...args] of writing) {
    const told = await new Promise<string>((tell, reject) => {
      const done = runWith({ tell }, command, env, ...args)
      done.then(() => reject(new Error('it did not wait')), reject)
      running.push(done)
    })
    assert.equal(told, waitsFor(env))
  }
  end()
  const [, , , imported, ...others] = await Promise.allSettled(running)
  assert.equal(imported!.status, 'rejected', 'the log is not empty')
  assert.ok(others.every(({ status }) => status === 'fulfilled'))
  assert.deepEqual(await faults(env), [])
})

test('where nothing is, no lock is left', async (t) => {
  const env = await newFile(t)
  await assertRefused(run(retain, env, ...OLD), 'there is no')
  assert.deepEqual(readdirSync(dirname(env.DATA_FILE!)), [])
})

test('beside a server no tool writes into the file, and each commit waits for the disk', async (t) => {
  const env = await newFile(t)
  const file = env.DATA_FILE!
  await fill(t, env, 1_000, 'x'.repeat(2_000))
  await age(env, 'lobby', 700)
  const server = openDataFile(file, systemClock)
  t.after(server.close)
  const before = statSync(file, { bigint: true }).mtimeNs
  await run(retain, env, ...OLD)
  const PAGES_OF_A_CHECKPOINT = 1_000
  assert.ok(statSync(`${file}-wal`).size > PAGES_OF_A_CHECKPOINT * 4_096)
  await run(forget, env, 'Zora')
  assert.equal(statSync(file, { bigint: true }).mtimeNs, before)
  for (const use of ['read', 'write'] as const) {
    const { query, close } = await openSqliteStore(file, use, assert.fail)
    t.after(close)
    assert.deepEqual({ ...(await query('PRAGMA synchronous'))[0] }, { synchronous: 2 })
    assert.deepEqual(
      { ...(await query('PRAGMA wal_autocheckpoint'))[0] },
      { wal_autocheckpoint: 0 },
    )
  }
})

/** Writes 12 MB in steps, as a tool does, and says how large the -wal became, where 5 may wait. */
async function writeMuch(t: TestContext, file: string) {
  const db = runtime.openSqlite(file)
  t.after(db.close)
  db.exec('PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 10000; PRAGMA synchronous = OFF')
  const put = db.prepare(
    "INSERT OR REPLACE INTO invites (hash, room, expires_at) VALUES ('h', ?, 0)",
  )
  const settle = createRelief({ db, file }, assert.fail, { most: 1_200 })
  let most = 0
  for (let n = 0; n < 60; n += 1) {
    put.all(`${n}`.padEnd(200_000))
    await settle()
    most = Math.max(most, statSync(`${file}-wal`).size)
  }
  return most
}

test('a server that does not answer is waited for so long, and the person told why', async (t) => {
  const { DATA_FILE: file = '' } = await newFile(t)
  const server = openDataFile(file, systemClock)
  t.after(server.close)
  const db = runtime.openSqlite(file)
  t.after(db.close)
  db.exec('PRAGMA wal_autocheckpoint = 0')
  const told: string[] = []
  const hasty = { ...systemClock, after: (_: number, go: () => void) => systemClock.after(0, go) }
  const settle = createRelief({ db, file }, (line) => told.push(line), { most: 10, clock: hasty })
  for (let n = 0; n < 2; n += 1) {
    db.prepare("INSERT OR REPLACE INTO invites (hash, room, expires_at) VALUES ('h', ?, 0)").all(
      `${n}`.padEnd(200_000),
    )
    await settle()
  }
  assert.equal(told.length, 1)
  assert.match(told[0]!, /-wal grows: whoever has .* open/)
})

test('the -wal stays small beside a server that has nothing to do, and without one', async (t) => {
  const env = await newFile(t)
  await fill(t, env, 100)
  assert.ok((await writeMuch(t, env.DATA_FILE!)) < 6e6)
  await startServer(t, { env, limits: { renewMs: 50 } })
  assert.ok((await writeMuch(t, env.DATA_FILE!)) < 6e6)
  assert.deepEqual(await faults(env), [])
})
