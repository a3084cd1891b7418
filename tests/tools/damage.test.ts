/** Files that are broken, and disks that are full: what is told, and what stays. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test, type TestContext } from 'node:test'
import { backup } from '../../tools/backup.ts'
import { check } from '../../tools/check.ts'
import { exportLog } from '../../tools/export.ts'
import { importLog } from '../../tools/import.ts'
import { tempFolder } from '../helpers.ts'
import { ON_SMALL_DISK } from '../process.ts'
import { ann, say } from '../store/drafts.ts'
import { startTool } from '../tool.ts'
import { assertRefused, faults, newFile, run, withLog, type Env } from './places.ts'

const PAGE = 4_096

async function fill(t: TestContext, env: Env) {
  await withLog(t, env, async ({ log }) => {
    const body = (n: number) => `message-${n} ${'x'.repeat(300)}`
    await log.append(Array.from({ length: 2_000 }, (_, n) => say(ann, body(n))))
  })
}

/** Overwrites the page on which some text stands. */
function overwrite(file: string, text: string) {
  const bytes = readFileSync(file)
  const page = Math.floor(bytes.indexOf(text) / PAGE)
  assert.ok(page > 1)
  writeFileSync(file, bytes.fill(0xaa, page * PAGE, (page + 1) * PAGE))
}

test('a page in the middle that was overwritten is found, and each fault is a line', async (t) => {
  const env = await newFile(t)
  const file = env.DATA_FILE!
  await fill(t, env)
  assert.deepEqual(await faults(env), [])
  overwrite(file, 'message-1000 ')
  const { code, text } = await run(check, env)
  assert.equal(code, 1)
  const lines = text.trimEnd().split('\n')
  assert.ok(lines.length > 1, text)
  assert.match(lines[0]!, /hearth\.db: Tree \d+ page \d+/)
  const copy = `${tempFolder(t)}/backup.db`
  await assertRefused(run(backup, env, copy), file)
  assert.deepEqual(readdirSync(dirname(copy)), [])
  const tool = startTool(t, env, ['check'])
  assert.deepEqual([await tool.end, tool.output.stdout, tool.output.stderr], [1, text, ''])
})

test('an index that lacks an entry is found, though every message is there', async (t) => {
  const env = await newFile(t)
  const file = env.DATA_FILE!
  await fill(t, env)
  // The id stands in its row, and in the index by which a repeat is known.
  const id = readFileSync(file, 'latin1').match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g)![99]!
  const bytes = readFileSync(file)
  bytes.write('f', bytes.indexOf(id) + id.length - 1)
  writeFileSync(file, bytes)
  const found = await faults(env)
  assert.ok(found.length > 0)
})

test('what is not even a database is told in one line', async (t) => {
  const env = await newFile(t)
  writeFileSync(env.DATA_FILE!, 'these are my notes '.repeat(300))
  await assertRefused(run(check, env), env.DATA_FILE!, 'not a database')
})

test('a backup that does not fit leaves nothing behind', async (t) => {
  const env = await newFile(t)
  await fill(t, env)
  const copy = `${tempFolder(t)}/backup.db`
  const tool = startTool(t, env, ['backup', copy], { wrap: ON_SMALL_DISK })
  assert.equal(await tool.end, 1)
  assert.match(tool.output.stderr, /^\S+hearth\.db: (disk I\/O error|database or disk is full)\n$/)
  assert.deepEqual(readdirSync(dirname(copy)), [])
  await run(backup, env, copy)
  const before = readFileSync(env.DATA_FILE!)
  const other = startTool(t, env, ['restore', copy, '--replace'], { wrap: ON_SMALL_DISK })
  assert.equal(await other.end, 1)
  assert.equal(other.output.stderr.split('\n').length, 2)
  assert.deepEqual(readFileSync(env.DATA_FILE!), before)
  assert.ok(!existsSync(`${env.DATA_FILE}.part`))
})

test('an import that does not fit leaves an empty log', async (t) => {
  const from = await newFile(t)
  await fill(t, from)
  const lines = `${tempFolder(t)}/log.jsonl`
  writeFileSync(lines, (await run(exportLog, from)).text)
  const env = await newFile(t)
  const tool = startTool(t, env, ['import', lines], { wrap: ON_SMALL_DISK })
  assert.equal(await tool.end, 1)
  assert.equal(tool.output.stderr.split('\n').length, 2, tool.output.stderr)
  await run(importLog, env, lines)
  assert.deepEqual(await faults(env), [])
})

test('a line that is too long to be one is refused before it fills the memory', async (t) => {
  const env = await newFile(t)
  const lines = `${tempFolder(t)}/log.jsonl`
  writeFileSync(lines, `{"type":"hearth"\n${'x'.repeat(3_000_000)}`)
  await assertRefused(run(importLog, env, lines), 'line 1')
  writeFileSync(lines, 'x'.repeat(3_000_000))
  await assertRefused(run(importLog, env, lines), 'line 1: too long')
})

test('an export that cannot be written says so', { skip: !existsSync('/dev/full') }, async (t) => {
  const env = await newFile(t)
  await fill(t, env)
  const tool = startTool(t, env, ['export'], { wrap: ['sh', '-c', 'exec "$0" "$@" > /dev/full'] })
  assert.equal(await tool.end, 1)
  assert.match(tool.output.stderr, /^cannot write to the standard output: .*\n$/)
})
