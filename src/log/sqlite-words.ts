/** The index of words in SQLite (FTS5): kept in the transaction of the append. */

import type { Sqlite, SqliteValue } from '../runtime/runtime.ts'
import { wordsOf, type Phrase } from './words.ts'

/** Messages that a migration reads at a time. */
const BATCH = 1_000

/**
 * A word stands there behind the number of its room, so that no search ever looks at what is said
 * in another; a row's id is room and `seq`, so that the newest come first. The words are cut by
 * us, so the tokenizer only has to leave them whole. What is deleted must be gone, and not only
 * marked as such (`secure-delete`).
 */
const SCHEMA = `
  CREATE TABLE room_numbers (number INTEGER PRIMARY KEY, room TEXT NOT NULL UNIQUE) STRICT;
  CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "ascii tokenchars '/'", columnsize = 0);
  INSERT INTO words (words, rank) VALUES ('secure-delete', 1), ('automerge', 16)`

/** The newest matches of one room: ?1 what, ?2 the room's number, ?3 below which `seq`, ?4 limit. */
export const SEARCH = `
  SELECT rowid & 0xffffffffff AS seq FROM words
  WHERE words MATCH ?1 AND rowid BETWEEN (?2 << 40) AND ((?2 << 40) + min(?3, 1 << 40) - 1)
  ORDER BY rowid DESC LIMIT ?4`

export interface WordIndex {
  /** What a message reads from now on. */
  put(room: string, seq: number, body: string): void
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
  }
  const numberOf = (room: string, statement = sql.number) =>
    (statement.get(room) as { number: number } | undefined)?.number

  return {
    put: (room, seq, body) => {
      const number = numberOf(room) ?? numberOf(room, sql.addNumber)!
      const words = wordsOf(body)
      const text = words && prefix(number) + words.replaceAll(' ', ` ${prefix(number)}`)
      sql.put.run(number, seq, text)
    },

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

/** Makes the index, with all that was said so far. */
export function addWordIndex(db: Sqlite): void {
  db.exec(SCHEMA)
  const index = createWordIndex(db)
  const next = db.prepare(
    `SELECT m.room, m.seq, coalesce(edit.body, m.body) AS body
     FROM messages AS m LEFT JOIN messages AS edit
       ON edit.room = m.room AND edit.seq = m.newest_edit
     WHERE m.kind = 'message' AND m.deleted = 0 AND (m.room, m.seq) > (?, ?)
     ORDER BY m.room, m.seq LIMIT ${BATCH}`,
  )
  let last = { room: '', seq: 0 }
  for (;;) {
    const found = next.all(last.room, last.seq) as { room: string; seq: number; body: string }[]
    for (const { room, seq, body } of found) index.put(room, seq, body)
    if (found.length < BATCH) return
    last = found.at(-1)!
  }
}

function prefix(number: number) {
  return `${number.toString(36)}/`
}
