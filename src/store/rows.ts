/** Entries as rows of a table: what the logs of all databases have in common. */

import type { Entry, ErrorCode, Message, Page } from '../protocol.ts'
import { EMOJI_PER_MESSAGE } from '../../static/protocol.js'
import { digestOf, type AnyContent } from './digest.ts'
import type { Draft, Outcome } from './log.ts'

/** More users of one reaction than this are counted and not named. */
export const REACTION_USERS = 100
export const UNREAD_COUNTED = 100
/** Who writes much and reads nothing must not make the query long. */
export const UNREAD_LOOKED_AT = 1_000

/** A row of `messages`; SQLite has 0 and 1 where Postgres has booleans. */
export interface Row {
  room: string
  seq: number
  id: string
  kind: Entry['kind']
  author_id: string
  author_name: string
  /** ISO 8601 in UTC. */
  at: string
  body: string | null
  target: number | null
  reply_to: number | null
  /** A JSON array of user ids. */
  mentions: string | null
  emoji: string | null
  is_on: number | boolean | null
  deleted: number | boolean
  digest: string
}

/** With the newest edit beside it. */
export interface MessageRow extends Row {
  edited_body: string | null
  edited_at: string | null
}

/** The row of a draft that is not refused. */
export function toRow(draft: Draft, seq: number, at: string) {
  const { room, id, author } = draft
  const { kind, body, target, replyTo, mentions, emoji, on }: AnyContent = draft
  return {
    room,
    seq,
    id,
    kind,
    author_id: author.id,
    author_name: author.name,
    at,
    body: body ?? null,
    target: target ?? null,
    reply_to: replyTo ?? null,
    mentions: mentions ? JSON.stringify(mentions) : null,
    emoji: emoji ?? null,
    is_on: on === undefined ? null : Number(on),
    deleted: 0,
    digest: digestOf(draft),
  } satisfies Row
}

export function toEntry(row: Row): Entry {
  const { room, seq, id, kind, at } = row
  const author = { id: row.author_id, name: row.author_name }
  const common = { type: 'message', room, seq, id, author, at } as const
  const text = row.deleted ? ({ deleted: true } as const) : { body: row.body ?? '' }
  const target = row.target ?? 0
  switch (kind) {
    case 'message':
      return { ...common, kind, ...text, ...links(row) }
    case 'edit':
      return { ...common, kind, target, ...text }
    case 'delete':
      return { ...common, kind, target }
    case 'reaction':
      return { ...common, kind, target, emoji: row.emoji ?? '', on: Boolean(row.is_on) }
  }
}

/**
 * @param rows  one more than `limit`, if there are so many; newest first
 * @param reactionsOf  the reactions of each that is not deleted
 */
export function toPage<R extends MessageRow>(
  head: number,
  rows: readonly R[],
  limit: number,
  reactionsOf: (row: R) => Message['reactions'],
): Page {
  const messages = rows.slice(0, limit).reverse()
  return {
    head,
    messages: messages.map((row) => toMessage(row, reactionsOf(row))),
    more: rows.length > limit,
  }
}

function toMessage(row: MessageRow, reactions: Message['reactions']): Message {
  const { seq, id, at } = row
  const author = { id: row.author_id, name: row.author_name }
  const common = { seq, id, author, at, ...links(row) }
  if (row.deleted) return { ...common, deleted: true, reactions: [] }
  return {
    ...common,
    body: row.edited_body ?? row.body ?? '',
    ...(row.edited_at && { editedAt: row.edited_at }),
    reactions,
  }
}

/** Which message it answers, and whom it names. */
function links(row: Row): Pick<Message, 'replyTo' | 'mentions'> {
  return {
    ...(row.reply_to !== null && { replyTo: row.reply_to }),
    ...(row.mentions !== null && { mentions: JSON.parse(row.mentions) }),
  }
}

export type Refusal = Extract<ErrorCode, 'conflict' | 'not_found' | 'forbidden' | 'too_many'>

/** What the sender is told of a draft that is not stored. */
export function refuse({ kind }: Draft, code: Refusal): Outcome {
  const messages: Record<Refusal, string> = {
    conflict: 'this id was used for something else',
    not_found: `${kind === 'message' ? 'replyTo' : 'target'}: there is no such message`,
    forbidden: `only its author ${kind}s a message`,
    too_many: `at most ${EMOJI_PER_MESSAGE} different emoji`,
  }
  return { code, message: messages[code] }
}
