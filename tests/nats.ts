/** A real NATS server, where the program `nats-server` is installed. */

import { spawn, type ChildProcess } from 'node:child_process'
import type { TestContext } from 'node:test'
import { freePort, type Scope } from './process.ts'
import { findProgram } from './programs.ts'

/** Debian keeps it where only root looks. */
const PROGRAM = 'nats-server'
const START = /Server is ready/

export interface NatsServer {
  readonly port: number
  /** SIGKILL ends it, SIGSTOP freezes it until SIGCONT. */
  kill(signal: NodeJS.Signals): void
  /** Resolves when it is gone. */
  ended(): Promise<void>
  /** Starts it again on the same port, with other options or the same. */
  start(argv?: string[]): Promise<void>
}

/** Whether there is a server to be had; else says so, and fails where nothing may be skipped. */
export function hasNats(t: TestContext): boolean {
  if (findProgram(PROGRAM)) return true
  t.skip(`there is no ${PROGRAM}`)
  return false
}

/**
 * Starts a server on a free port of 127.0.0.1; killed with the scope.
 * @param options  more of them, such as `--user` and `--pass`
 */
export async function startNats(scope: Scope, options: string[] = []): Promise<NatsServer> {
  const port = await freePort()
  let child: ChildProcess | undefined
  let end: Promise<void> = Promise.resolve()
  const start = (argv = options) =>
    new Promise<void>((resolve, reject) => {
      let text = ''
      const started = spawn(findProgram(PROGRAM)!, ['-a', '127.0.0.1', '-p', `${port}`, ...argv], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      child = started
      end = new Promise((ended) => started.on('close', () => ended()))
      started.on('error', reject)
      started.on('close', () => reject(new Error(`${PROGRAM} ended:\n${text}`)))
      started.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        text = (text + chunk).slice(-10_000)
        if (START.test(text)) resolve()
      })
    })
  const kill = (signal: NodeJS.Signals) => void child?.kill(signal)
  scope.after(async () => {
    kill('SIGKILL')
    await end
  })
  await start()
  return { port, kill, ended: () => end, start }
}
