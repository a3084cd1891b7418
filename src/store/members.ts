/** Who is in a private room: coming in, and the list of them. */

import type { User } from '../protocol.ts'
import { toUser } from './rows.ts'
import { did, first, rows, type Sql, type Work } from './sql.ts'

export interface MembersOptions {
  limit: number
  /** Those whose id comes after this one; default: from the beginning. */
  after?: string | undefined
  /** Those who came in then or later; default: all. */
  since?: Date | undefined
  /** Those who are members no more; default: those who are. */
  past?: boolean | undefined
}

/** `public`: a room that has no list. `forbidden`: the asker is not in it. */
export type MembersPage =
  | { members: Member[]; more: boolean; refusal?: undefined }
  | { members?: undefined; refusal: 'forbidden' | 'public' }

export interface Member {
  user: User
  /** null: from before this was written down. */
  since: Date | null
  owner?: true
  /** Of a past member. */
  until?: Date
}

export function isMember(room: string, user: string) {
  return did('SELECT room FROM members WHERE room = $1 AND user_id = $2', room, user)
}

/** @returns whether the user is new there */
export function addMember({ dialect }: Sql, room: string, user: string) {
  return did(
    `INSERT INTO members (room, user_id, since) VALUES ($1, $2, ${dialect.fromNow('0')})
     ON CONFLICT DO NOTHING RETURNING room`,
    ...[room, user],
  )
}

/** How many may come and read. */
export function* countMembers(room: string): Work<number> {
  const text = `SELECT count(*) AS count FROM members JOIN users ON users.id = user_id
    WHERE room = $1 AND ${CAN_COME}`
  return (yield* first<{ count: number }>(text, room))!.count
}

/** A user who was banned, or whose name was freed, never comes back. */
export const CAN_COME = 'NOT banned AND name_key IS NOT NULL'

/** Whether the user $2 may see the members of the room $1: those in it may. */
const IS_IN = `EXISTS (SELECT 1 FROM rooms WHERE room = $1 AND private AND (owner = $2
  OR EXISTS (SELECT 1 FROM members WHERE room = $1 AND user_id = $2)))`

/** The room $1 as $2 finds it, and its owner where that left, as it may come back. */
const LIST_DOOR = `
  SELECT private, ${IS_IN} AS inside, users.id, users.name, users.kind FROM rooms LEFT JOIN users
    ON users.id = owner AND ${CAN_COME}
    AND NOT EXISTS (SELECT 1 FROM members WHERE room = $1 AND user_id = users.id)
  WHERE room = $1`

/** Members of the room $1: $3 after which id, $4 how many. */
const listing = (since?: Date) => `
  SELECT users.id, users.name, users.kind, members.since, rooms.owner = users.id AS owner
  FROM members JOIN users ON users.id = members.user_id JOIN rooms ON rooms.room = members.room
  WHERE members.room = $1 AND ${IS_IN} AND members.user_id > $3 AND ${CAN_COME}
    ${since ? 'AND members.since >= $5' : ''}
  ORDER BY members.user_id LIMIT $4`

/** As `listing`: who was in, and has not come back. An owner may come back at any time. */
const listingPast = (since?: Date) => `
  SELECT users.id, users.name, users.kind, past.since, past.until
  FROM past_members AS past JOIN users ON users.id = past.user_id
    JOIN rooms ON rooms.room = past.room
  WHERE past.room = $1 AND ${IS_IN} AND past.user_id > $3
    AND NOT (${CAN_COME} AND (rooms.owner IS NOT NULL AND rooms.owner = users.id
      OR EXISTS (SELECT 1 FROM members WHERE room = $1 AND user_id = users.id)))
    ${since ? 'AND past.since >= $5' : ''}
  ORDER BY past.user_id LIMIT $4`

interface MemberRow {
  id: string
  name: string
  kind: string | null
  since: number | string | null
  owner?: boolean | number
  until?: number | string
}

/** As `Memberships.members`. */
export function* readMembers(
  room: string,
  asker: string,
  { limit, after = NO_ID, since, past = false }: MembersOptions,
): Work<MembersPage> {
  const door = yield* first<{
    private: boolean | number
    inside: boolean | number
    id: string | null
    name: string | null
    kind: string | null
  }>(LIST_DOOR, room, asker)
  if (!door?.private) return { refusal: 'public' }
  if (!door.inside) return { refusal: 'forbidden' }
  const values = [room, asker, after, limit + 1, ...(since ? [since] : [])]
  const found = yield* rows<MemberRow>((past ? listingPast : listing)(since), ...values)
  const { id, name, kind } = door
  if (id && name && id > after && !since && !past) {
    found.push({ id, name, kind, since: null, owner: true })
    found.sort((a, b) => (a.id < b.id ? -1 : 1))
  }
  return { members: found.slice(0, limit).map(toMember), more: found.length > limit }
}

function toMember({ id, name, kind, since, owner, until }: MemberRow): Member {
  return {
    user: toUser(id, name, kind),
    since: since === null ? null : new Date(since),
    ...(owner ? { owner: true as const } : {}),
    ...(until === undefined ? {} : { until: new Date(until) }),
  }
}

/** The lowest. */
const NO_ID = '00000000-0000-0000-0000-000000000000'
