/** The driver for SQLite: a work runs to its end in one go, within `BEGIN IMMEDIATE` where it is all or nothing. */

import type { Clock } from '../clock.ts'
import { sqliteCode } from '../runtime/sqlite.js'
import type { Sqlite, SqliteStatement, SqliteValue } from '../runtime/runtime.ts'
import { LogDamaged, LogUnavailable } from './log.ts'
import { ConstraintViolation, type Dialect, type Sql, type Statement } from './sql.ts'
import type { Value, Work } from './sql.ts'

/** What a later try can find mended: busy, locked, no memory, read-only, I/O, full, cannot open. */
const PASSING: readonly (number | undefined)[] = [5, 6, 7, 8, 10, 13, 14]
/** The file is malformed, or no database at all (sqlite.org/rescode.html). */
const DAMAGED: readonly (number | undefined)[] = [11, 26]
const CONSTRAINT = 19

const dialect: Dialect = {
  lock: () => '',
  cast: (expression) => expression,
  each: (json) => `json_each(${json})`,
  fromNow: (ms) => `(now() + ${ms})`,

  insert: (table, rows, leavesOut) => {
    const columns = Object.keys(rows[0] ?? {})
    const values = columns.map((_, index) => `$${index + 1}`).join(', ')
    const text = `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values})
      ${leavesOut ? 'ON CONFLICT DO NOTHING' : ''}`
    return rows.map((row) => ({ text, values: columns.map((column) => row[column] ?? null) }))
  },

  // There is one writer: within a transaction nobody else is.
  hold: (rooms) =>
    rooms.map((room) => ({ text: 'SELECT room, head FROM rooms WHERE room = $1', values: [room] })),

  dropWords: (room, from, to) => [
    {
      text: `DELETE FROM words WHERE rowid BETWEEN
        (SELECT number << 40 | $2 FROM room_numbers WHERE room = $1)
        AND (SELECT number << 40 | $3 FROM room_numbers WHERE room = $1)`,
      values: [room, from, to],
    },
  ],
}

interface Prepared {
  statement: SqliteStatement
  /** `now()` in the text is one more value. */
  asksClock: boolean
}

export interface SqliteOptions {
  /** Hears that what is stored cannot be read: nothing more may be promised on it. */
  onDamage?: ((error: LogDamaged) => void) | undefined
  /** Called behind each work: throws when what was written is not where it will be looked for. */
  assertKept?: (() => void) | undefined
}

export function createSqliteSql(
  db: Sqlite,
  clock: Clock,
  { onDamage = () => {}, assertKept = () => {} }: SqliteOptions = {},
): Sql {
  const prepared = new Map<string, Prepared>()

  const prepare = (text: string): Prepared => {
    const numbers = [...text.matchAll(/\$(\d+)/g)].map(([, nth]) => Number(nth))
    const asksClock = text.includes('now()')
    // One package finds a number by its name, at each asking: none is named that need not be.
    const isInOrder = !asksClock && numbers.every((nth, index) => nth === index + 1)
    const own = isInOrder ? text.replace(/\$\d+/g, '?') : text.replace(/\$(\d+)/g, '?$1')
    const clockAt = Math.max(0, ...numbers) + 1
    return { statement: db.prepare(own.replaceAll('now()', `?${clockAt}`)), asksClock }
  }

  const ask = ({ text, values }: Statement): object[] => {
    let known = prepared.get(text)
    if (!known) prepared.set(text, (known = prepare(text)))
    const given = values.map(toSqlite)
    if (known.asksClock) given.push(clock.date().getTime())
    return known.statement.all(...given) as object[]
  }

  const drive = <T>(work: Work<T>): T => {
    let step = work.next()
    while (!step.done) step = work.next(step.value.map(ask))
    return step.value
  }

  const explain = (error: unknown) => {
    const code = sqliteCode(error)
    if (code === CONSTRAINT) return new ConstraintViolation(String(error), { cause: error })
    if (PASSING.includes(code)) return new LogUnavailable(`SQLite: ${error}`, { cause: error })
    if (!DAMAGED.includes(code)) return error
    const words = `the data file is damaged: ${error}; restore a backup`
    const damaged = new LogDamaged(words, { cause: error })
    onDamage(damaged)
    return damaged
  }

  const command = (text: string) => void ask({ text, values: [] })

  return {
    dialect,

    run: async (work) => {
      try {
        const result = drive(work())
        assertKept()
        return result
      } catch (error) {
        throw explain(error)
      }
    },

    transaction: async (work) => {
      try {
        command('BEGIN IMMEDIATE')
        const result = drive(work())
        command('COMMIT')
        assertKept()
        return result
      } catch (error) {
        rollBack(command)
        throw explain(error)
      }
    },
  }
}

/** After some faults (a full disk) SQLite has rolled back by itself. */
function rollBack(command: (text: string) => void) {
  try {
    command('ROLLBACK')
  } catch {
    // There was nothing left to roll back.
  }
}

function toSqlite(value: Value): SqliteValue {
  if (value instanceof Date) return value.getTime()
  if (typeof value === 'boolean') return Number(value)
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
}
