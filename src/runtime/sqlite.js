/**
 * SQLite by the interface of `node:sqlite`, the same on every runtime. JavaScript, since threads of
 * Node 20 load nothing else.
 */

import { sqliteEngine } from './sqlite-engine.js'

export { NoSoundSqlite, sqliteEngine } from './sqlite-engine.js'

/**
 * @typedef {import('./runtime.ts').Sqlite} Sqlite
 * @typedef {import('./runtime.ts').SqliteStatement} SqliteStatement
 * @typedef {import('@photostructure/sqlite').StatementSyncInstance} NativeStatement
 * @typedef {import('./sqlite-engine.js').Module} Module
 */

/** All that are open: one that nobody holds would be collected, and its locks with it. */
const connections = new Set()

/**
 * Opens a file, or `:memory:`. Sets nothing: `busy_timeout` is 0, and in the package a WAL lowers
 * `synchronous` to NORMAL, so a connection that needs FULL must set it.
 * @param {string} file
 * @param {Module} module
 * @returns {Sqlite}
 * @throws {NoSoundSqlite}; else an error that `sqliteCode` knows
 */
export function openSqlite(file, { DatabaseSync } = sqliteEngine()) {
  const db = new DatabaseSync(file)
  /**
   * By what their users hold, so that those keep none of them alive once the connection is closed.
   * @type {WeakMap<SqliteStatement, NativeStatement>}
   */
  let statements = new WeakMap()
  /** @type {Sqlite} */
  const connection = {
    exec: (sql) => db.exec(sql),
    prepare: (sql) => {
      /** @type {SqliteStatement} */
      const statement = createStatement(() => statements.get(statement))
      const native = db.prepare(sql)
      native.setReturnArrays(true)
      statements.set(statement, native)
      return statement
    },
    close: () => {
      if (!connections.delete(connection)) return
      statements = new WeakMap()
      try {
        // The package's 1.2 cannot end a statement: until the last one is collected it keeps the
        // file open, and a transaction with its locks.
        if (db.isTransaction) db.exec('ROLLBACK')
      } finally {
        db.close()
      }
    },
  }
  connections.add(connection)
  return connection
}

/** @param {() => NativeStatement | undefined} find @returns {SqliteStatement} */
function createStatement(find) {
  const native = () => {
    const found = find()
    if (!found) throw new Error('the database is closed')
    return found
  }
  /** @type {Record<string, unknown>} */
  let empty = {}
  /** @type {string[]} */
  let names = []
  /**
   * Made here, a page of rows takes the package half as long, and Node's own three quarters.
   * @param {unknown[]} row @param {NativeStatement} found
   */
  const toObject = (row, found) => {
    // Not asked for yet, or a `*` stands for more since the table was changed.
    if (row.length !== names.length) {
      names = found.columns().map(({ name }) => name)
      empty = Object.fromEntries(names.map((name) => [name, null]))
    }
    // A copy has its shape from the start.
    const object = { ...empty }
    for (let index = 0; index < row.length; index += 1) object[names[index] ?? ''] = row[index]
    return object
  }
  return {
    get: (...values) => {
      const found = native()
      const row = found.get(...values)
      return row && toObject(row, found)
    },
    all: (...values) => {
      const found = native()
      return found.all(...values).map((row) => toObject(row, found))
    },
  }
}

/** How the texts of primary result codes begin (`sqlite3_errstr`). */
const TEXTS = /** @type {const} */ ([
  ['database is locked', 5],
  ['database table is locked', 6],
  ['out of memory', 7],
  ['attempt to write a readonly database', 8],
  ['interrupted', 9],
  ['disk I/O error', 10],
  ['database disk image is malformed', 11],
  ['malformed database schema', 11],
  ['database or disk is full', 13],
  ['unable to open database file', 14],
  ['file is not a database', 26],
])

/**
 * The primary result code (sqlite.org/rescode.html) of an error of SQLite's, by any engine; else
 * undefined. On Deno an error of `exec`, or of opening, has only its text: an unknown one is told
 * as 1 (SQLITE_ERROR), one that a trigger raised by what it says. Prepared statements are exact.
 * @param {unknown} error @returns {number | undefined}
 */
export function sqliteCode(error) {
  if (!(error instanceof Error && 'code' in error && error.code === 'ERR_SQLITE_ERROR')) return
  if ('errcode' in error) return Number(error.errcode) & 255
  const { message } = error
  if (message.includes('constraint failed')) return 19
  return TEXTS.find(([text]) => message.startsWith(text))?.[1] ?? 1
}
