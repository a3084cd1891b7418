/** The tables in a SQLite file, alone or beside the server that holds it. */

import { existsSync, statSync } from 'node:fs'
import { runtime } from '#runtime'
import { systemClock } from '../src/clock.ts'
import type { Sqlite, SqliteStatement, SqliteValue } from '../src/runtime/runtime.ts'
import { createSqliteLog } from '../src/store/sqlite-log.ts'
import { DROP_WORDS } from '../src/search/fts5.ts'
import {
  MIGRATIONS,
  OF_WRITERS,
  openDatabase,
  transaction,
  type Database,
} from '../src/store/sqlite.ts'
import { ToolError } from './command.ts'
import type { Query, Store } from './store.ts'

/** Longer than a server waits for us. ms */
const BUSY_MS = 10_000

/** @throws {ToolError} when there is no log of this version, {DataFileError} when a server holds it */
export function openSqliteStore(file: string, isAlone: boolean): Store {
  const database = isAlone ? openDatabase(file) : openBeside(file)
  return createSqliteStore(database)
}

export function createSqliteStore({ db, file, close }: Database): Store {
  const query = createQuery(db)
  return {
    place: file,
    query,
    begin: { write: 'BEGIN IMMEDIATE', read: 'BEGIN' },
    toTime: (time) => new Date(time).getTime(),
    // There is one writer: within a transaction nobody else is.
    holdRoom: async () => {},
    dropWords: async (room, seq) => void (await query(DROP_WORDS, [room, seq])),
    expel: async (user) =>
      transaction(db, () => {
        const of = (text: string) => db.prepare(`${text} WHERE user_id = ?`).run(user).changes
        // Its sockets go with its sessions, so memberships need not be told.
        of('INSERT INTO revocations (session) SELECT hash FROM sessions')
        return { sessions: of('DELETE FROM sessions'), memberships: of('DELETE FROM members') }
      }),
    openLog: async () => createSqliteLog(openBeside(file), systemClock),
    close: async () => close(),
  }
}

/** As the server opens it, but for its lock. */
function openBeside(file: string): Database {
  if (!existsSync(file) || statSync(file).size === 0) throw new ToolError(`there is no ${file}`)
  const db = runtime.openSqlite(file)
  try {
    db.exec(`PRAGMA busy_timeout = ${BUSY_MS}; ${OF_WRITERS}`)
    const epoch = checkVersion(db, file)
    return { db, epoch, file, close: () => db.close() }
  } catch (error) {
    db.close()
    throw error instanceof ToolError ? error : new ToolError(`${file}: ${String(error)}`)
  }
}

/** @throws {ToolError} when the tables are not those of this version. @returns the epoch */
export function checkVersion(db: Sqlite, file: string): string {
  const { user_version: version } = db.prepare('PRAGMA user_version').get() as {
    user_version: number
  }
  if (version !== MIGRATIONS.length) {
    const which = version > MIGRATIONS.length ? 'a newer' : 'an earlier'
    throw new ToolError(`${file} was made by ${which} Hearth: use its own tools, or start a server`)
  }
  return (db.prepare('SELECT epoch FROM meta LIMIT 1').get() as { epoch: string }).epoch
}

function createQuery(db: Sqlite): Query {
  const statements = new Map<string, SqliteStatement>()
  return async <Row extends object>(text: string, values: readonly unknown[] = []) => {
    const known = statements.get(text) ?? db.prepare(text.replace(/\$(\d+)/g, '?$1'))
    statements.set(text, known)
    const given = values.map(toValue)
    if (/^\s*(SELECT|WITH|PRAGMA)|\bRETURNING\b/.test(text)) return known.all(...given) as Row[]
    known.run(...given)
    return []
  }
}

/** @param value  a string, a number, a boolean or null */
function toValue(value: unknown): SqliteValue {
  return typeof value === 'boolean' ? Number(value) : (value as SqliteValue)
}
