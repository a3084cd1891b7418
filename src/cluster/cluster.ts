/**
 * Many nodes on one log: a room that `DATABASE_URL` opens. Postgres keeps everything, and it or NATS
 * carries what the nodes tell each other. It costs a second or so at start, and up to twelve connections.
 */

import type { Base, StorageOptions } from '../storage.ts'
import { appendAtOnce } from './append-new.ts'
import { createDirectory } from './nodes.ts'
import { openPostgres } from './postgres.ts'

/**
 * Waits for a Postgres that cannot be reached, and says so.
 * @throws {import('../store/log.ts').DatabaseError} when waiting would not help
 */
export async function openCluster(
  url: string,
  { config: { limits, natsUrls }, clock, onFault }: StorageOptions,
): Promise<Base> {
  const options = { limits, clock, onFault }
  const db = await openPostgres(url, options)
  const { sql, appendSql, epoch, close } = db
  const bus = natsUrls
    ? (await import('./nats.ts')).createNatsBus({ servers: natsUrls, epoch, ...options })
    : (await import('./notify.ts')).createNotifyBus(db, options)
  const { host, pathname } = new URL(url)
  return {
    ...{ sql, appendSql, epoch, bus, close },
    appendNew: appendAtOnce(db.queryFirst),
    directory: createDirectory(db, limits),
    place: `Postgres at ${host}${pathname}`,
    bytes: async () => {
      const text = 'SELECT pg_database_size(current_database()) AS bytes'
      return (await db.query<{ bytes: number }>(text))[0]!.bytes
    },
  }
}
