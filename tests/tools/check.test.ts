/** What `check` finds, each fault made by hand; and the command line. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { check, violations } from '../../tools/check.ts'
import { ann, bob, edit, erase, react, say } from '../store/drafts.ts'
import { ROOT } from '../process.ts'
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
  ['UPDATE messages SET newest_edit = NULL', 'does not read as its newest edit'],
  ['DELETE FROM reactions', 'lacks a reaction'],
  ['UPDATE reactions SET target = 6', 'has a reaction that nobody made'],
  ["UPDATE rooms SET room = 'den'", 'is in a room that is not there'],
  ['UPDATE members SET read = 99', 'is read further than it goes'],
] as const

async function everyFault(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  await withLog(t, env, async ({ log, accounts }) => {
    const session = await accounts.addGuest('Cid', 'cid', 'h')
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

void test('check', (t) => onBoth(t, [['every fault is found and told', everyFault]]))

/** The real command, on the runtime of the test, as its task has it. */
function start(env: Env, ...args: string[]) {
  const child = spawn(process.execPath, [...commandLine(), ...args], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const text = { out: '', err: '' }
    child.stdout.setEncoding('utf8').on('data', (more: string) => (text.out += more))
    child.stderr.setEncoding('utf8').on('data', (more: string) => (text.err += more))
    child.on('close', (code) => resolve({ code, ...text }))
  })
}

/** Its arguments; the word before them is the runtime. */
function commandLine(): string[] {
  const read = (file: string) => JSON.parse(readFileSync(`${ROOT}/${file}`, 'utf8'))
  const command: string = process.versions.deno
    ? read('deno.json').tasks.data
    : read('package.json').scripts.data
  return command.split(' ').slice(1)
}

test('the command line: help, misuse, failure, success', async (t) => {
  const env = await newFile(t)
  const help = await start(env)
  assert.equal(help.code, 0)
  assert.match(help.out, /backup <file>.*\n.*restore/)
  const one = (text: string) => assert.equal(text.trimEnd().split('\n').length, 1, text)
  const unknown = await start(env, 'toString')
  assert.deepEqual([unknown.code, unknown.out], [2, ''])
  assert.match(unknown.err, /^there is no command toString\n/)
  const misused = await start(env, 'retain', '--dayz', '3')
  assert.deepEqual([misused.code, misused.out], [2, ''])
  assert.match(misused.err, /--dayz[^]*\nusage: retain /)
  const failed = await start(env, 'check')
  assert.deepEqual([failed.code, failed.out], [1, ''])
  one(failed.err)
  const bad = await start({ ...env, PORT: 'x' }, 'check')
  assert.equal(bad.code, 2)
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one')]))
  const exported = await start(env, 'export')
  assert.deepEqual([exported.code, exported.err], [0, ''])
  assert.equal(exported.out.trimEnd().split('\n').length, 4)
  const saved = await start(env, 'backup', `${env.DATA_FILE}.copy`)
  assert.equal(saved.code, 0, saved.err)
})
