/** Searching the SQLite file: an index that follows, the thread beside the loop, what is erased. */

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { readdirSync, readFileSync, renameSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { runtime } from '#runtime'
import { LogUnavailable, SearchTooLong } from '../../src/store/log.ts'
import { SEARCH } from '../../src/search/fts5.ts'
import { createSearcher, startThread } from '../../src/search/searcher.ts'
import { openDataFile } from '../../src/store/file.ts'
import { stepsAfter, VERSION } from '../../src/store/schema.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { ann, bob, edit, erase, react, say } from '../store/drafts.ts'
import { openLog, type SearchedLog } from '../store/opened.ts'

/** The versions before there was an index, and while each append wrote it. */
const WITHOUT_WORDS = 2
const WORDS_WITH_APPEND = 3

async function open(t: TestContext, file = `${tempFolder(t)}/hearth.db`) {
  const clock = new TestClock()
  const database = openDataFile(file, clock)
  const faults: unknown[] = []
  const log = await openLog(database, clock, (error) => faults.push(error))
  t.after(() => log.close())
  const read = <T>(sql: string) => database.db.prepare(sql).all() as T[]
  const indexed = () => read<{ indexed: number }>('SELECT indexed FROM rooms')[0]?.indexed
  const texts = () => read<{ text: string }>('SELECT text FROM words').map(({ text }) => text)
  return { ...database, clock, faults, log, indexed, texts }
}

async function seqs(log: SearchedLog, query: string, room = 'lobby') {
  return (await log.search(room, query, 100)).messages.map(({ seq }) => seq)
}

/** Makes a file what an older Hearth would have left, with the same in its tables. */
function forgetWords(file: string) {
  const old = runtime.openSqlite(`${file}.old`)
  for (const step of stepsAfter(0, 'sqlite').slice(0, WITHOUT_WORDS)) old.exec(step)
  old.exec(`ATTACH DATABASE '${file}' AS new; DELETE FROM meta`)
  for (const table of ['meta', 'rooms', 'members', 'messages', 'reactions', 'users', 'sessions']) {
    const columns = old.prepare(`SELECT name FROM pragma_table_info('${table}')`).all()
    const names = (columns as { name: string }[]).map(({ name }) => name).join(', ')
    old.exec(`INSERT INTO ${table} (${names}) SELECT ${names} FROM new.${table}`)
  }
  old.exec(`DETACH DATABASE new; PRAGMA user_version = ${WITHOUT_WORDS}`)
  old.close()
  renameSync(`${file}.old`, file)
}

test('a file of before there was a search is indexed when it is opened', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const { log } = await open(t, file)
  await log.append(Array.from({ length: 1_100 }, (_, n) => say(ann, `word ${n + 1}`)))
  await log.append([edit(ann, 1, 'first'), edit(ann, 1, 'second'), erase(ann, 2), react(bob, 3)])
  await log.append([say(bob, 'word', { room: 'garden' })])
  await log.close()
  forgetWords(file)
  const again = await open(t, file)
  assert.equal(VERSION > WITHOUT_WORDS, true)
  assert.deepEqual(await seqs(again.log, 'first'), [])
  assert.deepEqual(await seqs(again.log, 'second'), [1])
  assert.deepEqual(await seqs(again.log, '"2"'), [])
  assert.deepEqual(await seqs(again.log, '"word 1100"'), [1_100])
  assert.deepEqual(await seqs(again.log, 'word', 'garden'), [1])
  again.db.exec("INSERT INTO words (words) VALUES ('integrity-check')")
})

test('a file whose index is complete is not indexed again', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const old = runtime.openSqlite(file)
  for (const step of stepsAfter(0, 'sqlite').slice(0, WORDS_WITH_APPEND)) old.exec(step)
  old.exec(`INSERT INTO rooms (room, head) VALUES ('lobby', 1000);
    INSERT INTO room_numbers VALUES (1, 'lobby');
    PRAGMA user_version = ${WORDS_WITH_APPEND}`)
  old.close()
  const { log, indexed, texts } = await open(t, file)
  assert.equal(indexed(), 1_000)
  await log.append([say(ann, 'word')])
  assert.deepEqual(await seqs(log, 'word'), [1_001])
  assert.deepEqual(texts(), ['1/word'])
})

test('what was said is taken into the index when there is time', async (t) => {
  const { clock, log, indexed, texts } = await open(t)
  await log.append(Array.from({ length: 2_000 }, (_, n) => say(ann, `word ${n + 1}`)))
  await log.append([edit(ann, 1, 'first'), edit(ann, 1, 'second'), react(bob, 3), erase(ann, 2)])
  assert.deepEqual([indexed(), texts()], [0, []])
  await clock.advance(10_000)
  assert.equal(indexed(), 2_004)
  assert.deepEqual(texts().slice(0, 2), ['1/second', '1/word 1/3'])
  assert.equal(texts().length, 1_999)
  await log.append([edit(ann, 3, 'third'), edit(bob, 3, 'not his')])
  await clock.advance(10_000)
  assert.deepEqual(texts().slice(0, 2), ['1/second', '1/third'])
})

test('long messages are taken in by smaller steps', async (t) => {
  const { clock, log, indexed } = await open(t)
  await log.append(Array.from({ length: 20 }, () => say(ann, 'word '.repeat(800))))
  await clock.advance(1_000)
  assert.ok(indexed()! < 10, `${indexed()}`)
  await clock.advance(1_000)
  assert.equal(indexed(), 20)
})

test('a search finds all that is on disk, however far the index is behind', async (t) => {
  const { log, indexed } = await open(t)
  await log.append(Array.from({ length: 3_000 }, (_, n) => say(ann, `word ${n + 1}`)))
  assert.equal(indexed(), 0)
  assert.deepEqual(await seqs(log, '"word 1"'), [1])
  assert.deepEqual(await seqs(log, '"word 3000"'), [3_000])
  assert.equal(indexed(), 3_000)
})

test('a server killed before the index followed has lost nothing', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const killed = await open(t, file)
  await killed.log.append(Array.from({ length: 300 }, (_, n) => say(ann, `word ${n + 1}`)))
  await killed.clock.advance(1_000)
  const half = killed.indexed()!
  assert.ok(half > 0 && half < 300, `${half}`)
  killed.close()
  const { clock, log, indexed, close } = await open(t, file)
  assert.deepEqual(await seqs(log, `"word ${half}"`), [half])
  assert.deepEqual(await seqs(log, '"word 300"'), [300])
  await log.append([say(ann, 'new')])
  close()
  const last = await open(t, file)
  await last.clock.advance(10_000)
  assert.equal(last.indexed(), 301)
  assert.throws(indexed)
  assert.equal(clock.now(), 0)
})

test('a deleted message is out of the index with its delete, and never gets in after', async (t) => {
  const { clock, log, texts } = await open(t)
  await log.append([say(ann, 'early'), say(ann, 'kept')])
  await clock.advance(1_000)
  await log.append([say(ann, 'late'), edit(ann, 3, 'later'), erase(ann, 3), erase(ann, 1)])
  assert.deepEqual(texts(), ['1/kept'])
  await clock.advance(1_000)
  assert.deepEqual(texts(), ['1/kept'])
  for (const word of ['early', 'late', 'later']) assert.deepEqual(await seqs(log, word), [])
})

test('an index that cannot be written is told of, and does not stop the talk', async (t) => {
  const { clock, db, faults, log, texts } = await open(t)
  db.exec(`CREATE TEMP TRIGGER broken BEFORE UPDATE OF indexed ON main.rooms
    BEGIN SELECT raise(ABORT, 'broken'); END`)
  await log.append([say(ann, 'word')])
  await clock.advance(1_000)
  assert.match(String(faults[0]), /broken/)
  await assert.rejects(log.search('lobby', 'word', 1), /broken/)
  await log.append([say(ann, 'word')])
  assert.deepEqual(texts(), [])
  db.exec('DROP TRIGGER broken')
  await clock.advance(1_000)
  assert.deepEqual(texts(), ['1/word', '1/word'])
  assert.deepEqual(await seqs(log, 'word'), [1, 2])
})

test('words of a deleted message, and old ones of an edited, are in no byte of the file', async (t) => {
  const folder = tempFolder(t)
  const { db, log } = await open(t, `${folder}/hearth.db`)
  // So many, each with words of its own, that some begin the pages of the index.
  const secret = (n: number) => `secret${(n * 7_919).toString(36)}x${n}`
  const count = 600
  for (let n = 0; n < count; n += 300) {
    const batch = Array.from({ length: 300 }, (_, nth) => n + nth)
    await log.append(batch.map((nth) => say(ann, `${secret(nth)} kept${nth} Sécret${nth}`)))
  }
  assert.deepEqual(await seqs(log, secret(count - 1)), [count])
  const all = Array.from({ length: count }, (_, n) => n + 1)
  await log.append([edit(ann, 1, 'kept'), ...all.slice(1).map((seq) => erase(ann, seq))])
  assert.deepEqual(await seqs(log, 'kept'), [1])
  await log.append([erase(ann, 1)])
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  const bytes = () =>
    readdirSync(folder)
      .map((name) => readFileSync(`${folder}/${name}`, 'latin1'))
      .join()
  assert.doesNotMatch(bytes(), /secret|kept/)
  db.exec("INSERT INTO words (words) VALUES ('integrity-check')")
  await log.close()
  assert.doesNotMatch(bytes(), /secret|kept/)
})

test('a search does not hold up the event loop', async (t) => {
  const { db, file, log } = await open(t)
  // One room whose every message has two hundred words that begin alike: all of them are merged.
  db.exec(`INSERT INTO rooms (room, head) VALUES ('lobby', 1000);
    INSERT INTO room_numbers VALUES (1, 'lobby')`)
  const put = db.prepare('INSERT INTO words (rowid, text) VALUES (1 << 40 | ?, ?)')
  db.exec('BEGIN')
  for (let seq = 1; seq <= 1_000; seq += 1) {
    const words = Array.from({ length: 200 }, (_, n) => `1/a${(seq * 31 + n) % 4_000}`)
    put.all(seq, words.join(' '))
  }
  db.exec('COMMIT')
  const values = [Array.from({ length: 4 }, () => '"1/a" *').join(' AND '), 1, 1_001, 1]
  const searcher = createSearcher({ db, file }, new TestClock(), SEARCH)
  t.after(() => searcher.close())
  await searcher.search(['"1/none"', 1, 1, 1])
  const started = performance.now()
  let turns = 0
  const beat = setInterval(() => (turns += 1), 1)
  t.after(() => clearInterval(beat))
  const works: number[] = []
  const ask = () => searcher.search(values, (ms) => works.push(ms))
  const [found, next] = await Promise.all([ask(), ask()])
  const beside = performance.now() - started
  assert.deepEqual([found, next], [[1_000], [1_000]])
  assert.ok(works.length === 2 && works.every((ms) => ms > 0), works.join())
  assert.ok(works[0]! + works[1]! <= beside, 'the second one has not worked while it waited')
  assert.ok(turns >= 5, `${turns} turns in ${beside} ms`)
  assert.deepEqual(await seqs(log, 'nothing'), [])
})

test('a thread that ends is replaced; whoever it was working for is told', async (t) => {
  const { db, file, log } = await open(t)
  await log.append([say(ann, 'word')])
  await seqs(log, 'word')
  const threads: Worker[] = []
  const searcher = createSearcher({ db, file }, new TestClock(), SEARCH, () => {
    const thread = startThread(file, SEARCH)
    threads.push(thread)
    return thread
  })
  t.after(() => searcher.close())
  const word = ['"1/word"', 1, 2, 10]
  assert.deepEqual(await searcher.search(word), [1])
  const gone = once(threads[0]!, 'exit')
  await threads[0]!.terminate()
  await gone
  assert.deepEqual(await searcher.search(word), [1])
  await assert.rejects(searcher.search(['"', 1, 2, 10]), LogUnavailable)
  assert.deepEqual(await searcher.search(word), [1])
  assert.equal(threads.length, 2)
})

test('the thread is there before any search; while none can be started, whoever asks is told', async (t) => {
  const { db, file, log } = await open(t)
  await log.append([say(ann, 'word')])
  await seqs(log, 'word')
  const clock = new TestClock()
  let isFull = true
  let started = 0
  const searcher = createSearcher({ db, file }, clock, SEARCH, () => {
    if (isFull) throw new Error('too many open files')
    started += 1
    return startThread(file, SEARCH)
  })
  t.after(() => searcher.close())
  const word = ['"1/word"', 1, 2, 10]
  await clock.advance(0)
  const asked = [searcher.search(word), searcher.search(word)]
  for (const refused of asked) await assert.rejects(refused, LogUnavailable)
  isFull = false
  assert.deepEqual(await searcher.search(word), [1])

  const early = createSearcher({ db, file }, clock, SEARCH, () => {
    started += 1
    return startThread(file, SEARCH)
  })
  t.after(() => early.close())
  await clock.advance(0)
  assert.equal(started, 2)
  assert.deepEqual(await early.search(word), [1])
  assert.equal(started, 2)
})

test('what takes too long is given up, and does not stop the others; too many are refused', async (t) => {
  const { db, file } = await open(t)
  const clock = new TestClock()
  const threads: FakeThread[] = []
  const worked: [name: string, ms: number][] = []
  const searcher = createSearcher({ db, file }, clock, SEARCH, () => {
    threads.push(new FakeThread())
    return threads.at(-1)! as unknown as Worker
  })
  const ask = (name: string) =>
    searcher
      .search([name], (ms) => worked.push([name, ms]))
      .then(
        (found) => found.join(),
        (error: unknown) =>
          error instanceof SearchTooLong ? 'too long' : error instanceof LogUnavailable && 'gone',
      )
  const slow = ask('slow')
  await clock.advance(3_000)
  const next = ask('next')
  await clock.advance(1_000)
  assert.equal(await slow, 'too long')
  assert.deepEqual(threads[0]!.told, [['slow'], null], 'it is asked to end, and not cut off')
  threads[1]!.emit('message', { rows: [{ seq: 7 }, { seq: 3 }], ms: 5 })
  assert.equal(await next, '7,3')
  assert.deepEqual(worked, [
    ['slow', 4_000],
    ['next', 5],
  ])

  const stuck = ask('stuck')
  await clock.advance(2_000)
  const waiting = Array.from({ length: 33 }, (_, n) => ask(`${n}`))
  assert.equal(await waiting[32], 'too long', 'the 33rd waiting')
  await clock.advance(2_000)
  assert.equal(await stuck, 'too long')
  assert.equal(threads.length, 2, 'two that do not answer are enough')
  threads[0]!.emit('exit')
  assert.deepEqual(threads[2]!.told, [['0']])
  threads[0]!.emit('message', { rows: [{ seq: 9 }] })
  threads[2]!.emit('message', { error: 'no' })
  assert.equal(await waiting[0], 'gone')
  const closing = searcher.close()
  assert.equal(await waiting[1], 'gone')
  assert.equal(await waiting[31], 'gone')
  for (const thread of threads) thread.emit('exit')
  await closing
  assert.equal(await ask('late'), 'gone')
  await searcher.close()
})

test('closing the log refuses what is searched for, and waits for the thread', async (t) => {
  const { log } = await open(t)
  await log.append([say(ann, 'word')])
  const searches = Array.from({ length: 5 }, () => log.search('lobby', 'word', 1))
  const ends = Promise.allSettled(searches)
  await log.close()
  for (const end of await ends) {
    assert.ok(end.status === 'rejected' && end.reason instanceof LogUnavailable)
  }
})

/** A thread that says what the test says. */
class FakeThread extends EventEmitter {
  readonly told: unknown[] = []
  postMessage(message: unknown) {
    this.told.push(message)
  }
  ref() {}
  unref() {}
}
