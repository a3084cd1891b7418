/** The server, its clients and its file; and what is known of them so far. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UNLIMITED } from '../chaos/cluster.ts'
import { freePort, ROOT, startProcess, tailOf, type Scope, type ServerProcess } from '../process.ts'
import { createRandom, type Random } from '../random.ts'
import { startTool } from '../tool.ts'
import { startCheckpointer } from './checkpointing.ts'
import { Talker } from './talker.ts'

/** The first keeps everything. */
export const ROOMS = ['kept', 'passing', 'fleeting'] as const
/** Of the runs of a tool that writes so many are cut off. */
const CUT_OFF = 0.2

export interface StressOptions {
  seconds: number
  folder?: string
  ageSeconds?: number
  paceMs?: number
  clients?: number
  seed?: number
  /** Damages the file where SQLite is not sound. */
  hasCheckpoints?: boolean
  without?: readonly string[]
  root?: string
  /** Goes on until so many people are forgotten and entries dropped, however slow the machine is. */
  least?: { forgotten: number; dropped: number }
  /** Looks at the file now and then, and ends at once when something is wrong with it. */
  isWatched?: boolean
  onProgress?(line: string): void
}

export interface Run extends StressOptions {
  seed: number
  scope: Scope
  random: Random
  file: string
  talkers: Talker[]
  lives: Promise<void>[]
  guests: Talker[]
  /** Whom `forget` speaks for, and for whom it is done. */
  leaving: Set<string>
  forgotten: Set<string>
  tools: Record<string, number>
  dropped: number
  kills: number
  wrongs: string[]
  checkpointer: ServerProcess | null
  url: string
  startedAt: number
  server(): ServerProcess
  restart(): void
  isOver(): boolean
}

/** Starts the server, and its clients, who are silent yet. */
export async function begin(scope: Scope, options: StressOptions): Promise<Run> {
  const { root = ROOT, clients = 12, paceMs = 5, seconds, seed = Date.now() % 1e6 } = options
  const { least = { forgotten: 0, dropped: 0 } } = options
  const folder = mkdtempSync(join(options.folder ?? tmpdir(), 'hearth-stress-'))
  scope.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'hearth.db')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const many = { MAX_CONNECTIONS_PER_IP: '1000', LOG_LEVEL: 'warning' }
  const wrongs: string[] = []
  const env = { ...UNLIMITED, ...many, DATA_FILE: file, PORT: `${port}` }
  const start = () => {
    const started = startProcess(scope, env, undefined, root)
    void started.end.then((how) => {
      const isOurs = how === 0 || how === 'SIGKILL'
      if (!isOurs) wrongs.push(`the server ended: ${how}: ${tailOf(started)}`)
    })
    return started
  }
  let server = start()
  await server.started()
  const random = createRandom(seed)
  const talkers = Array.from({ length: clients }, (_, n) => {
    return new Talker({ url, name: `Talker ${n}`, rooms: ROOMS, random, paceMs })
  })
  const lives = talkers.map((talker) => talker.live())
  scope.after(() => talkers.forEach((talker) => talker.stop()))
  const startedAt = performance.now()
  const checkpointer = options.hasCheckpoints ? await startCheckpointer(scope, root, file) : null
  void checkpointer?.end.then((how) => {
    if (how !== 'SIGKILL') wrongs.push(`the checkpointer ended: ${how}: ${tailOf(checkpointer)}`)
  })
  const run: Run = {
    ...{ ...options, seed, scope, random, file, talkers, lives, checkpointer, url, startedAt },
    ...{ guests: [], leaving: new Set(), forgotten: new Set() },
    ...{ tools: {}, dropped: 0, kills: 0, wrongs },
    server: () => server,
    restart: () => void (server = start()),
    isOver: () => {
      if (run.wrongs.length > 0) return true
      const isEnough = run.dropped >= least.dropped && run.forgotten.size >= least.forgotten
      return isEnough && performance.now() - startedAt >= seconds * 1_000
    },
  }
  return run
}

/** Runs a tool to its end, or until it is cut off. @returns how it ended */
export async function tool(run: Run, name: string, ...args: string[]) {
  const { scope, file, random, root, wrongs } = run
  const started = startTool(scope, { DATA_FILE: file }, [name, ...args], { root })
  const isCut = ['retain', 'forget'].includes(name) && random.chance(CUT_OFF)
  const timer = isCut ? setTimeout(() => started.kill('SIGKILL'), random.below(2_000)) : undefined
  const code = await started.end
  clearTimeout(timer)
  if (code === 0) run.tools[name] = (run.tools[name] ?? 0) + 1
  else if (code !== 'SIGKILL') wrongs.push(`${name} failed: ${code}: ${tailOf(started).trim()}`)
  return code
}
