/** The real server as a process of its own, on the runtime that runs the test or on another. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

/** Where our own checkout is. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ON_NODE = ['--import', 'tsx', 'src/main.ts']
const ON_DENO = [
  'run',
  '--allow-net',
  '--allow-env',
  '--allow-read',
  '--allow-write',
  'src/main.ts',
]

const OUR_DENO = process.versions.deno ? process.execPath : null

/** Longest wait for a process to start or to end. ms */
const PATIENCE_MS = 15_000

/** Whatever is over one day: a test, or a run of its own. */
export interface Scope {
  /** Calls `cleanup` when it is over. */
  after(cleanup: () => unknown): void
}

export interface ServerProcess {
  readonly pid: number | undefined
  /** Everything written so far. */
  readonly output: { stdout: string; stderr: string }
  /** The first line of stdout; fails when the process ends without one. */
  started(): Promise<string>
  /** The address in that line. */
  url(): Promise<string>
  /** Resolves when the output shows it, with the first group of a pattern. */
  says(pattern: RegExp | string): Promise<string>
  /** Resolves with the code, or the signal, that ended it. */
  ended(): Promise<number | NodeJS.Signals | null>
  /** Resolves with the same whenever that is; never rejects. */
  readonly end: Promise<number | NodeJS.Signals | null>
  kill(signal: NodeJS.Signals): void
}

/**
 * Starts `src/main.ts`; killed when the scope is over, if it still runs.
 * @param deno  the Deno to run it on, null for Node; without it, the runtime that runs the test
 * @param root  the checkout to run, when it is not ours
 */
export function startProcess(
  scope: Scope,
  env: Record<string, string>,
  deno = OUR_DENO,
  root = ROOT,
): ServerProcess {
  return startProgram(scope, serverCommand(deno), env, root)
}

/** What starts it, for whoever puts another command before. @param deno  as for `startProcess` */
export function serverCommand(deno = OUR_DENO) {
  return [runtimeOf(deno), ...(deno ? ON_DENO : ON_NODE)]
}

/** The program of a runtime. @param deno  as for `startProcess` */
export function runtimeOf(deno = OUR_DENO) {
  return deno ?? (OUR_DENO ? 'node' : process.execPath)
}

/** Starts a program; killed when the scope is over, if it still runs. */
export function startProgram(
  scope: Scope,
  [command, ...argv]: readonly string[],
  env: Record<string, string>,
  cwd = ROOT,
): ServerProcess {
  const child = spawn(command!, argv, {
    cwd,
    env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  const firstLine = deferred<string>()
  const end = deferred<number | NodeJS.Signals | null>()
  let isOver = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
    if (output.stdout.includes('\n')) firstLine.resolve(output.stdout.split('\n')[0]!)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  child.on('close', (code, signal) => {
    isOver = true
    firstLine.reject(new Error(`it ended: ${code ?? signal}\n${output.stderr}`))
    end.resolve(code ?? signal)
  })
  const kill = (signal: NodeJS.Signals) => {
    if (!isOver && child.pid !== undefined) process.kill(child.pid, signal)
  }
  scope.after(async () => {
    kill('SIGKILL')
    await end.promise
  })
  const says = async (pattern: RegExp | string) => {
    const found = deferred<string>()
    const look = () => {
      const text = `${output.stdout}${output.stderr}`
      const match =
        typeof pattern === 'string' ? text.includes(pattern) && [pattern] : pattern.exec(text)
      if (match) found.resolve(match[1] ?? match[0]!)
    }
    for (const stream of [child.stdout, child.stderr]) stream.on('data', look)
    look()
    return within(found.promise, () => `${pattern}\n${output.stdout}${output.stderr}`)
  }
  const started = () => within(firstLine.promise, () => `the start\n${output.stderr}`)
  return {
    pid: child.pid,
    output,
    started,
    says,
    url: async () => /http:\/\/[\w.:]+\d/.exec(await started())![0],
    end: end.promise,
    ended: () => within(end.promise, () => `the end\n${output.stdout}${output.stderr}`),
    kill,
  }
}

/** The end of what it has written. */
export function tailOf({ output }: ServerProcess) {
  return `${output.stdout}${output.stderr}`.slice(-3_000)
}

/** A command before another: no file may grow beyond 256 KiB, as if the disk were full. */
export const ON_SMALL_DISK = ['sh', '-c', 'trap "" XFSZ; ulimit -f 512; exec "$0" "$@"']

/**
 * Ports for programs that cannot be told to take any free one. They lie below those that systems
 * give to `port 0` and to outgoing connections, so that nobody else gets one in between.
 */
const PORTS = { first: 10_000, last: 30_000 }
let lastPort = PORTS.first + Math.floor(Math.random() * (PORTS.last - PORTS.first))

/** A port that is free, and that this process has not given out before. */
export async function freePort(): Promise<number> {
  lastPort = lastPort < PORTS.last ? lastPort + 1 : PORTS.first
  const port = lastPort
  const isFree = await new Promise<boolean>((resolve) => {
    const server = createServer().on('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
  return isFree ? port : freePort()
}

function deferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((accept, refuse) => {
    resolve = accept
    reject = refuse
  })
  promise.catch(() => {})
  return { promise, resolve, reject }
}

function within<T>(promise: Promise<T>, what: () => string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const impatience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new assert.AssertionError({ message: `waited for ${what()}` }))
    }, PATIENCE_MS)
  })
  return Promise.race([promise, impatience]).finally(() => clearTimeout(timer))
}
