/** How far a command is: what a terminal shows, and that nothing else does. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { backup } from '../../tools/backup.ts'
import { check } from '../../tools/check.ts'
import type { Command } from '../../tools/command.ts'
import { exportLog } from '../../tools/export.ts'
import { forget } from '../../tools/forget.ts'
import { importLog } from '../../tools/import.ts'
import { move } from '../../tools/move.ts'
import { createProgress, type Terminal } from '../../tools/progress.ts'
import { restore } from '../../tools/restore.ts'
import { retain } from '../../tools/retain.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { startPostgres } from '../postgres.ts'
import { ann, edit, react, say } from '../store/drafts.ts'
import { age, newFile, run, runWith, withLog, type Env } from './places.ts'

/** A terminal that keeps what it was sent, and what stands in its last line. */
class Screen implements Terminal {
  readonly isTTY: boolean
  readonly columns: number
  readonly drawn: string[] = []
  constructor({ isTTY = true, columns = 100 } = {}) {
    this.isTTY = isTTY
    this.columns = columns
  }
  write(text: string) {
    assert.ok(text.startsWith('\r\x1b[K'), 'each drawing takes the one before away')
    this.drawn.push(text.slice('\r\x1b[K'.length))
  }
  get line() {
    return this.drawn.at(-1) ?? ''
  }
}

function start(options = {}) {
  const screen = new Screen(options)
  const clock = new TestClock()
  return { screen, clock, progress: createProgress(screen, clock) }
}

test('what is over soon shows nothing', async () => {
  const { screen, clock, progress } = start()
  progress.begin('checking', 'entries', 100)
  await clock.advance(1_499)
  progress.add(100)
  progress.clear()
  assert.deepEqual(screen.drawn, [])
})

test('then a bar, drawn four times a second, and taken away', async () => {
  const { screen, clock, progress } = start()
  progress.begin('checking', 'entries', 12_000)
  for (let n = 0; n < 4_000; n += 1) {
    progress.add(1)
    await clock.advance(1)
  }
  assert.equal(screen.drawn.length, 10)
  assert.equal(
    screen.drawn[0],
    `checking [###${'.'.repeat(21)}]  12 %, 1,501 of 12,000 entries, 2 s`,
  )
  assert.match(screen.line, /^checking \[#{8}\.{16}\] {2}31 %, 3,751 of 12,000 entries, 4 s$/)
  progress.clear()
  assert.equal(screen.line, '')
  progress.clear()
  assert.equal(screen.drawn.length, 11, 'there is nothing to take away twice')
})

test('what has no end is counted, and what cannot be counted has its time', async () => {
  const { screen, clock, progress } = start()
  await clock.advance(9_700)
  progress.begin('dropping', 'entries')
  await clock.advance(300)
  progress.add(1_050)
  assert.equal(screen.line, 'dropping 1,050 entries, 10 s')
  await clock.advance(2_000)
  progress.begin('checking the file')
  assert.equal(screen.line, 'checking the file, 12 s')
  await clock.advance(1_000)
  progress.add(0)
  assert.equal(screen.line, 'checking the file, 13 s')
})

test('more than was expected is not more than all', async () => {
  const { screen, clock, progress } = start()
  progress.begin('copying', 'MB', 3.4)
  await clock.advance(2_000)
  progress.set(5)
  assert.match(screen.line, /\[#{24}\] 100 %, 5 of 3 MB/)
})

test('a line is never longer than the terminal, and elsewhere there is none', async () => {
  const narrow = start({ columns: 20 })
  const file = start({ isTTY: false })
  for (const { clock, progress } of [narrow, file]) {
    progress.begin('checking', 'entries', 12_000)
    await clock.advance(2_000)
    progress.add(1)
    progress.clear()
  }
  assert.deepEqual(narrow.screen.drawn, ['checking [.........', ''])
  assert.deepEqual(file.screen.drawn, [])
})

/** It goes on whenever somebody looks at it, so that all that is told is drawn. */
class HastyClock extends TestClock {
  override now() {
    this.skip(2_000)
    return super.now()
  }
}

async function shown(command: Command, env: Env, ...args: string[]) {
  const screen = new Screen()
  const progress = createProgress(screen, new HastyClock())
  await runWith({ progress }, command, env, ...args)
  return screen.drawn.join('\n')
}

async function fill(t: TestContext, env: Env) {
  await withLog(t, env, async ({ log, accounts }) => {
    const { user } = (await accounts.addGuest('Zora', 'h'))!
    await log.append([say(ann), edit(ann, 1), react(ann, 1)])
    await log.append(Array.from({ length: 600 }, () => say(user)))
  })
}

test('every command that may take long shows how far it is', async (t) => {
  const env = await newFile(t)
  await fill(t, env)
  const folder = tempFolder(t)
  const CHECK = /checking the file,[^]*checking \[#{24}\] 100 %, 603 of 603 entries/
  assert.match(await shown(check, env), CHECK)
  const saved = await shown(backup, env, `${folder}/backup.db`)
  assert.match(saved, /copying \[/)
  assert.match(saved, CHECK)
  assert.match(await shown(exportLog, env), /exporting \[#{24}\] 100 %, 603 of 603 entries/)
  const { text } = await run(exportLog, env)
  writeFileSync(`${folder}/log.jsonl`, text)
  const taken = await shown(importLog, await newFile(t), `${folder}/log.jsonl`)
  assert.match(taken, /reading \[[^]*edits and reactions[^]*checking \[/)
  const stored = await shown(restore, env, `${folder}/backup.db`, '--replace')
  assert.match(stored, /copying \[/)
  assert.match(stored, CHECK)
  assert.match(await shown(forget, env, 'Zora'), /forgetting 1,200 entries/)
  const server = await startPostgres(t)
  const moved = await shown(move, env, await server.newDatabase())
  assert.match(moved, /exporting \[[^]*checking \[/)
  await age(env, 'lobby', 2_000)
  assert.match(await shown(retain, env, '--days', '30', '--all'), /dropping 1,202 entries/)
})
