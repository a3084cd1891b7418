/** Where everything is kept, and what the nodes that share it hear of each other by. */

import { createSqliteAccounts } from './store/sqlite-accounts.ts'
import type { Accounts } from './store/accounts.ts'
import type { Memberships } from './store/memberships.ts'
import { createSqliteMemberships } from './store/sqlite-memberships.ts'
import { createTickets, type Tickets } from './store/tickets.ts'
import type { Bus } from './chat/bus.ts'
import type { Directory } from './store/nodes.ts'
import { localBus } from './chat/local.ts'
import { createSqliteDirectory } from './store/sqlite-nodes.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Log } from './store/log.ts'
import { openDatabase } from './store/sqlite.ts'
import { createSqliteLog } from './store/sqlite-log.ts'

export interface Storage {
  log: Log
  accounts: Accounts
  memberships: Memberships
  tickets: Tickets
  /** Tickets that sign in another device. */
  links: Tickets
  bus: Bus
  directory: Directory
  /** For people: where messages are kept; never with a password. */
  place: string
}

export interface StorageOptions {
  config: Config
  clock: Clock
  /** Gets what nobody expected, for the operator. */
  onFault(error: unknown): void
}

/**
 * Waits for a Postgres that cannot be reached, and says so.
 * @throws {import('./store/log.ts').DatabaseError} when the data cannot be opened
 */
export function openStorage(options: StorageOptions): Promise<Storage> {
  const { databaseUrl } = options.config
  return databaseUrl ? onPostgres(databaseUrl, options) : onSqlite(options)
}

/** One node. What is loaded for many is left out, as it would double the time to start. */
async function onSqlite({ config, clock, onFault }: StorageOptions): Promise<Storage> {
  const { limits, dataFile } = config
  const database = openDatabase(dataFile)
  return {
    log: createSqliteLog(database, clock, onFault),
    accounts: createSqliteAccounts(database, limits, clock),
    memberships: createSqliteMemberships(database, clock),
    tickets: createTickets(limits.ticketMs, clock),
    links: createTickets(limits.linkMs, clock),
    bus: localBus,
    directory: createSqliteDirectory(database),
    place: dataFile,
  }
}

async function onPostgres(url: string, { config, clock, onFault }: StorageOptions) {
  const { limits, natsUrls } = config
  const options = { limits, clock, onFault }
  const { openPostgres } = await import('./cluster/postgres.ts')
  const { createPostgresLog } = await import('./store/postgres-log.ts')
  const { createPostgresAccounts } = await import('./store/postgres-accounts.ts')
  const { createPostgresMemberships } = await import('./store/postgres-memberships.ts')
  const { createPostgresTickets } = await import('./store/postgres-tickets.ts')
  const { createPostgresDirectory } = await import('./store/postgres-nodes.ts')
  const { createNotifyBus } = await import('./cluster/notify.ts')
  const db = await openPostgres(url, options)
  const { epoch } = db
  const bus = natsUrls
    ? (await import('./cluster/nats.ts')).createNatsBus({ servers: natsUrls, epoch, ...options })
    : createNotifyBus(db, options)
  const { host, pathname } = new URL(url)
  return {
    log: createPostgresLog(db, clock),
    accounts: createPostgresAccounts(db, limits, clock),
    memberships: createPostgresMemberships(db),
    tickets: createPostgresTickets(db, 'ticket', limits.ticketMs),
    links: createPostgresTickets(db, 'link', limits.linkMs),
    bus,
    directory: createPostgresDirectory(db, limits),
    place: `Postgres at ${host}${pathname}`,
  }
}
