/** `export`: the log as JSON Lines, as of one moment, while the server goes on. */

import type { Query } from '../src/store/sql.ts'
import { readArgs, ToolError, UsageError, type Command } from './command.ts'
import { FORMAT, toEntryLine, type Line, type LineOf } from './lines.ts'
import { useStore } from './place.ts'
import { NO_PROGRESS, type Progress } from './progress.ts'
import { entriesOf, NO_UUID, pages, readEpoch, snapshot, type Store } from './store.ts'

export const exportLog: Command = {
  usage: '[--room <name>]…',
  about: 'writes the log as JSON Lines, without what signs people in',
  run: async (args, context) => {
    const options = { room: { type: 'string', multiple: true } } as const
    const { values, positionals } = readArgs(args, options)
    if (positionals.length > 0) throw new UsageError('it is written to the standard output')
    await useStore(context, 'read', async (store) => {
      const options = { rooms: values.room, progress: context.progress }
      for await (const lines of exportLines(store, options)) {
        await context.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      }
    })
  },
}

export interface ExportOptions {
  /** Only these rooms, and the people in them; default: all. */
  rooms?: readonly string[] | undefined
  /** With what signs people in and lets them into rooms. */
  hasSecrets?: boolean
  progress?: Progress
}

/**
 * The lines in pieces, all as of one moment; in the memory of one piece.
 * @throws {ToolError} when there is no such room
 */
export async function* exportLines(
  store: Store,
  options: ExportOptions = {},
): AsyncGenerator<Line[]> {
  let count = 0
  for await (const lines of snapshot(store, (query) => allLines(query, options))) {
    count += lines.length
    yield lines
  }
  yield [{ type: 'end', lines: count }]
}

async function* allLines(
  query: Query,
  { rooms: wanted, hasSecrets = false, progress = NO_PROGRESS }: ExportOptions,
): AsyncGenerator<Line[]> {
  const at = new Date().toISOString()
  yield [{ type: 'hearth', version: FORMAT, epoch: await readEpoch(query), at }]
  const found = await query<RoomRow>(ROOMS)
  const missing = wanted?.find((name) => !found.some(({ room }) => room === name))
  if (missing !== undefined) throw new ToolError(`there is no room ${missing}`)
  const rooms = found.filter(({ room }) => !wanted || wanted.includes(room))
  yield* users(query, wanted)
  if (hasSecrets) yield* sessions(query)
  yield rooms.map((row) => ({ type: 'room', ...row, private: Boolean(row.private) }))
  for (const { room } of rooms) yield* members(query, room)
  for (const { room } of rooms) yield* pastMembers(query, room)
  if (hasSecrets) yield* invites(query)
  const total = rooms.reduce((sum, { head, floor }) => sum + head - floor, 0)
  progress.begin('exporting', 'entries', total)
  for (const { room } of rooms) {
    for await (const found of entriesOf(query, room)) {
      yield found.map(toEntryLine)
      progress.add(found.length)
    }
  }
}

const ROOMS = 'SELECT room, head, floor, private, owner FROM rooms ORDER BY room'
type RoomRow = Omit<LineOf<'room'>, 'type' | 'private'> & { private: boolean | number }

async function* users(query: Query, rooms: readonly string[] | undefined) {
  const names = rooms?.map((_, index) => `$${index + 3}`).join(', ')
  const text = `SELECT id, name, name_key AS key, kind, subject, banned FROM users WHERE id > $1
    ${
      names === undefined
        ? ''
        : `AND (id IN (SELECT owner FROM rooms WHERE room IN (${names}))
      OR ${isIn('members', 'user_id', names)} OR ${isIn('past_members', 'user_id', names)}
      OR ${isIn('messages', 'author_id', names)})`
    } ORDER BY id LIMIT $2`
  type UserRow = Omit<LineOf<'user'>, 'type' | 'banned'> & { banned: boolean | number }
  for await (const found of pages<UserRow>(query, text, ({ id }) => [id], [NO_UUID], rooms)) {
    yield found.map((row): Line => ({ type: 'user', ...row, banned: Boolean(row.banned) }))
  }
}

/** One look for each user: all who ever wrote there would be gathered again for each piece. */
function isIn(table: string, column: string, rooms: string) {
  return `(SELECT count(*) FROM (SELECT 1 FROM ${table} WHERE room IN (${rooms})
    AND ${column} = users.id LIMIT 1) AS found) > 0`
}

async function* sessions(query: Query) {
  const text = `SELECT hash, user_id AS user, role, seen_at, expires_at, made_at,
    address, agent FROM sessions
    WHERE hash > $1 ORDER BY hash LIMIT $2`
  type SessionRow = Pick<LineOf<'session'>, 'hash' | 'user' | 'role' | 'address' | 'agent'> & {
    seen_at: number | string
    expires_at: number | string | null
    made_at: number | string | null
  }
  for await (const found of pages<SessionRow>(query, text, ({ hash }) => [hash], [''])) {
    yield found.map(({ seen_at: seenAt, expires_at: expiresAt, made_at: made, ...row }): Line => {
      const end = expiresAt === null ? null : toIso(expiresAt)
      const madeAt = made === null ? null : toIso(made)
      return { type: 'session', ...row, madeAt, seenAt: toIso(seenAt), expiresAt: end }
    })
  }
}

async function* members(query: Query, room: string) {
  const text = `SELECT room, user_id AS user, read, since FROM members
    WHERE room = $3 AND user_id > $1 ORDER BY user_id LIMIT $2`
  type MemberRow = Omit<LineOf<'member'>, 'type' | 'since'> & { since: number | string | null }
  for await (const found of pages<MemberRow>(
    query,
    text,
    ({ user }) => [user],
    [NO_UUID],
    [room],
  )) {
    yield found.map(({ since, ...row }): Line => {
      return { type: 'member', ...row, since: since === null ? null : toIso(since) }
    })
  }
}

async function* pastMembers(query: Query, room: string) {
  const text = `SELECT room, user_id AS user, since, until FROM past_members
    WHERE room = $3 AND user_id > $1 ORDER BY user_id LIMIT $2`
  type PastRow = Pick<LineOf<'past_member'>, 'room' | 'user'> & {
    since: number | string | null
    until: number | string
  }
  for await (const found of pages<PastRow>(query, text, ({ user }) => [user], [NO_UUID], [room])) {
    yield found.map(({ since, until, ...row }): Line => {
      const began = since === null ? null : toIso(since)
      return { type: 'past_member', ...row, since: began, until: toIso(until) }
    })
  }
}

async function* invites(query: Query) {
  const text = `SELECT hash, room, expires_at, once, made_by FROM invites
    WHERE hash > $1 ORDER BY hash LIMIT $2`
  type InviteRow = Pick<LineOf<'invite'>, 'hash' | 'room'> & {
    made_by: string | null
    expires_at: number | string
    once: boolean | number
  }
  for await (const found of pages<InviteRow>(query, text, ({ hash }) => [hash], [''])) {
    yield found.map(({ expires_at: end, once, made_by: madeBy, ...row }): Line => {
      return { type: 'invite', ...row, expiresAt: toIso(end), once: Boolean(once), madeBy }
    })
  }
}

/** @param time  milliseconds in SQLite, text in Postgres */
function toIso(time: number | string) {
  return new Date(time).toISOString()
}
