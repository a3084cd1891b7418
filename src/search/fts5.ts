/** The index of words in SQLite: an FTS5 table, read by a thread beside the loop. */

import { createReadAuthors } from '../store/authors.ts'
import { pageOf, readPage } from '../store/reads.ts'
import type { DataFile } from '../store/file.ts'
import { exec, first, rows, type Work } from '../store/sql.ts'
import type { Clock } from '../clock.ts'
import type { Progress } from './indexer.ts'
import type { WordIndex } from './search.ts'
import { createSearcher, type Searcher } from './searcher.ts'
import { wordsOf, type Phrase } from './words.ts'

/** Entries that a step takes in; it ends sooner behind so much text. UTF-16 code units */
const STEP = 64
const STEP_LENGTH = 16_384

/** The newest matches of one room: ?1 what, ?2 the room's number, ?3 below which `seq`, ?4 limit. */
export const SEARCH = `
  SELECT rowid & 0xffffffffff AS seq FROM words
  WHERE words MATCH ?1 AND rowid BETWEEN (?2 << 40) AND ((?2 << 40) + min(?3, 1 << 40) - 1)
  ORDER BY rowid DESC LIMIT ?4`

/** Messages, and those that an edit changed: $1 room, $2 after, $3 up to. */
const NEXT = `
  SELECT entry.seq AS at, m.seq, coalesce(edit.body, m.body) AS body
  FROM messages AS entry
    JOIN messages AS m ON m.room = $1 AND m.seq = coalesce(entry.target, entry.seq)
    LEFT JOIN messages AS edit ON edit.room = $1 AND edit.seq = m.newest_edit
  WHERE entry.room = $1 AND entry.seq > $2 AND entry.seq <= $3
    AND entry.kind IN ('message', 'edit') AND m.deleted = 0 ORDER BY entry.seq`

/** $2 a JSON array of seqs. */
const FOUND = pageOf('m.seq IN (SELECT value FROM json_each($2))')

/** @param searcher  default: on a thread */
export function createFts5(
  file: Pick<DataFile, 'sql' | 'db' | 'file'>,
  clock: Clock,
  searcher: Searcher = createSearcher(file, clock, SEARCH),
): WordIndex {
  const { sql } = file
  const readAuthors = createReadAuthors(sql)
  return {
    step: (room) => sql.transaction(() => step(room)),
    behind: () =>
      sql.run(function* () {
        const behind = yield* rows<{ room: string }>('SELECT room FROM rooms WHERE indexed < head')
        return behind.map(({ room }) => room)
      }),
    find: async (room, phrases, limit, before, onWork) => {
      const number = phrases.length > 0 ? await sql.run(() => numberOf(room)) : undefined
      const match = number === undefined ? '' : toMatch(number, phrases)
      const values = [match, number ?? 0, before, limit + 1]
      const seqs = match === '' ? [] : await searcher.search(values, onWork)
      return sql.run(() => readPage(readAuthors, FOUND, limit, [room, JSON.stringify(seqs)]))
    },
    close: () => searcher.close(),
  }
}

function* step(room: string): Work<Progress> {
  const progress = 'SELECT max(indexed, floor) AS indexed, head FROM rooms WHERE room = $1'
  const { indexed, head } = (yield* first<Progress>(progress, room)) ?? { indexed: 0, head: 0 }
  if (indexed >= head) return { indexed, head }
  yield* exec('INSERT INTO room_numbers (room) VALUES ($1) ON CONFLICT DO NOTHING', room)
  const number = (yield* numberOf(room))!
  let upTo = Math.min(head, indexed + STEP)
  let length = 0
  for (const { at, seq, body } of yield* rows<Next>(NEXT, room, indexed, upTo)) {
    const words = wordsOf(body)
    const text = words && prefix(number) + words.replaceAll(' ', ` ${prefix(number)}`)
    const put = 'INSERT OR REPLACE INTO words (rowid, text) VALUES ($1 << 40 | $2, $3)'
    yield* exec(put, number, seq, text)
    length += body.length
    if (length > STEP_LENGTH) {
      upTo = at
      break
    }
  }
  yield* exec('UPDATE rooms SET indexed = $1 WHERE room = $2', upTo, room)
  return { indexed: upTo, head }
}

interface Next {
  /** Of the entry that made it so. */
  at: number
  seq: number
  body: string
}

/**
 * A word stands in the index behind the number of its room, so that no search ever looks at what is
 * said in another.
 */
function* numberOf(room: string): Work<number | undefined> {
  const text = 'SELECT number FROM room_numbers WHERE room = $1'
  return (yield* first<{ number: number }>(text, room))?.number
}

/** For MATCH. */
function toMatch(number: number, phrases: readonly Phrase[]) {
  const match = phrases.map(({ words, isExact }) => {
    const text = words.map((word) => prefix(number) + word).join(' ')
    return `"${text}"${isExact ? '' : ' *'}`
  })
  return match.join(' AND ')
}

function prefix(number: number) {
  return `${number.toString(36)}/`
}
