/** The SQLite file: looked at before anything is promised on it, and brought to the newest schema. */

import { chmodSync, statSync } from 'node:fs'
import { getLogger } from '@logtape/logtape'
import { runtime } from '#runtime'
import type { Clock } from '../clock.ts'
import type { Sqlite } from '../runtime/runtime.ts'
import { sqliteCode } from '../runtime/sqlite.js'
import { claim, DataFileError } from './lock.ts'
import { LogDamaged } from './log.ts'
import { readSql, stepsAfter, VERSION } from './schema.ts'
import type { Sql } from './sql.ts'
import { createSqliteSql } from './sqlite.ts'

/** An appender waits this long for a tool that writes. ms */
const BUSY_MS = 2_000
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
  /** How long the `-wal` is. It keeps its length when all of it is in the file. bytes */
  walBytes(): number
  /** How long the file is, without what stands beside it. */
  bytes(): number
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
    assertOurs(opened, file)
    chmodIfOther(file)
    // WAL lets backup tools read meanwhile.
    opened.exec('PRAGMA journal_mode = WAL')
    opened.exec(`PRAGMA journal_size_limit = ${WAL_BYTES}`)
    makeDurable(opened)
    migrate(opened)
    opened.exec(readSql('sqlite-connection'))
    const epoch = epochOf(opened, file)
    let isOpen = true
    const close = () => {
      if (!isOpen) return
      isOpen = false
      empty(opened)
      opened.close()
      release()
    }
    const walBytes = () => statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
    const bytes = () => statSync(file, { throwIfNoEntry: false })?.size ?? 0
    const assertKept = file === ':memory:' ? undefined : watch(opened, file, onDamage)
    const sql = createSqliteSql(opened, clock, { onDamage, assertKept })
    return { sql, db: opened, epoch, file, walBytes, bytes, close }
  } catch (error) {
    db?.close()
    release()
    throw error instanceof DataFileError ? error : new DataFileError(`${file}: ${reason(error)}`)
  }
}

/** Leaves one whole file behind, with nothing in the -wal beside it. */
function empty(db: Sqlite) {
  try {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } catch (error) {
    // On a full disk. Whoever opens the file next finds in the -wal what is not in it.
    getLogger(['hearth']).warning('the -wal could not be emptied', { error: reason(error) })
  }
}

/**
 * @param onDamage  hears of it as well
 * @returns to be called behind each work: throws {LogDamaged} when the file, its -wal or its lock was
 *   moved, deleted, replaced or cut meanwhile. What SQLite writes from then on nobody would find again.
 */
function watch(db: Sqlite, file: string, onDamage: (error: LogDamaged) => void = () => {}) {
  const look = (path: string) => statSync(path, { throwIfNoEntry: false })
  const paths = [file, `${file}.lock`, `${file}-wal`]
  const known = new Map(paths.map((path) => [path, look(path)]))
  let damage: LogDamaged | undefined
  return () => {
    if (damage) throw damage
    for (const [path, was] of known) {
      const now = look(path)
      // The -wal comes with the first read.
      const isSame = !was || (now?.ino === was.ino && now.dev === was.dev)
      // It is never shortened here, as nothing is vacuumed.
      if (isSame && (path !== file || now!.size >= was!.size)) {
        known.set(path, now)
        continue
      }
      // All that is in a -wal without a name is still read by us, and may have been acknowledged.
      empty(db)
      damage = new LogDamaged(`${path} was moved, deleted, replaced or cut`)
      onDamage(damage)
      throw damage
    }
  }
}

/** @throws {DataFileError} when what is in the file was made by another program, or a newer Hearth */
export function assertOurs(db: Sqlite, file: string) {
  const version = versionOf(db)
  if (version > VERSION) {
    throw new DataFileError(`${file} was made by a newer Hearth; this one cannot read it`)
  }
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()
  const isOurs =
    version === 0 ? tables.length === 0 : tables.some((table) => nameOf(table) === 'meta')
  if (version < 0 || !isOurs) throw new DataFileError(`${file} is a database, but none of Hearth`)
}

const nameOf = (table: unknown) => (table as { name: string }).name

/** @throws {DataFileError} when there is none */
export function epochOf(db: Sqlite, file: string): string {
  const row = db.prepare('SELECT epoch FROM meta LIMIT 1').get() as { epoch: string } | undefined
  if (!row) throw new DataFileError(`${file} is damaged, restore a backup: it has no epoch`)
  return row.epoch
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

/** The files beside it (-wal, -shm) take their mode from it. */
function chmodIfOther(file: string) {
  if (file !== ':memory:' && (statSync(file).mode & 0o777) !== 0o600) chmodSync(file, 0o600)
}

/** Brings the tables to the newest version. */
export function migrate(db: Sqlite) {
  const version = versionOf(db)
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
