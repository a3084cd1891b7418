/**
 * Finds a Deno, and runs it when started by itself: `node tests/deno.js check src/main.ts`.
 * npm's `deno` cannot be a devDependency: its lockfile entries for other systems are incomplete
 * on some registries, and `deno task` would take that bin for itself.
 */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The release that the suite is known to pass on. */
const VERSION = '2.9.6'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * The Deno that runs us, else the one on PATH, else npm's package of it, fetched once into node_modules/.cache (Linux only).
 * @returns {string | null} the program, or null when there is none to be had
 */
export function findDeno() {
  if (process.versions.deno) return process.execPath
  if (works('deno')) return 'deno'
  if (process.platform !== 'linux') return null
  const name = `@deno/linux-${process.arch}-glibc`
  const cache = join(root, 'node_modules/.cache/hearth-deno')
  const program = join(cache, 'node_modules', name, 'deno')
  if (works(program)) return program
  const flags = ['--no-save', '--no-package-lock', '--prefix', cache]
  spawnSync('npm', ['install', ...flags, `${name}@${VERSION}`], { stdio: 'inherit' })
  return works(program) ? program : null
}

/** @param {string} program */
function works(program) {
  return spawnSync(program, ['--version']).status === 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const deno = findDeno()
  if (!deno) console.error(`Install Deno ${VERSION} or newer first.`)
  const done = deno && spawnSync(deno, process.argv.slice(2), { cwd: root, stdio: 'inherit' })
  process.exitCode = (done && done.status) ?? 1
}
