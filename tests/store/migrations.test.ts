/** A database of every earlier version, with what that version kept, is read, searched and goes on. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { runtime } from '#runtime'
import { violations } from '../../tools/check.ts'
import { queryOf } from '../../tools/store.ts'
import { digestOf } from '../../src/store/digest.ts'
import type { Draft } from '../../src/store/log.ts'
import { openDataFile } from '../../src/store/file.ts'
import type { Query } from '../../src/store/sql.ts'
import { createLonelyDirectory } from '../../src/store/nodes.ts'
import { readSql, stepsAfter, VERSION } from '../../src/store/schema.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { openDatabase as openPostgres, startPostgres } from '../postgres.ts'
import { ROOT } from '../process.ts'
import { ann, bob, edit, erase, react, say, tell } from './drafts.ts'
import { openLog, type SearchedLog } from './opened.ts'

const AT = '2026-01-01T00:00:00.000Z'

/** In this order since the first version; the fifth was erased by the sixth. */
const SAID: readonly Draft[] = [
  say(ann, 'never again'),
  say(bob, 'old words', { mentions: [ann.id] }),
  edit(bob, 2, 'older words'),
  edit(bob, 2, 'newest words'),
  say(bob, 'gone'),
  erase(bob, 5),
  react(ann, 2),
  say(bob, 'newest elsewhere', { room: 'garden' }),
]

/** One statement for both databases; a comparison is a number in one and a boolean in the other. */
function toInsert(draft: Draft, seq: number) {
  const { room, id, author, kind, ...rest } = draft
  const content: Record<string, unknown> = rest
  const isErased = content.body === 'gone'
  const { body, target, mentions, emoji } = content
  const text = (value: unknown) => (value === undefined ? 'NULL' : `'${String(value)}'`)
  const values = [
    ...[text(room), seq, text(id), text(kind), text(author.id), text(author.name), text(AT)],
    ...[isErased ? 'NULL' : text(body), target ?? 'NULL'],
    ...[mentions ? text(JSON.stringify(mentions)) : 'NULL', text(emoji)],
    ...[emoji ? '1 = 1' : 'NULL', `1 = ${Number(isErased)}`, seq === 2 ? 4 : 'NULL'],
    text(digestOf(draft)),
  ]
  return `INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, target,
    mentions, emoji, is_on, deleted, newest_edit, digest) VALUES (${values.join(', ')});`
}

/** What a version had in its tables. */
function fill(version: number, seenAt: string) {
  const owned = `INSERT INTO rooms (room, private, owner) VALUES ('den', 1 = 1, '${ann.id}');
    UPDATE users SET subject = 'issuer sub' WHERE name = 'Bob';`
  return `UPDATE meta SET epoch = 'old';
    INSERT INTO users (id, name, name_key, kind) VALUES ('${ann.id}', 'Ann', 'ann', 'guest'),
      ('${bob.id}', 'Bob', 'bob', 'guest');
    INSERT INTO sessions (hash, user_id, role, seen_at)
      VALUES ('ha', '${ann.id}', 'member', ${seenAt});
    INSERT INTO rooms (room, head) VALUES ('lobby', 7), ('garden', 1);
    INSERT INTO members (room, user_id, read) VALUES ('lobby', '${ann.id}', 1);
    ${SAID.map((draft, index) => toInsert(draft, draft.room === 'lobby' ? index + 1 : 1)).join('\n')}
    INSERT INTO reactions VALUES ('lobby', 2, '👍', '${ann.id}', 7);
    ${version >= 2 ? owned : ''}`
}

async function assertKept(log: SearchedLog, query: Query, version: number) {
  const faults: string[] = []
  for await (const fault of violations(query)) faults.push(fault)
  assert.deepEqual(faults, [])
  assert.equal(log.epoch, 'old')
  const { signedIn, head, floor, lastId } = await log.enter('lobby', ann.id, 'ha', 1)
  assert.deepEqual([signedIn, head, floor, lastId], [true, 7, 0, SAID[0]!.id])
  const page = await log.page('lobby', 9)
  assert.deepEqual(
    page.messages.map(({ body, deleted, reactions }) => [body ?? deleted, reactions.length]),
    [
      ['never again', 0],
      ['newest words', 1],
      [true, 0],
    ],
  )
  const kinds = (await log.after('lobby', 0, 99)).map(({ kind }) => kind)
  assert.deepEqual(
    kinds,
    SAID.slice(0, 7).map(({ kind }) => kind),
  )
  const [lobby] = (await log.rooms(ann.id)).filter(({ room }) => room === 'lobby')
  assert.deepEqual([lobby?.read, lobby?.unread, lobby?.mentions], [1, 1, 1])
  const den = await log.enter('den', ann.id, 'ha')
  assert.equal(den.owner, version >= 2)
  await assertSearched(log, 'newest', ['newest words'])
  const outcomes = await log.append([...SAID.slice(0, 3), say(ann, 'newest of all'), erase(ann, 1)])
  assert.deepEqual(tell(outcomes), ['repeat 1', 'repeat 2', 'repeat 3', 8, 9])
  assert.deepEqual(tell(await log.append([SAID[4]!])), ['repeat 5'])
  await assertSearched(log, 'newest', ['newest words', 'newest of all'])
  await assertSearched(log, 'never', [])
}

async function assertSearched(log: SearchedLog, words: string, expected: string[]) {
  const { messages } = await log.search('lobby', words, 9)
  assert.deepEqual(
    messages.map(({ body }) => body),
    expected,
  )
}

const SQLITE = stepsAfter(0, 'sqlite')
const POSTGRES = stepsAfter(0, 'postgres')

for (const [index, step] of SQLITE.entries()) {
  const version = index + 1
  test(`a file of version ${version} keeps everything, and goes on`, async (t) => {
    const file = `${tempFolder(t)}/hearth.db`
    const clock = new TestClock()
    const old = runtime.openSqlite(file)
    for (const earlier of SQLITE.slice(0, index)) old.exec(earlier)
    old.exec(`${step}; PRAGMA user_version = ${version}; ${fill(version, '0')}`)
    // Since it has an index, until that follows by itself, words were written with the messages.
    if (version === 3) {
      old.exec(`INSERT INTO room_numbers VALUES (1, 'lobby'); INSERT INTO words (rowid, text)
        VALUES (1 << 40 | 1, '1/never 1/again'), (1 << 40 | 2, '1/newest 1/words')`)
    }
    const seconds = Math.floor(clock.date().getTime() / 1_000)
    const at = version === 5 ? seconds : seconds * 1_000
    const told = version >= 5 ? ['hb'] : []
    for (const hash of told) {
      old.exec(`INSERT INTO revocations (at, session) VALUES (${at}, '${hash}')`)
    }
    old.close()
    const opened = openDataFile(file, clock)
    const log = await openLog(opened, clock)
    t.after(() => log.close())
    const { sessions } = await createLonelyDirectory(opened.sql).news()
    assert.deepEqual(
      sessions.map(({ hash }) => hash),
      told,
    )
    await assertKept(log, queryOf(opened.sql), version)
  })
}

test('both databases have come to the same version', () => {
  assert.equal(SQLITE.length, VERSION)
  assert.deepEqual(stepsAfter(VERSION, 'sqlite'), [])
  assert.deepEqual(stepsAfter(VERSION, 'postgres'), [])
})

void test('Postgres', async (t) => {
  const server = await startPostgres(t)
  const released = (version: number) =>
    readFileSync(`${ROOT}/tests/store/released/postgres-functions-${version}.sql`, 'utf8')
  const openOld = async (each: TestContext, version: number) => {
    const url = await server.newDatabase()
    const run = (text: string) => server.query(url, text)
    await run(`CREATE TABLE meta (epoch text NOT NULL, version int NOT NULL);
      INSERT INTO meta VALUES ('', ${version})`)
    const left = stepsAfter(version, 'postgres').length
    for (const step of POSTGRES.slice(0, POSTGRES.length - left)) await run(step)
    if (version === 4 || version === 6) await run(released(version))
    if (version === VERSION) await run(readSql('postgres-functions'))
    await run(fill(version, 'now()'))
    if (version === 3) {
      await run(`INSERT INTO words VALUES ('lobby', 1, 'never again'), ('lobby', 2, 'newest words'),
        ('garden', 1, 'newest elsewhere')`)
    }
    return openPostgres(each, url)
  }
  for (const version of [1, 2, 3, 4, 6, VERSION]) {
    await t.test(`tables of version ${version} keep everything, and go on`, async (each) => {
      const db = await openOld(each, version)
      await assertKept(await openLog(db, new TestClock()), db.query, version)
    })
  }
})
