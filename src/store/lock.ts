/** Who has a SQLite file: made when it is not there, held by one server or tool at a time. */

import { chownSync, closeSync, existsSync, lstatSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { runtime } from '#runtime'
import type { Sqlite } from '../runtime/runtime.ts'
import { sqliteCode } from '../runtime/sqlite.js'
import { DatabaseError } from './log.ts'

/** The file cannot be opened. */
export class DataFileError extends DatabaseError {}

/** A tool may have the lock for the moment of a checkpoint. ms */
const TOOL_MS = 1_000
/** What SQLite says when somebody else has a lock. */
export const BUSY = 5
const NO_DATABASE = 26

/**
 * Makes the file when it is not there, and holds the lock beside it for as long as the process lives.
 * @returns lets go of it
 * @throws {DataFileError} when another one holds it, the folder cannot be written, or it has two names
 */
export function claim(file: string): () => void {
  try {
    // A device would be everybody's, a pipe would be waited for.
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === false) throw new Error('not a file')
    makeFile(file)
    if (lstatSync(file).isSymbolicLink()) throw new Error('a link that leads nowhere')
    closeSync(openSync(file, 'a'))
  } catch (error) {
    throw new DataFileError(`cannot write ${file}: ${(error as Error).message}`)
  }
  const { dev, nlink } = statSync(file)
  // The locks, and what is committed and not in it yet, lie beside it: in a container they would go.
  if (dev !== statSync(dirname(file)).dev) {
    throw new DataFileError(`${file} is mounted alone: mount its folder instead`)
  }
  // Each name would have a lock of its own.
  if (nlink > 1) {
    throw new DataFileError(
      `${file} has a second name (a hard link): delete the one that is not used`,
    )
  }
  const release = tryLock(`${file}.lock`, TOOL_MS)
  if (!release) throw new DataFileError(`${file} is in use by another Hearth server or tool`)
  return release
}

/**
 * Holds an exclusive transaction on an empty database, which is made when it is not there: the system
 * lets go of it however the process ends.
 * @param waitMs  how long somebody else may have it
 * @returns lets go of it; null when somebody else still has it
 * @throws {DataFileError} when it cannot be made, or is something else
 */
export function tryLock(path: string, waitMs = 0): (() => void) | null {
  let lock: Sqlite | undefined
  try {
    makeFile(path)
    lock = runtime.openSqlite(path)
    lock.exec(`PRAGMA busy_timeout = ${waitMs}; BEGIN EXCLUSIVE`)
    return lock.close
  } catch (error) {
    lock?.close()
    if (sqliteCode(error) === BUSY) return null
    if (sqliteCode(error) === NO_DATABASE) {
      throw new DataFileError(`${path} is no lock: delete it while neither server nor tool runs`)
    }
    throw new DataFileError(`cannot write ${path}: ${(error as Error).message}`)
  }
}

/**
 * Makes it for its owner alone. One that is there is not opened: to close it would end the locks that
 * we have on it (POSIX).
 */
function makeFile(path: string) {
  makeFolder(dirname(path))
  try {
    closeSync(openSync(path, 'wx', 0o600))
    giveToOwner(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** With those above it that are not there. */
export function makeFolder(path: string) {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  mkdirSync(path, { mode: 0o700 })
  giveToOwner(path)
}

/** What root makes beside a server is its user's, who could not open it else: the folder's. */
export function giveToOwner(path: string) {
  const { uid, gid } = statSync(dirname(path))
  if (statSync(path).uid === uid) return
  try {
    chownSync(path, uid, gid)
  } catch {
    // Only root may.
  }
}
