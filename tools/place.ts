/** Where the data is that the environment names. */

import { ToolError, type Context } from './command.ts'
import type { Store } from './store.ts'

/**
 * How the data is used: `read` and `write` beside servers, `alone` while none may run, where what is
 * not there yet is made. Those that write to a file take turns.
 */
export type Use = 'read' | 'write' | 'alone'

/**
 * What the environment names, used by `work` and closed behind it.
 * @throws {ToolError} when a server runs that may not, or there is nothing
 * @throws {import('../src/store/log.ts').DatabaseError} when it cannot be opened
 */
export async function useStore<T>(
  context: Pick<Context, 'config' | 'tell'>,
  use: Use,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await openStore(context, use)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

async function openStore({ config, tell }: Pick<Context, 'config' | 'tell'>, use: Use) {
  const { dataFile, databaseUrl } = config
  if (databaseUrl) {
    return (await import('./postgres-store.ts')).openPostgresStore(
      databaseUrl,
      use === 'alone',
      tell,
    )
  }
  if (dataFile === ':memory:') throw new ToolError('DATA_FILE is :memory:, which no tool can see')
  return (await import('./sqlite-store.ts')).openSqliteStore(dataFile, use, tell)
}
