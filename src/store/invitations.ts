/** What an invitation says before it is used. */

import { hashSecret } from '../auth/secrets.ts'
import type { User } from '../protocol.ts'
import { countMembers } from './members.ts'
import { first, type Sql, type Work } from './sql.ts'

export interface InvitedRoom {
  owner: User | null
  /** How many there are. */
  members: number
  /** Whether the user who asks is one of them. */
  isMember: boolean
}

/** The room that an invitation opens, for a user who holds it. null: it is not good there. */
export function* lookAt(
  { dialect: { fromNow } }: Sql,
  room: string,
  user: string,
  invite: string,
): Work<InvitedRoom | null> {
  const found = yield* first<{
    id: string | null
    name: string | null
    member: boolean | number
  }>(
    `SELECT users.id, users.name,
       EXISTS (SELECT 1 FROM members WHERE members.room = $1 AND user_id = $2) AS member
     FROM invites JOIN rooms ON rooms.room = invites.room LEFT JOIN users ON users.id = rooms.owner
     WHERE invites.hash = $3 AND invites.room = $1 AND invites.expires_at > ${fromNow('0')}`,
    ...[room, user, hashSecret(invite)],
  )
  if (!found) return null
  const { id, name, member } = found
  const owner = id !== null && name !== null ? { id, name } : null
  return { owner, members: yield* countMembers(room), isMember: Boolean(member) }
}
