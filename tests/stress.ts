/**
 * One SQLite file under all that may use it at a time: a server with busy clients, killed in the
 * middle, and beside it the data tools, again and again. What was acknowledged has to be there.
 * By hand: `node --import tsx tests/stress.ts --help`.
 */

import { tmpdir } from 'node:os'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createScope } from './chaos/scope.ts'
import { ROOT, type Scope } from './process.ts'
import { forgetAgain, killAgain, readAgain, retainAgain } from './stress/beside.ts'
import { begin, tool, type Run, type StressOptions } from './stress/run.ts'
import { judge, readContents } from './stress/verdict.ts'

const HELP = `node --import tsx tests/stress.ts [options]
  --seconds 600      how long
  --folder /dev/shm  where the file is made; one in memory commits most often
  --age 30           seconds that two of the three rooms are kept
  --pace 5           mean pause of a client between two wishes, in ms
  --clients 12
  --seed 1           of what is said and done; when it happens is never the same
  --checkpoints      a process that calls wal_checkpoint(PASSIVE) on the live file in a loop
  --without check    tools that are not run (of retain, forget, export, backup, check)
  --root folder      the checkout to run, if it is not this one`

/** Between two looks at the file of a long run. ms */
const WATCH_MS = 5_000
/** For all to be answered, and tools to end, when the time is over. ms */
const PATIENCE_MS = 30_000

export interface Outcome {
  /** Until it was over, or something was wrong. */
  seconds: number
  /** Acknowledged, of every kind. */
  stored: number
  dropped: number
  forgotten: number
  /** Of the server. */
  kills: number
  /** Of chance; when things happen is never the same. */
  seed: number
  /** Runs of each tool that came to their end. */
  tools: Record<string, number>
  /** Empty: all was kept. */
  wrongs: string[]
}

/** Starts all of it, waits until it is over, and judges. Works on the runtime that calls it. */
export async function stress(scope: Scope, options: StressOptions): Promise<Outcome> {
  const run = await begin(scope, options)
  const { isOver, talkers, lives } = run
  const habits = [
    ...talkers.map((talker) => talker.talk()),
    retainAgain(run),
    forgetAgain(run),
    readAgain(run),
    killAgain(run),
    ...(options.isWatched ? [watch(run)] : []),
  ]
  while (!isOver()) await pause(100)
  for (const talker of talkers) talker.hush()
  const end = performance.now() + PATIENCE_MS
  const isSettled = () => talkers.every((talker) => talker.isSettled)
  while (!isSettled() && run.wrongs.length === 0 && performance.now() < end) await pause(50)
  const seconds = (performance.now() - run.startedAt) / 1_000
  if (!isSettled() && run.wrongs.length === 0) run.wrongs.push('not everybody was answered')
  await Promise.all(habits)
  for (const talker of talkers) talker.stop()
  await Promise.all(lives)
  run.checkpointer?.kill('SIGKILL')
  // Before it says so, no signal ends it well.
  await run
    .server()
    .started()
    .catch(() => {})
  run.server().kill('SIGTERM')
  await run.server().ended()
  if (!run.without?.includes('check')) await tool(run, 'check')
  look(run)
  return { ...outcomeOf(run), seconds }
}

/* ------------------------------------------------------------------ what came of it */

async function watch(run: Run) {
  for (let next = performance.now() + WATCH_MS; !run.isOver();) {
    await pause(200)
    if (performance.now() < next) continue
    look(run)
    run.onProgress?.(lineOf(run))
    next = performance.now() + WATCH_MS
  }
}

/** Nothing of ours comes between: what is acknowledged here is in what is read. */
function look(run: Run) {
  try {
    const talkers = [...run.talkers, ...run.guests]
    run.wrongs.push(...judge(readContents(run.file), talkers, run))
  } catch (error) {
    run.wrongs.push(`the file cannot be read: ${String(error)}`)
  }
}

function outcomeOf(run: Run): Outcome {
  const { startedAt, talkers, guests, dropped, forgotten, kills, seed, tools, wrongs } = run
  const seconds = (performance.now() - startedAt) / 1_000
  const stored = [...talkers, ...guests].reduce((sum, talker) => sum + talker.stored.length, 0)
  return { seconds, stored, dropped, forgotten: forgotten.size, kills, seed, tools, wrongs }
}

function lineOf(run: Run) {
  const { seconds, stored, dropped, forgotten, tools } = outcomeOf(run)
  const runs = Object.entries(tools).map(([name, count]) => `${name} ${count} ×`)
  return `${seconds.toFixed(0)} s: ${stored} acknowledged, ${dropped} dropped, ${forgotten} forgotten; ${runs.join(', ')}`
}

async function main() {
  const text = (name: string) => ({ type: 'string', default: name }) as const
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({
    options: {
      ...{ seconds: text('600'), folder: text(tmpdir()), age: text('30'), pace: text('5') },
      ...{ clients: text('12'), without: text(''), root: text(ROOT), seed: { type: 'string' } },
      ...{ checkpoints: flag, help: flag },
    },
  })
  if (values.help) return console.log(HELP)
  const scope = createScope()
  const { wrongs, ...rest } = await stress(scope, {
    seconds: Number(values.seconds),
    folder: values.folder,
    ageSeconds: Number(values.age),
    paceMs: Number(values.pace),
    clients: Number(values.clients),
    ...(values.seed !== undefined && { seed: Number(values.seed) }),
    hasCheckpoints: values.checkpoints,
    without: values.without.split(','),
    root: values.root,
    isWatched: true,
    onProgress: console.log,
  }).finally(() => scope.end())
  console.log(rest)
  for (const wrong of wrongs) console.log(`WRONG: ${wrong}`)
  if (wrongs.length === 0) console.log('all that was acknowledged is there, once')
  process.exitCode = wrongs.length > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
