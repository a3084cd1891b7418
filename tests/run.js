/**
 * Runs the suite on Node, then on Deno: `npm test -- [--node | --deno] [part of a file name …]`.
 * Any other option goes to the runner as it stands. No packages, no globs: Node 20 has none.
 */

import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { findDeno } from './deno.js'

/** Limit for both runtimes together, so that a hanging suite ends with a message, not with CI. */
const SUITE_MINUTES = 15
/** Test files at a time: CI has two cores, and some of the tests wait for something. */
const JOBS = '3'
/** Five minutes for one file; Deno has no such limit. */
const ON_NODE = `--import tsx --test --test-reporter=spec --test-timeout=300000 --test-concurrency=${JOBS}`
const ON_DENO = 'test --allow-all --no-check --parallel'

/** Node's and Deno's closing lines. Deno counts nested tests apart, as steps. */
const PASSED = /^ℹ pass (\d+)$|^(?:ok|FAILED) \| (\d+) passed(?: \((\d+) step)?/gm
const FAILED = /^ℹ (?:fail|cancelled) (\d+)$|^(?:ok|FAILED) .* \| (\d+) failed(?: \((\d+) step)?/gm
const SKIPPED = /^ℹ (?:skipped|todo) (\d+)$|^(?:ok|FAILED) .* \| (\d+) ignored(?: \((\d+) step)?/gm
/** Where Node's and Deno's report of the failures begins. */
const FAILURES = /^✖ failing tests:|^ ERRORS /m

const root = fileURLToPath(new URL('..', import.meta.url))
const deadline = Date.now() + SUITE_MINUTES * 60_000
const args = process.argv.slice(2)
const parts = args.filter((arg) => !arg.startsWith('-'))
const options = args.filter((arg) => /^-(?!-(node|deno)$)/.test(arg))
const files = readdirSync(join(root, 'tests'), { recursive: true, encoding: 'utf8' })
  .map((name) => `tests/${name}`)
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
  .sort()
const total = { passed: 0, failed: 0, skipped: 0 }
/** For what many files need and one of them makes; the user that Postgres runs as may look in. */
const folder = mkdtempSync(join(tmpdir(), 'hearth-run-'))
chmodSync(folder, 0o755)
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
/** What each runner said of its failures, to be said again at the end. @type {string[]} */
const failures = []

/** @param {string} file */
const drivesBrowser = (file) =>
  /from '[./]+\/browser\.ts'/.test(readFileSync(join(root, file), 'utf8'))

/**
 * What Node is given: an entry for each process, in the order of their names. The files of one
 * folder share a process, since to load everything for each takes longer than most have to do;
 * those at the top have one of their own, and so have those that drive a browser, which take
 * longest and come first.
 * @returns {string[]}
 */
function writeEntries() {
  const browsers = files.filter(drivesBrowser)
  const [top, others] = [true, false].map((isTop) =>
    files.filter((file) => !browsers.includes(file) && (dirname(file) === 'tests') === isTop),
  )
  const folders = [...new Set(others?.map((file) => dirname(file)))]
  const shared = folders.map((name) => (others ?? []).filter((file) => dirname(file) === name))
  const processes = [
    ...browsers.map((file) => [file]),
    ...shared,
    ...(top ?? []).map((file) => [file]),
  ]
  return processes.map((inside, index) => {
    const entry = join(folder, `${String(index).padStart(3, '0')}.test.mjs`)
    const imports = inside.map((file) => `import '${pathToFileURL(join(root, file))}'\n`)
    writeFileSync(entry, imports.join(''))
    return entry
  })
}

/** @param {string} text @param {RegExp} pattern whose groups are counts */
const sum = (text, pattern) =>
  [...text.matchAll(pattern)]
    .flatMap((match) => match.slice(1))
    .reduce((n, s) => n + Number(s ?? 0), 0)

/**
 * Runs one runner to its end and adds what it counted to the total; no test at all is a failure.
 * It gets a process group of its own, so that no server started by a test outlives it.
 * @param {string} name @param {string} command @param {string[]} argv
 */
async function run(name, command, argv) {
  console.log(`\n# The suite on ${name}\n`)
  const ours = { HEARTH_RUN_FOLDER: folder, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' }
  const env = { ...process.env, ...ours, DENO_JOBS: JOBS }
  const stdio = /** @type {const} */ (['ignore', 'pipe', 'inherit'])
  const child = spawn(command, argv, { cwd: root, env, detached: true, stdio: [...stdio] })
  const kill = () => {
    try {
      process.kill(-Number(child.pid), 'SIGKILL')
    } catch {
      // Nobody is left in the group.
    }
  }
  const timer = setTimeout(() => {
    console.log(`TIMEOUT: the suite is not done after ${SUITE_MINUTES} minutes`)
    kill()
  }, deadline - Date.now())
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (kill(), process.exit(1)))
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    process.stdout.write(chunk)
  })
  child.on('exit', kill)
  const code = await new Promise((resolve) => child.on('close', resolve))
  clearTimeout(timer)
  const [passed, failed, skipped] = [sum(text, PASSED), sum(text, FAILED), sum(text, SKIPPED)]
  const fine = code === 0 && passed + skipped > 0
  const report = text.search(FAILURES)
  if (!fine && report >= 0) failures.push(text.slice(report))
  total.passed += passed
  total.failed += fine ? failed : Math.max(failed, 1)
  total.skipped += skipped
}

async function runOnDeno() {
  const deno = findDeno()
  const portable = files.filter((file) => !drivesBrowser(file))
  const left = files.length - portable.length
  if (deno && portable.length > 0) {
    await run('Deno', deno, [...ON_DENO.split(' '), ...options, ...portable])
  }
  if (left > 0)
    console.log(`Left to Node: ${left} file(s) that drive a browser with playwright-core`)
  if (deno) return
  console.log('SKIPPED: the Deno half of the suite. Install Deno and run it again.')
  if (process.env.HEARTH_REQUIRE_ALL === '1' || args.includes('--deno')) total.failed += 1
}

if (files.length === 0) {
  console.log(`No test file has ${parts.join(' or ')} in its name`)
  total.failed += 1
} else {
  const name = `Node ${process.version}`
  const argv = [...ON_NODE.split(' '), ...options, ...writeEntries()]
  if (!args.includes('--deno')) await run(name, process.execPath, argv)
  if (!args.includes('--node')) await runOnDeno()
}
for (const report of failures) console.log(`\n# Failed\n\n${report}`)
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 ? 1 : 0
