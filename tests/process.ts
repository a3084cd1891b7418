/** The real server as a process of its own, on the runtime that runs the test or on another. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import process from 'node:process'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ON_NODE = ['--import', 'tsx', 'src/main.ts']
const ON_DENO = [
  'run',
  '--allow-net',
  '--allow-env',
  '--allow-read',
  '--allow-write',
  'src/main.ts',
]

/** Longest wait for a process to start or to end. ms */
const PATIENCE_MS = 15_000

export interface ServerProcess {
  /** Everything written so far. */
  readonly output: { stdout: string; stderr: string }
  /** The first line of stdout; fails when the process ends without one. */
  started(): Promise<string>
  /** The address in that line. */
  url(): Promise<string>
  /** Resolves with the code, or the signal, that ended it. */
  ended(): Promise<number | NodeJS.Signals | null>
  kill(signal: NodeJS.Signals): void
}

/**
 * Starts `src/main.ts`; killed when the test is over, if it still runs.
 * @param deno  the Deno to run it on; without one, the runtime that runs the test
 */
export function startProcess(
  t: TestContext,
  env: Record<string, string>,
  deno = process.versions.deno ? process.execPath : null,
): ServerProcess {
  const child = spawn(deno ?? process.execPath, deno ? ON_DENO : ON_NODE, {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1', ...env },
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
  t.after(async () => {
    kill('SIGKILL')
    await end.promise
  })
  const started = () => within(firstLine.promise, () => `the start\n${output.stderr}`)
  return {
    output,
    started,
    url: async () => /http:\/\/[\w.:]+\d/.exec(await started())![0],
    ended: () => within(end.promise, () => `the end\n${output.stdout}${output.stderr}`),
    kill,
  }
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise<number>((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
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
