/** A thread that reads: it answers one statement on its own connection until told to end. */

import process from 'node:process'
import { performance } from 'node:perf_hooks'
import { parentPort, workerData } from 'node:worker_threads'
import { openSqlite } from './sqlite.js'

const db = openSqlite(workerData.file)
db.exec('PRAGMA query_only = ON')
const statement = db.prepare(workerData.sql)

parentPort?.on('message', (values) => {
  if (values === null) {
    db.close()
    process.exit()
  }
  try {
    const started = performance.now()
    const rows = statement.all(...values)
    parentPort?.postMessage({ rows, ms: performance.now() - started })
  } catch (error) {
    parentPort?.postMessage({ error: String(error) })
  }
})
