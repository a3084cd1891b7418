/** The SQLite file: opened by one server at a time, brought to the newest schema. */

import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { getLogger } from '@logtape/logtape'
import { runtime } from '#runtime'
import type { Clock } from '../clock.ts'
import type { Sqlite } from '../runtime/runtime.ts'
import { sqliteCode } from '../runtime/sqlite.js'
import { DatabaseError, type LogDamaged } from './log.ts'
import { readSql, stepsAfter, VERSION } from './schema.ts'
import type { Sql } from './sql.ts'
import { createSqliteSql } from './sqlite.ts'

/** The file cannot be opened. */
export class DataFileError extends DatabaseError {}

/** An appender waits this long for a tool that writes. ms */
const BUSY_MS = 2_000
/** A tool may have the lock for the moment of a checkpoint. ms */
const TOOL_MS = 1_000
const BUSY = 5
/** What the -wal is cut back to when all of it is in the file: a long export lets it grow. bytes */
const WAL_BYTES = 16 * 1_048_576
/** Malformed pages, and what cannot be made of them, such as the index of words. */
const DAMAGED: readonly (number | undefined)[] = [11, 1]
/** Of a file above this it is said that it is being read. bytes */
const LARGE_BYTES = 1_073_741_824

export interface DataFile {
  readonly sql: Sql
  /** Only for what no work can do: pragmas, and statements that several threads share. */
  readonly db: Sqlite
  /** A random value, drawn when the log was made. */
  readonly epoch: string
  /** A path, or `:memory:`. */
  readonly file: string
  /** How long the file of commits is that are not in it yet. */
  walBytes(): number
  /** Idempotent. */
  close(): void
}

/**
 * @param file  a path, or `:memory:`
 * @param onDamage  hears that what is stored cannot be read
 * @throws {DataFileError} when the folder cannot be written, another server holds the file, it is
 *   damaged, or it was made by a newer Hearth
 */
export function openDataFile(
  file: string,
  clock: Clock,
  onDamage?: (error: LogDamaged) => void,
): DataFile {
  const release = file === ':memory:' ? () => {} : claim(file)
  let db: Sqlite | undefined
  try {
    const opened = (db = runtime.openSqlite(file))
    // First of all: a tool may have the file just now.
    opened.exec(`PRAGMA busy_timeout = ${BUSY_MS}`)
    assertSound(opened, file)
    // WAL lets backup tools read meanwhile.
    opened.exec('PRAGMA journal_mode = WAL')
    opened.exec(`PRAGMA journal_size_limit = ${WAL_BYTES}`)
    makeDurable(opened)
    migrate(opened, file)
    opened.exec(readSql('sqlite-connection'))
    const { epoch } = opened.prepare('SELECT epoch FROM meta LIMIT 1').get() as { epoch: string }
    let isOpen = true
    const close = () => {
      if (!isOpen) return
      isOpen = false
      // Leaves one whole file behind, with nothing in the -wal beside it.
      opened.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      opened.close()
      release()
    }
    const walBytes = () => statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
    return {
      sql: createSqliteSql(opened, clock, onDamage),
      db: opened,
      epoch,
      file,
      walBytes,
      close,
    }
  } catch (error) {
    db?.close()
    release()
    throw error instanceof DataFileError ? error : new DataFileError(`${file}: ${reason(error)}`)
  }
}

/**
 * Of each connection that writes: FULL has every commit on disk, which is the promise; and without
 * `secure_delete` what was erased stays readable in the file's free pages. After `journal_mode`,
 * which sets `synchronous` to NORMAL in some builds of SQLite.
 * @throws {Error} when SQLite does not take it over
 */
export function makeDurable(db: Sqlite) {
  db.exec('PRAGMA synchronous = FULL; PRAGMA secure_delete = ON')
  const { synchronous } = db.prepare('PRAGMA synchronous').get() as { synchronous: number }
  if (synchronous !== 2) throw new Error(`SQLite would not sync its commits (${synchronous})`)
}

/**
 * Reads all of the file, 0.4 to 1 GB a second, before anything is promised on it.
 * @throws {Error} when pages of it are not what they must be
 */
function assertSound(db: Sqlite, file: string) {
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (bytes > LARGE_BYTES) getLogger(['hearth']).info('checking the data file', { bytes })
  const found = quickCheck(db)
  if (found !== 'ok') throw new Error(`the file is damaged, restore a backup: ${found}`)
}

function quickCheck(db: Sqlite): string {
  try {
    const rows = db.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[]
    return rows[0]?.quick_check ?? 'no answer'
  } catch (error) {
    if (!DAMAGED.includes(sqliteCode(error))) throw error
    return reason(error)
  }
}

/**
 * Makes the file when it is not there, and holds the lock beside it for as long as the process lives.
 * @returns lets go of it
 * @throws {DataFileError} when another one holds it, or the folder cannot be written
 */
export function claim(file: string): () => void {
  try {
    // A device would be everybody's, a pipe would be waited for.
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === false) throw new Error('not a file')
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    // The files beside it (-wal, -shm) take their mode from it.
    closeSync(openSync(file, 'a', 0o600))
    chmodSync(file, 0o600)
  } catch (error) {
    throw new DataFileError(`cannot write ${file}: ${reason(error)}`)
  }
  const release = tryLock(`${file}.lock`, TOOL_MS)
  if (!release) throw new DataFileError(`${file} is in use by another Hearth server`)
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
    throw new DataFileError(`cannot write ${path}: ${reason(error)}`)
  }
}

/** One that is there is not opened: to close it would end the locks that we have on it (POSIX). */
function makeFile(path: string) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  chmodSync(path, 0o600)
}

/** Brings the tables to the newest version. @throws {DataFileError} for those of a newer one */
export function migrate(db: Sqlite, file: string) {
  const version = versionOf(db)
  if (version > VERSION) {
    throw new DataFileError(`${file} was made by a newer Hearth; this one cannot read it`)
  }
  if (version === VERSION) return
  const steps = stepsAfter(version, 'sqlite').join('\n')
  db.exec('BEGIN IMMEDIATE')
  try {
    db.exec(`${steps}; PRAGMA user_version = ${VERSION}`)
    db.exec('COMMIT')
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

/** Of the tables in a file; 0 when there are none. */
export function versionOf(db: Sqlite): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
}

function reason(error: unknown) {
  return error instanceof Error ? error.message : String(error)
}
