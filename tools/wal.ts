/** The `-wal` file, into which a tool writes beside a server, which alone empties it then. */

import { sleep, systemClock } from '../src/clock.ts'
import { tryLock } from '../src/store/lock.ts'
import type { Opened } from './sqlite-store.ts'

/**
 * Pages that may wait in it, 32 MB; to write them into the file takes a server that has little else
 * to do some 100 ms.
 */
const MOST = 8_192
/** Between two looks whether that is done. ms */
const LOOK_MS = 250
/** Looks for a commit of the server, 20 s; for the checkpoint behind it, 10 s; and how often both. */
const COMMIT_LOOKS = 80
const LOOKS = 40
const ASKS = 2

/** What a server deletes within 15 s (`renewMs`), as it is so old. */
const ASK = "INSERT INTO revocations (at, session) VALUES (0, 'checkpoint')"
const IS_ASKED = "SELECT 1 FROM revocations WHERE at = 0 AND session = 'checkpoint'"

/**
 * A server writes the pages into its file (a checkpoint) behind a commit of its own, and by itself
 * one that hears nothing would not commit: it is given something to do.
 * @param tell  hears when a server takes longer than it should
 * @returns to be called between two steps: waits while there is too much in the `-wal`
 */
export function createRelief(
  { db, file }: Pick<Opened, 'db' | 'file'>,
  tell: (line: string) => void,
  { most = MOST, clock = systemClock } = {},
) {
  const isAsked = db.prepare(IS_ASKED)
  // It only counts; before SQLite 3.51 it is a passive checkpoint, which does no harm in sound ones.
  const pages = db.prepare('PRAGMA wal_checkpoint(NOOP)')
  const waiting = () => {
    const { log, checkpointed } = pages.get() as { log: number; checkpointed: number }
    return log - checkpointed
  }
  const look = () => sleep(clock, LOOK_MS)

  /** @returns whether anybody heard it */
  const ask = async () => {
    if (emptyAlone({ db, file })) return true
    db.exec(ASK)
    const isDeaf = () => isAsked.get() !== undefined && !emptyAlone({ db, file })
    for (let looks = 0; looks < COMMIT_LOOKS && isDeaf(); looks += 1) await look()
    if (isDeaf()) return false
    for (let looks = 0; looks < LOOKS && waiting() > most / 2; looks += 1) await look()
    return true
  }

  let allowed = most
  let isTold = false
  return async () => {
    if (waiting() <= allowed) return
    for (let asks = 0; asks < ASKS && waiting() > most / 2 && (await ask()); asks += 1);
    if (waiting() > most / 2 && !isTold) {
      isTold = true
      tell(`${file}-wal grows: whoever has ${file} open does not take it in, or reads for long`)
    }
    // Whoever reads for long, as an export does, keeps some of them there.
    allowed = waiting() + most
  }
}

/** While no server runs, and none can start. @returns whether that is so */
function emptyAlone({ db, file }: Pick<Opened, 'db' | 'file'>) {
  const release = tryLock(`${file}.lock`)
  if (!release) return false
  try {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    return true
  } finally {
    release()
  }
}
