/**
 * Finding old messages by their words: a room that `SEARCH` opens, and that follows the log. It
 * costs a tenth of a node's time while there is something to take in, and with SQLite a thread.
 */

import type { Clock } from '../clock.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import type { Page } from '../protocol.ts'
import type { DataFile } from '../store/file.ts'
import type { Search } from '../store/log.ts'
import type { Sql } from '../store/sql.ts'
import { createIndexer, type Progress } from './indexer.ts'
import { hasAll, phrasesOf, wordsOf, type Phrase } from './words.ts'

/** What a database has for finding words: FTS5 (fts5.ts), or a GIN index (gin.ts). */
export interface WordIndex {
  /** Takes the next entries of a room in, each message as it reads now. */
  step(room: string): Promise<Progress>
  /** The rooms of which something is missing. */
  behind(): Promise<string[]>
  /** Messages that were in the index with all of the phrases, the newest below `before`. */
  find(
    room: string,
    phrases: readonly Phrase[],
    limit: number,
    before: number,
    onWork?: (ms: number) => void,
  ): Promise<Page>
  /** Idempotent. */
  close(): Promise<void>
}

export interface SearchOptions {
  sql: Sql
  /** The SQLite file; without one it is Postgres. */
  file?: DataFile | undefined
  clock: Clock
  /** Gets what went wrong beside of any question, for the operator. */
  onFault(error: unknown): void
}

/** Takes in from now on what is missing. */
export async function openSearch({ sql, file, ...options }: SearchOptions): Promise<Search> {
  const index = file
    ? (await import('./fts5.ts')).createFts5(file, options.clock)
    : (await import('./gin.ts')).createGin(sql, options.clock)
  return createSearch(index, options)
}

/** As `openSearch`, on an index that is open. */
export async function createSearch(
  index: WordIndex,
  { clock, onFault }: Pick<SearchOptions, 'clock' | 'onFault'>,
): Promise<Search> {
  const indexer = createIndexer({ step: index.step, clock, onFault })
  let isClosed = false
  let stop = () => {}
  /** A database that cannot be asked just now is asked again. */
  const start = async (): Promise<void> => {
    try {
      indexer.note(await index.behind())
    } catch (error) {
      if (isClosed) return
      onFault(error)
      stop = clock.after(DEFAULT_LIMITS.logRetryMs, () => void start())
    }
  }
  await start()
  return {
    search: async (room, query, limit, before = Number.MAX_SAFE_INTEGER, onWork) => {
      const phrases = phrasesOf(query)
      if (phrases.length > 0) await indexer.reach(room)
      const { messages, ...page } = await index.find(room, phrases, limit, before, onWork)
      // One may have been changed since the index was asked, and its new words not taken in yet.
      const isStill = ({ body = '' }: { body?: string }) => hasAll(wordsOf(body), phrases)
      return { ...page, messages: messages.filter(isStill) }
    },
    note: indexer.note,
    close: async () => {
      isClosed = true
      stop()
      await indexer.close()
      await index.close()
    },
  }
}
