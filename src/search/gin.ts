/**
 * The index of words in Postgres: a table of the words as text, with a GIN index over their keys.
 * What is common is found among the newest, what is rare by its keys (postgres-functions.sql).
 */

import type { Clock } from '../clock.ts'
import { createReadAuthors } from '../store/authors.ts'
import { pageOf, readPage } from '../store/reads.ts'
import { SearchTooLong } from '../store/log.ts'
import { first, rows, type Sql, type Work } from '../store/sql.ts'
import type { Progress } from './indexer.ts'
import type { WordIndex } from './search.ts'
import { wordsOf, type Phrase } from './words.ts'

/** Entries that are taken in at once. */
const STEP = 200
/** What `statement_timeout` ends with (PostgreSQL, Appendix A). */
const QUERY_CANCELED = '57014'

/** Statements; `$1` is the room. */
export const SQL = {
  unindexed: `
    SELECT head, since, up_to, m.seq, coalesce(edit.body, m.body) AS body
    FROM (
      SELECT head, coalesce(seq, 0) AS since, least(head, coalesce(seq, 0) + ${STEP}) AS up_to
      FROM rooms LEFT JOIN indexed USING (room) WHERE room = $1) AS place
      LEFT JOIN LATERAL (
        SELECT DISTINCT coalesce(target, seq) AS seq FROM messages
        WHERE room = $1 AND seq > since AND seq <= up_to AND (kind = 'edit' OR kind = 'message'
          AND (SELECT text FROM words WHERE room = $1 AND seq = messages.seq) IS NULL)
      ) AS changed ON true
      LEFT JOIN messages AS m ON m.room = $1 AND m.seq = changed.seq AND NOT m.deleted
      LEFT JOIN messages AS edit ON edit.room = $1 AND edit.seq = m.newest_edit`,
  // $2 since, $3 up to, $4 seqs, $5 their words
  index: 'SELECT hearth_index($1, $2, $3, $4, $5) AS indexed',
  // $2 before, $3 limit, $4 patterns, $5 keys
  search: pageOf('m.seq = ANY (ARRAY(SELECT hearth_search($1, $2, $3, $4, $5)))'),
  behind: `
    SELECT room FROM rooms LEFT JOIN indexed USING (room)
    WHERE head > coalesce(indexed.seq, 0) ORDER BY room`,
}

export function createGin(sql: Sql, clock: Clock): WordIndex {
  const readAuthors = createReadAuthors(sql)
  return {
    step: (room) => sql.run(() => step(room)),
    behind: () =>
      sql.run(function* () {
        return (yield* rows<{ room: string }>(SQL.behind)).map(({ room }) => room)
      }),
    find: (room, phrases, limit, before, onWork) => {
      const most = phrases.length > 0 ? limit + 1 : 0
      const keys = phrases.map((each) => toKeys(room, each)).join(' & ')
      const values = [room, before, most, phrases.map(toPattern), keys]
      let started: number | undefined
      // It begins when there is a connection for it.
      const search = function* () {
        started = clock.now()
        return yield* readPage(readAuthors, SQL.search, limit, values)
      }
      const tell = () => started !== undefined && onWork?.(clock.now() - started)
      return sql.run(search).catch(refuseSearch).finally(tell)
    },
    close: async () => {},
  }
}

/** No lock is held while the words are made: who was not the first has made them for nothing. */
function* step(room: string): Work<Progress> {
  const found = yield* rows<UnindexedRow>(SQL.unindexed, room)
  const { head, since, up_to: upTo } = found[0] ?? { head: 0, since: 0, up_to: 0 }
  if (since === head) return { indexed: head, head }
  const messages = found.filter(({ body }) => body !== null)
  const after = yield* first<{ indexed: number }>(
    SQL.index,
    ...[room, since, upTo],
    messages.map(({ seq }) => String(seq)),
    messages.map(({ body }) => wordsOf(body!)),
  )
  return { indexed: after!.indexed, head }
}

/** A message whose words are to be taken in; one that was deleted has no body. */
interface UnindexedRow {
  head: number
  since: number
  up_to: number
  seq: number | null
  body: string | null
}

/** That a search was cut off says nothing about the database. */
function refuseSearch(error: Error): never {
  const { code } = (error.cause ?? {}) as { code?: unknown }
  throw code === QUERY_CANCELED ? new SearchTooLong('the search took too long') : error
}

/** For LIKE: words are letters and digits, which mean themselves there. */
function toPattern({ words, isExact }: Phrase) {
  return `% ${words.join(' ')}${isExact ? ' ' : ''}%`
}

/** For a tsquery: the words that any message with the phrase must have. */
function toKeys(room: string, { words, isExact }: Phrase) {
  const keys = words.map((word) => `'${room}/${word}'`).join(' & ')
  return isExact ? keys : `${keys}:*`
}
