/** What the nodes of one log know of each other, kept where the log is: nothing here may be lost by a bus. */

import type { User } from '../protocol.ts'

export interface Directory {
  /**
   * Says that this node lives; every 15 s.
   * @returns false when it had been forgotten, and its people with it: they must be told again
   */
  renew(): Promise<boolean>
  /** Writes down, in one batch, who came to a room of this node and who left it. */
  savePresence(changes: readonly PresenceRow[]): Promise<void>
  /** Who is in these rooms on the other nodes that live; each user once per room. */
  presence(rooms: readonly string[]): Promise<Map<string, User[]>>
  /** What ended anywhere within the last minute, and has not begun again. */
  revocations(): Promise<Revocations>
  /** This node ends; its people are let go some seconds later, when they are back on other nodes. */
  retire(): Promise<void>
}

export interface PresenceRow {
  room: string
  user: User
  isHere: boolean
}

export interface Revocations {
  /** Hashes of sessions that are over. */
  sessions: string[]
  /** Memberships that are over. */
  memberships: { room: string; user: string }[]
}
