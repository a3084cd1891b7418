/** The data as the tools see it: the same tables, whichever database keeps them. */

import { setImmediate } from 'node:timers'
import type { Row } from '../src/store/rows.ts'
import { rows, type Query, type Sql, type Value } from '../src/store/sql.ts'
import type { Progress } from './progress.ts'

/** One connection, for one piece of work after the other. */
export interface Store {
  /** For people; without a password. */
  readonly place: string
  /** The server's seam, without deadlines. */
  readonly sql: Sql
  readonly query: Query
  /** What begins a transaction that writes, and one that reads as of one moment. */
  readonly begin: { write: string; read: string }
  /**
   * In a transaction that makes another log of it: until it is over no server or tool begins.
   * @throws {ToolError} when a server lives
   */
  seize(): Promise<void>
  /** Tables that name users and are empty after a crash. */
  readonly ofTheMoment: readonly string[]
  /** What the database says is broken in its own files, a line each. */
  damage(progress: Progress): Promise<string[]>
  /** Between two steps of long work: waits until what was written takes no room beside the data. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** @param sql  on one connection, where a transaction is that of whoever asks */
export function queryOf(sql: Sql): Query {
  return (text, values = []) => sql.run(() => rows(text, ...(values as Value[])))
}

/** All that `work` asks of the store, or nothing when it throws. */
export async function transaction<T>(
  { query, begin }: Pick<Store, 'query' | 'begin'>,
  work: () => Promise<T>,
): Promise<T> {
  await query(begin.write)
  try {
    const result = await work()
    await query('COMMIT')
    return result
  } catch (error) {
    // Some faults have done so already.
    await query('ROLLBACK').catch(() => {})
    throw error
  }
}

/** What `make` makes of the store as of one moment; over when whoever asks for it stops. */
export async function* snapshot<T>(
  { query, begin }: Pick<Store, 'query' | 'begin'>,
  make: (query: Query) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  await query(begin.read)
  try {
    yield* make(query)
  } finally {
    await query('ROLLBACK').catch(() => {})
  }
}

/** Where a piece ends: values by which the rows are in order. */
export type Key = readonly (string | number)[]

/**
 * The rows of a query in pieces: its first values are where the last piece ended, then how many,
 * then `more`.
 * @param first  less than any key
 */
export async function* pages<Row extends object>(
  query: Query,
  text: string,
  keyOf: (row: Row) => Key,
  first: Key,
  more: readonly unknown[] = [],
  size = PAGE,
): AsyncGenerator<Row[]> {
  for (let key = first; ;) {
    const found = await query<Row>(text, [...key, size, ...more])
    if (found.length > 0) yield found
    if (found.length < size) return
    key = keyOf(found.at(-1)!)
    await turn()
  }
}

/** Signals, timers and threads get theirs, which they do not while SQLite answers at once. */
function turn() {
  return new Promise<void>((resolve) => setImmediate(resolve))
}

/** The lowest. */
export const NO_UUID = '00000000-0000-0000-0000-000000000000'

/** The entries of a room in pieces, ascending. */
export function entriesOf(query: Query, room: string): AsyncGenerator<Row[]> {
  const text = 'SELECT * FROM messages WHERE room = $3 AND seq > $1 ORDER BY seq LIMIT $2'
  return pages<Row>(query, text, ({ seq }) => [seq], [0], [room])
}

/** Rows of one read. */
const PAGE = 500

/** An epoch that no log had before. */
export function randomEpoch() {
  return crypto.randomUUID().replaceAll('-', '')
}

/** Which log it is. */
export async function readEpoch(query: Query): Promise<string> {
  const [meta] = await query<{ epoch: string }>('SELECT epoch FROM meta')
  return meta!.epoch
}

/** Makes it another log: no position in the one it was means anything in it. */
export async function drawEpoch(query: Query): Promise<string> {
  const epoch = randomEpoch()
  await query('UPDATE meta SET epoch = $1', [epoch])
  return epoch
}
