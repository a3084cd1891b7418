/** Locks beside a SQLite file: tools that write to it take turns, whether a server runs or not. */

import { sleep, systemClock } from '../src/clock.ts'
import { tryLock } from '../src/store/lock.ts'

/** Between two tries. ms */
const TRY_AGAIN_MS = 250

/**
 * Waits, without a limit, until no other tool writes to the file.
 * @param tell  hears that it has to wait
 * @returns ends the turn
 * @throws {import('../src/store/lock.ts').DataFileError} when the folder cannot be written
 */
export async function takeTurn(file: string, tell: (line: string) => void): Promise<() => void> {
  for (let tries = 0; ; tries += 1) {
    const end = tryLock(`${file}.tools.lock`)
    if (end) return end
    if (tries === 0) tell(`another tool writes to ${file}: this one goes on when that is done`)
    await sleep(systemClock, TRY_AGAIN_MS)
  }
}
