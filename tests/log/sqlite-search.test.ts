/** Searching the SQLite file: the index of older files, the thread beside the loop, what is erased. */

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { runtime } from '#runtime'
import { LogUnavailable, type Log } from '../../src/log/log.ts'
import { createSearcher } from '../../src/log/searcher.ts'
import { MIGRATIONS, openDatabase } from '../../src/log/sqlite.ts'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'
import { SEARCH } from '../../src/log/sqlite-words.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { ann, bob, edit, erase, react, say } from './drafts.ts'

/** The step that made the index. */
const WITHOUT_WORDS = 2

function open(t: TestContext, file = `${tempFolder(t)}/hearth.db`) {
  const database = openDatabase(file)
  const log = createSqliteLog(database, new TestClock())
  t.after(() => log.close())
  return { ...database, log }
}

async function seqs(log: Log, query: string, room = 'lobby') {
  return (await log.search(room, query, 100)).messages.map(({ seq }) => seq)
}

/** Takes the index out of a file, as if an older Hearth had left it. */
function forgetWords(file: string) {
  const db = runtime.openSqlite(file)
  db.exec(`DROP TABLE words; DROP TABLE room_numbers; PRAGMA user_version = ${WITHOUT_WORDS}`)
  db.close()
}

test('a file of before there was a search is indexed when it is opened', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const { log } = open(t, file)
  await log.append(Array.from({ length: 1_100 }, (_, n) => say(ann, `word ${n + 1}`)))
  await log.append([edit(ann, 1, 'first'), edit(ann, 1, 'second'), erase(ann, 2), react(bob, 3)])
  await log.append([say(bob, 'word', { room: 'garden' })])
  await log.close()
  forgetWords(file)
  const again = open(t, file)
  assert.equal(MIGRATIONS.length > WITHOUT_WORDS, true)
  assert.deepEqual(await seqs(again.log, 'first'), [])
  assert.deepEqual(await seqs(again.log, 'second'), [1])
  assert.deepEqual(await seqs(again.log, '"2"'), [])
  assert.deepEqual(await seqs(again.log, '"word 1100"'), [1_100])
  assert.deepEqual(await seqs(again.log, 'word', 'garden'), [1])
  again.db.exec("INSERT INTO words (words) VALUES ('integrity-check')")
})

test('words of a deleted message, and old ones of an edited, are in no byte of the file', async (t) => {
  const folder = tempFolder(t)
  const { db, log } = open(t, `${folder}/hearth.db`)
  // So many, each with words of its own, that some begin the pages of the index.
  const secret = (n: number) => `secret${(n * 7_919).toString(36)}x${n}`
  const count = 600
  for (let n = 0; n < count; n += 300) {
    const batch = Array.from({ length: 300 }, (_, nth) => n + nth)
    await log.append(batch.map((nth) => say(ann, `${secret(nth)} kept${nth} Sécret${nth}`)))
  }
  const all = Array.from({ length: count }, (_, n) => n + 1)
  await log.append([edit(ann, 1, 'kept'), ...all.slice(1).map((seq) => erase(ann, seq))])
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
  const { db, file, log } = open(t)
  // One room whose every message has two hundred words that begin alike: all of them are merged.
  db.exec(`INSERT INTO rooms (room, head) VALUES ('lobby', 1000);
    INSERT INTO room_numbers VALUES (1, 'lobby')`)
  const put = db.prepare('INSERT INTO words (rowid, text) VALUES (1 << 40 | ?, ?)')
  db.exec('BEGIN')
  for (let seq = 1; seq <= 1_000; seq += 1) {
    const words = Array.from({ length: 200 }, (_, n) => `1/a${(seq * 31 + n) % 4_000}`)
    put.run(seq, words.join(' '))
  }
  db.exec('COMMIT')
  const values = [Array.from({ length: 4 }, () => '"1/a" *').join(' AND '), 1, 1_001, 1]
  const searcher = createSearcher({ db, file }, new TestClock())
  t.after(() => searcher.close())
  await searcher.search(['"1/none"', 1, 1, 1])
  const started = performance.now()
  let turns = 0
  const beat = setInterval(() => (turns += 1), 1)
  t.after(() => clearInterval(beat))
  const found = await searcher.search(values)
  const beside = performance.now() - started
  assert.deepEqual(found, [1_000])
  assert.ok(turns >= 5, `${turns} turns in ${beside} ms`)
  assert.deepEqual(await seqs(log, 'nothing'), [])
})

test('a thread that ends is replaced; whoever it was working for is told', async (t) => {
  const { db, file, log } = open(t)
  await log.append([say(ann, 'word')])
  const threads: Worker[] = []
  const searcher = createSearcher({ db, file }, new TestClock(), () => {
    const thread = new Worker(runtime.reader, { workerData: { file, sql: SEARCH }, execArgv: [] })
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

test('what takes too long is given up, and does not stop the others; too many are refused', async (t) => {
  const { db, file } = open(t)
  const clock = new TestClock()
  const threads: FakeThread[] = []
  const searcher = createSearcher({ db, file }, clock, () => {
    threads.push(new FakeThread())
    return threads.at(-1)! as unknown as Worker
  })
  const ask = (name: string) =>
    searcher.search([name]).then(
      (found) => found.join(),
      (error: unknown) => (error instanceof LogUnavailable ? 'unavailable' : String(error)),
    )
  const slow = ask('slow')
  await clock.advance(3_000)
  const next = ask('next')
  await clock.advance(1_000)
  assert.equal(await slow, 'unavailable')
  assert.deepEqual(threads[0]!.told, [['slow'], null], 'it is asked to end, and not cut off')
  threads[1]!.emit('message', { rows: [{ seq: 7 }, { seq: 3 }] })
  assert.equal(await next, '7,3')

  const stuck = ask('stuck')
  await clock.advance(2_000)
  const waiting = Array.from({ length: 33 }, (_, n) => ask(`${n}`))
  assert.equal(await waiting[32], 'unavailable', 'the 33rd waiting')
  await clock.advance(2_000)
  assert.equal(await stuck, 'unavailable')
  assert.equal(threads.length, 2, 'two that do not answer are enough')
  threads[0]!.emit('exit')
  assert.deepEqual(threads[2]!.told, [['0']])
  threads[0]!.emit('message', { rows: [{ seq: 9 }] })
  threads[2]!.emit('message', { error: 'no' })
  assert.equal(await waiting[0], 'unavailable')
  const closing = searcher.close()
  assert.equal(await waiting[1], 'unavailable')
  assert.equal(await waiting[31], 'unavailable')
  for (const thread of threads) thread.emit('exit')
  await closing
  assert.equal(await ask('late'), 'unavailable')
  await searcher.close()
})

test('closing the log refuses what is searched for, and waits for the thread', async (t) => {
  const { log } = open(t)
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
