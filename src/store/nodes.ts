/** What the nodes of one log know of each other, kept where the log is: nothing here may be lost by a bus. */

import type { User } from '../protocol.ts'

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

export interface News {
  /** Sessions that ended within the last minute; of a banned user, or only signed out. */
  sessions: { hash: string; banned: boolean }[]
  /** Memberships that ended within the last minute, and did not begin again. */
  memberships: { room: string; user: string }[]
  /** Whether a node that lives cannot tell the others anything: heads must be compared often. */
  isSomebodyMute: boolean
}
