/** Searches in the SQLite file, one after the other, on a thread beside the event loop. */

import { Worker } from 'node:worker_threads'
import type { Clock } from '../clock.ts'
import type { SqliteValue } from '../runtime/runtime.ts'
import { LogUnavailable, SearchTooLong } from '../store/log.ts'
import type { Database } from '../store/sqlite.ts'
import { SEARCH } from './fts5.ts'

/** From the wish to the answer, as a statement in Postgres. ms */
const SEARCH_MS = 4_000
const WAITING_SEARCHES = 32
/** One that searches, and one that was given up and has not noticed yet. */
const THREADS = 2
const READER = new URL('../runtime/reader.js', import.meta.url)

export interface Searcher {
  /**
   * The `seq`s that `SEARCH` finds.
   * @throws {SearchTooLong} when there is no answer in time, or too many wait for theirs
   * @throws {LogUnavailable} when it cannot be asked
   */
  search(values: SqliteValue[]): Promise<number[]>
  /** Idempotent; what waits is refused. */
  close(): Promise<void>
}

/** What is needed of a thread. */
export type Thread = Pick<Worker, 'postMessage' | 'on' | 'ref' | 'unref'>

interface Waiting {
  values: SqliteValue[]
  resolve(seqs: number[]): void
  reject(error: Error): void
  /** Ends its deadline. */
  cancel(): void
}

/** @param start  starts the thread, at the first search and whenever one is gone */
export function createSearcher(
  { db, file }: Pick<Database, 'db' | 'file'>,
  clock: Clock,
  start: () => Thread = () => startThread(file),
): Searcher {
  // Nobody else can open what is in memory, and nobody keeps much there.
  if (file === ':memory:') {
    const statement = db.prepare(SEARCH)
    return { search: async (values) => toSeqs(statement.all(...values)), close: async () => {} }
  }
  const queue: Waiting[] = []
  const threads = new Map<Thread, Promise<unknown>>()
  let thread: Thread | undefined
  let current: Waiting | undefined
  let isClosed = false
  const closed = new LogUnavailable('the log is closed')

  const next = () => {
    if (current || queue.length === 0) return
    if (!thread && threads.size === THREADS) return
    thread ??= open()
    current = queue.shift()!
    // Only somebody who waits keeps the process from ending.
    thread.ref()
    thread.postMessage(current.values)
  }

  const open = () => {
    const opened = start()
    opened.on('message', (answer: { rows: unknown[] } | { error: string }) => {
      if (opened !== thread) return
      if ('rows' in answer) current?.resolve(toSeqs(answer.rows))
      else current?.reject(new LogUnavailable(`search: ${answer.error}`))
      done()
    })
    opened.on('error', (error) => fail(opened, new LogUnavailable(`search: ${error}`)))
    const gone = new Promise<void>((resolve) => {
      opened.on('exit', () => {
        threads.delete(opened)
        fail(opened, new LogUnavailable('the search ended without an answer'))
        resolve()
        next()
      })
    })
    threads.set(opened, gone)
    return opened
  }

  const done = () => {
    current?.cancel()
    current = undefined
    thread?.unref()
    next()
  }

  const fail = (failed: Thread, reason: Error) => {
    if (failed !== thread) return
    thread = undefined
    current?.reject(reason)
    done()
  }

  /** It ends when it has its answer: a thread cut off in a query may take the process with it. */
  const giveUp = (reason: Error) => {
    const old = thread
    old?.postMessage(null)
    if (old) fail(old, reason)
  }

  const expire = (waiting: Waiting) => {
    if (waiting === current) return giveUp(new SearchTooLong('the search took too long'))
    queue.splice(queue.indexOf(waiting), 1)
    waiting.reject(new SearchTooLong('other searches took too long'))
  }

  return {
    search: (values) =>
      new Promise((resolve, reject) => {
        if (isClosed) return reject(closed)
        if (queue.length === WAITING_SEARCHES) {
          return reject(new SearchTooLong('too many searches are waiting'))
        }
        const cancel = clock.after(SEARCH_MS, () => expire(waiting))
        const waiting: Waiting = { values, resolve, reject, cancel }
        queue.push(waiting)
        next()
      }),

    close: async () => {
      isClosed = true
      for (const { cancel, reject } of queue.splice(0)) {
        cancel()
        reject(closed)
      }
      giveUp(closed)
      for (const left of threads.keys()) left.ref()
      await Promise.all(threads.values())
    },
  }
}

/**
 * Takes the values of `SEARCH` as a message, answers `{ rows }` or `{ error }`; `null` ends it.
 * Without the options of this process: `tsx` would take longer to load than all the rest.
 */
export function startThread(file: string): Worker {
  return new Worker(READER, { workerData: { file, sql: SEARCH }, execArgv: [] })
}

function toSeqs(rows: unknown[]) {
  return (rows as { seq: number }[]).map(({ seq }) => seq)
}
