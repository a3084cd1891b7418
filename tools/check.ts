/** `check`: reads the whole log and says what is not as the log promises. */

import { digestOf } from '../src/store/digest.ts'
import { toEntry, type Row } from '../src/store/rows.ts'
import { readArgs, UsageError, type Command } from './command.ts'
import { useStore } from './place.ts'
import { entriesOf, snapshot, type Query } from './store.ts'

export const check: Command = {
  usage: '',
  about: 'reads the whole log and says what is wrong with it',
  run: async (args, { config, write }) => {
    if (readArgs(args, {}).positionals.length > 0) throw new UsageError('check takes no argument')
    return useStore(config, false, async (store) => {
      let count = 0
      for await (const violation of snapshot(store, violations)) {
        await write(`${violation}\n`)
        count += 1
      }
      if (count === 0) await write(`${store.place}: all is as it should be\n`)
      return count === 0 ? 0 : 1
    })
  },
}

/**
 * The reactions that are on, from the entries: those since the last time it was taken back, of
 * messages that are there.
 */
export const REACTIONS = `
  SELECT room, target, emoji, author_id, min(seq) AS seq FROM (
    SELECT room, target, emoji, author_id, seq, is_on,
      max(CASE WHEN is_on THEN 0 ELSE seq END)
        OVER (PARTITION BY room, target, emoji, author_id) AS last_off
    FROM messages WHERE kind = 'reaction') AS said
  WHERE is_on AND seq > last_off AND EXISTS (
    SELECT 1 FROM messages AS goal WHERE goal.room = said.room AND goal.seq = said.target
      AND goal.kind = 'message' AND NOT goal.deleted)
  GROUP BY room, target, emoji, author_id`

/** What is wrong, one sentence for each; within one transaction, page by page. */
export async function* violations(query: Query): AsyncGenerator<string> {
  for (const [what, text] of FAULTS) {
    for (const { room, seq } of await query<Place>(`${text} LIMIT ${MOST}`)) {
      yield `${room}: ${seq === null ? '' : `${seq} `}${what}`
    }
  }
  const rooms = await query<Place & { floor: number; head: number }>(
    'SELECT room, floor, head FROM rooms ORDER BY room',
  )
  for (const room of rooms) yield* inRoom(query, room)
}

/** Of one kind, more are not told: they have one cause. */
const MOST = 100

interface Place {
  room: string
  seq: number | null
}

const STORED = 'SELECT room, target AS seq, emoji, author_id, seq AS at FROM reactions'
const FOLDED = `SELECT room, target AS seq, emoji, author_id, seq AS at FROM (${REACTIONS}) AS folded`

/** What one question finds: what is wrong, and where. */
const FAULTS = [
  [
    'is in a room that is not there',
    `SELECT room, min(seq) AS seq FROM messages
     WHERE room NOT IN (SELECT room FROM rooms) GROUP BY room`,
  ],
  [
    'has no body and is not deleted, or both',
    `SELECT room, seq FROM messages
     WHERE (kind IN ('message', 'edit')) AND (body IS NULL) <> deleted`,
  ],
  [
    'is about a message that is not there',
    `SELECT room, seq FROM messages AS entry JOIN rooms USING (room)
     WHERE coalesce(target, reply_to) > floor AND NOT EXISTS (
       SELECT 1 FROM messages AS goal WHERE goal.room = entry.room AND goal.kind = 'message'
         AND goal.seq = coalesce(entry.target, entry.reply_to) AND goal.seq < entry.seq)`,
  ],
  [
    'was deleted and is still there',
    `SELECT goal.room, goal.seq FROM messages AS erased JOIN messages AS goal
       ON goal.room = erased.room AND goal.seq = erased.target
     WHERE erased.kind = 'delete' AND NOT goal.deleted
     UNION ALL SELECT goal.room, goal.seq FROM messages AS erased JOIN messages AS goal
       ON goal.room = erased.room AND goal.target = erased.target AND goal.kind = 'edit'
     WHERE erased.kind = 'delete' AND NOT goal.deleted`,
  ],
  [
    'does not read as its newest edit',
    `SELECT room, seq FROM messages AS entry WHERE kind = 'message' AND NOT deleted
       AND coalesce(newest_edit, 0) <> coalesce((SELECT max(seq) FROM messages AS edit
         WHERE edit.room = entry.room AND edit.target = entry.seq AND edit.kind = 'edit'), 0)`,
  ],
  ['has a reaction that nobody made', `${STORED} EXCEPT ${FOLDED}`],
  ['lacks a reaction that somebody made', `${FOLDED} EXCEPT ${STORED}`],
  [
    'is read further than it goes',
    `SELECT room, read AS seq FROM members JOIN rooms USING (room) WHERE read > head`,
  ],
] as const

async function* inRoom(
  query: Query,
  { room, floor, head }: { room: string; floor: number; head: number },
) {
  let last = floor
  let wrong = 0
  for await (const found of entriesOf(query, room)) {
    for (const row of found) {
      const isNext = row.seq === last + 1
      last = row.seq
      if ((isNext && hasItsDigest(row)) || (wrong += 1) > MOST) continue
      yield `${room}: ${row.seq} ${isNext ? 'is not what its digest says' : `is a hole or below the floor ${floor}`}`
    }
  }
  if (last !== head) yield `${room}: its head is ${head}, and the last entry ${last}`
}

/** An erased entry keeps the digest of what it was. */
function hasItsDigest(row: Row) {
  return Boolean(row.deleted) || digestOf(toEntry(row)) === row.digest
}
