/** A thread that runs one long statement on a SQLite file, and ends. JavaScript, as Node 20 wants it. */

import { parentPort, workerData } from 'node:worker_threads'
import { sqliteEngine } from '../src/runtime/sqlite.js'

const { file, sql, values } = workerData

try {
  // As it is: the interface of `openSqlite` has no `iterate`.
  const db = new (sqliteEngine().DatabaseSync)(file)
  db.exec('PRAGMA busy_timeout = 10000')
  const statement = db.prepare(sql)
  try {
    answer(statement.all(...values), null)
  } catch (error) {
    // Deno's `iterate` ends as if all were well.
    answer(read(statement.iterate(...values)), error)
  }
  db.close()
} catch (error) {
  answer([], error)
}

/** As many as there are before it fails once more. @param {Iterable<unknown>} found */
function read(found) {
  const rows = []
  try {
    for (const row of found) rows.push(row)
  } catch {
    // As before.
  }
  return rows
}

/** @param {unknown[]} rows @param {unknown} error */
function answer(rows, error) {
  const message = error instanceof Error ? error.message : error
  parentPort?.postMessage({ rows, error: message })
}
