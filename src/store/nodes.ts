/** What the nodes of one log know of each other, kept where the log is: a bus may lose nothing of it. */

import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import type { User } from '../protocol.ts'
import { forgetPast } from './past-members.ts'
import { exec, first, rows, type Sql, type Work } from './sql.ts'

export interface Directory {
  /**
   * Says that this node lives, and whether its bus works; every 15 s and when that changes.
   * @returns false when it had been forgotten, and its people with it: they must be told again
   */
  renew(isBusUp: boolean): Promise<boolean>
  /** Writes down, in one batch, who came to a room of this node and who left it. */
  savePresence(changes: readonly PresenceRow[]): Promise<void>
  /** Who is in these rooms on the other nodes that live; each user once per room. */
  presence(rooms: readonly string[]): Promise<Map<string, User[]>>
  /**
   * What must be known everywhere within seconds, whatever the bus loses.
   * @param since  the moment of the last answer, however long ago that is. Default: of late
   */
  news(since?: Date): Promise<News>
  /** This node ends; its people are let go some seconds later, when they are back on other nodes. */
  retire(): Promise<void>
}

export interface PresenceRow {
  room: string
  user: User
  isHere: boolean
}

/** What ended since then. */
export interface Ended {
  /** Sessions; of a banned user, or only signed out. */
  sessions: { hash: string; banned: boolean }[]
  /** Memberships that did not begin again. */
  memberships: { room: string; user: string }[]
}

/** A session that was added to others of its user; it may have ended since. */
export interface AddedDevice {
  hash: string
  user: string
  at: Date
  address: string | null
  agent: string | null
}

export interface News extends Ended {
  /** Users that were given another name since then, which is theirs now. */
  renamed: { user: string; name: string }[]
  /** What was added since then. */
  devices: AddedDevice[]
  /** The moment of this answer, by the clock that all nodes share. */
  at: Date
  /** Whether some of it is forgotten already, as the last answer was too long ago. */
  isIncomplete: boolean
  /** Whether a node that lives cannot tell the others anything: heads must be compared often. */
  isSomebodyMute: boolean
}

export type NewsLimits = Pick<Limits, 'newsOverlapMs' | 'newsKeptMs'>

/** A session or a membership that ended, a session that was added, or, by id alone, a user renamed. */
export interface Ending {
  session?: string
  /** Whether the user of the session is banned. */
  banned?: boolean
  room?: string
  user_id?: string
  /** The session that was added for the user. */
  device?: Omit<AddedDevice, 'user'>
}

/** Tells every node what ended, or was added, in the transaction that does it. */
export function* revoke({ dialect }: Sql, endings: readonly Ending[]): Work<void> {
  const text = `INSERT INTO revocations
    (at, session, banned, room, user_id, device, made_at, address, agent)
    VALUES (${dialect.fromNow('0')}, $1, $2, $3, $4, $5, $6, $7, $8)`
  yield endings.map(({ session = null, banned = false, room = null, user_id = null, device }) => ({
    text,
    values: [
      ...[session, banned, room, user_id],
      ...[device?.hash ?? null, device?.at ?? null, device?.address ?? null, device?.agent ?? null],
    ],
  }))
}

/** What somebody who is forgotten was told of devices. */
export function forgetAdded(user: string): Work<void> {
  return exec('DELETE FROM revocations WHERE user_id = $1 AND device IS NOT NULL', user)
}

/** What every node was told since the last answer that this one had. */
export function* ended(
  { dialect }: Sql,
  { newsOverlapMs, newsKeptMs }: NewsLimits,
  since?: Date,
): Work<Omit<News, 'isSomebodyMute'>> {
  const clock = yield* first<{ now: number | string }>(`SELECT ${dialect.fromNow('0')} AS now`)
  const at = new Date(clock!.now)
  // That clock may have been put back.
  const last = Math.min(at.getTime(), since?.getTime() ?? Infinity)
  const from = last - newsOverlapMs
  const found = yield* rows<{
    session: string | null
    banned: boolean | number
    room: string | null
    user_id: string | null
    device: string | null
    made_at: number | string | null
    address: string | null
    agent: string | null
    name: string | null
  }>(
    `SELECT DISTINCT session, revocations.banned, room, user_id, device, made_at, address, agent, name
     FROM revocations
       LEFT JOIN users ON users.id = user_id AND room IS NULL AND device IS NULL
     WHERE at > $1 AND NOT EXISTS (SELECT 1 FROM members
       WHERE members.room = revocations.room AND members.user_id = revocations.user_id)`,
    new Date(from),
  )
  return {
    at,
    isIncomplete: at.getTime() - from > newsKeptMs,
    sessions: found.flatMap(({ session: hash, banned }) =>
      hash === null ? [] : [{ hash, banned: Boolean(banned) }],
    ),
    memberships: found.flatMap(({ room, user_id: user }) => (room && user ? [{ room, user }] : [])),
    renamed: found.flatMap(({ user_id: user, name }) => (user && name ? [{ user, name }] : [])),
    devices: found.flatMap(({ device: hash, user_id: user, made_at: at, address, agent }) =>
      hash && user && at !== null ? [{ hash, user, at: new Date(at), address, agent }] : [],
    ),
  }
}

/** Forgets what everybody was told long ago. */
export function forgetEnded({ dialect }: Sql, { newsKeptMs }: NewsLimits): Work<void> {
  return exec(`DELETE FROM revocations WHERE at < ${dialect.fromNow('$1')}`, -newsKeptMs)
}

/** Of a node that has its log to itself: only a tool may end something beside it. */
export function createLonelyDirectory(sql: Sql, limits: NewsLimits = DEFAULT_LIMITS): Directory {
  return {
    renew: async () => {
      await sql.run(() => forgetEnded(sql, limits))
      await sql.run(() => forgetPast(sql))
      return true
    },
    savePresence: async () => {},
    presence: async () => new Map(),
    news: async (since) => {
      return { ...(await sql.run(() => ended(sql, limits, since))), isSomebodyMute: false }
    },
    retire: async () => {},
  }
}
