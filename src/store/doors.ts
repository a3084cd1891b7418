/** The rooms of a user: what is found at their doors, which ones there are, how far they are read. */

import type { Entrance, ReadPosition, RoomSummary } from './log.ts'
import { endMembership, isFull } from './memberships.ts'
import { exec, first, rows, type Sql, type Work } from './sql.ts'

/** Unread messages are counted up to this. */
const UNREAD_COUNTED = 100
/**
 * Who writes much and reads nothing must not make the query long: for 1,000 rooms with 200 messages
 * of their own in each it takes 70 ms of processor time (measured on SQLite, 15 times: 68 to 74).
 */
const UNREAD_LOOKED_AT = 200

/** Who comes to which room, with which session, having read how far. */
export interface Visitor {
  room: string
  user: string
  session: string
  after: number | undefined
  now: Date
}

interface Door {
  entrance: Entrance
  isMember: boolean
  /** Whether the room is there. */
  isKnown: boolean
}

/** $1 room, $2 user, $3 session, $4 after which `seq`, $5 now. */
export const LOOK = `
  SELECT rooms.head, rooms.floor, rooms.private, rooms.owner,
    members.user_id AS member,
    (SELECT id FROM messages WHERE room = $1 AND seq = $4) AS last_id,
    EXISTS (SELECT 1 FROM sessions WHERE hash = $3 AND user_id = $2
      AND (expires_at IS NULL OR expires_at > $5)) AS signed_in
  FROM (SELECT 1) AS one LEFT JOIN rooms ON rooms.room = $1
    LEFT JOIN members ON members.room = $1 AND members.user_id = $2`

function* look({ room, user, session, after, now }: Visitor): Work<Door> {
  const found = yield* first<{
    head: number | null
    floor: number | null
    private: boolean | number | null
    owner: string | null
    member: string | null
    last_id: string | null
    signed_in: boolean | number
  }>(LOOK, ...[room, user, session, after ?? null, now])
  const { head, floor, last_id: lastId, signed_in: signedIn, member, owner: ownerId } = found!
  const [owner, isPrivate] = [ownerId === user, Boolean(found!.private)]
  const isMember = member !== null
  const entrance = {
    signedIn: Boolean(signedIn),
    allowed: !isPrivate || owner || isMember,
    ...{ head: head ?? 0, floor: floor ?? 0, lastId, private: isPrivate, owner, ownerId },
  }
  return { entrance, isMember, isKnown: head !== null }
}

/** As `Log.enter`. @param most  rooms that a user is a member of */
export async function enter(
  sql: Sql,
  visitor: Visitor,
  { most, mayMake }: { most: number; mayMake: () => boolean },
): Promise<Entrance> {
  const { entrance, isMember, isKnown } = await sql.run(() => look(visitor))
  if (!entrance.signedIn || isMember || !entrance.allowed) return entrance
  if (!isKnown && !mayMake()) return { ...entrance, refusal: 'rate_limited' }
  return sql.transaction(function* () {
    const { room, user, now } = visitor
    if (yield* isFull(sql, user, most)) return { ...entrance, refusal: 'too_many' }
    if (!isKnown) yield* addRoom(room)
    yield* exec(
      `INSERT INTO members (room, user_id, since)
       SELECT room, $2, $3 FROM rooms WHERE room = $1 AND (NOT private OR owner = $2)
       ON CONFLICT DO NOTHING`,
      ...[room, user, now],
    )
    // Somebody may have made it private meanwhile.
    return isKnown ? entrance : (yield* look(visitor)).entrance
  })
}

/** As `Log.visit`. */
export function* visit(visitor: Visitor, mayMake?: () => boolean): Work<Entrance> {
  const { entrance, isKnown } = yield* look(visitor)
  if (!mayMake || isKnown || !entrance.signedIn) return entrance
  if (!mayMake()) return { ...entrance, refusal: 'rate_limited' }
  yield* addRoom(visitor.room)
  return (yield* look(visitor)).entrance
}

function addRoom(room: string) {
  return exec('INSERT INTO rooms (room) VALUES ($1) ON CONFLICT DO NOTHING', room)
}

/** As `Log.leave`. */
export function leave(sql: Sql, room: string, user: string): Promise<boolean> {
  return sql.transaction(() => endMembership(sql, room, user))
}

/** As `Log.rooms`. */
export function* roomsOf(
  user: string,
  after = '',
  limit = Number.MAX_SAFE_INTEGER,
): Work<RoomSummary[]> {
  const found = yield* rows<{
    room: string
    head: number
    read: number
    private: boolean | number
    owned: boolean | number | null
    counts: string
  }>(ROOMS, ...[user, user, after, limit])
  return found.map(({ counts, private: isPrivate, owned, ...room }) => {
    const [unread = 0, mentions = 0] = counts.split(' ').map(Number)
    const isOwner = Boolean(owned)
    return {
      ...room,
      unread,
      mentions,
      private: Boolean(isPrivate),
      ...(isOwner && { owner: true }),
    }
  })
}

/** $1 the user; $2 as well, as a text; $3 after which room, $4 limit. What is unread and mentions the user comes as two numbers. */
export const ROOMS = `
  SELECT room, head, read, private, owner = user_id AS owned, CASE WHEN head > read THEN (
    SELECT count(*) || ' ' || count(CASE WHEN CAST(mentions AS text) LIKE '%' || $2 || '%' THEN 1 END)
    FROM (
      SELECT mentions FROM (
        SELECT author_id, mentions, deleted FROM messages
        WHERE room = members.room AND kind = 'message' AND seq > members.read
        ORDER BY seq DESC LIMIT ${UNREAD_LOOKED_AT}) AS newest
      WHERE author_id <> $1 AND NOT deleted LIMIT ${UNREAD_COUNTED}) AS others) ELSE '0 0' END AS counts
  FROM members JOIN rooms USING (room) WHERE user_id = $1 AND room > $3 ORDER BY room LIMIT $4`

/** As `Log.saveReads`; locked in one order, as other nodes do the same. */
export function saveReads(sql: Sql, reads: readonly ReadPosition[]): Work<void> {
  return exec(savingReads(sql), JSON.stringify(reads))
}

/** $1 a JSON array of read positions. */
export function savingReads({ dialect: { each, cast, lock } }: Sql): string {
  return `
    WITH told AS (
      SELECT value ->> 'room' AS room, ${cast("value ->> 'user'", 'uuid')} AS user_id,
        max(${cast("value ->> 'seq'", 'bigint')}) AS seq FROM ${each('$1')} GROUP BY 1, 2),
    held AS (
      SELECT members.room, members.user_id, CASE WHEN seq < head THEN seq ELSE head END AS seq
      FROM told CROSS JOIN members CROSS JOIN rooms
      WHERE members.room = told.room AND members.user_id = told.user_id
        AND rooms.room = told.room AND read < seq
      ORDER BY members.room, members.user_id ${lock('members')})
    UPDATE members SET read = held.seq FROM held
    WHERE members.room = held.room AND members.user_id = held.user_id AND read < held.seq`
}
