/**
 * A real Chromium for the page's tests: `HEARTH_CHROMIUM` (a path, or "bundled"), else the
 * system's, else the one that npm brought, which needs nothing of the system but `tar`.
 */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { brotliDecompressSync } from 'node:zlib'
import { chromium, type Browser } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const MAC = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
/** No sandbox, as CI is root; the rest keeps Chromium from calling home. */
const ARGS =
  '--no-sandbox --disable-gpu --disable-background-networking --disable-component-update ' +
  '--disable-sync --no-first-run'

/** Takes a second to start, and keeps its visitors apart: so one for all tests of a process. */
let shared: Promise<Browser> | undefined
after(async () => (await shared)?.close())

/** @returns a headless browser whose pages are closed after the test @throws when there is none */
export async function launchBrowser(t: Pick<TestContext, 'after'>): Promise<Browser> {
  const browser = await (shared ??= start())
  t.after(() => Promise.all(browser.contexts().map((context) => context.close())))
  return browser
}

function start() {
  const wanted = process.env.HEARTH_CHROMIUM ?? findInstalled() ?? 'bundled'
  const bundled = wanted === 'bundled' ? unpackBundled() : null
  return chromium.launch({
    args: ARGS.split(' '),
    executablePath: bundled?.path ?? wanted,
    env: { ...process.env, ...bundled?.env },
  })
}

function findInstalled(): string | undefined {
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)]
  const paths = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)))
  return [...paths, MAC].find(isProgram)
}

function isProgram(path: string) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** @returns the program of @sparticuz/chromium and the environment in which it finds its files */
function unpackBundled() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error('No Chromium found: install Chromium or Chrome, or set HEARTH_CHROMIUM=<path>')
  }
  // Its own executablePath() unpacks in place, which two test processes at once would not survive,
  // and leaves out the libraries (NSS) when it is not on AWS Lambda.
  const root = join(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')), '../..')
  const cache = join(root, 'unpacked') // npm removes it together with the version it belongs to
  if (!existsSync(cache)) unpack(join(root, 'bin'), cache)
  return {
    path: join(cache, 'chromium'),
    env: { LD_LIBRARY_PATH: join(cache, 'lib'), FONTCONFIG_FILE: join(cache, 'fonts.conf') },
  }
}

/** Beside the target first, then renamed: whoever is second throws its own copy away. */
function unpack(source: string, target: string) {
  const draft = `${target}.${process.pid}`
  const read = (name: string) => brotliDecompressSync(readFileSync(join(source, name)))
  mkdirSync(draft, { recursive: true })
  writeFileSync(join(draft, 'chromium'), read('chromium.br'), { mode: 0o755 })
  for (const name of ['al2023.tar.br', 'fonts.tar.br', 'swiftshader.tar.br']) {
    const tar = spawnSync('tar', ['-x', '--no-same-owner', '-C', draft], { input: read(name) })
    if (tar.status !== 0) throw new Error(`cannot unpack ${name}: ${tar.error ?? tar.stderr}`)
  }
  const folders = [join(target, 'fonts'), '/usr/share/fonts'].map((path) => `<dir>${path}</dir>`)
  writeFileSync(join(draft, 'fonts.conf'), `<fontconfig>${folders.join('')}</fontconfig>`)
  try {
    renameSync(draft, target)
  } catch (error) {
    rmSync(draft, { recursive: true })
    if (!existsSync(target)) throw error
  }
}
