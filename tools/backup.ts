/** `backup`: the whole SQLite log as one file, as of one moment, while the server goes on. */

import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { runtime } from '#runtime'
import type { Sqlite } from '../src/runtime/runtime.ts'
import { giveToOwner, makeFolder } from '../src/store/lock.ts'
import { DatabaseError } from '../src/store/log.ts'
import { runAside } from './aside.ts'
import { faultsOf } from './check.ts'
import { onlyOne, readArgs, ToolError, UsageError, type Command } from './command.ts'
import { createSqliteStore, checkVersion } from './sqlite-store.ts'
import { useStore } from './place.ts'
import type { Progress } from './progress.ts'

export const backup: Command = {
  usage: '<file>',
  about: 'writes the SQLite log, while the server runs, to a new file',
  run: async (args, context) => {
    const { config, tell, progress } = context
    const file = onlyOne(readArgs(args, {}).positionals, 'the new file')
    if (file === '') throw new UsageError('the new file: it needs a name')
    if (config.databaseUrl) {
      throw new UsageError(
        'Postgres has its own: pg_dump --format=custom --no-unlogged-table-data --file=<file> "$DATABASE_URL"',
      )
    }
    if (existsSync(file)) throw new ToolError(`${file} is there already`)
    await useStore(context, 'read', async ({ place }) => {
      const copy = await copyChecked(place, `${file}.part`, progress)
      try {
        linkSync(copy, file)
        syncFolder(file)
      } finally {
        rmSync(copy)
      }
      tell(`${file}: ${statSync(file).size} bytes, read again and whole`)
    })
  },
}

/**
 * A copy as of now, read again and on disk, which only we can read.
 * @param change  what is done to it before it is read again
 * @throws {ToolError} when it cannot be written, or is not a whole log of this version
 */
export async function copyChecked(
  from: string,
  to: string,
  progress: Progress,
  change: (db: Sqlite) => void = () => {},
): Promise<string> {
  try {
    makeFolder(dirname(to))
    closeSync(openSync(to, 'wx', 0o600))
    giveToOwner(to)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const left = `${to} is there, of a command that was cut off: delete it when none runs`
    throw new ToolError(code === 'EEXIST' ? left : `cannot write ${to}: ${message}`, {
      cause: error,
    })
  }
  try {
    progress.begin('copying', 'MB', megabytes(from))
    // Without what was erased and still lies in free pages.
    const onWait = () => progress.set(megabytes(to))
    const { error } = await runAside(from, 'VACUUM INTO ?', [to], onWait)
    if (error !== null) throw new ToolError(`${from}: ${error}`)
    await withFile(to, async (db) => {
      change(db)
      await checkFile(db, to, progress)
    })
    sync(to)
    return to
  } catch (error) {
    for (const path of [to, `${to}-journal`]) rmSync(path, { force: true })
    if (error instanceof ToolError || error instanceof DatabaseError) throw error
    throw new ToolError(`${from}: ${(error as Error).message}`, { cause: error })
  }
}

/** Opens a file as it stands, and closes it behind `work`. */
export async function withFile<T>(file: string, work: (db: Sqlite) => T | Promise<T>): Promise<T> {
  const db = runtime.openSqlite(file)
  try {
    db.exec('PRAGMA busy_timeout = 10000')
    return await work(db)
  } finally {
    db.close()
  }
}

async function checkFile(db: Sqlite, file: string, progress: Progress) {
  checkVersion(db, file)
  const store = createSqliteStore({ db, file, close: () => {} })
  for await (const fault of faultsOf(store, progress)) throw new ToolError(fault)
}

function megabytes(file: string) {
  return statSync(file).size / 1e6
}

function sync(path: string) {
  const descriptor = openSync(path, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}

/** So that the name is on disk as well. */
export function syncFolder(file: string) {
  sync(dirname(file))
}
