/** The durable log: what it promises, whichever database keeps it. */

import { Unavailable } from '../faults.ts'
import type { Entry, ErrorCode, Page, User } from '../protocol.ts'

/**
 * One ordered, gap-free sequence of entries per room. An implementation MUST
 * - give accepted entries of a room the numbers head + 1, head + 2 … in the order of the drafts,
 *   and no number to a refused or repeated one;
 * - have every accepted entry on disk when `append` resolves, and none of them when it rejects
 *   with anything but `LogUnavailable`;
 * - know an entry again by (room, author, id), for as long as it is kept.
 */
export interface Log {
  /** A random value, drawn when the log was made; a position means nothing in another log. */
  readonly epoch: string

  /**
   * Appends in one transaction. One outcome per draft, in their order.
   * @throws {LogUnavailable} when nobody knows what happened; the same drafts may come again
   */
  append(drafts: readonly Draft[]): Promise<Outcome[]>

  /**
   * What a join needs, in one read; the first join of a room that is public, or the user's own,
   * makes the user a member, unless that would be one room too many.
   * @param after  the last `seq` the client holds, to look up its id
   * @param mayMake  asked before a name that nobody used becomes a public room. Default: it may
   */
  enter(
    room: string,
    user: string,
    session: string,
    after?: number,
    mayMake?: () => boolean,
  ): Promise<Entrance>

  /**
   * As `enter`, and makes nobody a member.
   * @param mayMake  as for `enter`; for who stays, or writes, as the room must not become somebody's
   *   private one behind their back. Default: a look, which makes nothing
   */
  visit(
    room: string,
    user: string,
    session: string,
    after?: number,
    mayMake?: () => boolean,
  ): Promise<Entrance>

  /** Ends the membership. Does nothing when there is none. */
  leave(room: string, user: string): Promise<void>

  /** Entries with `seq` > `after`, ascending, at most `limit`. */
  after(room: string, after: number, limit: number): Promise<Entry[]>

  /** The newest `limit` messages with `seq` < `before` (default: all), ascending, as of now. */
  page(room: string, limit: number, before?: number): Promise<Page>

  /**
   * What the log has at positions that a node holds, in one read; public rooms without entries are
   * left out.
   */
  compare(positions: readonly Position[]): Promise<Compared[]>

  /** How many rooms the user is a member of: cheap, and what `rooms` costs. */
  roomCount(user: string): Promise<number>

  /**
   * The rooms the user is a member of, by name. To read all of a thousand takes long.
   * @param after  only those behind this name
   * @param limit  default: all
   */
  rooms(user: string, after?: string, limit?: number): Promise<RoomSummary[]>

  /** Moves read positions forward, never back. */
  saveReads(reads: readonly ReadPosition[]): Promise<void>

  /** Idempotent. */
  close(): Promise<void>
}

/** Finds old messages by their words. */
export interface Search {
  /**
   * The newest `limit` messages with `seq` < `before` in which all of the query is found, as
   * `phrasesOf` reads it: ascending, as of now, with `more` when there are older ones. It MUST find
   * a message by its newest words and by no others, in this room and in no other, and a deleted one
   * never; every message that was on disk when it was asked, and nothing in a query fails.
   * @param onWork  hears how long the database looked, also in vain, without any wait. ms
   * @throws {SearchTooLong} when it would take too long
   */
  search(
    room: string,
    query: string,
    limit: number,
    before?: number,
    onWork?: (ms: number) => void,
  ): Promise<Page>

  /** Entries were appended to these rooms: they are taken in when there is time. */
  note(rooms: Iterable<string>): void

  /** Resolves when nothing is under way any more. Idempotent. */
  close(): Promise<void>
}

/** An entry that wants to be appended. */
export type Draft = {
  room: string
  id: string
  author: User
  /** Whether the author may delete what others wrote. */
  moderates: boolean
} & Content

export type Content =
  | {
      kind: 'message'
      body: string
      replyTo?: number | undefined
      mentions?: string[] | undefined
    }
  | { kind: 'edit'; target: number; body: string }
  | { kind: 'delete'; target: number }
  | { kind: 'reaction'; target: number; emoji: string; on: boolean }

/** Stored now, stored before (`repeat`), or refused for good. */
export type Outcome =
  | { entry: Entry; repeat: boolean; code?: undefined }
  | { entry?: undefined; code: ErrorCode; message: string }

export interface Entrance {
  /** Whether the session still holds. */
  signedIn: boolean
  /** Whether the user may be here. */
  allowed: boolean
  head: number
  /** The highest `seq` that retention dropped; 0 when nothing was. */
  floor: number
  /** The id of the entry at `after`, if there is one. */
  lastId: string | null
  private: boolean
  /** Whether the user owns the room, and may delete what others write there. */
  owner: boolean
  /**
   * Why the user was not let in, though allowed to come: a member of too many rooms, or the room is
   * not there and may not be made now.
   */
  refusal?: 'too_many' | 'rate_limited'
  /** Of a private room. */
  ownerId: string | null
}

export interface Position {
  room: string
  seq: number
}

export interface Compared {
  room: string
  head: number
  /** The id of the entry at the position, if there is one. */
  id: string | null
  /** Of a private room: it may change hands. */
  owner: string | null
}

export interface RoomSummary {
  room: string
  head: number
  read: number
  /** Messages of others above `read`, counted to 100. */
  unread: number
  /** How many of those mention the user. */
  mentions: number
  private: boolean
  /** It is the user's own private room. */
  owner?: true
}

export interface ReadPosition {
  room: string
  user: string
  seq: number
}

/** The database cannot be asked now, or did not answer: it is not known what it did. */
export class LogUnavailable extends Unavailable {}

/** What is stored cannot be read, and will not be by waiting: nothing more is promised on it. */
export class LogDamaged extends Error {}

/** What is asked for is too much for now; about the log that says nothing. The message is for the asker. */
export class TooLong extends Error {}

export class SearchTooLong extends TooLong {}

/** The data cannot be opened, and will not be by waiting; the message is for the operator. */
export class DatabaseError extends Error {}
