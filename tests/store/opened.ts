/** The log of a database with its search, put together as a server does it. */

import { appendAtOnce } from '../../src/cluster/append-new.ts'
import type { Postgres } from '../../src/cluster/postgres.ts'
import type { Clock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { openSearch } from '../../src/search/search.ts'
import { createLog } from '../../src/store/create-log.ts'
import type { DataFile } from '../../src/store/file.ts'
import type { Log, Search } from '../../src/store/log.ts'

export type SearchedLog = Log & Pick<Search, 'search'>

/** Closing it closes the database. */
export async function openLog(
  on: DataFile | Postgres,
  clock: Clock,
  onFault: (error: unknown) => void = () => {},
  limits = DEFAULT_LIMITS,
): Promise<SearchedLog> {
  const file = 'file' in on ? on : undefined
  const { search, note, close: endSearch } = await openSearch({ sql: on.sql, file, clock, onFault })
  const close = async () => {
    await endSearch()
    await on.close()
  }
  const short = 'queryFirst' in on && { appendNew: appendAtOnce(on.queryFirst) }
  const options = { ...on, ...short, clock, limits, rests: !!file, onAppended: note, close }
  return { ...createLog(options), search }
}
