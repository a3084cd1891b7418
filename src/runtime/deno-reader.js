/** The thread that reads, on Deno. */

import { DatabaseSync } from 'node:sqlite'
import { workerData } from 'node:worker_threads'
import { serveReads } from './reader.js'

const db = new DatabaseSync(workerData.file)
db.exec('PRAGMA query_only = ON')
const statement = db.prepare(workerData.sql)
serveReads(
  (values) => statement.all(...values),
  () => db.close(),
)
