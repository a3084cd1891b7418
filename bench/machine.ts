/** Processes on cores of their own, and what the system says of them. */

import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, platform } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { Order } from './generator.ts'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** The server's core, and the load's. */
const SERVER_CORE = '0'
const LOAD_CORE = '1'
/** Ticks of the clock in /proc. 1/s */
const TICKS = 100
const PATIENCE_MS = 20_000

const canPin = platform() === 'linux' && cpus().length > 1

export interface Server {
  readonly pid: number
  readonly port: number
  /** From the start of the process until it listened. ms */
  readonly started: number
  /** Its time on all cores so far. s */
  cpu(): number
  /** Memory of its own. bytes */
  memory(): number
  stop(): Promise<void>
}

/** Starts a server whose first line of output ends with its port. */
export async function start(
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<Server> {
  const [program, ...args] = pinned(command, SERVER_CORE)
  const began = performance.now()
  const child = spawn(program!, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const line = await firstLine(child)
  const started = performance.now() - began
  const pid = child.pid!
  const stat = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return {
    pid,
    port: Number(/(\d+)(,.*)?$/.exec(line)?.[1]),
    started,
    cpu: () => (Number(stat()[11]) + Number(stat()[12])) / TICKS,
    memory: () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
    stop: () => ended(child, 'SIGTERM'),
  }
}

export interface Load {
  order<T>(order: Order): Promise<T>
  stop(): Promise<void>
}

export function startLoad(): Load {
  const [program, ...args] = pinned([process.execPath, '--import', 'tsx'], LOAD_CORE)
  const child = fork('bench/generator.ts', {
    cwd: ROOT,
    execPath: program!,
    execArgv: args,
  })
  return {
    order: (order) =>
      new Promise((resolve, reject) => {
        child.once('message', (message: { answer: never; error?: string }) => {
          child.off('exit', fail)
          if (message.error) reject(new Error(message.error))
          else resolve(message.answer)
        })
        const fail = () => reject(new Error('the load generator ended'))
        child.once('exit', fail)
        child.send(order)
      }),
    stop: () => ended(child, 'SIGKILL'),
  }
}

export function machine() {
  const [cpu] = cpus()
  const kernel = execFileSync('uname', ['-sr'], { encoding: 'utf8' }).trim()
  return `${cpus().length} cores ${cpu?.model.trim()}, ${kernel}, Node ${process.versions.node}`
}

function pinned(command: readonly string[], core: string) {
  return canPin ? ['taskset', '-c', core, ...command] : [...command]
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('\n')) resolve(output.split('\n')[0]!)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`it ended with ${code}: ${output}`)))
    setTimeout(() => reject(new Error(`it did not start: ${output}`)), PATIENCE_MS).unref()
  })
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill(signal)
    setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS).unref()
  })
}
