/** The SQLites that this runtime has, and scripts that use them in a process of their own. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import process from 'node:process'
import type { TestContext } from 'node:test'
import { chooseEngine, MODULES } from '../../src/runtime/sqlite-engine.js'
import { tempFolder } from '../helpers.ts'

/** The module under test, and the one that chooses. */
export const MODULE = new URL('../../src/runtime/sqlite.js', import.meta.url).href
export const ENGINE_MODULE = new URL('sqlite-engine.js', MODULE).href

/** The sound ones. On Deno the package is loaded, too, which no user needs. */
export const ENGINES = MODULES.filter((name) => {
  try {
    return chooseEngine([name])
  } catch {
    return false
  }
})

/**
 * Runs a script on this runtime; it finds sqlite.js as `m`.
 * @param prefix  a command that runs the runtime
 */
export function runScript(t: TestContext, script: string, prefix: string[] = []) {
  const file = `${tempFolder(t)}/script.mjs`
  writeFileSync(
    file,
    `import * as m from '${MODULE}'\nimport process from 'node:process'\n${script}`,
  )
  const runtime = process.versions.deno ? [process.execPath, 'run', '-A'] : [process.execPath]
  const [command = '', ...args] = [...prefix, ...runtime, file]
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' },
  })
  assert.equal(status, 0, stderr)
  return { stdout: stdout.trim(), stderr: stderr.trim() }
}
