/** Locks beside a SQLite file: tools that write to it take turns, whether a server runs or not. */

import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { runtime } from '#runtime'
import { sleep, systemClock } from '../src/clock.ts'
import type { Sqlite } from '../src/runtime/runtime.ts'
import { sqliteCode } from '../src/runtime/sqlite.js'
import { ToolError } from './command.ts'

/** Between two tries. ms */
const TRY_AGAIN_MS = 250
const BUSY = 5

/**
 * Waits, without a limit, until no other tool writes to the file.
 * @param tell  hears that it has to wait
 * @returns ends the turn
 * @throws {ToolError} when the folder cannot be written
 */
export async function takeTurn(file: string, tell: (line: string) => void): Promise<() => void> {
  for (let tries = 0; ; tries += 1) {
    const end = tryLock(`${file}.tools.lock`)
    if (end) return end
    if (tries === 0) tell(`another tool writes to ${file}: this one goes on when that is done`)
    await sleep(systemClock, TRY_AGAIN_MS)
  }
}

/**
 * Holds an exclusive transaction on an empty database, as a server does beside its file: the system
 * lets go of it however the process ends.
 * @returns lets go of it; null when somebody else has it
 * @throws {ToolError} when it cannot be made
 */
export function tryLock(path: string): (() => void) | null {
  let lock: Sqlite | undefined
  try {
    makeFile(path)
    lock = runtime.openSqlite(path)
    lock.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE')
    return lock.close
  } catch (error) {
    lock?.close()
    if (sqliteCode(error) === BUSY) return null
    throw new ToolError(`cannot write ${path}: ${(error as Error).message}`, { cause: error })
  }
}

/** One that is there is not opened: to close it would end the locks that we have on it (POSIX). */
function makeFile(path: string) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
