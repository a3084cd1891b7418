/** Which SQLite is taken: the runtime's own where it can be trusted, else that of npm's package. */

import { createRequire } from 'node:module'
import process from 'node:process'

/**
 * @typedef {Pick<typeof import('@photostructure/sqlite'), 'DatabaseSync'>} Module
 * @typedef {Module & { readonly name: string, readonly version: string }} Engine
 *   which module, and the version of the SQLite inside
 */

const require = createRequire(import.meta.url)

/** Modules with the interface of `node:sqlite`, the one to be preferred first. */
export const MODULES = ['node:sqlite', '@photostructure/sqlite']

/**
 * The first patch of a branch of SQLite 3 without the WAL-reset bug, which loses commits without a
 * word when one connection checkpoints while another commits. sqlite.org/wal.html#walresetbug
 */
const FIRST_SOUND = new Map([
  [51, 3],
  [50, 7],
  [44, 6],
])
const NEWEST_UNSOUND = 51

/** No SQLite here can be trusted with messages; the message is one line for the operator. */
export class NoSoundSqlite extends Error {
  /** @param {readonly string[]} found  what was looked at, and what was wrong with it */
  constructor(found) {
    const list = found.join(', ')
    super(
      `SQLite before 3.51.3 can lose committed messages, and no newer one was found: ${list}. ` +
        'Use Node >= 22.22.3, >= 24.15 or 26, or Deno >= 2.9, or install the package with `npm ci`',
    )
  }
}

/** @param {string} version  as `sqlite_version()` says it */
export function isSound(version) {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  if (major !== 3 || minor > NEWEST_UNSOUND) return major >= 3
  return patch >= (FIRST_SOUND.get(minor) ?? Infinity)
}

/** @type {Engine | undefined} */
let engine

/**
 * Loaded at the first call, since a server on Postgres needs none.
 * @throws {NoSoundSqlite}
 */
export function sqliteEngine() {
  return (engine ??= chooseEngine())
}

/**
 * The first that is sound, by what the SQLite in it says of itself.
 * @returns {Engine}
 * @throws {NoSoundSqlite}
 */
export function chooseEngine(names = MODULES, load = loadModule) {
  /** @type {string[]} */
  const found = []
  for (const name of names) {
    try {
      const { DatabaseSync } = load(name)
      const version = versionOf(DatabaseSync)
      if (isSound(version)) return { name, version, DatabaseSync }
      found.push(`${name} has ${version}`)
    } catch (error) {
      const [reason] = (error instanceof Error ? error.message : String(error)).split('\n')
      found.push(`${name} cannot be loaded (${reason})`)
    }
  }
  throw new NoSoundSqlite(found)
}

/** @param {Module['DatabaseSync']} DatabaseSync */
function versionOf(DatabaseSync) {
  const db = new DatabaseSync(':memory:')
  const { version } = db.prepare('SELECT sqlite_version() AS version').get()
  db.close()
  return String(version)
}

/**
 * Holds back the warning of Node 22 that `node:sqlite` is an experiment, and no other.
 * @param {string} name @returns {Module}
 */
function loadModule(name) {
  const { emitWarning } = process
  /** @param {Parameters<typeof emitWarning>} args */
  const emitOther = (...args) => {
    if (!/^SQLite is an experimental/.test(String(args[0]))) emitWarning(...args)
  }
  // It has more signatures than can be passed on otherwise.
  process.emitWarning = /** @type {typeof emitWarning} */ (emitOther)
  try {
    return require(name)
  } finally {
    process.emitWarning = emitWarning
  }
}
