/** The log in SQLite. Synchronous inside: nothing comes between a read and what it decides. */

import { sleep, type Clock } from '../clock.ts'
import { EMOJI_PER_MESSAGE } from '../../static/protocol.js'
import type { Message } from '../protocol.ts'
import { createIndexer } from '../search/indexer.ts'
import { LogUnavailable, type Draft, type Log, type Outcome } from './log.ts'
import * as rows from './rows.ts'
import { createSearcher } from '../search/searcher.ts'
import { transaction, type Database } from './sqlite.ts'
import { createWordIndex } from '../search/fts5.ts'
import { hasAll, phrasesOf, wordsOf } from '../search/words.ts'

/** What the file or the disk may say that a later try can find mended. */
const PASSING = /SQLITE_(FULL|IOERR|BUSY|NOMEM|READONLY|CANTOPEN)|disk|locked|readonly/i

/** What an entry is made of when it is appended. */
const COLUMNS = [
  ...(['room', 'seq', 'id', 'kind', 'author_id', 'author_name', 'at', 'body', 'target'] as const),
  ...(['reply_to', 'mentions', 'emoji', 'is_on', 'digest'] as const),
]

/** @param onFault  gets what went wrong beside of any question, for the operator */
export function createSqliteLog(
  database: Database,
  clock: Clock,
  onFault: (error: unknown) => void = () => {},
): Log {
  const { db, epoch, close } = database
  const index = createWordIndex(db)
  const searcher = createSearcher(database, clock)
  const indexer = createIndexer({
    step: async (room) => write(() => index.step(room)),
    clock,
    onFault,
  })
  indexer.note(index.behind())
  const sql = {
    room: db.prepare('SELECT head FROM rooms WHERE room = ?'),
    setHead: db.prepare(
      `INSERT INTO rooms (head, room) VALUES (?, ?)
       ON CONFLICT (room) DO UPDATE SET head = excluded.head`,
    ),
    known: db.prepare('SELECT * FROM messages WHERE room = ? AND author_id = ? AND id = ?'),
    at: db.prepare('SELECT * FROM messages WHERE room = ? AND seq = ?'),
    insert: db.prepare(
      `INSERT INTO messages (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})
       ON CONFLICT (room, author_id, id) DO NOTHING`,
    ),
    setNewestEdit: db.prepare('UPDATE messages SET newest_edit = ? WHERE room = ? AND seq = ?'),
    erase: db.prepare('UPDATE messages SET body = NULL, deleted = 1 WHERE room = ? AND seq = ?'),
    eraseEdits: db.prepare(
      `UPDATE messages SET body = NULL, deleted = 1
       WHERE room = ? AND target = ? AND kind = 'edit'`,
    ),
    dropReactions: db.prepare('DELETE FROM reactions WHERE room = ? AND target = ?'),
    emoji: db.prepare('SELECT DISTINCT emoji FROM reactions WHERE room = ? AND target = ?'),
    react: db.prepare('INSERT OR IGNORE INTO reactions VALUES (?, ?, ?, ?, ?)'),
    unreact: db.prepare(
      'DELETE FROM reactions WHERE room = ? AND target = ? AND emoji = ? AND author_id = ?',
    ),
    // ?1 room, ?2 after, ?3 session, ?4 user, ?5 now
    enter: db.prepare(
      `SELECT rooms.head, rooms.floor, rooms.private, rooms.owner = ?4 AS owner,
         members.user_id AS member,
         (SELECT id FROM messages WHERE room = ?1 AND seq = ?2) AS last_id,
         EXISTS (SELECT 1 FROM sessions WHERE hash = ?3 AND user_id = ?4
           AND (expires_at IS NULL OR expires_at > ?5)) AS signed_in
       FROM (SELECT 1) LEFT JOIN rooms ON rooms.room = ?1
         LEFT JOIN members ON members.room = ?1 AND members.user_id = ?4`,
    ),
    addRoom: db.prepare('INSERT OR IGNORE INTO rooms (room) VALUES (?)'),
    addMember: db.prepare('INSERT OR IGNORE INTO members (room, user_id) VALUES (?, ?)'),
    removeMember: db.prepare('DELETE FROM members WHERE room = ? AND user_id = ?'),
    after: db.prepare('SELECT * FROM messages WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?'),
    page: db.prepare(
      `SELECT m.*, edit.body AS edited_body, edit.at AS edited_at
       FROM messages AS m LEFT JOIN messages AS edit
         ON edit.room = m.room AND edit.seq = m.newest_edit
       WHERE m.room = ? AND m.kind = 'message' AND m.seq < ? ORDER BY m.seq DESC LIMIT ?`,
    ),
    reactions: db.prepare(
      `SELECT target, emoji, count(*) AS count, min(seq) AS first,
         json_group_array(author_id) FILTER (WHERE place <= ${rows.REACTION_USERS}) AS users
       FROM (SELECT target, emoji, author_id, seq,
               row_number() OVER (PARTITION BY target, emoji ORDER BY seq) AS place
             FROM reactions WHERE room = ? AND target BETWEEN ? AND ?)
       GROUP BY target, emoji ORDER BY first`,
    ),
    rooms: db.prepare(
      `SELECT room, head, read, private, owner = user_id AS owner FROM members JOIN rooms USING (room)
       WHERE user_id = ? ORDER BY room`,
    ),
    unread: db.prepare(
      `SELECT count(*) AS unread, coalesce(sum(instr(mentions, ?) > 0), 0) AS mentions FROM (
         SELECT mentions FROM (
           SELECT author_id, mentions, deleted FROM messages
           WHERE room = ? AND kind = 'message' AND seq > ?
           ORDER BY seq DESC LIMIT ${rows.UNREAD_LOOKED_AT})
         WHERE author_id <> ? AND NOT deleted LIMIT ${rows.UNREAD_COUNTED})`,
    ),
    read: db.prepare(
      `UPDATE members SET read = min(?, (SELECT head FROM rooms WHERE rooms.room = members.room))
       WHERE room = ? AND user_id = ? AND read < ?`,
    ),
  }

  const headOf = (room: string) => (sql.room.get(room) as { head: number } | undefined)?.head ?? 0

  /** What a user finds at the door of a room; whether it is a member, and the room there. */
  const look = (room: string, user: string, session: string, after: number | undefined) => {
    const now = clock.date().getTime()
    const found = sql.enter.get(room, after ?? null, session, user, now) as EntranceRow
    const [owner, isMember] = [found.owner === 1, found.member !== null]
    const entrance = {
      signedIn: found.signed_in === 1,
      allowed: !found.private || owner || isMember,
      head: found.head ?? 0,
      floor: found.floor ?? 0,
      lastId: found.last_id,
      private: found.private === 1,
      owner,
    }
    return { entrance, isMember, isKnown: found.head !== null }
  }

  /** Why a draft cannot be stored; null when it can. */
  const refusal = (draft: Draft): rows.Refusal | null => {
    if (draft.kind === 'message') {
      return draft.replyTo === undefined || messageAt(draft.room, draft.replyTo)
        ? null
        : 'not_found'
    }
    const target = messageAt(draft.room, draft.target)
    if (!target || target.deleted) return 'not_found'
    if (draft.kind === 'reaction') return draft.on && isOneTooMany(draft) ? 'too_many' : null
    const mayChange = draft.kind === 'delete' && draft.moderates
    return mayChange || target.author_id === draft.author.id ? null : 'forbidden'
  }

  const messageAt = (room: string, seq: number) => {
    const row = sql.at.get(room, seq) as rows.Row | undefined
    return row?.kind === 'message' ? row : undefined
  }

  const isOneTooMany = ({ room, target, emoji }: Draft & { kind: 'reaction' }) => {
    const used = (sql.emoji.all(room, target) as { emoji: string }[]).map((row) => row.emoji)
    return used.length >= EMOJI_PER_MESSAGE && !used.includes(emoji)
  }

  /** What an entry does to those before it. */
  const apply = (draft: Draft, seq: number) => {
    const { room } = draft
    if (draft.kind === 'edit') sql.setNewestEdit.run(seq, room, draft.target)
    if (draft.kind === 'delete') {
      index.remove(room, draft.target)
      sql.erase.run(room, draft.target)
      sql.eraseEdits.run(room, draft.target)
      sql.dropReactions.run(room, draft.target)
    }
    if (draft.kind === 'reaction') {
      const { target, emoji, author } = draft
      if (draft.on) sql.react.run(room, target, emoji, author.id, seq)
      else sql.unreact.run(room, target, emoji, author.id)
    }
  }

  /** @returns whether there was none with this id */
  const insert = (row: ReturnType<typeof rows.toRow>) =>
    sql.insert.run(...COLUMNS.map((column) => row[column])).changes === 1

  const appendOne = (draft: Draft, seq: number, at: string): Outcome => {
    const row = rows.toRow(draft, seq, at)
    // Only a second one with its id can stand in the way of most messages: one look is saved.
    const isPlain = draft.kind === 'message' && draft.replyTo === undefined
    if (isPlain && insert(row)) return { entry: rows.toEntry(row), repeat: false }
    const known = sql.known.get(row.room, row.author_id, row.id) as rows.Row | undefined
    if (known?.digest === row.digest) return { entry: rows.toEntry(known), repeat: true }
    const refused = known ? 'conflict' : refusal(draft)
    if (refused) return rows.refuse(draft, refused)
    insert(row)
    apply(draft, seq)
    return { entry: rows.toEntry(row), repeat: false }
  }

  /** @param heads  gets those of the rooms in which something was said */
  const appendAll = (drafts: readonly Draft[], heads: Map<string, number>): Outcome[] => {
    const at = clock.date().toISOString()
    const outcomes = drafts.map((draft) => {
      const seq = (heads.get(draft.room) ?? headOf(draft.room)) + 1
      const outcome = appendOne(draft, seq, at)
      if (outcome.entry && !outcome.repeat) heads.set(draft.room, seq)
      return outcome
    })
    for (const [room, head] of heads) sql.setHead.run(head, room)
    return outcomes
  }

  /** @throws {LogUnavailable} when a later try may do */
  const write = <T>(work: () => T): T => {
    try {
      return transaction(db, work)
    } catch (error) {
      throw isPassing(error) ? new LogUnavailable(`SQLite: ${error}`, { cause: error }) : error
    }
  }

  let notBefore = 0

  return {
    epoch,

    append: async (drafts) => {
      // A commit that took d ms held up the event loop for d ms: it gets as long to do the rest.
      const wait = notBefore - clock.now()
      if (wait > 0) await sleep(clock, wait)
      const started = clock.now()
      const heads = new Map<string, number>()
      try {
        const outcomes = write(() => appendAll(drafts, heads))
        indexer.note(heads.keys())
        return outcomes
      } finally {
        const ended = clock.now()
        notBefore = ended + (ended - started)
      }
    },

    enter: async (room, user, session, after) => {
      const { entrance, isMember } = look(room, user, session, after)
      if (entrance.signedIn && entrance.allowed && !isMember) {
        transaction(db, () => {
          sql.addRoom.run(room)
          sql.addMember.run(room, user)
        })
      }
      return entrance
    },

    visit: async (room, user, session, after, claims = false) => {
      const { entrance, isKnown } = look(room, user, session, after)
      if (claims && entrance.signedIn && !isKnown) sql.addRoom.run(room)
      return entrance
    },

    leave: async (room, user) => void sql.removeMember.run(room, user),

    after: async (room, after, limit) =>
      (sql.after.all(room, after, limit) as rows.Row[]).map(rows.toEntry),

    page: async (room, limit, before = Number.MAX_SAFE_INTEGER) => {
      const found = sql.page.all(room, before, limit + 1) as rows.MessageRow[]
      const [newest, oldest] = [found[0], found.at(-1)]
      const reactions =
        newest && oldest ? (sql.reactions.all(room, oldest.seq, newest.seq) as ReactionRow[]) : []
      return rows.toPage(headOf(room), found, limit, ({ seq }) => reactionsOf(seq, reactions))
    },

    search: async (room, query, limit, before = Number.MAX_SAFE_INTEGER) => {
      const phrases = phrasesOf(query)
      if (phrases.length > 0) await indexer.reach(room)
      const values = index.values(room, phrases, before, limit + 1)
      const seqs = values ? await searcher.search(values) : []
      const found = seqs.slice(0, limit).flatMap((seq) => {
        const [row] = sql.page.all(room, seq + 1, 1) as rows.MessageRow[]
        // It may have been changed since the thread looked.
        return hasAll(wordsOf(row?.edited_body ?? row?.body ?? ''), phrases) ? [row!] : []
      })
      const page = rows.toPage(headOf(room), found, limit, ({ seq }) =>
        reactionsOf(seq, sql.reactions.all(room, seq, seq) as ReactionRow[]),
      )
      return { ...page, more: seqs.length > limit }
    },

    compare: async (positions) =>
      positions.flatMap(({ room, seq }) => {
        const head = headOf(room)
        const row = sql.at.get(room, seq) as rows.Row | undefined
        return head > 0 ? [{ room, head, id: row?.id ?? null }] : []
      }),

    rooms: async (user) => {
      const found = sql.rooms.all(user) as OwnRoomRow[]
      return found.map(({ room, head, read, private: isPrivate, owner }) => {
        const { unread, mentions } = sql.unread.get(user, room, read, user) as {
          unread: number
          mentions: number
        }
        return {
          room,
          head,
          read,
          unread,
          mentions,
          private: isPrivate === 1,
          ...(owner === 1 && { owner: true }),
        }
      })
    },

    saveReads: async (reads) => {
      transaction(db, () => {
        for (const { room, user, seq } of reads) sql.read.run(seq, room, user, seq)
      })
    },

    close: async () => {
      await indexer.close()
      await searcher.close()
      close()
    },
  }
}

interface EntranceRow {
  head: number | null
  floor: number | null
  private: number | null
  owner: number | null
  member: string | null
  last_id: string | null
  signed_in: number
}

interface OwnRoomRow {
  room: string
  head: number
  read: number
  private: number
  owner: number | null
}

interface ReactionRow {
  target: number
  emoji: string
  count: number
  users: string
}

function reactionsOf(seq: number, reactions: readonly ReactionRow[]): Message['reactions'] {
  return reactions
    .filter(({ target }) => target === seq)
    .map(({ emoji, count, users }) => ({ emoji, count, users: JSON.parse(users) }))
}

function isPassing(error: unknown) {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return PASSING.test(`${String(code)} ${String(message)}`)
}
