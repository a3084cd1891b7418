/** What a node that has its SQLite file to itself hears of: sessions that a tool ended beside it. */

import type { Database } from './sqlite.ts'
import type { Directory, News } from './nodes.ts'
import { localDirectory } from '../chat/local.ts'

/** How far back revocations are told, and how long they are kept. s */
const REVOKED_S = 60

/** By the clock of SQLite, which is the same for the tool. */
export function createSqliteDirectory({ db }: Pick<Database, 'db'>): Directory {
  const ended = db.prepare(
    `SELECT session, banned FROM revocations WHERE at >= unixepoch() - ${REVOKED_S}`,
  )
  const dropOld = db.prepare(`DELETE FROM revocations WHERE at < unixepoch() - ${REVOKED_S}`)
  return {
    ...localDirectory,
    renew: async () => {
      dropOld.run()
      return true
    },
    news: async (): Promise<News> => {
      const rows = ended.all() as { session: string; banned: number }[]
      const sessions = rows.map(({ session: hash, banned }) => ({ hash, banned: banned === 1 }))
      return { sessions, memberships: [], isSomebodyMute: false }
    },
  }
}
