/** What `check` finds, each fault made by hand; and the command line. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { check, violations } from '../../tools/check.ts'
import { ann, bob, edit, erase, react, say } from '../store/drafts.ts'
import { startTool } from '../tool.ts'
import { beside, newFile, onBoth, run, withLog, type Env, type NewPlace } from './places.ts'

/** What is done to the tables, and what must be said of it. */
const FAULTS = [
  ['DELETE FROM messages WHERE seq = 2', 'lobby: 3 is a hole'],
  ['UPDATE rooms SET head = 9', 'its head is 9, and the last entry 6'],
  ['UPDATE rooms SET floor = 1', 'lobby: 1 is a hole or below the floor 1'],
  ["UPDATE messages SET body = 'x' WHERE seq = 1", 'lobby: 1 is not what its digest says'],
  ['UPDATE messages SET target = 4 WHERE seq = 3', 'about a message that is not there'],
  ['UPDATE messages SET deleted = NOT deleted WHERE seq = 2', 'was deleted and is still there'],
  ["UPDATE messages SET body = 'x' WHERE seq = 2", 'has no body and is not deleted, or both'],
  ['UPDATE messages SET newest_edit = NULL', 'lobby: 1 does not read as its newest edit'],
  ['UPDATE messages SET newest_edit = 5 WHERE seq = 6', '6 does not read as its newest edit'],
  ['UPDATE messages SET target = 2 WHERE seq = 3', 'lobby: 2 was deleted and is still there'],
  ['UPDATE messages SET reply_to = 6 WHERE seq = 6', '6 is about a message that is not there'],
  ['DELETE FROM reactions', 'lacks a reaction'],
  ['UPDATE reactions SET target = 6', 'has a reaction that nobody made'],
  ["UPDATE rooms SET room = 'den'", 'is in a room that is not there'],
  ['UPDATE members SET read = 99', 'is read further than it goes'],
] as const

async function everyFault(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  await withLog(t, env, async ({ log, accounts }) => {
    const session = await accounts.addGuest('Cid', 'h')
    await log.enter('lobby', session!.user.id, 'h')
    await log.append([say(ann), say(bob), edit(ann, 1), react(bob, 1), erase(bob, 2), say(ann)])
  })
  assert.equal((await run(check, env)).code, 0)
  for (const [statement, words] of FAULTS) {
    const found = await withUndo(env, statement)
    assert.ok(found.includes(words), `${statement}\n${found}`)
  }
  assert.equal((await run(check, env)).code, 0)
}

/** What is found of a change that is then taken back. */
async function withUndo(env: Env, statement: string) {
  return beside(env, async ({ query, begin }) => {
    await query(begin.write)
    await query(statement)
    let found = ''
    for await (const fault of violations(query)) found += `${fault}\n`
    await query('ROLLBACK')
    return found
  })
}

async function manyPieces(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  const rooms = ['a', 'lobby', 'z']
  await withLog(t, env, async ({ log }) => {
    for (let n = 0; n < 1_500; n += 500) {
      const talk = rooms.map((room) => Array.from({ length: 500 }, () => say(ann, 'x', { room })))
      await log.append(talk.flat())
    }
  })
  assert.equal((await run(check, env)).code, 0)
  const found = await withUndo(env, "UPDATE messages SET body = 'y' WHERE room <> 'lobby'")
  const of = (room: string) => found.split('\n').filter((line) => line.startsWith(`${room}: `))
  assert.equal(of('a').length, 100, 'more of one kind are not told')
  assert.equal(found.trimEnd().split('\n').length, 100)
  const torn = "DELETE FROM messages WHERE (room = 'a' OR room = 'z') AND seq IN (501, 1500)"
  const lines = (await withUndo(env, torn)).trimEnd().split('\n').sort()
  assert.deepEqual(lines, [
    'a: 502 is a hole or below the floor 0',
    'a: its head is 1500, and the last entry 1499',
    'z: 502 is a hole or below the floor 0',
    'z: its head is 1500, and the last entry 1499',
  ])
}

void test('check', (t) =>
  onBoth(t, [
    ['every fault is found and told', everyFault],
    ['all of several rooms is gone through, piece by piece', manyPieces],
  ]))

/** One that is over. */
async function start(t: TestContext, env: Env, ...args: string[]) {
  const tool = startTool(t, env, args)
  return { code: await tool.end, out: tool.output.stdout, err: tool.output.stderr }
}

test('the command line: help, misuse, failure, success', async (t) => {
  const env = await newFile(t)
  const help = await start(t, env)
  assert.equal(help.code, 0)
  assert.match(help.out, /backup <file>.*\n.*restore/)
  const one = (text: string) => assert.equal(text.trimEnd().split('\n').length, 1, text)
  const unknown = await start(t, env, 'toString')
  assert.deepEqual([unknown.code, unknown.out], [2, ''])
  assert.match(unknown.err, /^there is no command toString\n/)
  const misused = await start(t, env, 'retain', '--dayz', '3')
  assert.deepEqual([misused.code, misused.out], [2, ''])
  assert.match(misused.err, /--dayz[^]*\nusage: retain /)
  const failed = await start(t, env, 'check')
  assert.deepEqual([failed.code, failed.out], [1, ''])
  one(failed.err)
  const bad = await start(t, { ...env, PORT: 'x' }, 'check')
  assert.equal(bad.code, 2)
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one')]))
  const exported = await start(t, env, 'export')
  assert.deepEqual([exported.code, exported.err], [0, ''])
  assert.equal(exported.out.trimEnd().split('\n').length, 4)
  const saved = await start(t, env, 'backup', `${env.DATA_FILE}.copy`)
  assert.equal(saved.code, 0, saved.err)
})
