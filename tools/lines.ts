/** The lines of an export: one JSON object each, told apart by `type`. */

import * as v from 'valibot'
import { Entry as EntryShape, Id, Room as RoomName, Seq, explain } from '../static/protocol.js'
import type { Entry } from '../src/protocol.ts'
import { toEntry, toRow, type Row } from '../src/store/rows.ts'

export const FORMAT = 1

/** Postgres keeps no NUL. */
const Text = v.pipe(v.string(), v.minLength(1), v.excludes('\0'))
const Time = v.pipe(v.string(), v.isoTimestamp())
const Hash = v.pipe(v.string(), v.maxLength(64))

/** Each of them once in this order, or any number of times. */
const SCHEMAS = {
  hearth: v.object({
    type: v.literal('hearth'),
    version: v.literal(FORMAT, `${FORMAT}: this version reads no other`),
    epoch: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, '32 hexadecimal digits')),
    at: Time,
  }),
  user: v.object({
    type: v.literal('user'),
    id: Id,
    name: Text,
    key: v.nullable(Text),
    kind: v.picklist(['guest', 'member', 'admin']),
    subject: v.nullable(Text),
    banned: v.boolean(),
  }),
  session: v.object({
    type: v.literal('session'),
    hash: Hash,
    user: Id,
    role: v.picklist(['member', 'admin']),
    seenAt: Time,
    expiresAt: v.nullable(Time),
    // Without what a Hearth before version 7 did not write.
    madeAt: v.optional(v.nullable(Time), null),
    address: v.optional(v.nullable(Text), null),
    agent: v.optional(v.nullable(Text), null),
  }),
  room: v.object({
    type: v.literal('room'),
    room: RoomName,
    head: Seq,
    floor: Seq,
    private: v.boolean(),
    owner: v.nullable(Id),
  }),
  // Without what a Hearth before version 7 did not write.
  member: v.object({
    type: v.literal('member'),
    room: RoomName,
    user: Id,
    read: Seq,
    since: v.optional(v.nullable(Time), null),
  }),
  past_member: v.object({
    type: v.literal('past_member'),
    room: RoomName,
    user: Id,
    since: v.nullable(Time),
    until: Time,
  }),
  invite: v.object({
    type: v.literal('invite'),
    hash: Hash,
    room: RoomName,
    expiresAt: Time,
    once: v.optional(v.boolean(), false),
    madeBy: v.optional(v.nullable(Id), null),
  }),
  message: v.intersect([EntryShape, v.object({ digest: Hash })]),
  end: v.object({ type: v.literal('end'), lines: v.number() }),
}

export type LineType = keyof typeof SCHEMAS
export type LineOf<T extends LineType> = v.InferOutput<(typeof SCHEMAS)[T]>
export type Line = { [T in LineType]: LineOf<T> }[LineType]

/** An entry of the log with its digest, by which a repeat is known. */
export type EntryLine = Entry & { digest: string }

/** @returns the line, or what is wrong with it */
export function parseLine(text: string): { line: Line } | { line?: undefined; problem: string } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { problem: 'not JSON' }
  }
  const { type } = Object(value) as { type?: unknown }
  if (typeof type !== 'string' || !Object.hasOwn(SCHEMAS, type)) {
    return { problem: `type: one of ${Object.keys(SCHEMAS).join(', ')}` }
  }
  const parsed = v.safeParse(SCHEMAS[type as LineType], value)
  if (!parsed.success) return { problem: explain(parsed.issues) }
  return bodyProblem(parsed.output) ?? { line: parsed.output }
}

/** What was erased has no body, and everything else has. */
function bodyProblem(line: Line) {
  if (line.type !== 'message' || (line.kind !== 'message' && line.kind !== 'edit')) return null
  const isFine = (line.body === undefined) === (line.deleted === true)
  return isFine ? null : { problem: 'body: there, unless it is deleted' }
}

export function toEntryLine(row: Row): EntryLine {
  return { ...toEntry(row), digest: row.digest }
}

/** The row of an entry as it stands in an export. */
export function fromEntryLine(line: EntryLine): Row {
  const deleted = 'deleted' in line && line.deleted === true
  return { ...toRow(line, line.seq, line.at), deleted, digest: line.digest }
}
