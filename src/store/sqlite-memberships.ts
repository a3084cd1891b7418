/** Private rooms in the SQLite file of the log. */

import type { Clock } from '../clock.ts'
import { transaction, type Database } from './sqlite.ts'
import type { Memberships } from './memberships.ts'
import { hashSecret, newSecret } from '../auth/secrets.ts'

export function createSqliteMemberships({ db }: Pick<Database, 'db'>, clock: Clock): Memberships {
  const sql = {
    create: db.prepare('INSERT OR IGNORE INTO rooms (room, private, owner) VALUES (?, 1, ?)'),
    owned: db.prepare('SELECT 1 FROM rooms WHERE room = ? AND owner = ?'),
    invite: db.prepare('INSERT INTO invites VALUES (?, ?, ?)'),
    isGood: db.prepare('SELECT 1 FROM invites WHERE hash = ? AND room = ? AND expires_at > ?'),
    endOver: db.prepare('DELETE FROM invites WHERE room = ? AND expires_at <= ?'),
    endAll: db.prepare('DELETE FROM invites WHERE room = ?'),
    add: db.prepare('INSERT OR IGNORE INTO members (room, user_id) VALUES (?, ?)'),
    remove: db.prepare('DELETE FROM members WHERE room = ? AND user_id = ?'),
  }
  const now = () => clock.date().getTime()
  const owns = (room: string, user: string) => sql.owned.get(room, user) !== undefined

  return {
    create: async (room, owner) =>
      transaction(db, () => {
        if (sql.create.run(room, owner).changes === 0) return false
        sql.add.run(room, owner)
        return true
      }),

    invite: async (room, owner, lifetimeMs) =>
      transaction(db, () => {
        if (!owns(room, owner)) return null
        const invite = newSecret()
        const expiresAt = new Date(now() + lifetimeMs)
        sql.endOver.run(room, now())
        sql.invite.run(hashSecret(invite), room, expiresAt.getTime())
        return { invite, expiresAt }
      }),

    revokeInvites: async (room, owner) => {
      if (!owns(room, owner)) return false
      sql.endAll.run(room)
      return true
    },

    admit: async (room, user, invite) => {
      if (sql.isGood.get(hashSecret(invite), room, now()) === undefined) return false
      sql.add.run(room, user)
      return true
    },

    remove: async (room, owner, user) =>
      transaction(db, () => {
        if (!owns(room, owner) || owner === user) return 'forbidden'
        if (sql.remove.run(room, user).changes === 0) return 'not_found'
        sql.endAll.run(room)
        return 'removed'
      }),
  }
}
