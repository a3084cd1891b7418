/** Who is who: users, the names they own, and their signed-in devices. */

import type { User } from '../protocol.ts'

export type Role = 'member' | 'admin'

/** A signed-in device. */
export interface Session {
  /** Under this its token is kept. */
  hash: string
  user: User
  role: Role
  /** When it ends whatever happens, other devices included; null for a guest's. */
  expiresAt: Date | null
  /** When it would end if it were not used again. */
  idleUntil: Date
}

/** Kept in the database of the log. */
export interface Accounts {
  /** A new guest, who owns the name from now on, and its first session. null: the name is taken. */
  addGuest(name: string, key: string, hash: string): Promise<Session | null>
  /** The admin of this name, new or known, and a session with that role. null: taken by a guest. */
  addAdmin(name: string, key: string, hash: string): Promise<Session | null>
  /** The user that an issuer vouches for, new or known, by this name or one like it. null: banned. */
  addForeign(subject: string, name: string, hash: string, expiresAt: Date): Promise<Session | null>
  /** Another session of the user of a session that still holds, as long; null when it does not. */
  addDevice(session: string, hash: string): Promise<Session | null>
  /** The session, if it holds; using it keeps it alive. */
  session(hash: string): Promise<Session | null>
  /** Ends a session, or all of its user's. A guest's name is freed with the last. @returns hashes */
  endSessions(session: Session, all: boolean): Promise<string[]>
  /** Keeps a user out for good: sessions and name. @returns hashes; null when there is no such user */
  ban(user: string): Promise<string[] | null>
}

/** A session in use is written down this often, not at every request. ms */
export const TOUCH_MS = 3_600_000

/** A row of `sessions` with its user's name; times in any form that `Date` takes. */
export interface SessionRow {
  hash: string
  user_id: string
  name: string
  role: Role
  seen_at: number | string
  expires_at: number | string | null
}

export function toSession(row: SessionRow, idleSessionMs: number): Session {
  return {
    hash: row.hash,
    user: { id: row.user_id, name: row.name },
    role: row.role,
    expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    idleUntil: new Date(new Date(row.seen_at).getTime() + idleSessionMs),
  }
}
