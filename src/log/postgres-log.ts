/** The log in Postgres: every method is one statement in one round trip. */

import type { Clock } from '../clock.ts'
import { EMOJI_PER_MESSAGE } from '../../static/protocol.js'
import type { Message } from '../protocol.ts'
import type { Compared, Log, RoomSummary } from './log.ts'
import type { Postgres } from './postgres.ts'
import * as rows from './rows.ts'
import { phrasesOf, wordsOf, type Phrase } from './words.ts'

/** Row by row what became of the drafts; a new one comes as its `seq` alone. */
type AppendedRow = rows.Row & { outcome: 'new' | 'repeat' | rows.Refusal }
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
  append: 'SELECT outcome, (entry).* FROM hearth_append($1, $2)',
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
  { epoch, query, queryFirst, close }: Omit<Postgres, 'transaction' | 'connect'>,
  clock: Clock,
): Log {
  const readPage = async (text: string, limit: number, values: unknown[]) => {
    const found = await query<PageRow>(text, values)
    const messages = found.filter(({ seq }) => seq !== null)
    return rows.toPage(found[0]?.head ?? 0, messages, limit, ({ reactions }) => reactions ?? [])
  }

  return {
    epoch,

    append: async (drafts) => {
      if (drafts.length === 0) return []
      const at = clock.date().toISOString()
      const wanted = drafts.map((draft) => ({
        ...rows.toRow(draft, 0, at),
        moderates: draft.moderates,
        ...('body' in draft && { words: wordsOf(draft.body) }),
      }))
      const values = [JSON.stringify(wanted), EMOJI_PER_MESSAGE]
      const appended = await queryFirst<AppendedRow>(SQL.append, values)
      return appended.map(({ outcome, ...row }, index) => {
        if (outcome === 'repeat') return { entry: rows.toEntry(row), repeat: true }
        if (outcome !== 'new') return rows.refuse(drafts[index]!, outcome)
        return { entry: rows.toEntry({ ...wanted[index]!, seq: row.seq }), repeat: false }
      })
    },

    enter: async (room, user, session, after) => {
      const values = [room, user, session, after ?? null, clock.date()]
      const [found] = await query<{
        head: number | null
        floor: number | null
        private: boolean | null
        owner: boolean | null
        is_member: boolean
        last_id: string | null
        signed_in: boolean
      }>(SQL.enter, values)
      const { head, floor, last_id: lastId, signed_in: signedIn, is_member: isMember } = found!
      const owner = found!.owner === true
      let isPrivate = found!.private === true
      if (signedIn && !isMember && (owner || !isPrivate)) {
        if (head === null) await query(SQL.addRoom, [room])
        const [added] = await query<{ private: boolean }>(SQL.addMember, [room, user])
        isPrivate = added?.private === true
      }
      const allowed = isMember || owner || !isPrivate
      const place = { head: head ?? 0, floor: floor ?? 0, lastId }
      return { signedIn, allowed, ...place, private: isPrivate, owner }
    },

    leave: async (room, user) => void (await query(SQL.leave, [room, user])),

    after: async (room, after, limit) =>
      (await query<rows.Row>(SQL.after, [room, after, limit])).map(rows.toEntry),

    page: (room, limit, before = Number.MAX_SAFE_INTEGER) =>
      readPage(SQL.page, limit, [room, before, limit + 1]),

    search: (room, text, limit, before = Number.MAX_SAFE_INTEGER) => {
      const phrases = phrasesOf(text)
      const most = phrases.length > 0 ? limit + 1 : 0
      const found = [phrases.map(toPattern), phrases.map((each) => toKeys(room, each)).join(' & ')]
      return readPage(SQL.search, limit, [room, before, most, ...found])
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

/** For LIKE: words are letters and digits, which mean themselves there. */
function toPattern({ words, isExact }: Phrase) {
  return `% ${words.join(' ')}${isExact ? ' ' : ''}%`
}

/** For a tsquery: the words that any message with the phrase must have. */
function toKeys(room: string, { words, isExact }: Phrase) {
  const keys = words.map((word) => `'${room}/${word}'`).join(' & ')
  return isExact ? keys : `${keys}:*`
}
