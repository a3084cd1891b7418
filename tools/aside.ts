/** One long statement of SQLite beside the event loop, so that a person sees that it goes on. */

import { Worker } from 'node:worker_threads'
import { systemClock } from '../src/clock.ts'
import type { SqliteValue } from '../src/runtime/runtime.ts'
import { REDRAW_MS } from './progress.ts'

const THREAD = new URL('aside-thread.js', import.meta.url)

/** What a statement found, until it was done or something failed. */
export interface Found<Row extends object> {
  rows: Row[]
  error: string | null
}

/**
 * On a connection and a thread of their own.
 * @param onWait  called now and then until it is done
 */
export async function runAside<Row extends object>(
  file: string,
  sql: string,
  values: readonly SqliteValue[],
  onWait: () => void,
): Promise<Found<Row>> {
  const stop = systemClock.every(REDRAW_MS, onWait)
  try {
    return await new Promise<Found<Row>>((resolve, reject) => {
      // `tsx` among the options of this process would take longer to load than all the rest.
      const thread = new Worker(THREAD, { workerData: { file, sql, values }, execArgv: [] })
      let found: Found<Row> = { rows: [], error: 'there was no answer' }
      thread.on('message', (message: Found<Row>) => (found = message))
      thread.on('error', reject)
      thread.on('exit', () => resolve(found))
    })
  } finally {
    stop()
  }
}
