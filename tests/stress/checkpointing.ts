/** The process that checkpoints, on the runtime that runs the stress. */

import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { runtimeOf, startProgram, type Scope } from '../process.ts'

const PROGRAM = fileURLToPath(new URL('checkpointer.ts', import.meta.url))

/** Resolves when it is at it. */
export async function startCheckpointer(scope: Scope, root: string, file: string) {
  const argv = process.versions.deno ? ['run', '--allow-all', '--no-check'] : ['--import', 'tsx']
  const started = startProgram(scope, [runtimeOf(), ...argv, PROGRAM, root, file], {})
  await started.started()
  return started
}
