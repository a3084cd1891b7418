/**
 * The tables, in steps: one number for both databases says which have been taken. A step that was
 * released is never changed. Beside this file in schema/ lies the SQL of each.
 */

import { readFileSync } from 'node:fs'

/** The newest version of the tables. */
export const VERSION = 7

const STEPS = { sqlite: [1, 2, 3, 4, 5, 6, 7], postgres: [1, 2, 3, 4, 7] }

/** The statements that lead from a version to the next ones, in order. */
export function stepsAfter(version: number, database: keyof typeof STEPS): string[] {
  const left = STEPS[database].filter((step) => step > version)
  return left.map((step) => readSql(`${database}-${step}`))
}

/** What is in the file of this name. */
export function readSql(name: string): string {
  return readFileSync(new URL(`schema/${name}.sql`, import.meta.url), 'utf8')
}
