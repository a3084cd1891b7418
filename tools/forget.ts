/** `forget`: takes a person's words and name out of the log, while the server goes on. */

import { nameKey } from '../src/auth/names.ts'
import { sleep, systemClock } from '../src/clock.ts'
import type { Draft, Log } from '../src/store/log.ts'
import type { User } from '../src/protocol.ts'
import { onlyOne, readArgs, ToolError, type Command } from './command.ts'
import { useStore } from './place.ts'
import type { Query, Store } from './store.ts'

/** Instead of the name. */
const NOBODY = 'deleted user'
/** Entries of one transaction, and the pause behind each: the talk goes first. */
const STEP = 50
const PAUSE_MS = 20
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export const forget: Command = {
  usage: '<user id | name>',
  about: "deletes a person's messages, reactions, sessions and name",
  run: async (args, { config, write, tell }) => {
    const who = onlyOne(readArgs(args, {}).positionals, 'the person')
    await useStore(config, false, async (store) => {
      const id = await findUser(store.query, who)
      const { sessions, memberships, messages, reactions, entries } = await forgetUser(store, id)
      await write(
        `${id} is forgotten: ${messages} messages erased, ${reactions} reactions taken back, ` +
          `${entries} entries without the name, ${sessions} sessions and ${memberships} ` +
          'memberships ended\n',
      )
      if (sessions > 0) tell(`if the person was here just now: run it again, with ${id}`)
    })
  },
}

async function findUser(query: Query, who: string) {
  const column = UUID.test(who) ? 'id' : 'name_key'
  const value = column === 'id' ? who : nameKey(who.normalize('NFC'))
  const [user] = await query<{ id: string }>(`SELECT id FROM users WHERE ${column} = $1`, [value])
  if (!user) throw new ToolError(`there is no user ${who}`)
  return user.id
}

/** Idempotent; the name is freed last, so that what was cut off is found again by it. */
export async function forgetUser(store: Store, id: string) {
  const { query } = store
  const ended = await store.expel(id)
  const rooms = await query<{ room: string }>('SELECT room FROM rooms ORDER BY room')
  const counts = { messages: 0, reactions: 0, entries: 0 }
  const log = await store.openLog()
  try {
    for (const { room } of rooms) {
      counts.messages += await eraseMessages(query, log, room, id)
      counts.reactions += await takeBackReactions(query, log, room, id)
      counts.entries += await takeName(query, room, id)
    }
  } finally {
    await log.close()
  }
  await query('UPDATE users SET name = $2, name_key = NULL, subject = NULL WHERE id = $1', [
    ...[id, NOBODY],
  ])
  return { ...ended, ...counts }
}

/** By entries like any other, so that everybody hears of it. @returns how many */
async function eraseMessages(query: Query, log: Log, room: string, id: string) {
  const text = `SELECT seq FROM messages WHERE room = $1 AND author_id = $2 AND seq > $3
    AND kind = 'message' AND NOT deleted ORDER BY seq LIMIT ${STEP}`
  let count = 0
  for (let last = 0; ;) {
    const found = await query<{ seq: number }>(text, [room, id, last])
    if (found.length === 0) return count
    last = found.at(-1)!.seq
    const drafts = found.map(({ seq }): Draft => ({ ...by(id, room), kind: 'delete', target: seq }))
    count += await append(log, drafts)
  }
}

async function takeBackReactions(query: Query, log: Log, room: string, id: string) {
  const found = await query<{ target: number; emoji: string }>(
    'SELECT target, emoji FROM reactions WHERE room = $1 AND author_id = $2 ORDER BY target, emoji',
    [room, id],
  )
  let count = 0
  while (found.length > 0) {
    const drafts = found.splice(0, STEP).map(({ target, emoji }): Draft => {
      return { ...by(id, room), kind: 'reaction', target, emoji, on: false }
    })
    count += await append(log, drafts)
  }
  return count
}

const by = (id: string, room: string) => {
  const author: User = { id, name: NOBODY }
  return { room, author, id: crypto.randomUUID(), moderates: false }
}

async function append(log: Log, drafts: readonly Draft[]) {
  const outcomes = await log.append(drafts)
  await sleep(systemClock, PAUSE_MS)
  return outcomes.filter(({ entry }) => entry).length
}

/**
 * The name goes, and what is left of the words: edits of messages that are dropped already, and
 * digests, by which short texts could be guessed.
 */
async function takeName(query: Query, room: string, id: string) {
  const text = `
    UPDATE messages SET author_name = $3,
      body = CASE WHEN kind = 'edit' THEN NULL ELSE body END,
      deleted = (deleted OR kind = 'edit'),
      digest = CASE WHEN deleted OR kind = 'edit' THEN '' ELSE digest END
    WHERE room = $1 AND seq IN (
      SELECT seq FROM messages WHERE room = $1 AND author_id = $2
        AND (author_name <> $3 OR (deleted AND digest <> '')) LIMIT ${STEP})
    RETURNING seq`
  let count = 0
  for (;;) {
    const changed = await query(text, [room, id, NOBODY])
    count += changed.length
    if (changed.length < STEP) return count
    await sleep(systemClock, PAUSE_MS)
  }
}
