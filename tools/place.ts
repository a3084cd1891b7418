/** Where the data is that the environment names. */

import type { Config } from '../src/config.ts'
import { ToolError } from './command.ts'
import type { Store } from './store.ts'

/**
 * What the environment names, used by `work` and closed behind it.
 * @param isAlone  no server may run meanwhile, and what is not there yet is made
 * @throws {ToolError} when a server runs that may not, or there is nothing
 * @throws {import('../src/store/log.ts').DatabaseError} when it cannot be opened
 */
export async function useStore<T>(
  config: Pick<Config, 'dataFile' | 'databaseUrl'>,
  isAlone: boolean,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await openStore(config, isAlone)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

async function openStore(
  { dataFile, databaseUrl }: Pick<Config, 'dataFile' | 'databaseUrl'>,
  isAlone: boolean,
): Promise<Store> {
  if (databaseUrl)
    return (await import('./postgres-store.ts')).openPostgresStore(databaseUrl, isAlone)
  if (dataFile === ':memory:') throw new ToolError('DATA_FILE is :memory:, which no tool can see')
  return (await import('./sqlite-store.ts')).openSqliteStore(dataFile, isAlone)
}
