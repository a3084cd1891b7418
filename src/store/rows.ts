/** Entries as rows of a table, and back. */

import type { Entry, Message, Page, User } from '../protocol.ts'
import { digestOf, type AnyContent } from './digest.ts'
import type { Draft } from './log.ts'

/** What an entry is read from; SQLite has 0 and 1 where Postgres has booleans. */
export type EntryRow = {
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
  /** User ids; as they were given, or as a JSON array. */
  mentions: readonly string[] | string | null
  emoji: string | null
  is_on: number | boolean | null
  deleted: number | boolean
}

/** A row of `messages`. */
export type Row = EntryRow & { digest: string }

/** A message with its newest text, and its reactions as `emoji user` in the order of `seq`. */
export type MessageRow = Omit<EntryRow, 'room' | 'kind' | 'target' | 'emoji' | 'is_on'> & {
  edited_at: string | null
  reactions: string | null
}

/** More users of one reaction than this are counted and not named. */
const REACTION_USERS = 100

/**
 * The row of a draft that is not refused. One literal: put together of parts it would take ten times
 * as long.
 */
export function toRow(
  draft: Pick<Draft, 'room' | 'id' | 'author'> & AnyContent,
  seq: number,
  at: string,
): Row {
  const { room, id, author, kind, body, target, replyTo, mentions, emoji, on } = draft
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
    mentions: mentions ?? null,
    emoji: emoji ?? null,
    is_on: on ?? null,
    deleted: false,
    digest: digestOf(draft),
  }
}

/** @param author  default: as it stands in the row, without a kind */
export function toEntry(
  row: EntryRow,
  author: User = { id: row.author_id, name: row.author_name },
): Entry {
  const { room, seq, id, kind, at } = row
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
 * @param authors  of the rows
 */
export function toPage(
  head: number,
  rows: readonly MessageRow[],
  authors: readonly User[],
  limit: number,
): Page {
  const messages = rows.slice(0, limit).map((row, index) => toMessage(row, authors[index]!))
  return { head, messages: messages.reverse(), more: rows.length > limit }
}

/** Put together piece by piece: copies of parts would be a tenth of what a page costs. */
function toMessage(row: MessageRow, author: User): Message {
  const { seq, id, at, body, reply_to: replyTo, mentions, edited_at: editedAt } = row
  const message: Message = { seq, id, author, at, reactions: [] }
  if (replyTo !== null) message.replyTo = replyTo
  if (mentions !== null) message.mentions = toIds(mentions)
  if (row.deleted) message.deleted = true
  else {
    message.body = body ?? ''
    if (editedAt !== null) message.editedAt = editedAt
    if (row.reactions !== null) message.reactions = toReactions(row.reactions)
  }
  return message
}

/** A user as everybody is told of it. @param kind  as in the table of users */
export function toUser(id: string, name: string, kind: string | null | undefined): User {
  if (kind === 'admin') return { id, name, kind }
  return kind === 'member' ? { id, name, kind: 'foreign' } : { id, name }
}

/** By emoji, in the order in which they came up; no emoji has a blank in it. */
function toReactions(text: string): Message['reactions'] {
  const reactions = new Map<string, Message['reactions'][0]>()
  for (const [, emoji = '', user = ''] of text.matchAll(/(\S+) (\S+)/g)) {
    const known = reactions.get(emoji) ?? { emoji, count: 0, users: [] }
    reactions.set(emoji, known)
    known.count += 1
    if (known.count <= REACTION_USERS) known.users.push(user)
  }
  return [...reactions.values()]
}

/** Which message it answers, and whom it names. */
function links(
  row: Pick<EntryRow, 'reply_to' | 'mentions'>,
): Pick<Message, 'replyTo' | 'mentions'> {
  return {
    ...(row.reply_to !== null && { replyTo: row.reply_to }),
    ...(row.mentions !== null && { mentions: toIds(row.mentions) }),
  }
}

function toIds(mentions: readonly string[] | string): string[] {
  return typeof mentions === 'string' ? JSON.parse(mentions) : [...mentions]
}
