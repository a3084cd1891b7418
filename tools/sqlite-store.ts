/** The tables in a SQLite file, alone or beside the server that holds it. */

import { existsSync, statSync } from 'node:fs'
import { runtime } from '#runtime'
import type { Clock } from '../src/clock.ts'
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
import { runAside } from './aside.ts'
import { ToolError } from './command.ts'
import type { Use } from './place.ts'
import type { Query, Store } from './store.ts'
import { takeTurn } from './turn.ts'
import { createRelief } from './wal.ts'

/** Longer than a server waits for us. ms */
const BUSY_MS = 10_000
/** Only the server checkpoints: beside another's commit, SQLite before 3.51.3 may lose commits by it. */
const OF_TOOLS = `PRAGMA busy_timeout = ${BUSY_MS}; ${OF_WRITERS}; PRAGMA wal_autocheckpoint = 0`
/** `PRAGMA synchronous` says it by this number. */
const FULL = 2
/** For a log that only appends: its index of words, the server's to write, waits for an interval. */
const NO_INTERVALS: Clock = {
  now: () => 0,
  date: () => new Date(),
  after: () => () => {},
  every: () => () => {},
}

/**
 * @param tell  hears that another tool is waited for
 * @throws {ToolError} when there is no log of this version, {DataFileError} when a server holds it
 */
export async function openSqliteStore(
  file: string,
  use: Use,
  tell: (line: string) => void,
): Promise<Store> {
  if (use !== 'alone') assertThere(file)
  const endTurn = use === 'read' ? () => {} : await takeTurn(file, tell)
  try {
    const database = use === 'alone' ? openDatabase(file) : openBeside(file)
    const store = createSqliteStore(database)
    const close = async () => {
      await store.close()
      endTurn()
    }
    return { ...store, close, ...(use === 'write' && { settle: createRelief(database) }) }
  } catch (error) {
    endTurn()
    throw error
  }
}

export function createSqliteStore({ db, file, close }: Database): Store {
  const query = createQuery(db)
  return {
    place: file,
    query,
    begin: { write: 'BEGIN IMMEDIATE', read: 'BEGIN' },
    toTime: (time) => new Date(time).getTime(),
    damage: async (progress) => {
      progress.begin('checking the file')
      const onWait = () => progress.add(0)
      const text = 'PRAGMA integrity_check'
      const { rows, error } = await runAside<{ integrity_check: string }>(file, text, [], onWait)
      const lines = rows.flatMap(({ integrity_check: lines }) => lines.split('\n'))
      return [...lines.filter((line) => !/^ok$|^\*\*\*/.test(line)), ...(error ? [error] : [])].map(
        (line) => `${file}: ${line}`,
      )
    },
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
    openLog: async () => createSqliteLog(openBeside(file), NO_INTERVALS),
    settle: async () => {},
    close: async () => close(),
  }
}

/** As the server opens it, but for its lock. */
function openBeside(file: string): Database {
  let opened: Sqlite | undefined
  try {
    const db = (opened = runtime.openSqlite(file))
    db.exec(OF_TOOLS)
    const { synchronous } = db.prepare('PRAGMA synchronous').get() as { synchronous: number }
    if (synchronous !== FULL) throw new ToolError(`${file}: commits would not wait for the disk`)
    const epoch = checkVersion(db, file)
    return { db, epoch, file, close: () => db.close() }
  } catch (error) {
    opened?.close()
    if (error instanceof ToolError) throw error
    throw new ToolError(`${file}: ${(error as Error).message}`, { cause: error })
  }
}

/** Else SQLite would make it. */
function assertThere(file: string) {
  if (!existsSync(file) || statSync(file).size === 0) throw new ToolError(`there is no ${file}`)
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
