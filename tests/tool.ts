/** A data tool as a process of its own, as `npm run data` and `deno task data` start it. */

import { readFileSync } from 'node:fs'
import process from 'node:process'
import { ROOT, runtimeOf, startProgram, type Scope, type ServerProcess } from './process.ts'

const OUR_DENO = process.versions.deno ? process.execPath : null

export interface ToolOptions {
  /** As for `startProcess`. */
  deno?: string | null
  root?: string
  /** A command before it, that runs what stands behind. */
  wrap?: readonly string[]
}

/** Starts it as its task has it; killed when the scope is over, if it still runs. */
export function startTool(
  scope: Scope,
  env: Record<string, string>,
  args: readonly string[],
  { deno = OUR_DENO, root = ROOT, wrap = [] }: ToolOptions = {},
): ServerProcess {
  const argv = [...wrap, runtimeOf(deno), ...taskOf(root, deno !== null), ...args]
  return startProgram(scope, argv, env, root)
}

/** Its arguments; the word before them is the runtime. */
function taskOf(root: string, onDeno: boolean): string[] {
  const read = (file: string) => JSON.parse(readFileSync(`${root}/${file}`, 'utf8'))
  const command: string = onDeno ? read('deno.json').tasks.data : read('package.json').scripts.data
  return command.split(' ').slice(1)
}
