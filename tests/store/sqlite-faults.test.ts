/** What a disk, another process or a broken file may do to SQLite, and what is made of it. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import {
  closeSync,
  copyFileSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { test, type TestContext } from 'node:test'
import { runtime } from '#runtime'
import { createLog } from '../../src/store/create-log.ts'
import { openDataFile } from '../../src/store/file.ts'
import { DataFileError } from '../../src/store/lock.ts'
import { LogDamaged, LogUnavailable } from '../../src/store/log.ts'
import { ConstraintViolation, exec, first } from '../../src/store/sql.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { ann, say, tell } from './drafts.ts'

const PAGE_BYTES = 4_096

function open(t: TestContext, file = `${tempFolder(t)}/hearth.db`) {
  const clock = new TestClock()
  const damages: LogDamaged[] = []
  const opened = openDataFile(file, clock, (damage) => damages.push(damage))
  t.after(() => opened.close())
  const close = async () => opened.close()
  return { ...opened, damages, log: createLog({ ...opened, clock, rests: false, close }) }
}

const long = () => say(ann, 'long '.repeat(700))

test('a full disk is unavailable, reading goes on, and so does all when there is room', async (t) => {
  const { db, log } = open(t)
  await log.append([say(ann, 'before')])
  const { page_count: pages } = db.prepare('PRAGMA page_count').get() as { page_count: number }
  db.exec(`PRAGMA max_page_count = ${pages}`)
  const drafts = Array.from({ length: 20 }, long)
  await assert.rejects(log.append(drafts), LogUnavailable)
  assert.equal((await log.page('lobby', 9)).messages.length, 1)
  db.exec('PRAGMA max_page_count = 1000000')
  assert.deepEqual(tell(await log.append(drafts)).slice(-1), [21])
})

test('a file that another process writes is unavailable, until that is done', async (t) => {
  const { db, file, log } = open(t)
  db.exec('PRAGMA busy_timeout = 0')
  const other = runtime.openSqlite(file)
  t.after(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  const draft = say(ann)
  await assert.rejects(log.append([draft]), LogUnavailable)
  await assert.rejects(log.leave('lobby', ann.id), LogUnavailable)
  other.exec('COMMIT')
  assert.deepEqual(tell(await log.append([draft])), [1])
})

test('what a table does not take is the fault of the data, and leaves nothing behind', async (t) => {
  const { sql, db } = open(t)
  const broken = sql.transaction(function* () {
    yield* exec("INSERT INTO rooms (room) VALUES ('half')")
    yield* exec("INSERT INTO rooms (room) VALUES ('half')")
  })
  await assert.rejects(broken, ConstraintViolation)
  assert.deepEqual(db.prepare('SELECT room FROM rooms').all(), [])
  await assert.rejects(
    sql.run(() => exec('no statement')),
    /syntax/,
  )
})

test('a work that changes its mind leaves nothing behind; what it read is as of then', async (t) => {
  const { sql, db } = open(t)
  const undecided = sql.transaction(function* () {
    yield* exec("INSERT INTO rooms (room) VALUES ('half')")
    const found = yield* first<{ room: string }>('SELECT room FROM rooms')
    throw new Error(`changed my mind about ${found?.room}`)
  })
  await assert.rejects(undecided, /about half/)
  assert.deepEqual(db.prepare('SELECT room FROM rooms').all(), [])
})

/** Overwrites whole pages, as a disk that lost them would. */
function overwrite(file: string, from: number) {
  const descriptor = openSync(file, 'r+')
  const size = statSync(file).size
  for (let at = from * PAGE_BYTES; at < size; at += PAGE_BYTES) {
    writeSync(descriptor, Buffer.alloc(PAGE_BYTES, 0xa5), 0, PAGE_BYTES, at)
  }
  closeSync(descriptor)
}

test('nothing is acknowledged in a file that is not where it is looked for any more', async (t) => {
  for (const [suffix, take] of [
    ['', (path: string) => rmSync(path)],
    ['', (path: string) => renameSync(path, `${path}.away`)],
    ['', (path: string) => (copyFileSync(path, `${path}.new`), renameSync(`${path}.new`, path))],
    ['', (path: string) => truncateSync(path)],
    ['.lock', (path: string) => rmSync(path)],
  ] as const) {
    const { file, log, damages } = open(t)
    assert.deepEqual(tell(await log.append([say(ann)])), [1])
    take(`${file}${suffix}`)
    await assert.rejects(log.append([say(ann)]), LogDamaged)
    await assert.rejects(log.saveReads([]), LogDamaged)
    assert.equal(damages.length, 1)
    assert.match(damages[0]!.message, new RegExp(`hearth.db${suffix} was moved`))
  }
})

test('when the -wal is deleted, what was acknowledged and waited in it is taken into the file', async (t) => {
  const { file, log, close } = open(t)
  const drafts = [say(ann), say(ann), say(ann)]
  assert.deepEqual(tell(await log.append(drafts)), [1, 2, 3])
  rmSync(`${file}-wal`)
  await assert.rejects(log.saveReads([]), LogDamaged)
  close()
  const next = open(t, file)
  assert.equal((await next.log.page('lobby', 9)).messages.length, 3)
})

test('a damaged file is not opened, and says what helps', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const { log } = open(t, file)
  await log.append(Array.from({ length: 200 }, long))
  await log.close()
  overwrite(file, Math.floor(statSync(file).size / PAGE_BYTES / 2))
  assert.throws(
    () => openDataFile(file, new TestClock()),
    (error: Error) =>
      error instanceof DataFileError && /damaged, restore a backup/.test(error.message),
  )
})

test('a file that is damaged under a server is told of: nobody is asked to try again', async (t) => {
  const { db, file, log, damages } = open(t)
  await log.append(Array.from({ length: 200 }, long))
  db.exec('PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory')
  overwrite(file, 1)
  await assert.rejects(log.page('lobby', 100), LogDamaged)
  await assert.rejects(log.append([say(ann)]), LogDamaged)
  assert.ok(damages.length >= 2)
  assert.match(damages[0]!.message, /damaged/)
})

test('the -wal is cut back when nobody reads from it any more', async (t) => {
  const { file, log, walBytes } = open(t)
  await log.append([say(ann)])
  const reader = runtime.openSqlite(file)
  t.after(() => reader.close())
  reader.exec('BEGIN; SELECT count(*) FROM messages')
  for (let n = 0; n < 12; n += 1) await log.append(Array.from({ length: 400 }, long))
  assert.ok(walBytes() > 18_000_000, `${walBytes()}`)
  reader.exec('COMMIT')
  for (let n = 0; n < 3; n += 1) await log.append([long()])
  assert.ok(walBytes() <= 16 * 1_048_576, `${walBytes()}`)
})
