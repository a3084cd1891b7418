/** A thread that reads: it answers one statement, from a connection of its own, until told to end. */

import process from 'node:process'
import { parentPort } from 'node:worker_threads'

/**
 * Takes the values of the statement, one search after the other, and `null` for the end.
 * @param {(values: import('./runtime.ts').SqliteValue[]) => unknown[]} all
 * @param {() => void} close
 */
export function serveReads(all, close) {
  parentPort?.on('message', (values) => {
    if (values === null) {
      close()
      process.exit()
    }
    try {
      parentPort?.postMessage({ rows: all(values) })
    } catch (error) {
      parentPort?.postMessage({ error: String(error) })
    }
  })
}
