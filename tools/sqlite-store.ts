/** The tables in a SQLite file, alone or beside the server that holds it. */

import { existsSync, statSync } from 'node:fs'
import { runtime } from '#runtime'
import { systemClock } from '../src/clock.ts'
import type { Sqlite } from '../src/runtime/runtime.ts'
import { assertOurs, epochOf, makeDurable, openDataFile, versionOf } from '../src/store/file.ts'
import { DatabaseError } from '../src/store/log.ts'
import { VERSION } from '../src/store/schema.ts'
import { createSqliteSql } from '../src/store/sqlite.ts'
import { runAside } from './aside.ts'
import { ToolError } from './command.ts'
import type { Use } from './place.ts'
import { queryOf, type Store } from './store.ts'
import { takeTurn } from './turn.ts'
import { createRelief } from './wal.ts'

/** Longer than a server waits for us. ms */
const BUSY_MS = 10_000

/** An open file. */
export interface Opened {
  db: Sqlite
  file: string
  close(): void
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
    const opened = use === 'alone' ? openDataFile(file, systemClock) : openBeside(file)
    const store = createSqliteStore(opened)
    const close = async () => {
      await store.close()
      endTurn()
    }
    return { ...store, close, ...(use === 'write' && { settle: createRelief(opened, tell) }) }
  } catch (error) {
    endTurn()
    throw error
  }
}

export function createSqliteStore({ db, file, close }: Opened): Store {
  const sql = createSqliteSql(db, systemClock)
  return {
    place: file,
    ...{ sql, query: queryOf(sql) },
    begin: { write: 'BEGIN IMMEDIATE', read: 'BEGIN' },
    // Whoever is alone has the server's lock.
    seize: async () => {},
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
    ofTheMoment: [],
    settle: async () => {},
    close: async () => close(),
  }
}

/**
 * As the server opens it, but for its lock. Only the server checkpoints: beside another's commit,
 * SQLite before 3.51.3 may lose commits by it.
 */
function openBeside(file: string): Opened {
  let opened: Sqlite | undefined
  try {
    const db = (opened = runtime.openSqlite(file))
    db.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA wal_autocheckpoint = 0`)
    makeDurable(db)
    checkVersion(db, file)
    return { db, file, close: () => db.close() }
  } catch (error) {
    opened?.close()
    if (error instanceof ToolError || error instanceof DatabaseError) throw error
    throw new ToolError(`${file}: ${(error as Error).message}`, { cause: error })
  }
}

/** Else SQLite would make it. */
function assertThere(file: string) {
  if (!existsSync(file) || statSync(file).size === 0) throw new ToolError(`there is no ${file}`)
}

/**
 * @throws {ToolError} for an earlier version, {DataFileError} for what is no log of Hearth, or a newer
 */
export function checkVersion(db: Sqlite, file: string) {
  assertOurs(db, file)
  if (versionOf(db) !== VERSION) {
    throw new ToolError(`${file} was made by an earlier Hearth: start a server, which adapts it`)
  }
  epochOf(db, file)
}
