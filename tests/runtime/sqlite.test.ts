/** SQLite by every engine there is: what all of them do alike. */

import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { readlinkSync, writeFileSync, writeSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Sqlite, SqliteValue } from '../../src/runtime/runtime.ts'
import { chooseEngine } from '../../src/runtime/sqlite-engine.js'
import { openSqlite, sqliteCode } from '../../src/runtime/sqlite.js'
import { tempFolder } from '../helpers.ts'
import { findProgram } from '../programs.ts'
import { ENGINE_MODULE, ENGINES, runScript } from './engines.ts'

/** The only one that cannot end a statement; its files are closed when those are collected. */
const CLOSES_LATE = '@photostructure/sqlite'
const COMMITS = 50

/** A connection by this engine, closed with the test. */
function open(t: TestContext, name: string, file = ':memory:') {
  const db = openSqlite(file, chooseEngine([name]))
  t.after(() => db.close())
  return db
}

/** The code of what `work` throws. */
function codeOf(work: () => unknown) {
  try {
    work()
  } catch (error) {
    return sqliteCode(error) ?? String(error)
  }
  return assert.fail('it did not throw')
}

/** The codes of a statement that fails: prepared, and as a text. */
const codesOf = (db: Sqlite, sql: string) => [
  codeOf(() => db.prepare(sql).all()),
  codeOf(() => db.exec(sql)),
]

/** Files of the folder that this process has open. */
function openFiles(folder: string) {
  const targets = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`)
    } catch {
      // It was open to read this list.
      return ''
    }
  })
  return targets.filter((path) => path.startsWith(folder))
}

/** Collects what nobody holds, and lets it be finalized. */
async function collect() {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (let turn = 0; turn < 3; turn += 1) {
    gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

for (const name of ENGINES) {
  test(`${name}: values go in and come out`, (t) => {
    const db = open(t, name)
    const bytes = Uint8Array.of(0, 1, 2, 255)
    const texts = ['', 'plain', 'é😀', "'", 'x'.repeat(100_000)]
    const numbers = [0, -1, 1.5, 2 ** 31, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]
    const values: SqliteValue[] = [null, ...texts, ...numbers, bytes, new Uint8Array(0)]
    const echo = db.prepare('SELECT ? AS value')
    for (const value of values) assert.deepEqual(echo.get(value), { value })
    assert.deepEqual(echo.get(bytes.subarray(1, 3)), { value: Uint8Array.of(1, 2) })

    db.exec('CREATE TABLE kept (i INTEGER, r REAL, t TEXT, b BLOB) STRICT')
    const put = db.prepare('INSERT INTO kept VALUES (?, ?, ?, ?)')
    for (const i of numbers.filter(Number.isInteger)) {
      assert.deepEqual(put.all(i, i, 'é', bytes), [])
    }
    const types = 'typeof(i) || typeof(r) || typeof(t) || typeof(b)'
    const all = db.prepare(`SELECT DISTINCT ${types} AS types FROM kept`).all()
    assert.deepEqual(all, [{ types: 'integerrealtextblob' }])
    assert.deepEqual(db.prepare('UPDATE kept SET i = 0').all(), [])
    assert.equal(db.prepare('SELECT i FROM kept WHERE i = 1').get(), undefined)
    assert.deepEqual(db.prepare('SELECT i FROM kept WHERE i = 1').all(), [])
  })

  test(`${name}: positions have numbers, in any order, more than once`, (t) => {
    const db = open(t, name)
    const sql = 'SELECT ?2 AS two, ?1 AS one, ?2 || ?1 AS both, ?3 AS three'
    const found = { two: 'b', one: 'a', both: 'ba', three: null }
    assert.deepEqual(db.prepare(sql).get('a', 'b', null), found)
    assert.deepEqual(db.prepare('SELECT ?2 AS two').get('unused', 'b'), { two: 'b' })
  })

  test(`${name}: a row has the names of its columns, also after the table was changed`, (t) => {
    const db = open(t, name)
    db.exec('CREATE TABLE numbers (n INTEGER); INSERT INTO numbers VALUES (1)')
    const read = db.prepare('SELECT *, n + 1 AS next FROM numbers')
    assert.deepEqual(read.get(), { n: 1, next: 2 })
    db.exec("ALTER TABLE numbers ADD COLUMN text TEXT DEFAULT 'none'")
    assert.deepEqual(read.get(), { n: 1, text: 'none', next: 2 })
    assert.deepEqual(read.all(), [{ n: 1, text: 'none', next: 2 }])
  })

  test(`${name}: what was read leaves nothing open`, (t) => {
    const file = `${tempFolder(t)}/read.db`
    const db = open(t, name, file)
    db.exec('PRAGMA journal_mode = WAL; CREATE TABLE numbers (n INTEGER)')
    const put = db.prepare('INSERT INTO numbers VALUES (?) RETURNING n')
    for (const n of [1, 2, 3]) assert.deepEqual(put.get(n), { n })
    const other = open(t, name, file)
    const read = other.prepare('SELECT n FROM numbers ORDER BY n')
    assert.deepEqual(read.get(), { n: 1 }, 'there are more')
    put.all(4)
    assert.equal(read.all().length, 4)
    const { busy } = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number }
    assert.equal(busy, 0)
  })

  test(`${name}: rowids above 2^53 are written, and nothing fails for them`, (t) => {
    const db = open(t, name)
    db.exec(`CREATE VIRTUAL TABLE words USING fts5 (text);
      CREATE TABLE heads (room TEXT PRIMARY KEY, head INTEGER NOT NULL) STRICT;
      INSERT INTO heads VALUES ('lobby', 1)`)
    const put = db.prepare('INSERT OR REPLACE INTO words (rowid, text) VALUES (?1 << 40 | ?2, ?3)')
    for (const room of [1, 8_191, 8_192, 1_000_000]) {
      for (const seq of [1, 2, 3]) {
        assert.deepEqual(put.all(room, seq, `word ${room} ${seq}`), [])
      }
    }
    // The last rowid is the connection's, so it goes with every other statement.
    const raise = db.prepare('UPDATE heads SET head = head + 1 WHERE room = ? RETURNING head')
    raise.all('lobby')
    assert.deepEqual(raise.get('lobby'), { head: 3 })
    raise.all('lobby')
    assert.deepEqual(raise.all('lobby'), [{ head: 5 }])
    const search = db.prepare(`SELECT rowid & 0xffffffffff AS seq FROM words
      WHERE words MATCH 'word' AND rowid BETWEEN (?1 << 40) AND (?1 << 40) + 9 ORDER BY rowid DESC`)
    assert.deepEqual(
      search.all(8_192),
      [3, 2, 1].map((seq) => ({ seq })),
    )
    const drop = db.prepare('DELETE FROM words WHERE rowid = ?1 << 40 | ?2')
    assert.deepEqual(drop.all(8_192, 2), [])
    assert.deepEqual(
      search.all(8_192),
      [3, 1].map((seq) => ({ seq })),
    )
  })

  test(`${name}: an error has the primary code of SQLite`, (t) => {
    const folder = tempFolder(t)
    const file = `${folder}/codes.db`
    const db = open(t, name, file)
    db.exec(`CREATE TABLE numbers (n INTEGER PRIMARY KEY, text TEXT UNIQUE, CHECK (n < 1000000)) STRICT;
      INSERT INTO numbers VALUES (1, 'one')`)
    assert.deepEqual(codesOf(db, "INSERT INTO numbers VALUES (1, 'two')"), [19, 19])
    assert.deepEqual(codesOf(db, "INSERT INTO numbers VALUES (2, 'one')"), [19, 19])
    assert.deepEqual(codesOf(db, 'INSERT INTO numbers (n) VALUES (1000000)'), [19, 19])
    assert.deepEqual(codesOf(db, 'SELEKT'), [1, 1])
    assert.deepEqual(codesOf(db, 'COMMIT'), [1, 1])

    const other = open(t, name, file)
    other.exec('BEGIN IMMEDIATE')
    assert.deepEqual(codesOf(db, 'BEGIN IMMEDIATE'), [5, 5])
    other.exec('ROLLBACK; PRAGMA query_only = ON')
    assert.deepEqual(codesOf(other, 'DELETE FROM numbers'), [8, 8])

    const { page_count } = db.prepare('PRAGMA page_count').get() as { page_count: number }
    db.exec(`PRAGMA max_page_count = ${page_count}`)
    const fill = 'INSERT INTO numbers (text) VALUES (hex(zeroblob(100000)))'
    assert.deepEqual(codesOf(db, fill), [13, 13])

    assert.equal(
      codeOf(() => open(t, name, `${folder}/nowhere/codes.db`)),
      14,
    )
    writeFileSync(`${folder}/notes`, 'these are my notes, not a database '.repeat(40))
    assert.deepEqual(codesOf(open(t, name, `${folder}/notes`), 'PRAGMA user_version = 1'), [26, 26])
  })

  test(`${name}: a damaged file has its code`, (t) => {
    const file = `${tempFolder(t)}/damaged.db`
    const db = open(t, name, file)
    db.exec('CREATE TABLE texts (text TEXT); INSERT INTO texts VALUES (hex(randomblob(9000)))')
    db.close()
    const { length } = readFileSync(file)
    const descriptor = openSync(file, 'r+')
    writeSync(descriptor, Buffer.alloc(length - 4096, 0xff), 0, length - 4096, 4096)
    closeSync(descriptor)
    const damaged = open(t, name, file)
    assert.deepEqual(codesOf(damaged, 'UPDATE texts SET text = 1'), [11, 11])
  })

  test(`${name}: what is not an error of SQLite has no code`, (t) => {
    const db = open(t, name)
    db.close()
    const errors = [new Error('database is locked'), 'disk I/O error', null, undefined]
    assert.deepEqual(
      errors.map(sqliteCode),
      errors.map(() => undefined),
    )
    assert.match(`${codeOf(() => db.exec('SELECT 1'))}`, /not open/)
  })

  test(`${name}: closed is closed, whatever statements are held`, async (t) => {
    const folder = tempFolder(t)
    const file = `${folder}/closed.db`
    const db = open(t, name, file)
    db.exec('PRAGMA journal_mode = WAL; CREATE TABLE numbers (n INTEGER)')
    const put = db.prepare('INSERT INTO numbers VALUES (?)')
    const read = db.prepare('SELECT n FROM numbers')
    put.all(1)
    db.exec('BEGIN IMMEDIATE')
    put.all(2)
    assert.equal(read.all().length, 2)
    if (existsSync('/proc/self/fd')) assert.notDeepEqual(openFiles(folder), [])
    db.close()
    db.close()

    const other = open(t, name, file)
    other.exec('BEGIN IMMEDIATE')
    assert.deepEqual(other.prepare('SELECT n FROM numbers').all(), [{ n: 1 }])
    other.exec('ROLLBACK')
    other.close()
    for (const work of [() => read.all(), () => read.get(), () => put.all(3)]) assert.throws(work)
    assert.throws(() => db.prepare('SELECT 1'))
    if (!existsSync('/proc/self/fd')) return t.skip('which files are open is seen on Linux alone')
    if (name === CLOSES_LATE) await collect()
    assert.deepEqual(openFiles(folder), [])
    assert.deepEqual(readdirSync(folder), ['closed.db'])
    assert.throws(() => read.all(), 'its user still holds it')
  })

  test(`${name}: what nobody holds stays open until it is closed`, async (t) => {
    const file = `${tempFolder(t)}/lock.db`
    const lock = () => {
      const db = openSqlite(file, chooseEngine([name]))
      db.exec('BEGIN EXCLUSIVE')
      return new WeakRef(db)
    }
    const held = lock()
    t.after(() => held.deref()?.close())
    await collect()
    assert.deepEqual(codesOf(open(t, name, file), 'BEGIN EXCLUSIVE'), [5, 5])
  })

  test(`${name}: with FULL each commit into a WAL is on disk`, (t) => {
    const strace = findProgram('strace', '-V')
    if (!strace) return t.skip('strace is not installed')
    const folder = tempFolder(t)
    const trace = `${folder}/trace`
    const { stdout } = runScript(
      t,
      `import { chooseEngine } from '${ENGINE_MODULE}'
      const db = m.openSqlite('${folder}/full.db', chooseEngine(['${name}']))
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE numbers (n INTEGER)')
      const put = db.prepare('INSERT INTO numbers VALUES (?)')
      for (let n = 0; n < ${COMMITS}; n += 1) put.all(n)
      const [{ synchronous }] = db.prepare('PRAGMA synchronous').all()
      console.log(synchronous)
      process.exit()`,
      [strace, '-f', '-qq', '-e', 'trace=fsync,fdatasync', '-o', trace],
    )
    assert.equal(stdout, '2')
    const syncs = readFileSync(trace, 'utf8').match(/f(data)?sync\(/g)?.length ?? 0
    assert.ok(syncs >= COMMITS, `${syncs} syncs for ${COMMITS} commits`)
  })
}
