/** What the nodes of one log know of each other, kept where the log is: a bus may lose nothing of it. */

import type { User } from '../protocol.ts'
import { exec, rows, type Sql, type Work } from './sql.ts'

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
  /** What must be known everywhere within seconds, whatever the bus loses. */
  news(): Promise<News>
  /** This node ends; its people are let go some seconds later, when they are back on other nodes. */
  retire(): Promise<void>
}

export interface PresenceRow {
  room: string
  user: User
  isHere: boolean
}

/** What ended within the last minute. */
export interface Ended {
  /** Sessions; of a banned user, or only signed out. */
  sessions: { hash: string; banned: boolean }[]
  /** Memberships that did not begin again. */
  memberships: { room: string; user: string }[]
}

/** A session that was added to others of its user, and still holds. */
export interface AddedDevice {
  hash: string
  user: string
  at: Date
  address: string | null
  agent: string | null
}

export interface News extends Ended {
  /** What was added within the last minute. */
  devices: AddedDevice[]
  /** Whether a node that lives cannot tell the others anything: heads must be compared often. */
  isSomebodyMute: boolean
}

/** How far back it is told what ended, and how long that is kept. ms */
const TOLD_MS = 60_000
const KEPT_MS = 600_000

/** A session or a membership that ended, or a session that was added. */
export interface Ending {
  session?: string
  /** Whether the user of the session is banned. */
  banned?: boolean
  room?: string
  user_id?: string
  /** Hash of the session that was added for the user. */
  device?: string
}

/** Tells every node what ended, or was added, in the transaction that does it. */
export function* revoke({ dialect }: Sql, endings: readonly Ending[]): Work<void> {
  const text = `INSERT INTO revocations (at, session, banned, room, user_id, device)
    VALUES (${dialect.fromNow('0')}, $1, $2, $3, $4, $5)`
  yield endings.map(({ session = null, banned = false, room = null, user_id = null, device }) => ({
    text,
    values: [session, banned, room, user_id, device ?? null],
  }))
}

/** What every node was told of late. */
export function* ended({ dialect }: Sql): Work<Omit<News, 'isSomebodyMute'>> {
  const found = yield* rows<{
    session: string | null
    banned: boolean | number
    room: string | null
    user_id: string | null
    device: string | null
    made_at: number | string | null
    address: string | null
    agent: string | null
  }>(
    `SELECT DISTINCT session, banned, room, revocations.user_id, device, made_at, address, agent
     FROM revocations LEFT JOIN sessions ON hash = device
     WHERE at > ${dialect.fromNow('$1')} AND NOT EXISTS (SELECT 1 FROM members
       WHERE members.room = revocations.room AND members.user_id = revocations.user_id)`,
    -TOLD_MS,
  )
  return {
    sessions: found.flatMap(({ session: hash, banned }) =>
      hash === null ? [] : [{ hash, banned: Boolean(banned) }],
    ),
    memberships: found.flatMap(({ room, user_id: user }) => (room && user ? [{ room, user }] : [])),
    devices: found.flatMap(({ device: hash, user_id: user, made_at: at, address, agent }) =>
      hash && user && at !== null ? [{ hash, user, at: new Date(at), address, agent }] : [],
    ),
  }
}

/** Forgets what everybody was told long ago. */
export function forgetEnded({ dialect }: Sql): Work<void> {
  return exec(`DELETE FROM revocations WHERE at < ${dialect.fromNow('$1')}`, -KEPT_MS)
}

/** Of a node that has its log to itself: only a tool may end something beside it. */
export function createLonelyDirectory(sql: Sql): Directory {
  return {
    renew: async () => {
      await sql.run(() => forgetEnded(sql))
      return true
    },
    savePresence: async () => {},
    presence: async () => new Map(),
    news: async () => ({ ...(await sql.run(() => ended(sql))), isSomebodyMute: false }),
    retire: async () => {},
  }
}
