/**
 * The log in Postgres: every method is one statement in one round trip, but a search, which waits
 * for the index of words.
 */

import type { Clock } from '../clock.ts'
import { EMOJI_PER_MESSAGE } from '../../static/protocol.js'
import type { Message } from '../protocol.ts'
import { createIndexer } from '../search/indexer.ts'
import { SearchTooLong, type Compared, type Draft, type Log, type RoomSummary } from './log.ts'
import type { Postgres } from '../cluster/postgres.ts'
import * as rows from './rows.ts'
import { hasAll, phrasesOf, wordsOf, type Phrase } from '../search/words.ts'

/** Entries that are taken into the index of words at once. */
const STEP = 200
/** What `statement_timeout` ends with (PostgreSQL, Appendix A). */
const QUERY_CANCELED = '57014'

/**
 * Row by row what became of the drafts; a new one comes as its `seq` alone. Or one row for each
 * room: all are new, and the `seq` is what it had before.
 */
type AppendedRow = rows.Row & { outcome: 'all' | 'new' | 'repeat' | rows.Refusal }
/** A message whose words are to be taken in; one that was deleted has no body. */
interface EntranceRow {
  head: number | null
  floor: number | null
  private: boolean | null
  owner: boolean | null
  is_member: boolean
  last_id: string | null
  signed_in: boolean
}

interface UnindexedRow {
  head: number
  since: number
  up_to: number
  seq: number | null
  body: string | null
}
/** A room without messages has one row, whose message is null. */
type PageRow = rows.MessageRow & { head: number; reactions: Message['reactions'] | null }

/** A page of the room `$1`: those of its rows that `messages` selects. */
const pageOf = (messages: string) => `
    SELECT rooms.head, m.*, edit.body AS edited_body, edit.at AS edited_at, r.reactions
    FROM rooms
      LEFT JOIN LATERAL (${messages}) AS m ON true
      LEFT JOIN messages AS edit ON edit.room = $1 AND edit.seq = m.newest_edit
      LEFT JOIN LATERAL (
        SELECT json_agg(json_build_object('emoji', emoji, 'count', count, 'users', users)
          ORDER BY first) AS reactions
        FROM (
          SELECT emoji, count(*) AS count, min(seq) AS first,
            (array_agg(author_id ORDER BY seq))[1:${rows.REACTION_USERS}] AS users
          FROM reactions WHERE room = $1 AND target = m.seq GROUP BY emoji) AS by_emoji
        ) AS r ON true
    WHERE rooms.room = $1 ORDER BY m.seq DESC`

/** Statements; `$1` is the room, unless there is another word. */
export const SQL = {
  // $1 rooms, $2 the number of drafts in each, $3 drafts, $4 now
  append: `SELECT outcome, (entry).* FROM hearth_append_all($1, $2, $3, $4, ${EMOJI_PER_MESSAGE})`,
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
  // $2 user, $3 session, $4 after, $5 now
  enter: `
    SELECT rooms.head, rooms.floor, rooms.private, rooms.owner = $2 AS owner,
      members.user_id IS NOT NULL AS is_member,
      (SELECT id FROM messages WHERE room = $1 AND seq = $4) AS last_id,
      EXISTS (SELECT 1 FROM sessions WHERE hash = $3 AND user_id = $2
        AND (expires_at IS NULL OR expires_at > $5)) AS signed_in
    FROM (SELECT 1) AS one LEFT JOIN rooms ON rooms.room = $1
      LEFT JOIN members ON members.room = $1 AND members.user_id = $2`,
  addRoom: 'INSERT INTO rooms (room) VALUES ($1) ON CONFLICT DO NOTHING',
  addMember: `
    WITH added AS (INSERT INTO members (room, user_id)
      SELECT room, $2 FROM rooms WHERE room = $1 AND (NOT private OR owner = $2)
      ON CONFLICT DO NOTHING)
    SELECT private FROM rooms WHERE room = $1`,
  leave: `
    WITH gone AS (DELETE FROM members WHERE room = $1 AND user_id = $2 RETURNING room, user_id)
    INSERT INTO revocations (room, user_id) SELECT room, user_id FROM gone`,
  after: 'SELECT * FROM messages WHERE room = $1 AND seq > $2 ORDER BY seq LIMIT $3',
  // $2 before, $3 limit
  page: pageOf(`SELECT * FROM messages
        WHERE room = $1 AND kind = 'message' AND seq < $2 ORDER BY seq DESC LIMIT $3`),
  // $2 before, $3 limit, $4 patterns, $5 keys
  search: pageOf(`SELECT * FROM messages
        WHERE room = $1 AND seq = ANY (ARRAY(SELECT hearth_search($1, $2, $3, $4, $5)))`),
  // $1 rooms, $2 seqs
  compare: `
    SELECT room, head, (SELECT id FROM messages WHERE room = rooms.room AND seq = held.seq) AS id
    FROM unnest($1::text[], $2::bigint[]) AS held (room, seq) JOIN rooms USING (room)
    WHERE head > 0`,
  // $1 user
  rooms: `
    SELECT room, head, read, private, coalesce(owner = user_id, false) AS owned, unread, mentions
    FROM members JOIN rooms USING (room), LATERAL (
      SELECT count(*) AS unread, count(*) FILTER (WHERE mentions ? $1::text) AS mentions FROM (
        SELECT mentions FROM (
          SELECT author_id, mentions, deleted FROM messages
          WHERE room = members.room AND kind = 'message' AND seq > members.read
          ORDER BY seq DESC LIMIT ${rows.UNREAD_LOOKED_AT}) AS newest
        WHERE author_id <> $1::uuid AND NOT deleted LIMIT ${rows.UNREAD_COUNTED}) AS others) AS counted
    WHERE user_id = $1::uuid ORDER BY room`,
  // $1 rooms, $2 users, $3 seqs; locked in one order, as other nodes do the same
  saveReads: `
    WITH told AS (
      SELECT room, user_id, max(seq) AS seq
      FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS t (room, user_id, seq) GROUP BY 1, 2),
    held AS (
      SELECT room, user_id, least(seq, head) AS seq
      FROM members JOIN told USING (room, user_id) JOIN rooms USING (room)
      WHERE read < seq ORDER BY room, user_id FOR UPDATE OF members)
    UPDATE members SET read = greatest(read, held.seq) FROM held
    WHERE members.room = held.room AND members.user_id = held.user_id`,
}

export function createPostgresLog(
  db: Omit<Postgres, 'transaction' | 'connect'>,
  clock: Clock,
): Log {
  const { epoch, query, queryFirst, onFault, close } = db
  const readPage = async (text: string, limit: number, values: unknown[]) => {
    const found = await query<PageRow>(text, values)
    const messages = found.filter(({ seq }) => seq !== null)
    return rows.toPage(found[0]?.head ?? 0, messages, limit, ({ reactions }) => reactions ?? [])
  }

  /** No lock is held while the words are made: who was not the first has made them for nothing. */
  const step = async (room: string) => {
    const found = await query<UnindexedRow>(SQL.unindexed, [room])
    const { head, since, up_to: upTo } = found[0] ?? { head: 0, since: 0, up_to: 0 }
    if (since === head) return { indexed: head, head }
    const messages = found.filter(({ body }) => body !== null)
    const [after] = await query<{ indexed: number }>(SQL.index, [
      ...[room, since, upTo],
      messages.map(({ seq }) => seq),
      messages.map(({ body }) => wordsOf(body!)),
    ])
    return { indexed: after!.indexed, head }
  }
  const indexer = createIndexer({ step, clock, onFault })
  indexer.note(db.behind)
  db.onClose(indexer.close)

  /** What a user finds at the door of a room; whether it is a member, and the room there. */
  const look = async (room: string, user: string, session: string, after: number | undefined) => {
    const values = [room, user, session, after ?? null, clock.date()]
    const [found] = await query<EntranceRow>(SQL.enter, values)
    const { head, floor, last_id: lastId, signed_in: signedIn, is_member: isMember } = found!
    const [owner, isPrivate] = [found!.owner === true, found!.private === true]
    const place = { head: head ?? 0, floor: floor ?? 0, lastId, private: isPrivate, owner }
    const entrance = { signedIn, allowed: isMember || owner || !isPrivate, ...place }
    return { entrance, isMember, isKnown: head !== null }
  }

  return {
    epoch,

    append: async (drafts) => {
      if (drafts.length === 0) return []
      const at = clock.date().toISOString()
      const counts = new Map<string, number>()
      const wanted = drafts.map((draft) => {
        const nth = (counts.get(draft.room) ?? 0) + 1
        counts.set(draft.room, nth)
        return rows.toRow(draft, nth, at)
      })
      const sent = JSON.stringify(wanted.map((row, index) => toSent(row, drafts[index]!)))
      const values = [[...counts.keys()], [...counts.values()], sent, at]
      const appended = await queryFirst<AppendedRow>(SQL.append, values)
      indexer.note(counts.keys())
      if (appended[0]?.outcome === 'all') {
        const heads = new Map(appended.map(({ room, seq }) => [room, seq]))
        return wanted.map((row) => {
          row.seq += heads.get(row.room)!
          return { entry: rows.toEntry(row), repeat: false }
        })
      }
      return appended.map(({ outcome, ...row }, index) => {
        if (outcome === 'repeat') return { entry: rows.toEntry(row), repeat: true }
        if (outcome !== 'new' && outcome !== 'all') return rows.refuse(drafts[index]!, outcome)
        return { entry: rows.toEntry({ ...wanted[index]!, seq: row.seq }), repeat: false }
      })
    },

    enter: async (room, user, session, after) => {
      const { entrance, isMember, isKnown } = await look(room, user, session, after)
      if (!entrance.signedIn || isMember || !entrance.allowed) return entrance
      if (!isKnown) await query(SQL.addRoom, [room])
      const [added] = await query<{ private: boolean }>(SQL.addMember, [room, user])
      const isPrivate = added?.private === true
      return { ...entrance, private: isPrivate, allowed: entrance.owner || !isPrivate }
    },

    visit: async (room, user, session, after, claims = false) => {
      const { entrance, isKnown } = await look(room, user, session, after)
      if (!claims || isKnown || !entrance.signedIn) return entrance
      await query(SQL.addRoom, [room])
      // Somebody may have made it private meanwhile.
      return (await look(room, user, session, after)).entrance
    },

    leave: async (room, user) => void (await query(SQL.leave, [room, user])),

    after: async (room, after, limit) =>
      (await query<rows.Row>(SQL.after, [room, after, limit])).map(rows.toEntry),

    page: (room, limit, before = Number.MAX_SAFE_INTEGER) =>
      readPage(SQL.page, limit, [room, before, limit + 1]),

    search: async (room, text, limit, before = Number.MAX_SAFE_INTEGER) => {
      const phrases = phrasesOf(text)
      const most = phrases.length > 0 ? limit + 1 : 0
      if (most > 0) await indexer.reach(room)
      const keys = phrases.map((each) => toKeys(room, each)).join(' & ')
      const values = [room, before, most, phrases.map(toPattern), keys]
      const found = readPage(SQL.search, limit, values)
      const { messages, ...page } = await found.catch(refuseSearch)
      // One may have been edited since, and its new words not taken in yet.
      const isStill = ({ body = '' }: Message) => hasAll(wordsOf(body), phrases)
      return { ...page, messages: messages.filter(isStill) }
    },

    compare: (positions) =>
      query<Compared>(SQL.compare, [
        positions.map(({ room }) => room),
        positions.map(({ seq }) => seq),
      ]),

    rooms: async (user) => {
      const found = await query<RoomSummary & { owned: boolean }>(SQL.rooms, [user])
      return found.map(({ owned, ...room }) => ({ ...room, ...(owned && { owner: true }) }))
    },

    saveReads: async (reads) => {
      await query(SQL.saveReads, [
        reads.map(({ room }) => room),
        reads.map(({ user }) => user),
        reads.map(({ seq }) => seq),
      ])
    },

    close,
  }
}

/** As it is sent: of the usual message only what differs from one to the next. */
function toSent(row: ReturnType<typeof rows.toRow>, { moderates }: Draft) {
  const { room, seq, id, author_id, author_name, body, digest, kind, reply_to, mentions } = row
  const isPlain = kind === 'message' && reply_to === null && mentions === null
  const plain = { room, seq, id, author_id, author_name, body, digest }
  return isPlain ? plain : { ...row, moderates }
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
