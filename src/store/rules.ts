/**
 * The rules of the log: what becomes of each draft of a batch. They know no database: what they
 * have to know is read before, what they decide is written after.
 */

import { EMOJI_PER_MESSAGE } from '../../static/protocol.js'
import type { ErrorCode, User } from '../protocol.ts'
import type { Draft, Outcome } from './log.ts'
import { toEntry, toRow, type Row } from './rows.ts'

/** What is known of the rooms of a batch. Numbers as of before it, rows as they stand. */
export interface Known {
  heads: ReadonlyMap<string, number>
  /** Entries with the ids of the drafts, and those that these are about. */
  rows: readonly Row[]
  /** How many users gave each emoji to the messages that reactions are about. */
  emoji: readonly { room: string; target: number; emoji: string; users: number }[]
  /** Those of the reactions that are on already. */
  reactions: readonly { room: string; target: number; emoji: string; author_id: string }[]
}

/** A draft that is stored, and where. */
export interface Accepted {
  draft: Draft
  row: Row
}

export type Refusal = Extract<ErrorCode, 'conflict' | 'not_found' | 'forbidden' | 'too_many'>

/**
 * Decides about drafts in their order: each meets what those before it have done.
 * @returns one outcome per draft, and what is to be stored, ascending by `seq` in each room
 */
export function decide(drafts: readonly Draft[], at: string, known: Known) {
  const book = new Book(known)
  const accepted: Accepted[] = []
  const outcomes = drafts.map((draft): Outcome => {
    const row = toRow(draft, book.headOf(draft.room) + 1, at)
    const twin = book.withIdOf(row)
    // A repeat is one even when what it is about was deleted since.
    if (twin?.digest === row.digest)
      return { entry: toEntry(twin, authorOf(twin, draft)), repeat: true }
    const code = twin ? 'conflict' : refusalOf(draft, book)
    if (code) return refuse(draft, code)
    const entry = toEntry(row, draft.author)
    book.add(draft, row)
    accepted.push({ draft, row })
    return { entry, repeat: false }
  })
  return { outcomes, accepted }
}

/** The name as it was then; what the user is never changes. */
function authorOf({ author_name: name }: Row, { author }: Draft): User {
  return { ...author, name }
}

/** Why a draft that is new cannot be stored; null when it can. */
function refusalOf(draft: Draft, book: Book): Refusal | null {
  if (draft.kind === 'message') {
    const isThere = draft.replyTo === undefined || book.messageAt(draft.room, draft.replyTo)
    return isThere ? null : 'not_found'
  }
  const target = book.messageAt(draft.room, draft.target)
  if (!target || target.deleted) return 'not_found'
  const isAuthor = target.author_id === draft.author.id
  switch (draft.kind) {
    case 'edit':
      return isAuthor ? null : 'forbidden'
    case 'delete':
      return isAuthor || draft.moderates ? null : 'forbidden'
    case 'reaction': {
      const used = book.emojiOf(draft.room, draft.target)
      const isOneMore = draft.on && !used.has(draft.emoji)
      return isOneMore && used.size >= EMOJI_PER_MESSAGE ? 'too_many' : null
    }
  }
}

/** What the sender is told of a draft that is not stored. */
function refuse({ kind }: Draft, code: Refusal): Outcome {
  const messages: Record<Refusal, string> = {
    conflict: 'this id was used for something else',
    not_found: `${kind === 'message' ? 'replyTo' : 'target'}: there is no such message`,
    forbidden: `only its author ${kind}s a message`,
    too_many: `at most ${EMOJI_PER_MESSAGE} different emoji`,
  }
  return { code, message: messages[code] }
}

/** A user's reaction to a message. */
type Reaction = Known['reactions'][0]

/** What is known, and what a batch has done to it so far. */
class Book {
  readonly #heads: Map<string, number>
  readonly #rows: Row[]
  readonly #byId: Map<string, Row>
  readonly #messages: Map<string, Row>
  /** By message and emoji, how many users gave it. */
  readonly #emoji = new Map<string, Map<string, number>>()
  readonly #reactions: Set<string>

  constructor({ heads, rows, emoji, reactions }: Known) {
    this.#heads = new Map(heads)
    this.#rows = [...rows]
    this.#byId = new Map(rows.map((row) => [idOf(row), row]))
    const messages = rows.filter(({ kind }) => kind === 'message')
    this.#messages = new Map(messages.map((row) => [keyOf(row.room, row.seq), row]))
    this.#reactions = new Set(reactions.map(reactionOf))
    for (const one of emoji) this.emojiOf(one.room, one.target).set(one.emoji, one.users)
  }

  headOf(room: string) {
    return this.#heads.get(room) ?? 0
  }

  withIdOf(row: Row) {
    return this.#byId.get(idOf(row))
  }

  messageAt(room: string, seq: number) {
    return this.#messages.get(keyOf(room, seq))
  }

  emojiOf(room: string, target: number): Map<string, number> {
    const key = keyOf(room, target)
    const found = this.#emoji.get(key) ?? new Map<string, number>()
    this.#emoji.set(key, found)
    return found
  }

  /** Notes a new entry, and what it does to those before it. */
  add(draft: Draft, row: Row) {
    const { room, seq } = row
    this.#heads.set(room, seq)
    this.#rows.push(row)
    this.#byId.set(idOf(row), row)
    if (draft.kind === 'message') this.#messages.set(keyOf(room, seq), row)
    if (draft.kind === 'delete') this.#erase(room, draft.target)
    if (draft.kind === 'reaction') this.#react({ ...draft, author_id: draft.author.id }, draft.on)
  }

  /** A message and its edits; also those of this batch, which are stored without their text. */
  #erase(room: string, target: number) {
    for (const row of this.#rows) {
      const seq = row.kind === 'edit' ? row.target : row.kind === 'message' && row.seq
      if (row.room === room && seq === target) Object.assign(row, { body: null, deleted: true })
    }
  }

  #react(reaction: Reaction, on: boolean) {
    const key = reactionOf(reaction)
    if (this.#reactions.has(key) === on) return
    const { room, target, emoji } = reaction
    const used = this.emojiOf(room, target)
    const users = (used.get(emoji) ?? 0) + (on ? 1 : -1)
    if (on) this.#reactions.add(key)
    else this.#reactions.delete(key)
    if (users > 0) used.set(emoji, users)
    else used.delete(emoji)
  }
}

/** Names of rooms, ids and emoji have no blanks in them. */
const keyOf = (room: string, seq: number) => `${room} ${seq}`
const idOf = ({ room, author_id, id }: Row) => `${room} ${author_id} ${id}`
const reactionOf = ({ room, target, emoji, author_id }: Reaction) =>
  `${room} ${target} ${emoji} ${author_id}`
