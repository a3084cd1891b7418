/** One server of the cluster: a real process, started again whenever it ends. */

import { setTimeout as pause } from 'node:timers/promises'
import { startProcess, type Scope, type ServerProcess } from '../process.ts'
import type { FaultProxy } from '../proxy.ts'
import type { Recorder } from './record.ts'

/** From the end of a process to the start of the next, at least; as much again is drawn. ms */
const RESTART_MS = 200
const OUTPUT_SHOWN = 3_000

export interface NodeOptions {
  name: string
  port: number
  env: Record<string, string>
  /** As for `startProcess`. */
  deno: string | null
  root: string
  recorder: Recorder
  /** The way to the database and to the bus, where they are services. */
  database?: FaultProxy | undefined
  bus?: FaultProxy | undefined
}

export class ClusterNode {
  readonly options: NodeOptions
  readonly #scope: Scope
  #process: ServerProcess
  /** What we sent to the process of now. */
  readonly #signals = new Set<string>()
  #restart: Promise<void> = Promise.resolve()
  #isSupervised = true

  constructor(scope: Scope, options: NodeOptions) {
    this.#scope = scope
    this.options = options
    this.#process = this.#start()
    scope.after(() => (this.#isSupervised = false))
  }

  get name() {
    return this.options.name
  }

  get url() {
    return `http://127.0.0.1:${this.options.port}`
  }

  get database() {
    return this.options.database
  }

  get bus() {
    return this.options.bus
  }

  /** Resolves when it listens, again if it was ended; fails when it ends before by itself. */
  async started() {
    await this.#restart
    await this.#process.started()
  }

  /** `SIGKILL`, `SIGTERM`: resolves when it is gone. It will be started again. */
  async end(signal: 'SIGKILL' | 'SIGTERM') {
    this.#signals.add(signal)
    const { end } = this.#process
    this.#process.kill(signal)
    await end
  }

  freeze() {
    this.#process.kill('SIGSTOP')
  }

  thaw() {
    this.#process.kill('SIGCONT')
  }

  /** Ends it for good. */
  async shutDown() {
    this.#isSupervised = false
    await this.end('SIGTERM')
  }

  #start() {
    const { port, env, deno, root, recorder, name } = this.options
    const scope = this.#scope
    const settings = { ...env, PORT: `${port}` }
    const started = startProcess(scope, settings, deno, root)
    this.#signals.clear()
    recorder.note({ type: 'start', node: name })
    void started.end.then((how) => this.#ended(how, started))
    return started
  }

  #ended(how: number | NodeJS.Signals | null, { output }: ServerProcess) {
    const { recorder, name } = this.options
    const isOurs = this.#signals.has(how === 0 ? 'SIGTERM' : `${how}`)
    const text = `${output.stdout}${output.stderr}`.slice(-OUTPUT_SHOWN)
    const story = isOurs ? `${how}` : `${how}: ${text}`
    recorder.note({ type: 'exit', node: name, by: isOurs ? 'harness' : 'self', how: story })
    this.#restart = pause(RESTART_MS * (1 + Math.random())).then(() => {
      if (this.#isSupervised) this.#process = this.#start()
    })
  }
}
