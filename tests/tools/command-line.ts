/** The real command, as a process of its own on the runtime of the test. */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import type { TestContext } from 'node:test'
import { ROOT } from '../process.ts'
import type { Env } from './places.ts'

export interface ToolProcess {
  /** What it has written so far. */
  readonly out: string
  readonly err: string
  /** Resolves with its exit code, or the signal that ended it. */
  readonly end: Promise<number | NodeJS.Signals>
  /** Resolves when it has told this. */
  tells(line: string): Promise<void>
  kill(signal: NodeJS.Signals): void
}

/**
 * Starts it as its task has it; killed when the test is over.
 * @param wrap  a command before it, that runs what stands behind
 */
export function startTool(
  t: TestContext,
  env: Env,
  args: readonly string[],
  wrap: readonly string[] = [],
): ToolProcess {
  const [command, ...argv] = [...wrap, process.execPath, ...commandLine(), ...args]
  const child = spawn(command!, argv, {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text.out += more))
  child.stderr.setEncoding('utf8').on('data', (more: string) => (text.err += more))
  const end = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'))
  })
  let isOver = false
  void end.then(() => (isOver = true))
  // Deno takes whatever `child.kill` was asked for as the end that came.
  const kill = (signal: NodeJS.Signals) => {
    if (!isOver && child.pid !== undefined) process.kill(child.pid, signal)
  }
  t.after(async () => {
    kill('SIGKILL')
    await end
  })
  const tells = (line: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => text.err.includes(`${line}\n`) && resolve()
      child.stderr.on('data', look)
      child.on('close', () => reject(new Error(`it did not tell "${line}" but "${text.err}"`)))
      look()
    })
  return {
    get out() {
      return text.out
    },
    get err() {
      return text.err
    },
    ...{ end, tells, kill },
  }
}

/** Its arguments; the word before them is the runtime. */
function commandLine(): string[] {
  const read = (file: string) => JSON.parse(readFileSync(`${ROOT}/${file}`, 'utf8'))
  const command: string = process.versions.deno
    ? read('deno.json').tasks.data
    : read('package.json').scripts.data
  return command.split(' ').slice(1)
}
