/** What a log should do, in the fewest words: entries in memory, and their folding into messages. */

import assert from 'node:assert/strict'
import type { Draft, Entrance, Log, Outcome, Position } from '../../src/store/log.ts'
import { hasAll, phrasesOf, wordsOf } from '../../src/search/words.ts'
import type { Entry, ErrorCode, Message } from '../../src/protocol.ts'

const EMOJI_PER_MESSAGE = 20
const AT = '2026-01-01T00:00:00.000Z'

/** The messages that a room's entries come to; all, or those among `shown`. */
export function fold(entries: readonly Entry[], shown = entries): Message[] {
  const changes = entries.filter((entry) => 'target' in entry)
  return shown.flatMap((entry): Message[] => {
    if (entry.kind !== 'message') return []
    const { seq, id, author, at, replyTo, mentions } = entry
    const later = changes.filter(({ target }) => target === seq)
    const edit = later.findLast((other) => other.kind === 'edit')
    const common = {
      ...{ seq, id, author, at },
      ...(replyTo !== undefined && { replyTo }),
      ...(mentions && { mentions }),
    }
    if (later.some(({ kind }) => kind === 'delete')) {
      return [{ ...common, deleted: true as const, reactions: [] }]
    }
    return [
      {
        ...common,
        ...(entry.body !== undefined && { body: edit?.body ?? entry.body }),
        ...(edit && { editedAt: edit.at }),
        reactions: foldReactions(later),
      },
    ]
  })
}

function foldReactions(entries: readonly Entry[]): Message['reactions'] {
  const on = new Map<string, string[]>()
  for (const entry of entries) {
    if (entry.kind !== 'reaction') continue
    const others = (on.get(entry.emoji) ?? []).filter((user) => user !== entry.author.id)
    on.set(entry.emoji, entry.on ? [...others, entry.author.id] : others)
  }
  return [...on]
    .filter(([, users]) => users.length > 0)
    .map(([emoji, users]) => ({ emoji, count: users.length, users }))
}

/** Whatever order the reactions and their users are told in, and whatever the time. */
export function comparable(messages: readonly Message[]) {
  return messages.map(({ reactions, ...message }) => ({
    ...message,
    at: '',
    ...(message.editedAt !== undefined && { editedAt: '' }),
    reactions: reactions
      .map(({ emoji, count, users }) => ({ emoji, count, users: [...users].sort() }))
      .sort((a, b) => (a.emoji < b.emoji ? -1 : 1)),
  }))
}

/** A log in memory: slow and plain. Reads can be held up, and can fail. */
export class MemoryLog implements Log {
  readonly epoch = 'memory'
  readonly #entries = new Map<string, Entry[]>()
  readonly #drafts = new Map<string, Draft>()
  /** Awaited before every read, and before its answer arrives. */
  beforeRead: () => Promise<void> = async () => {}
  beforeAnswer: () => Promise<void> = async () => {}
  reads = 0
  /** Up to which `seq` a room was dropped. */
  readonly floors = new Map<string, number>()

  entries(room: string): Entry[] {
    const known = this.#entries.get(room) ?? []
    this.#entries.set(room, known)
    return known
  }

  append = async (drafts: readonly Draft[]) => drafts.map((draft) => this.appendNow(draft))

  appendNow(draft: Draft): Outcome {
    const entries = this.entries(draft.room)
    const key = `${draft.room} ${draft.author.id} ${draft.id}`
    const known = this.#drafts.get(key)
    if (known) {
      if (contentOf(known) !== contentOf(draft)) return refused('conflict')
      const entry = entries.find(
        ({ id, author }) => id === draft.id && author.id === draft.author.id,
      )
      assert.ok(entry)
      return { entry: { ...entry }, repeat: true }
    }
    const code = this.#refusal(draft, entries)
    if (code) return refused(code)
    const { moderates: _, ...rest } = draft
    const fields = { type: 'message', seq: entries.length + 1, at: AT, ...rest }
    const entry = Object.fromEntries(
      Object.entries(fields).filter(([, value]) => value !== undefined),
    ) as unknown as Entry
    entries.push(entry)
    this.#drafts.set(key, draft)
    if (draft.kind === 'delete') this.#erase(entries, draft.target)
    return { entry: { ...entry }, repeat: false }
  }

  #refusal(draft: Draft, entries: readonly Entry[]): ErrorCode | null {
    const messageAt = (seq: number) => {
      const entry = entries[seq - 1]
      return entry?.kind === 'message' ? entry : undefined
    }
    if (draft.kind === 'message') {
      return draft.replyTo === undefined || messageAt(draft.replyTo) ? null : 'not_found'
    }
    const target = messageAt(draft.target)
    if (!target || target.deleted) return 'not_found'
    const isOwn = target.author.id === draft.author.id
    if (draft.kind === 'edit') return isOwn ? null : 'forbidden'
    if (draft.kind === 'delete') return isOwn || draft.moderates ? null : 'forbidden'
    const used = fold(entries, [target])[0]?.reactions ?? []
    const isNew = !used.some(({ emoji }) => emoji === draft.emoji)
    return draft.on && isNew && used.length >= EMOJI_PER_MESSAGE ? 'too_many' : null
  }

  #erase(entries: Entry[], target: number) {
    for (const [index, entry] of entries.entries()) {
      const isIt = entry.seq === target || (entry.kind === 'edit' && entry.target === target)
      if (!isIt || (entry.kind !== 'message' && entry.kind !== 'edit')) continue
      const { body: _, ...rest } = entry
      entries[index] = { ...rest, deleted: true }
    }
  }

  enter(room: string, _user: string, _session: string, after?: number): Promise<Entrance> {
    return this.#read(() => {
      const entries = this.entries(room)
      const lastId = after === undefined ? null : this.#idAt(room, after)
      const place = { head: entries.length, floor: this.#floorOf(room), lastId }
      return {
        signedIn: true,
        allowed: true,
        ...place,
        private: false,
        owner: false,
        ownerId: null,
      }
    })
  }

  visit(...[room, user, session, after]: Parameters<Log['visit']>) {
    return this.enter(room, user, session, after)
  }

  after(room: string, after: number, limit: number) {
    return this.#read(() => {
      const start = Math.max(after, this.#floorOf(room))
      return this.entries(room).slice(start, start + limit)
    })
  }

  page(room: string, limit: number, before = Infinity) {
    return this.#read(() => {
      const entries = this.entries(room)
      const kept = entries.slice(this.#floorOf(room))
      const older = kept.filter(({ kind, seq }) => kind === 'message' && seq < before)
      const messages = limit === 0 ? [] : fold(entries, older.slice(-limit))
      return { head: entries.length, messages, more: older.length > limit }
    })
  }

  search(room: string, query: string, limit: number, before = Infinity) {
    return this.#read(() => {
      const entries = this.entries(room)
      const phrases = phrasesOf(query)
      const found = fold(entries).filter(
        ({ seq, body = '' }) =>
          phrases.length > 0 && seq < before && hasAll(wordsOf(body), phrases),
      )
      const messages = found.slice(Math.max(0, found.length - limit))
      return { head: entries.length, messages, more: found.length > limit }
    })
  }

  compare(positions: readonly Position[]) {
    return this.#read(() =>
      positions.flatMap(({ room, seq }) => {
        const entries = this.entries(room)
        if (entries.length === 0) return []
        return [{ room, head: entries.length, id: this.#idAt(room, seq), owner: null }]
      }),
    )
  }

  leave = async () => {}
  roomCount = async () => 0
  rooms = async () => []
  saveReads = async () => {}
  close = async () => {}

  #floorOf(room: string) {
    return this.floors.get(room) ?? 0
  }

  #idAt(room: string, seq: number) {
    return seq > this.#floorOf(room) ? (this.entries(room)[seq - 1]?.id ?? null) : null
  }

  async #read<T>(answer: () => T) {
    this.reads += 1
    await this.beforeRead()
    const found = answer()
    await this.beforeAnswer()
    return found
  }
}

function contentOf(draft: Draft) {
  const { kind, body, target, replyTo, mentions, emoji, on } = draft as Draft &
    Record<string, unknown>
  return JSON.stringify([kind, body, target, replyTo, mentions, emoji, on])
}

function refused(code: ErrorCode): Outcome {
  return { code, message: code }
}
