/** The process that checkpoints, on the runtime that runs the stress. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { Scope } from '../process.ts'

const PROGRAM = fileURLToPath(new URL('checkpointer.ts', import.meta.url))

/** Resolves when it is at it. */
export async function startCheckpointer(scope: Scope, root: string, file: string) {
  const argv = process.versions.deno ? ['run', '--allow-all', '--no-check'] : ['--import', 'tsx']
  const child = spawn(process.execPath, [...argv, PROGRAM, root, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  scope.after(() => child.kill('SIGKILL'))
  await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
  return { kill: () => void child.kill('SIGKILL') }
}
