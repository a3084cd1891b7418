/** The thread that reads, on Node: JavaScript, as `tsx` does not reach the threads of Node 20. */

import { workerData } from 'node:worker_threads'
import Database from 'libsql'
import { serveReads } from './reader.js'

const db = new Database(workerData.file)
db.exec('PRAGMA query_only = ON')
const statement = db.prepare(workerData.sql)
serveReads(
  (values) => statement.all(values),
  () => db.close(),
)
