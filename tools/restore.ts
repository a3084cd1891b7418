/** `restore` and `new-epoch`: an older state takes the place of the log, and clients notice. */

import { existsSync, linkSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs'
import { sqliteCode } from '../src/runtime/sqlite.js'
import { assertOurs, migrate, versionOf } from '../src/store/file.ts'
import { BUSY, claim } from '../src/store/lock.ts'
import { copyChecked, syncFolder, withFile } from './backup.ts'
import { onlyOne, readArgs, ToolError, UsageError, type Command } from './command.ts'
import { useStore } from './place.ts'
import type { Progress } from './progress.ts'
import { drawEpoch, randomEpoch, transaction } from './store.ts'
import { takeTurn } from './turn.ts'

export const restore: Command = {
  usage: '<file> [--replace]',
  about: 'puts a backup in place of the stopped SQLite log',
  run: async (args, { config, tell, progress }) => {
    const { values, positionals } = readArgs(args, { replace: { type: 'boolean' } })
    const file = onlyOne(positionals, 'the backup')
    if (config.databaseUrl) {
      throw new UsageError(
        'Postgres has its own: stop the servers, pg_restore --clean --if-exists ' +
          '--dbname="$DATABASE_URL" <file>, then the command new-epoch',
      )
    }
    if (config.dataFile === ':memory:') throw new ToolError('DATA_FILE is :memory:')
    if (!existsSync(file)) throw new ToolError(`there is no ${file}`)
    const endTurn = await takeTurn(config.dataFile, tell)
    try {
      const isReplacing = values.replace === true
      const kept = await restoreFile(file, config.dataFile, isReplacing, progress)
      if (kept !== null) tell(`what was there is kept as ${kept}`)
      tell(`${config.dataFile} is what ${file} was, under a new epoch`)
    } finally {
      endTurn()
    }
  },
}

export const newEpoch: Command = {
  usage: '',
  about: 'makes clients start afresh, after pg_restore',
  run: async (args, context) => {
    if (readArgs(args, {}).positionals.length > 0) throw new UsageError('it takes no argument')
    await useStore(context, 'alone', async (store) => {
      const epoch = await transaction(store, async () => {
        await store.seize()
        return drawEpoch(store.query)
      })
      context.tell(`${store.place} has the epoch ${epoch}`)
    })
  },
}

/** @returns where the log is that was there; null when there was none */
async function restoreFile(backup: string, file: string, isReplacing: boolean, progress: Progress) {
  const hasLog = existsSync(file) && statSync(file).size > 0
  if (hasLog && !isReplacing) throw new ToolError(`${file} is there already; --replace keeps it`)
  const release = claim(file)
  try {
    const part = `${file}.part`
    if (isSame(part, backup)) throw new ToolError(`${backup} would be written over: move it away`)
    rmSync(part, { force: true })
    const copy = await copyChecked(backup, part, progress, (db) => {
      // Of an empty file, as a backup that failed leaves it, an empty log would be made.
      if (versionOf(db) === 0) throw new ToolError(`${backup} is no log of Hearth`)
      assertOurs(db, backup)
      migrate(db)
      db.prepare('UPDATE meta SET epoch = ?').all(randomEpoch())
    })
    let kept: string | null
    try {
      kept = hasLog ? await setAside(file) : null
    } catch (error) {
      rmSync(copy)
      throw error
    }
    for (const suffix of BESIDE) rmSync(file + suffix, { force: true })
    renameSync(copy, file)
    syncFolder(file)
    return kept
  } finally {
    release()
  }
}

function isSame(path: string, other: string) {
  return existsSync(path) && realpathSync(path) === realpathSync(other)
}

/** What is not yet in a database, where its server was killed. */
const BESIDE = ['-wal', '-shm']
/** So long a reader may go on. ms */
const READER_MS = 1_000

/**
 * Gives what is there a second name; the first is never without a log, whenever we are killed.
 * @throws {ToolError} when somebody reads it, for whom the -wal has to stay
 */
async function setAside(file: string) {
  const kept = `${file}.before-${new Date().toISOString().replace(/[:.]/g, '-')}`
  if (await isRead(file)) throw new ToolError(`somebody reads ${file}: end that first`)
  linkSync(file, kept)
  for (const suffix of BESIDE) {
    if (existsSync(file + suffix)) linkSync(file + suffix, kept + suffix)
  }
  return kept
}

/** Whether not all of its -wal can be taken in. What is broken, and so replaced, nobody reads. */
async function isRead(file: string) {
  try {
    return await withFile(file, (db) => {
      db.exec(`PRAGMA busy_timeout = ${READER_MS}`)
      const [row] = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all() as { busy: number }[]
      return row?.busy === 1
    })
  } catch (error) {
    return sqliteCode(error) === BUSY
  }
}
