/** `import`: JSON Lines into an empty log, which is another log from then on. */

import { Buffer } from 'node:buffer'
import { createReadStream, statSync } from 'node:fs'
import process from 'node:process'
import { all, type NewRow } from '../src/store/sql.ts'
import { onlyOne, readArgs, ToolError, type Command } from './command.ts'
import { violations } from './check.ts'
import { REACTIONS } from './faults.ts'
import { fromEntryLine, parseLine, type Line, type LineType } from './lines.ts'
import { useStore } from './place.ts'
import { NO_PROGRESS, type Progress } from './progress.ts'
import { drawEpoch, transaction, type Store } from './store.ts'

export const importLog: Command = {
  usage: '<file | ->',
  about: 'reads what `export` wrote into an empty log',
  run: async (args, context) => {
    const file = onlyOne(readArgs(args, {}).positionals, 'the file')
    const { progress, tell } = context
    await useStore(context, 'alone', async (store) => {
      const count = await importLines(store, readLines(file, progress), { progress })
      tell(`${count} lines are in ${store.place}`)
    })
  },
}

const MB = 1e6
/** No line of an export comes near it. UTF-16 code units */
const LONGEST_LINE = 1_000_000
/** Rows that are inserted together. */
const AT_ONCE = 500

/** A line and where it stands. */
interface Numbered {
  line: Line
  number: number
}

export interface ImportOptions {
  /** The log stays what it was: its epoch and what signs people in are taken over. */
  isSame?: boolean
  progress?: Progress
}

/**
 * Takes all lines in, or nothing.
 * @throws {ToolError} when the log is not empty, or what comes is not whole
 * @returns how many lines came
 */
export async function importLines(
  store: Store,
  lines: AsyncIterable<Numbered>,
  { isSame = false, progress = NO_PROGRESS }: ImportOptions = {},
): Promise<number> {
  return transaction(store, async () => {
    await store.seize()
    await dropLobby(store)
    await assertEmpty(store)
    const { epoch, count } = await insertAll(store, lines, isSame)
    progress.begin('putting edits and reactions in their place')
    await store.query(NEWEST_EDITS)
    await store.query(`INSERT INTO reactions (room, target, emoji, author_id, seq) ${REACTIONS}`)
    for await (const violation of violations(store.query, progress)) throw new ToolError(violation)
    // By which rule these names are owned is not known: the next server makes their keys again.
    await store.query('UPDATE meta SET names = NULL')
    if (isSame) await store.query('UPDATE meta SET epoch = $1', [epoch])
    else await drawEpoch(store.query)
    return count
  })
}

/** @throws {ToolError} that names the first line that is wrong */
async function* readLines(file: string, progress: Progress): AsyncGenerator<Numbered> {
  let number = 0
  let bytes = 0
  try {
    progress.begin('reading', 'MB', file === '-' ? undefined : statSync(file).size / MB)
    const input = file === '-' ? process.stdin : createReadStream(file)
    for await (const text of linesOf(input)) {
      number += 1
      const { line, ...rest } = parseLine(text)
      if (!line) throw new ToolError(`line ${number}: ${'problem' in rest && rest.problem}`)
      yield { line, number }
      bytes += Buffer.byteLength(text) + 1
      progress.set(bytes / MB)
    }
  } catch (error) {
    if (error instanceof ToolError) throw error
    if (error instanceof RangeError) throw new ToolError(`line ${number + 1}: ${error.message}`)
    throw new ToolError(`${file}: ${(error as Error).message}`, { cause: error })
  }
}

/** Without their ends. @throws {RangeError} when one is too long to be one of ours */
async function* linesOf(input: NodeJS.ReadableStream): AsyncGenerator<string> {
  let rest = ''
  for await (const piece of input.setEncoding('utf8')) {
    const lines = `${rest}${piece}`.split('\n')
    rest = lines.pop()!
    for (const line of lines) yield line.replace(/\r$/, '')
    if (rest.length > LONGEST_LINE) throw new RangeError('too long')
  }
  if (rest !== '') yield rest
}

const NEWEST_EDITS = `
  UPDATE messages SET newest_edit = newest.seq
  FROM (SELECT room AS place, target AS goal, max(seq) AS seq FROM messages
    WHERE kind = 'edit' GROUP BY room, target) AS newest
  WHERE room = place AND messages.seq = goal`

/** A server makes it at its first start: alone, and as long as nobody was there, it is nothing. */
async function dropLobby({ query }: Store) {
  await query(`DELETE FROM rooms WHERE room = 'lobby' AND head = 0 AND owner IS NULL
    AND NOT EXISTS (SELECT 1 FROM members WHERE room = 'lobby')`)
}

async function assertEmpty({ query, place }: Store) {
  for (const table of ['users', 'rooms', 'messages']) {
    const found = await query(`SELECT 1 AS one FROM ${table} LIMIT 1`)
    if (found.length > 0) throw new ToolError(`${place} is not empty: there are ${table}`)
  }
}

async function insertAll(store: Store, lines: AsyncIterable<Numbered>, isSame: boolean) {
  let epoch = ''
  let isWhole = false
  let count = 0
  const batch: Numbered[] = []
  for await (const next of lines) {
    const { line, number } = next
    const refuse = (problem: string) => new ToolError(`line ${number}: ${problem}`)
    if (isWhole) throw refuse('there is nothing behind the end')
    if ((line.type === 'hearth') !== (count === 0)) throw refuse('`hearth` is the first line')
    if (!isSame && SECRET.has(line.type)) throw refuse(`no ${line.type} comes from a file`)
    if (line.type === 'end' && line.lines !== count)
      throw refuse(`${line.lines} lines were written`)
    if (line.type === 'hearth') epoch = line.epoch
    isWhole = line.type === 'end'
    count += 1
    if (batch.length === AT_ONCE || batch[0]?.line.type !== line.type) {
      await insert(store, batch.splice(0))
    }
    batch.push(next)
  }
  if (!isWhole) throw new ToolError(`the end is missing behind line ${count}`)
  return { epoch, count }
}

const SECRET: ReadonlySet<LineType> = new Set(['session', 'invite'])

/** Lines of one type. */
async function insert({ sql }: Store, batch: readonly Numbered[]) {
  const [first] = batch
  if (!first || first.line.type === 'hearth' || first.line.type === 'end') return
  const table = TABLES[first.line.type]
  const rows = batch.map(({ line }) => toRow(line))
  try {
    await sql.run(() => all(sql.dialect.insert(table, rows)))
  } catch (error) {
    const where = `lines ${first.number} to ${batch.at(-1)!.number}`
    throw new ToolError(`${where}: ${(error as Error).message}`, { cause: error })
  }
}

const TABLES = {
  ...{ user: 'users', session: 'sessions', room: 'rooms', member: 'members' },
  ...{ past_member: 'past_members', invite: 'invites', message: 'messages' },
} as const satisfies Partial<Record<LineType, string>>

/** By column; the columns of one type are always the same, in the same order. */
function toRow(line: Line): NewRow {
  switch (line.type) {
    case 'user': {
      const { id, name, key, kind, subject, banned } = line
      return { id, name, name_key: key, kind, subject, banned }
    }
    case 'session': {
      const { hash, user, role, seenAt, expiresAt, madeAt, address, agent } = line
      const end = expiresAt === null ? null : new Date(expiresAt)
      const made_at = madeAt === null ? null : new Date(madeAt)
      const row = { hash, user_id: user, role, seen_at: new Date(seenAt), expires_at: end }
      return { ...row, made_at, address, agent }
    }
    case 'room': {
      const { room, head, floor, private: isPrivate, owner } = line
      return { room, head, floor, private: isPrivate, owner }
    }
    case 'member': {
      const { room, user, read, since } = line
      return { room, user_id: user, read, since: since === null ? null : new Date(since) }
    }
    case 'past_member': {
      const { room, user, since, until } = line
      const began = since === null ? null : new Date(since)
      return { room, user_id: user, since: began, until: new Date(until) }
    }
    case 'invite': {
      const { hash, room, expiresAt, once, madeBy } = line
      return { hash, room, expires_at: new Date(expiresAt), once, made_by: madeBy }
    }
    case 'message':
      return fromEntryLine(line)
    default:
      throw new Error(`${line.type} is no row`)
  }
}
