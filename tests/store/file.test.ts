/** The SQLite file: who may open it, what it says when not, and what is left in its bytes. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { test, type TestContext } from 'node:test'
import { runtime } from '#runtime'
import { createLog } from '../../src/store/create-log.ts'
import { openDataFile } from '../../src/store/file.ts'
import { DataFileError } from '../../src/store/lock.ts'
import { VERSION } from '../../src/store/schema.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { ann, bob, edit, erase, react, say, tell } from './drafts.ts'

function open(t: TestContext, file: string) {
  const clock = new TestClock()
  const opened = openDataFile(file, clock)
  t.after(() => opened.close())
  const close = async () => opened.close()
  return { ...opened, log: createLog({ ...opened, clock, rests: false, close }) }
}

/** Opening fails with a message for the operator that has all of `words`. */
function assertRefused(file: string, ...words: string[]) {
  assert.throws(
    () => openDataFile(file, new TestClock()),
    (error) => {
      assert.ok(error instanceof DataFileError, String(error))
      for (const word of words) assert.ok(error.message.includes(word), error.message)
      assert.ok(!error.message.includes('\n'))
      return true
    },
  )
}

test('a second server is refused, and told which file', (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const first = open(t, file)
  assertRefused(file, file, 'in use')
  first.close()
  const second = open(t, file)
  assert.equal(second.epoch, first.epoch)
})

test('a lock that is no lock is told, not taken for another server', (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  writeFileSync(`${file}.lock`, 'these are my notes, not a database '.repeat(40))
  assertRefused(file, `${file}.lock`, 'is no lock')
})

test('a folder that cannot be made or written', (t) => {
  const folder = tempFolder(t)
  writeFileSync(`${folder}/file`, '')
  assertRefused(`${folder}/file/hearth.db`, `${folder}/file/hearth.db`, 'cannot write')
  mkdirSync(`${folder}/folder.db`)
  assertRefused(`${folder}/folder.db`, `${folder}/folder.db`)
})

test('what is no file at all is left as it is', (t) => {
  const folder = tempFolder(t)
  const pipe = `${folder}/hearth.db`
  execFileSync('mkfifo', ['-m', '644', pipe])
  // Else whoever opened it to write would wait for a reader.
  const reader = openSync(pipe, 'r+')
  t.after(() => closeSync(reader))
  assertRefused(pipe, pipe, 'not a file')
  assert.equal(statSync(pipe).mode & 0o777, 0o644)
  assert.deepEqual(readdirSync(folder), ['hearth.db'])
})

test('a file with two names, and a link that leads nowhere', (t) => {
  const folder = tempFolder(t)
  open(t, `${folder}/hearth.db`).close()
  linkSync(`${folder}/hearth.db`, `${folder}/other.db`)
  for (const name of ['hearth', 'other']) assertRefused(`${folder}/${name}.db`, name, 'second name')
  symlinkSync(`${folder}/nowhere.db`, `${folder}/link.db`)
  assertRefused(`${folder}/link.db`, 'link.db', 'leads nowhere')
  assert.ok(!existsSync(`${folder}/nowhere.db`))
})

test('a file that is mounted without its folder is refused', (t) => {
  const folder = tempFolder(t)
  if (!existsSync('/dev/shm')) return t.skip('there is no second file system')
  const other = mkdtempSync('/dev/shm/hearth-')
  t.after(() => rmSync(other, { recursive: true }))
  if (statSync(other).dev === statSync(folder).dev) return t.skip('it is on the same file system')
  const file = `${folder}/hearth.db`
  for (const path of [file, `${other}/hearth.db`]) writeFileSync(path, '')
  const { status } = spawnSync('mount', ['--bind', `${other}/hearth.db`, file])
  if (status !== 0) return t.skip('only root can mount')
  try {
    assertRefused(file, 'hearth.db', 'mount its folder')
  } finally {
    execFileSync('umount', [file])
  }
})

test("what root makes is the owner's of the folder", (t) => {
  const folder = tempFolder(t)
  if (statSync(folder).uid !== 0) return t.skip('only root can give it away')
  chownSync(folder, 65_534, 65_534)
  open(t, `${folder}/deep/er/hearth.db`)
  const made = readdirSync(folder, { recursive: true }).map((name) => `${folder}/${name}`)
  assert.ok(made.length >= 6)
  for (const path of made) {
    const { uid, mode } = statSync(path)
    const wanted = /\/(deep|er)$/.test(path) ? 0o700 : 0o600
    assert.deepEqual([uid, mode & 0o777], [65_534, wanted], path)
  }
})

test('a database of another program is left as it is', (t) => {
  const make = (text: string) => {
    const file = `${tempFolder(t)}/notes.db`
    const db = runtime.openSqlite(file)
    db.exec(text)
    db.close()
    chmodSync(file, 0o644)
    return file
  }
  for (const text of [
    'CREATE TABLE notes (line TEXT)',
    'CREATE TABLE rooms (room TEXT)',
    `CREATE TABLE rooms (room TEXT); PRAGMA user_version = ${VERSION}`,
    'CREATE TABLE meta (epoch TEXT); PRAGMA user_version = -1',
  ]) {
    const file = make(text)
    const before = readFileSync(file)
    assertRefused(file, file, 'none of Hearth')
    assert.deepEqual(readFileSync(file), before)
    assert.equal(statSync(file).mode & 0o777, 0o644)
  }
  const hollow = make(`CREATE TABLE meta (epoch TEXT); PRAGMA user_version = ${VERSION}`)
  assertRefused(hollow, hollow, 'no epoch')
})

test('what is no database is left as it is', (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const text = 'these are my notes, not a database '.repeat(40)
  writeFileSync(file, text)
  assertRefused(file, file)
  assertRefused(file, file)
  assert.equal(readFileSync(file, 'utf8'), text)
})

test('the file of a newer Hearth is refused, and stays usable for that one', (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const first = open(t, file)
  const { user_version } = first.db.prepare('PRAGMA user_version').get() as { user_version: number }
  first.db.exec('PRAGMA user_version = 99')
  first.close()
  assertRefused(file, file, 'newer')
  assertRefused(file, file, 'newer')
  assert.ok(user_version >= 1)
})

test('the schema is made once, with one epoch', (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const epochs = [1, 2, 3].map(() => {
    const database = open(t, file)
    const { count } = database.db.prepare('SELECT count(*) AS count FROM meta').get() as {
      count: number
    }
    assert.equal(count, 1)
    database.close()
    database.close()
    return database.epoch
  })
  assert.equal(new Set(epochs).size, 1)
  assert.match(epochs[0]!, /^[0-9a-f]{32}$/)
})

test('in memory every log is a new one, and no file is made', (t) => {
  const before = readdirSync('.')
  assert.notEqual(open(t, ':memory:').epoch, open(t, ':memory:').epoch)
  assert.deepEqual(readdirSync('.'), before)
})

test('WAL, synced at every commit', (t) => {
  const { db } = open(t, `${tempFolder(t)}/hearth.db`)
  const pragma = (name: string) =>
    (db.prepare(`PRAGMA ${name}`).get() as Record<string, unknown>)[name]
  assert.deepEqual([pragma('journal_mode'), pragma('synchronous')], ['wal', 2])
})

test('nobody else reads the folder or its files', async (t) => {
  const folder = `${tempFolder(t)}/data/deep`
  const { log } = open(t, `${folder}/hearth.db`)
  await log.append([say(ann)])
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
  assert.equal(mode(folder), '700')
  const files = readdirSync(folder).sort()
  assert.ok(files.includes('hearth.db') && files.includes('hearth.db-wal'), files.join(' '))
  for (const file of files) assert.equal(mode(`${folder}/${file}`), '600', file)
})

test('what was deleted is in no column of any table', async (t) => {
  const { db, log } = open(t, ':memory:')
  await log.append([say(ann, 'secret one'), edit(ann, 1, 'secret two'), react(bob, 1)])
  await log.append([erase(ann, 1)])
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  for (const { name } of tables as { name: string }[]) {
    const rows = db.prepare(`SELECT * FROM "${name}"`).all()
    assert.doesNotMatch(JSON.stringify(rows), /secret/, name)
  }
  const { count } = db.prepare('SELECT count(*) AS count FROM reactions').get() as { count: number }
  assert.equal(count, 0)
})

test('what was deleted is in no byte of the file after the next checkpoint', async (t) => {
  const folder = tempFolder(t)
  const { db, log, close } = open(t, `${folder}/hearth.db`)
  const long = (word: string) => `${word} ${'x'.repeat(3_900)}`
  const bytes = () =>
    readdirSync(folder)
      .map((name) => readFileSync(`${folder}/${name}`, 'latin1'))
      .join()
  await log.append([say(ann, 'secret short'), say(ann, long('secret long')), say(bob, 'kept')])
  await log.append([edit(ann, 1, 'secret edit'), edit(ann, 2, long('secret edit'))])
  assert.ok(bytes().includes('secret'))
  assert.deepEqual(tell(await log.append([erase(ann, 1), erase(ann, 2)])), [6, 7])
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  assert.ok(!bytes().includes('secret'))
  assert.ok(bytes().includes('kept'))
  close()
  assert.ok(!bytes().includes('secret'))
})
