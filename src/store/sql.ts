/**
 * The seam to the database. What is done there is written once, as works that yield statements and
 * are answered with rows; two drivers run them: SQLite's (sqlite.ts) to the end in one go, so that
 * nothing can come between, Postgres's (../cluster/driver.ts) by awaiting each answer.
 */

/** A `Date` is milliseconds in SQLite, a `boolean` 0 or 1, an array JSON as text. */
export type Value = string | number | boolean | null | Date | readonly string[]

/** One statement, whose text means the same to both databases; `$1` is its first value. */
export interface Statement {
  text: string
  values: readonly Value[]
}

/** One statement in one round trip, where it is not a step of a work. */
export type Query = <Row extends object>(
  text: string,
  values?: readonly unknown[],
) => Promise<Row[]>

/** Yields statements that may be sent together, and is answered with the rows of each. */
export type Work<T> = Generator<readonly Statement[], T, object[][]>

/** A row to insert, by column. Rows of one insert have the same columns. */
export type NewRow = Readonly<Record<string, Value>>

/** The few words for which each database has its own. */
export interface Dialect {
  /**
   * Ends a SELECT in a transaction: nobody else changes these rows of a table until it is over.
   * Those that somebody has locked are waited for, or left out.
   */
  lock(table: string, others?: 'left out'): string
  /** An expression as another type; SQLite has only what it is given. */
  cast(expression: string, type: 'bigint' | 'uuid'): string
  /** A table with a column `value` for each object of a JSON array; its fields: `value ->> 'name'`. */
  each(json: string): string
  /** A moment so many milliseconds from now, by the clock that all nodes share. */
  fromNow(ms: string): string
  /** Adds rows. Fails when one is there already, unless these are left out. */
  insert(table: string, rows: readonly NewRow[], leavesOut?: 'known'): Statement[]
  /** Where rooms stand, as rows `{ room, head }`; nobody else appends there until we are done. */
  hold(rooms: readonly string[]): Statement[]
  /** Leaves nothing of messages in the index of words, whoever is filling it. Bounds inclusive. */
  dropWords(room: string, from: number, to: number): Statement[]
}

export interface Sql {
  readonly dialect: Dialect
  /**
   * Runs a work statement by statement: each is of one moment, and done or not.
   * @throws {LogUnavailable} when it cannot be asked, or nobody knows what it did
   * @throws {LogDamaged} when what is stored cannot be read
   */
  run<T>(work: () => Work<T>): Promise<T>
  /** Runs a work in one transaction: all of it, or nothing when it throws. */
  transaction<T>(work: () => Work<T>): Promise<T>
}

/** A row with this key is there already, or a column does not take its value. */
export class ConstraintViolation extends Error {}

/** The rows that a statement finds, or returns of what it did. */
export function* rows<Row extends object>(text: string, ...values: Value[]): Work<Row[]> {
  const [found] = yield [{ text, values }]
  // The text says which columns there are, and nothing but a test can check it.
  return found as Row[]
}

/** Does what a statement says, and asks for no rows. */
export function* exec(text: string, ...values: Value[]): Work<void> {
  yield [{ text, values }]
}

/** Does what several statements say, sent together. */
export function* all(statements: readonly Statement[]): Work<void> {
  yield statements
}

/** The first row of a statement, if there is one. */
export function* first<Row extends object>(
  text: string,
  ...values: Value[]
): Work<Row | undefined> {
  return (yield* rows<Row>(text, ...values))[0]
}

/** Whether it found a row, or returned one for what it did. */
export function* did(text: string, ...values: Value[]): Work<boolean> {
  return (yield* rows(text, ...values)).length > 0
}
