/**
 * Reading the entries of a room. Every read is one statement, so of one moment; what the authors are
 * is of any (authors.ts).
 */

import type { Entry, Page } from '../protocol.ts'
import type { ReadAuthors } from './authors.ts'
import type { Compared, Position } from './log.ts'
import { toEntry, toPage, type EntryRow, type MessageRow } from './rows.ts'
import { rows, type Sql, type Value, type Work } from './sql.ts'

/** The newest messages of a room: $2 below which `seq`, $3 how many. */
export const PAGE = pageOf("m.kind = 'message' AND m.seq < $2", 'LIMIT $3')

/**
 * A page of the room `$1`, as of one moment: its messages `m` that are as asked, newest first, and
 * its head in a row that is no message.
 */
export function pageOf(where: string, limit = '') {
  return `
    SELECT head AS seq, NULL AS id, NULL AS author_id, NULL AS author_name, NULL AS at, NULL AS body,
      NULL AS edited_at, NULL AS reply_to, NULL AS mentions, NULL AS deleted, NULL AS reactions
    FROM rooms WHERE room = $1
    UNION ALL SELECT * FROM (
      SELECT m.seq, m.id, m.author_id, m.author_name, m.at, coalesce(edit.body, m.body), edit.at,
        m.reply_to, m.mentions, m.deleted,
        (SELECT string_agg(emoji || ' ' || author_id, ' ' ORDER BY seq)
          FROM reactions WHERE room = $1 AND target = m.seq)
      FROM messages AS m LEFT JOIN messages AS edit ON edit.room = $1 AND edit.seq = m.newest_edit
      WHERE m.room = $1 AND ${where} ORDER BY m.seq DESC ${limit}) AS page`
}

/** The page that `text` selects. @param limit  of which one more is asked for */
export function* readPage(
  readAuthors: ReadAuthors,
  text: string,
  limit: number,
  values: readonly Value[],
): Work<Page> {
  const found = yield* rows<MessageRow | { seq: number; id: null }>(text, ...values)
  const messages = found.filter((row): row is MessageRow => row.id !== null)
  const [{ seq: head } = { seq: 0 }] = found.filter(({ id }) => id === null)
  return toPage(head, messages, yield* readAuthors(messages), limit)
}

/** Entries of the room $1: $2 after which `seq`, $3 how many. */
export const AFTER = `
  SELECT room, seq, id, kind, author_id, author_name, at, body, target, reply_to, mentions, emoji,
    is_on, deleted
  FROM messages WHERE room = $1 AND seq > $2 ORDER BY seq LIMIT $3`

/** Entries of a room with `seq` > `after`, ascending. */
export function* readAfter(
  readAuthors: ReadAuthors,
  room: string,
  after: number,
  limit: number,
): Work<Entry[]> {
  const found = yield* rows<EntryRow>(AFTER, room, after, limit)
  const authors = yield* readAuthors(found)
  return found.map((row, index) => toEntry(row, authors[index]))
}

/** Where rooms stand, and who is at the positions. */
export function compare(
  sql: Pick<Sql, 'dialect'>,
  positions: readonly Position[],
): Work<Compared[]> {
  return rows(comparing(sql), JSON.stringify(positions))
}

/** $1 a JSON array of positions. */
export function comparing({ dialect: { each, cast } }: Pick<Sql, 'dialect'>): string {
  return `SELECT rooms.room, head, m.id, owner
    FROM ${each('$1')} CROSS JOIN rooms LEFT JOIN messages AS m
      ON m.room = rooms.room AND m.seq = ${cast("value ->> 'seq'", 'bigint')}
    WHERE rooms.room = value ->> 'room' AND (head > 0 OR private)`
}
