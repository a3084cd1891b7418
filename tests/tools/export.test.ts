/** What is exported and imported is the same log under another epoch; what is broken is refused. */

import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { exportLog } from '../../tools/export.ts'
import { importLog } from '../../tools/import.ts'
import type { Draft } from '../../src/store/log.ts'
import { startServer, tempFolder } from '../helpers.ts'
import type { SearchedLog } from '../store/opened.ts'
import { batchesOfActions, toDraft } from '../store/contract.ts'
import { ann, bob, edit, erase, react, say, tell } from '../store/drafts.ts'
import {
  assertRefused,
  beside,
  faults,
  newFile,
  onBoth,
  readAll,
  run,
  withLog,
  type Env,
  type NewPlace,
} from './places.ts'

/** Random talks, each in two rooms of its own. */
function talks(count: number) {
  return fc.sample(batchesOfActions, { numRuns: count, seed: 7 }).map((batches, index) => {
    const earlier: Draft[] = []
    return batches.map((batch) =>
      batch.map((action) => {
        const draft = toDraft(action, `talk-${index}`, earlier)
        earlier.push(draft)
        return draft
      }),
    )
  })
}

function fileOf(t: TestContext, text: string) {
  const file = `${tempFolder(t)}/log.jsonl`
  writeFileSync(file, text)
  return file
}

async function roundTrip(t: TestContext, newPlace: NewPlace, other: NewPlace) {
  const from = await newPlace(t)
  const batches = talks(60).flat()
  const rooms = [...new Set(batches.flat().map(({ room }) => room))]
  const before = await withLog(t, from, async ({ log, accounts }) => {
    const session = await accounts.addGuest('Ann', 'secret-hash')
    await log.enter('talk-1-a', session!.user.id, 'secret-hash')
    for (const batch of batches) await log.append(batch)
    await log.saveReads([{ room: 'talk-1-a', user: session!.user.id, seq: 2 }])
    const summary = await log.rooms(session!.user.id)
    return { all: await readAll(log, rooms), summary, id: session!.user.id, epoch: log.epoch }
  })
  assert.deepEqual(await faults(from), [])
  const { text } = await run(exportLog, from)
  assert.ok(!text.includes('secret-hash'))
  const answers = (env: Env) =>
    withLog(t, env, async ({ log }) => tell(await log.append(batches.flat().slice(0, 400))))
  const answered = await answers(from)
  for (const place of [newPlace, other]) {
    const to = await place(t)
    await run(importLog, to, fileOf(t, text))
    assert.deepEqual(await faults(to), [])
    await withLog(t, to, async ({ log }) => {
      assert.notEqual(log.epoch, before.epoch)
      assert.deepEqual(await readAll(log, rooms), before.all)
      assert.deepEqual(await log.rooms(before.id), before.summary)
      await assertSearched(log, rooms)
    })
    const again = (await run(exportLog, to)).text
    assert.deepEqual(again.split('\n').slice(1), text.split('\n').slice(1))
    // Whatever comes again is a repeat, a conflict or refused in both.
    assert.deepEqual(await answers(to), answered)
    await assertRefused(run(importLog, to, fileOf(t, text)), 'not empty')
  }
}

/** The index of words follows by itself. */
async function assertSearched(log: SearchedLog, rooms: readonly string[]) {
  for (const room of rooms.slice(0, 5)) {
    const { messages } = await log.page(room, 100)
    const wanted = messages
      .filter(({ body }) => body?.split(' ').includes('b'))
      .map(({ seq }) => seq)
    const found = await log.search(room, 'b', 100)
    assert.deepEqual(
      found.messages.map(({ seq }) => seq),
      wanted,
    )
  }
}

/** A small log with one of each. */
async function smallLog(t: TestContext, env: Env) {
  await withLog(t, env, async ({ log, accounts }) => {
    await accounts.addGuest('Ann', 'h')
    await log.append([say(ann, 'one'), say(bob, 'two', { replyTo: 1 }), edit(ann, 1, 'three')])
    await log.append([react(bob, 1), erase(bob, 2), say(ann, 'away', { room: 'garden' })])
  })
  return (await run(exportLog, env)).text.trimEnd().split('\n')
}

async function brokenFiles(t: TestContext, newPlace: NewPlace) {
  const lines = await smallLog(t, await newPlace(t))
  const to = await newPlace(t)
  const nth = (type: string) => lines.findIndex((line) => line.includes(`"type":"${type}"`)) + 1
  const change = (line: number, from: string | RegExp, by: string) =>
    lines.map((text, index) => (index === line - 1 ? text.replace(from, by) : text))
  const first = nth('message')
  const session = '{"type":"session","hash":"h","user":"x","role":"admin"}'
  const cases: [string[], ...string[]][] = [
    [change(first, '{', '['), `line ${first}`, 'JSON'],
    [change(first, '"seq":', '"sec":'), `line ${first}`, 'seq'],
    [change(first, '"message"', '"massage"'), `line ${first}`, 'type'],
    [change(first, '"body":', '"bodi":'), `line ${first}`, 'body'],
    [change(1, '"version":1', '"version":2'), 'line 1', 'version'],
    [lines.slice(1), 'line 1', 'hearth'],
    [lines.slice(0, -1), 'end'],
    [[...lines, lines[0]!], `line ${lines.length + 1}`],
    [lines.filter((_, index) => index !== first), `line ${lines.length - 1}`],
    [change(nth('room'), /"head":\d/, '"head":9'), 'head'],
    [change(first, '"digest":"', '"digest":"x'), 'digest'],
    [change(first, '"seq":1,', '"seq":7,'), 'garden'],
    [lines.toSpliced(2, 0, session), 'line 3'],
    [
      lines.map((line) =>
        line.replace('"kind":"message","deleted":true', '"kind":"message","body":"x"'),
      ),
      'deleted',
    ],
  ]
  for (const [broken, ...words] of cases) {
    await assertRefused(run(importLog, to, fileOf(t, broken.join('\n'))), ...words)
  }
  await beside(to, async ({ query }) => {
    for (const table of ['users', 'rooms', 'members', 'messages', 'reactions']) {
      assert.deepEqual(await query(`SELECT 1 AS one FROM ${table}`), [], table)
    }
  })
  await run(importLog, to, fileOf(t, lines.join('\n')))
  assert.deepEqual(await faults(to), [])
}

async function oneRoom(t: TestContext, newPlace: NewPlace) {
  const from = await newPlace(t)
  await smallLog(t, from)
  await assertRefused(run(exportLog, from, '--room', 'cellar'), 'cellar')
  const { text } = await run(exportLog, from, '--room', 'garden')
  const to = await newPlace(t)
  await run(importLog, to, fileOf(t, text))
  assert.deepEqual(await faults(to), [])
  await withLog(t, to, async ({ log }) => {
    assert.equal((await log.page('garden', 9)).messages.length, 1)
    assert.equal((await log.page('lobby', 9)).head, 0)
  })
}

/** As Hearth wrote it before version 7; and a server has made its lobby, which is nothing yet. */
async function oldFile(t: TestContext, newPlace: NewPlace) {
  const from = await newPlace(t)
  await withLog(t, from, async ({ log, accounts }) => {
    const { user } = (await accounts.addGuest('Ann', 'h'))!
    for (const room of ['garden', 'lobby']) await log.enter(room, user.id, 'h')
  })
  const { text } = await run(exportLog, from)
  assert.match(text, /"type":"member".*"since":"\d{4}-/)
  const to = await newPlace(t)
  await (await startServer(t, { env: to })).close()
  if (to.DATABASE_URL) await beside(to, ({ query }) => query('TRUNCATE nodes'))
  const old = text.replaceAll(/,"since":"[^"]*"/g, '')
  await run(importLog, to, fileOf(t, old))
  assert.equal(
    (await run(exportLog, to)).text.match(/"since":null/g)?.length,
    text.match(/"since"/g)?.length,
  )
  await assertRefused(run(importLog, to, fileOf(t, old)), 'not empty')
}

void test('export and import', (t) =>
  onBoth(t, [
    ['a file without what later versions write, into a log that a server has begun', oldFile],
    ['what is imported is what was exported, in either database', roundTrip],
    ['a broken file is refused, with its line, and nothing of it is kept', brokenFiles],
    ['one room alone', oneRoom],
  ]))

test('nothing is there to export, and none is made', async (t) => {
  const env = await newFile(t)
  await assertRefused(run(exportLog, env), env.DATA_FILE!)
  assert.ok(!existsSync(env.DATA_FILE!))
  await assertRefused(run(exportLog, { DATA_FILE: ':memory:' }), ':memory:')
  await assertRefused(run(importLog, env, '/nowhere/log.jsonl'), '/nowhere/log.jsonl')
})
