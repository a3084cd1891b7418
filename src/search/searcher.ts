/** Searches in the SQLite file, one after the other, on a thread beside the event loop. */

import { Worker } from 'node:worker_threads'
import { runtime } from '#runtime'
import type { Clock } from '../clock.ts'
import type { SqliteValue } from '../runtime/runtime.ts'
import { LogUnavailable, SearchTooLong } from '../store/log.ts'
import type { DataFile } from '../store/file.ts'

/** From the wish to the answer, as a statement in Postgres. ms */
const SEARCH_MS = 4_000
const WAITING_SEARCHES = 32
/** One that searches, and one that was given up and has not noticed yet. */
const THREADS = 2
const READER = new URL('../runtime/reader.js', import.meta.url)

export interface Searcher {
  /**
   * The `seq`s that its statement finds.
   * @param onWork  hears how long that took, also when it was given up, without the wait for others. ms
   * @throws {SearchTooLong} when there is no answer in time, or too many wait for theirs
   * @throws {LogUnavailable} when it cannot be asked
   */
  search(values: SqliteValue[], onWork?: OnWork): Promise<number[]>
  /** Idempotent; what waits is refused. */
  close(): Promise<void>
}

/** What is needed of a thread. */
export type Thread = Pick<Worker, 'postMessage' | 'on' | 'ref' | 'unref'>

type OnWork = (ms: number) => void

interface Waiting {
  values: SqliteValue[]
  onWork: OnWork | undefined
  resolve(seqs: number[]): void
  reject(error: Error): void
  /** Ends its deadline. */
  cancel(): void
}

/**
 * @param text  the statement that finds `seq`s
 * @param start  starts the thread, at once and whenever a search finds it gone; may throw
 */
export function createSearcher(
  { db, file }: Pick<DataFile, 'db' | 'file'>,
  clock: Clock,
  text: string,
  start: () => Thread = () => startThread(file, text),
): Searcher {
  if (file !== ':memory:') return new ThreadSearcher(clock, start)
  // Nobody else can open what is in memory, and nobody keeps much there.
  const statement = db.prepare(text)
  const search: Searcher['search'] = async (values, onWork) => {
    const started = clock.now()
    const found = statement.all(...values)
    onWork?.(clock.now() - started)
    return toSeqs(found)
  }
  return { search, close: async () => {} }
}

const CLOSED = new LogUnavailable('the log is closed')

class ThreadSearcher implements Searcher {
  readonly #clock: Clock
  readonly #start: () => Thread
  readonly #queue: Waiting[] = []
  readonly #threads = new Map<Thread, Promise<unknown>>()
  #thread: Thread | undefined
  #current: Waiting | undefined
  #currentSince = 0
  #isClosed = false
  readonly #cancelStart: () => void

  constructor(clock: Clock, start: () => Thread) {
    this.#clock = clock
    this.#start = start
    // The first search may come when nothing more can be opened.
    this.#cancelStart = clock.after(0, () => this.#prepare())
  }

  search(values: SqliteValue[], onWork?: OnWork): Promise<number[]> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(CLOSED)
      if (this.#queue.length === WAITING_SEARCHES) {
        return reject(new SearchTooLong('too many searches are waiting'))
      }
      const cancel = this.#clock.after(SEARCH_MS, () => this.#expire(waiting))
      const waiting: Waiting = { values, onWork, resolve, reject, cancel }
      this.#queue.push(waiting)
      this.#next()
    })
  }

  async close() {
    this.#isClosed = true
    this.#cancelStart()
    for (const { cancel, reject } of this.#queue.splice(0)) {
      cancel()
      reject(CLOSED)
    }
    this.#giveUp(CLOSED)
    for (const left of this.#threads.keys()) left.ref()
    await Promise.all(this.#threads.values())
  }

  #next(): void {
    if (this.#current || this.#queue.length === 0) return
    if (!this.#thread && this.#threads.size === THREADS) return
    try {
      this.#thread ??= this.#open()
    } catch (error) {
      const { cancel, reject } = this.#queue.shift()!
      cancel()
      reject(new LogUnavailable(`search: ${String(error)}`))
      return this.#next()
    }
    this.#current = this.#queue.shift()!
    this.#currentSince = this.#clock.now()
    // Only somebody who waits keeps the process from ending.
    this.#thread.ref()
    this.#thread.postMessage(this.#current.values)
  }

  #prepare() {
    try {
      this.#thread ??= this.#open()
      if (!this.#current) this.#thread.unref()
    } catch {
      // Whoever searches is told.
    }
  }

  #open() {
    const opened = this.#start()
    opened.on('message', (answer: { rows: unknown[]; ms: number } | { error: string }) => {
      if (opened !== this.#thread) return
      if ('rows' in answer) {
        this.#current?.onWork?.(answer.ms)
        this.#current?.resolve(toSeqs(answer.rows))
      } else this.#current?.reject(new LogUnavailable(`search: ${answer.error}`))
      this.#done()
    })
    opened.on('error', (error) => this.#fail(opened, new LogUnavailable(`search: ${error}`)))
    const gone = new Promise<void>((resolve) => {
      opened.on('exit', () => {
        this.#threads.delete(opened)
        this.#fail(opened, new LogUnavailable('the search ended without an answer'))
        resolve()
        this.#next()
      })
    })
    this.#threads.set(opened, gone)
    return opened
  }

  #done() {
    this.#current?.cancel()
    this.#current = undefined
    this.#thread?.unref()
    this.#next()
  }

  #fail(failed: Thread, reason: Error) {
    if (failed !== this.#thread) return
    this.#thread = undefined
    this.#current?.reject(reason)
    this.#done()
  }

  /** It ends when it has its answer: a thread cut off in a query may take the process with it. */
  #giveUp(reason: Error) {
    const old = this.#thread
    this.#current?.onWork?.(this.#clock.now() - this.#currentSince)
    old?.postMessage(null)
    if (old) this.#fail(old, reason)
  }

  #expire(waiting: Waiting) {
    if (waiting === this.#current) {
      return this.#giveUp(new SearchTooLong('the search took too long'))
    }
    this.#queue.splice(this.#queue.indexOf(waiting), 1)
    waiting.reject(new SearchTooLong('other searches took too long'))
  }
}

/**
 * Takes the values of the statement as a message, answers `{ rows }` or `{ error }`; `null` ends it.
 * @throws when the system lets so little be open that the thread could not start
 * Without the options of this process: `tsx` would take longer to load than all the rest.
 */
export function startThread(file: string, text: string): Worker {
  runtime.assertRoom()
  return new Worker(READER, { workerData: { file, sql: text }, execArgv: [] })
}

function toSeqs(rows: unknown[]) {
  return (rows as { seq: number }[]).map(({ seq }) => seq)
}
