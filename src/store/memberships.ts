/** Private rooms: who owns one, who may come in, who must go. Public rooms need nobody's leave. */

/** Kept in the database of the log; each method is atomic. */
export interface Memberships {
  /** A new private room, whose owner is its first member. @returns false when the room is there */
  create(room: string, owner: string): Promise<boolean>
  /** An invitation, good for anybody and any number of times. null: this user does not own the room. */
  invite(room: string, owner: string, lifetimeMs: number): Promise<Invitation | null>
  /** Ends all invitations into a room. @returns false when this user does not own it */
  revokeInvites(room: string, owner: string): Promise<boolean>
  /** Makes a user a member. @returns false when the invitation is not good for this room */
  admit(room: string, user: string, invite: string): Promise<boolean>
  /** Takes a member out, and ends all invitations with it, one of which it may still hold. */
  remove(room: string, owner: string, user: string): Promise<Removal>
}

export interface Invitation {
  invite: string
  expiresAt: Date
}

/** `forbidden`: not by its owner, or the owner itself. */
export type Removal = 'removed' | 'forbidden' | 'not_found'
