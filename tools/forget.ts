/** `forget`: takes a person's words and name out of the log, while the server goes on. */

import { nameKeys } from '../src/auth/names.ts'
import { sleep, systemClock } from '../src/clock.ts'
import { expel } from '../src/store/accounts.ts'
import { append as appendAll } from '../src/store/append.ts'
import type { Draft } from '../src/store/log.ts'
import type { Query } from '../src/store/sql.ts'
import type { User } from '../src/protocol.ts'
import { onlyOne, readArgs, ToolError, type Command } from './command.ts'
import { useStore } from './place.ts'
import { NO_PROGRESS, type Progress } from './progress.ts'
import { NO_UUID, pages, type Key, type Store } from './store.ts'

/** Instead of the name. */
const NOBODY = 'deleted user'
/** Entries of one transaction, and the pause behind each: the talk goes first. */
const STEP = 50
const PAUSE_MS = 20
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export const forget: Command = {
  usage: '<user id | name>',
  about: "deletes a person's messages, reactions, sessions and name",
  run: async (args, context) => {
    const { write, tell, progress } = context
    const who = onlyOne(readArgs(args, {}).positionals, 'the person')
    await useStore(context, 'write', async (store) => {
      const id = await findUser(store.query, who)
      const forgotten = await forgetUser(store, id, progress)
      const { sessions, memberships, messages, reactions, entries } = forgotten
      await write(
        `${id} is forgotten: ${messages} messages erased, ${reactions} reactions taken back, ` +
          `${entries} entries without the name, ${sessions} sessions and ${memberships} ` +
          'memberships ended\n',
      )
      if (sessions > 0) tell(`if the person was here just now: run it again, with ${id}`)
    })
  },
}

/**
 * @param who  an id, or a name as it is owned or shared
 * @throws {ToolError} when there is no such user, or more than one
 */
export async function findUser(query: Query, who: string) {
  const [condition, value] = UUID.test(who)
    ? ['id = $1', who]
    : ['name_key = $1 OR shared_key = $1', nameKeys(who.normalize('NFC')).key]
  const text = `SELECT id, name FROM users WHERE ${condition} ORDER BY id`
  const [user, ...others] = await query<{ id: string; name: string }>(text, [value])
  if (!user) throw new ToolError(`there is no user ${who}`)
  if (others.length > 0) {
    const all = [user, ...others].map(({ id, name }) => `${id} (${name})`).join(', ')
    throw new ToolError(`more than one user has this name; name one by its id: ${all}`)
  }
  return user.id
}

/** Idempotent; the name is freed last, so that what was cut off is found again by it. */
export async function forgetUser(store: Store, id: string, progress = NO_PROGRESS) {
  const { query } = store
  progress.begin('forgetting', 'entries')
  const ended = await store.sql.transaction(() => expel(store.sql, id))
  for (const table of store.ofTheMoment)
    await query(`DELETE FROM ${table} WHERE user_id = $1`, [id])
  const rooms = await query<{ room: string }>('SELECT room FROM rooms ORDER BY room')
  const counts = { messages: 0, reactions: 0, entries: 0 }
  for (const { room } of rooms) {
    const work = { store, progress, room, id }
    counts.messages += await untilNone(() => eraseMessages(work))
    counts.reactions += await untilNone(() => takeBackReactions(work))
    counts.entries += await untilNone(() => takeName(work))
  }
  await query(
    `UPDATE users SET name = $2, name_key = NULL, name_look = NULL, shared_key = NULL,
       shared_look = NULL, subject = NULL WHERE id = $1`,
    [id, NOBODY],
  )
  return { ...ended, ...counts }
}

interface Work {
  store: Store
  progress: Progress
  room: string
  id: string
}

/** Once more when there was something: more may have been said meanwhile. @returns how many */
async function untilNone(pass: () => Promise<number>) {
  for (let count = 0; ;) {
    const more = await pass()
    if (more === 0) return count
    count += more
  }
}

/**
 * By entries like any other, so that everybody hears of it. They are found by author and id, which
 * has an index: by their numbers all of the room would be passed over. `>=`, as the lowest id is
 * one that a client may choose; what was done already is left out.
 */
async function eraseMessages(work: Work) {
  const { store, room, id } = work
  const text = `SELECT seq, id FROM messages WHERE room = $3 AND author_id = $4 AND id >= $1
    AND kind = 'message' AND NOT deleted ORDER BY id LIMIT $2`
  let count = 0
  const keyOf = (row: { seq: number; id: string }): Key => [row.id]
  for await (const found of pages(store.query, text, keyOf, [NO_UUID], [room, id], STEP)) {
    const drafts = found.map(({ seq }): Draft => ({ ...by(work), kind: 'delete', target: seq }))
    count += await append(work, drafts)
  }
  return count
}

async function takeBackReactions(work: Work) {
  const { store, room, id } = work
  const text = `SELECT target, emoji FROM reactions WHERE room = $4 AND author_id = $5
    AND (target, emoji) > ($1, $2) ORDER BY target, emoji LIMIT $3`
  let count = 0
  const keyOf = (row: { target: number; emoji: string }): Key => [row.target, row.emoji]
  for await (const found of pages(store.query, text, keyOf, [0, ''], [room, id], STEP)) {
    const drafts = found.map((row): Draft => ({ ...by(work), kind: 'reaction', ...row, on: false }))
    count += await append(work, drafts)
  }
  return count
}

function by({ id, room }: Work) {
  const author: User = { id, name: NOBODY }
  return { room, author, id: crypto.randomUUID(), moderates: false }
}

/** @returns how many were not refused */
async function append({ store, progress }: Work, drafts: readonly Draft[]) {
  const { sql } = store
  const at = systemClock.date().toISOString()
  const outcomes = await sql.transaction(() => appendAll(sql, drafts, at))
  await rest(store, progress, drafts.length)
  return outcomes.filter(({ entry }) => entry).length
}

/** Behind a step of so many. */
async function rest(store: Store, progress: Progress, count: number) {
  progress.add(count)
  await sleep(systemClock, PAUSE_MS)
  await store.settle()
}

/**
 * The name goes, and what is left of the words: edits of messages that are dropped already, and
 * digests, by which short texts could be guessed. Found as `eraseMessages` finds them.
 */
async function takeName({ store, progress, room, id }: Work) {
  const text = `
    UPDATE messages SET author_name = $3,
      body = CASE WHEN kind = 'edit' THEN NULL ELSE body END,
      deleted = (deleted OR kind = 'edit'),
      digest = CASE WHEN deleted OR kind = 'edit' THEN '' ELSE digest END
    WHERE room = $1 AND seq IN (
      SELECT seq FROM messages WHERE room = $1 AND author_id = $2 AND id >= $4
        AND (author_name <> $3 OR (deleted AND digest <> '')) ORDER BY id LIMIT ${STEP})
    RETURNING id`
  let count = 0
  for (let last = NO_UUID; ;) {
    const changed = await store.query<{ id: string }>(text, [room, id, NOBODY, last])
    count += changed.length
    if (changed.length < STEP) return count
    last = changed.reduce((most, { id }) => (id > most ? id : most), last)
    await rest(store, progress, changed.length)
  }
}
