/** A data tool as a process of its own, as `npm run data` and `deno task data` start it. */

import { spawn } from 'node:child_process'
import process from 'node:process'
import { ROOT, type Scope } from './process.ts'

const OUR_DENO = process.versions.deno ? process.execPath : null
/** Of what it writes, so much of the end is kept. */
const OUTPUT_KEPT = 3_000

export interface ToolProcess {
  /** Resolves when it is over, with its exit code or the signal that ended it. Never rejects. */
  readonly end: Promise<{ code: number | NodeJS.Signals; output: string }>
  kill(signal: NodeJS.Signals): void
}

/**
 * Starts `tools/main.ts`; killed when the scope is over, if it still runs.
 * @param data  the environment that says where the data is
 * @param deno  the Deno to run it on, null for Node; default: the runtime that runs the test
 * @param root  the checkout to run, when it is not ours
 */
export function startTool(
  scope: Scope,
  data: Record<string, string>,
  args: readonly string[],
  deno = OUR_DENO,
  root = ROOT,
): ToolProcess {
  const node = OUR_DENO ? 'node' : process.execPath
  const argv = deno ? ['run', '--allow-all'] : ['--import', 'tsx']
  const child = spawn(deno ?? node, [...argv, 'tools/main.ts', ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...data },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT)
    })
  }
  const end = new Promise<{ code: number | NodeJS.Signals; output: string }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code: code ?? signal ?? 'SIGKILL', output }))
  })
  const kill = (signal: NodeJS.Signals) => void child.kill(signal)
  scope.after(async () => {
    kill('SIGKILL')
    await end
  })
  return { end, kill }
}
