/** The index of words in SQLite (FTS5): it follows the log, in steps. */

import type { Sqlite, SqliteValue } from '../runtime/runtime.ts'
import type { Progress } from './indexer.ts'
import { wordsOf, type Phrase } from './words.ts'

/** Entries that a step takes in; it ends sooner behind so much text. UTF-16 code units */
const STEP = 64
const STEP_LENGTH = 16_384

/**
 * A word stands there behind the number of its room, so that no search ever looks at what is said
 * in another; a row's id is room and `seq`, so that the newest come first. The words are cut by
 * us, so the tokenizer only has to leave them whole. What is deleted must be gone, and not only
 * marked as such (`secure-delete`).
 */
export const WORDS_SCHEMA = `
  CREATE TABLE room_numbers (number INTEGER PRIMARY KEY, room TEXT NOT NULL UNIQUE) STRICT;
  CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "ascii tokenchars '/'", columnsize = 0);
  INSERT INTO words (words, rank) VALUES ('secure-delete', 1), ('automerge', 16)`

/** The newest matches of one room: ?1 what, ?2 the room's number, ?3 below which `seq`, ?4 limit. */
export const SEARCH = `
  SELECT rowid & 0xffffffffff AS seq FROM words
  WHERE words MATCH ?1 AND rowid BETWEEN (?2 << 40) AND ((?2 << 40) + min(?3, 1 << 40) - 1)
  ORDER BY rowid DESC LIMIT ?4`

/** Leaves nothing of a room up to a `seq`: $1 room, $2 seq. */
export const DROP_WORDS = `
  DELETE FROM words WHERE rowid BETWEEN
    (SELECT number << 40 FROM room_numbers WHERE room = $1)
    AND (SELECT number << 40 | $2 FROM room_numbers WHERE room = $1)`

export interface WordIndex {
  /** Takes the next entries of a room in, each message as it reads now; within a transaction. */
  step(room: string): Progress
  /** The rooms of which something is missing. */
  behind(): string[]
  /** Leaves nothing of a message. */
  remove(room: string, seq: number): void
  /** The values for `SEARCH`; null when nothing can be found. */
  values(
    room: string,
    phrases: readonly Phrase[],
    before: number,
    limit: number,
  ): SqliteValue[] | null
}

export function createWordIndex(db: Sqlite): WordIndex {
  const sql = {
    number: db.prepare('SELECT number FROM room_numbers WHERE room = ?'),
    addNumber: db.prepare('INSERT INTO room_numbers (room) VALUES (?) RETURNING number'),
    put: db.prepare('INSERT OR REPLACE INTO words (rowid, text) VALUES (?1 << 40 | ?2, ?3)'),
    remove: db.prepare('DELETE FROM words WHERE rowid = ?1 << 40 | ?2'),
    progress: db.prepare('SELECT max(indexed, floor) AS indexed, head FROM rooms WHERE room = ?'),
    setIndexed: db.prepare('UPDATE rooms SET indexed = ? WHERE room = ?'),
    behind: db.prepare('SELECT room FROM rooms WHERE indexed < head'),
    // Messages, and those that an edit changed; ?1 room, ?2 after, ?3 up to
    next: db.prepare(
      `SELECT entry.seq AS at, m.seq, coalesce(edit.body, m.body) AS body
       FROM messages AS entry
         JOIN messages AS m ON m.room = ?1 AND m.seq = coalesce(entry.target, entry.seq)
         LEFT JOIN messages AS edit ON edit.room = ?1 AND edit.seq = m.newest_edit
       WHERE entry.room = ?1 AND entry.seq > ?2 AND entry.seq <= ?3
         AND entry.kind IN ('message', 'edit') AND m.deleted = 0 ORDER BY entry.seq`,
    ),
  }
  const numberOf = (room: string, statement = sql.number) =>
    (statement.get(room) as { number: number } | undefined)?.number

  return {
    step: (room) => {
      const { indexed = 0, head = 0 } = (sql.progress.get(room) ?? {}) as Partial<Progress>
      if (indexed >= head) return { indexed, head }
      const number = numberOf(room) ?? numberOf(room, sql.addNumber)!
      let upTo = Math.min(head, indexed + STEP)
      let length = 0
      for (const { at, seq, body } of sql.next.all(room, indexed, upTo) as Next[]) {
        const words = wordsOf(body)
        const text = words && prefix(number) + words.replaceAll(' ', ` ${prefix(number)}`)
        sql.put.run(number, seq, text)
        length += body.length
        if (length > STEP_LENGTH) {
          upTo = at
          break
        }
      }
      sql.setIndexed.run(upTo, room)
      return { indexed: upTo, head }
    },

    behind: () => (sql.behind.all() as { room: string }[]).map(({ room }) => room),

    remove: (room, seq) => {
      const number = numberOf(room)
      if (number !== undefined) sql.remove.run(number, seq)
    },

    values: (room, phrases, before, limit) => {
      const number = numberOf(room)
      if (number === undefined || phrases.length === 0) return null
      const match = phrases.map(({ words, isExact }) => {
        const text = words.map((word) => prefix(number) + word).join(' ')
        return `"${text}"${isExact ? '' : ' *'}`
      })
      return [match.join(' AND '), number, before, limit]
    },
  }
}

interface Next {
  /** Of the entry that made it so. */
  at: number
  seq: number
  body: string
}

function prefix(number: number) {
  return `${number.toString(36)}/`
}
