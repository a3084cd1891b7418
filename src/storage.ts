/** What everything is kept in, and what the nodes that share it hear of each other by. */

import type { Bus } from './chat/bus.ts'
import { localBus } from './chat/local.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { createAccounts, type Accounts } from './store/accounts.ts'
import { createLog } from './store/create-log.ts'
import type { AppendNew } from './store/append.ts'
import { openDataFile, type DataFile } from './store/file.ts'
import type { Log, LogDamaged, Search } from './store/log.ts'
import { createMemberships, type Memberships } from './store/memberships.ts'
import { renewNames, tellRenewed } from './store/names.ts'
import { createLonelyDirectory, type Directory } from './store/nodes.ts'
import type { Sql } from './store/sql.ts'
import { createTickets, type Tickets } from './store/tickets.ts'

export interface Storage {
  log: Log
  /** Undefined where it is switched off. */
  search: Search | undefined
  accounts: Accounts
  memberships: Memberships
  tickets: Tickets
  /** Tickets that sign in another device. */
  links: Tickets
  bus: Bus
  directory: Directory
  /** For people: where messages are kept; never with a password. */
  place: string
  /** How long the -wal of the SQLite file is, where there is one. */
  walBytes: (() => number) | undefined
  /** How much the database takes on its disk. */
  bytes(): Promise<number>
}

export interface StorageOptions {
  config: Pick<Config, 'limits' | 'dataFile' | 'databaseUrl' | 'natsUrls' | 'search'>
  clock: Clock
  /** Gets what nobody expected, for the operator. */
  onFault(error: unknown): void
  /** Hears that what is stored cannot be read: nothing more may be promised. */
  onDamage?(error: LogDamaged): void
}

/** A database, and what goes with it. */
export interface Base {
  sql: Sql
  /** As `sql`, kept for appends. */
  appendSql?: Sql
  /** The short way for new messages, where there is one. */
  appendNew?: AppendNew
  epoch: string
  bus: Bus
  directory: Directory
  /** Where it is a SQLite file. */
  file?: DataFile
  place: string
  bytes(): Promise<number>
  close(): Promise<void>
}

/**
 * Waits for a Postgres that cannot be reached, and says so.
 * @throws {import('./store/log.ts').DatabaseError} when the data cannot be opened
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { config, clock, onFault } = options
  const { limits, databaseUrl } = config
  // What many nodes need is loaded for many nodes: it would double the time to start.
  const base = databaseUrl
    ? await (await import('./cluster/cluster.ts')).openCluster(databaseUrl, options)
    : await onSqlite(options)
  const { sql, bus, directory, place, file, bytes } = base
  const search = config.search
    ? await (await import('./search/search.ts')).openSearch({ sql, file, clock, onFault })
    : undefined
  const close = async () => {
    await search?.close()
    await base.close()
  }
  return {
    log: createLog({ ...base, clock, limits, rests: !!file, onAppended: search?.note, close }),
    accounts: createAccounts(sql, limits, clock),
    memberships: createMemberships(sql, limits),
    tickets: createTickets(sql, 'ticket', limits.ticketMs),
    links: createTickets(sql, 'link', limits.linkMs),
    ...{ search, bus, directory, place, bytes, walBytes: file?.walBytes },
  }
}

async function onSqlite({ config, clock, onDamage }: StorageOptions): Promise<Base> {
  const { dataFile, limits } = config
  const file = openDataFile(dataFile, clock, onDamage)
  const { sql, epoch, close } = file
  try {
    tellRenewed(await sql.transaction(() => renewNames(sql.dialect)))
  } catch (error) {
    close()
    throw error
  }
  return {
    ...{ sql, epoch, file, bus: localBus, place: dataFile },
    directory: createLonelyDirectory(sql, limits),
    bytes: async () => file.bytes(),
    close: async () => close(),
  }
}
