/** The driver for Postgres: a work is run by awaiting each answer. */

import type { Dialect, Query, Sql, Work } from '../store/sql.ts'

/** @param run  has something done on one connection, which is not used again when it fails */
export function sqlOn(run: <T>(work: (query: Query) => Promise<T>) => Promise<T>): Sql {
  return {
    dialect,
    run: (work) => run((query) => drive(query, work())),
    transaction: (work) =>
      run(async (query) => {
        await query('BEGIN')
        const result = await drive(query, work())
        await query('COMMIT')
        return result
      }),
  }
}

/** Runs a work: what it yields at once is sent at once, and costs one round trip. */
export async function drive<T>(query: Query, work: Work<T>): Promise<T> {
  let step = work.next()
  while (!step.done) {
    step = work.next(await Promise.all(step.value.map(({ text, values }) => query(text, values))))
  }
  return step.value
}

export const dialect: Dialect = {
  lock: (table, others) => `FOR UPDATE OF ${table}${others ? ' SKIP LOCKED' : ''}`,
  cast: (expression, type) => `CAST(${expression} AS ${type})`,
  each: (json) => `json_array_elements(CAST(${json} AS json)) AS each (value)`,
  fromNow: (ms) => `(clock_timestamp() + ${ms} * interval '1 ms')`,

  insert: (table, rows, leavesOut) => {
    if (rows.length === 0) return []
    const columns = Object.keys(rows[0]!).join(', ')
    const text = `INSERT INTO ${table} (${columns})
      SELECT ${columns} FROM json_populate_recordset(NULL::${table}, $1)
      ${leavesOut ? 'ON CONFLICT DO NOTHING' : ''}`
    return [{ text, values: [JSON.stringify(rows)] }]
  },

  hold: (rooms) => [{ text: 'SELECT room, head FROM hearth_hold_to_look($1)', values: [rooms] }],

  dropWords: (room, from, to) => [
    {
      // Whoever takes words of this room in is waited for, or waits and sees what is deleted.
      text: `INSERT INTO indexed AS i VALUES ($1, 0) ON CONFLICT (room) DO UPDATE SET seq = i.seq`,
      values: [room],
    },
    {
      text: 'DELETE FROM words WHERE room = $1 AND seq BETWEEN $2 AND $3',
      values: [room, from, to],
    },
  ],
}
