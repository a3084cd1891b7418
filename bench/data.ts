/** What a server is given to work with: a long log, or a database and a bus. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/clock.ts'
import { openDataFile } from '../src/store/file.ts'
import { startNats } from '../tests/nats.ts'
import { startPostgres } from '../tests/postgres.ts'

/** Rows of one transaction. */
const BATCH = 500_000

/** Makes a SQLite log with so many messages in `room-0`. */
export function makeLog(messages: number) {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-bench-'))
  const path = join(folder, 'hearth.db')
  const { db, close } = openDataFile(path, systemClock)
  db.exec('PRAGMA synchronous = OFF')
  db.exec("INSERT INTO rooms (room) VALUES ('room-0')")
  for (let from = 0; from < messages; from += BATCH) {
    const to = Math.min(from + BATCH, messages)
    db.exec(`
      INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, digest)
      WITH RECURSIVE n (seq) AS (SELECT ${from + 1} UNION ALL SELECT seq + 1 FROM n WHERE seq < ${to})
      SELECT 'room-0', seq, printf('%08x-0000-4000-8000-000000000000', seq), 'message',
        '00000000-0000-4000-8000-000000000000', 'user', '2026-01-01T00:00:00.000Z',
        printf('message %d of many, as long as most of what people say in a room', seq),
        printf('%043d', seq) FROM n`)
  }
  db.exec(`UPDATE rooms SET head = ${messages}`)
  close()
  return { path, remove: () => rmSync(folder, { recursive: true }) }
}

/** A Postgres that waits for its disk, and a NATS server, while `use` runs. */
export async function withServices(
  use: (newEnvironment: () => Promise<Record<string, string>>) => Promise<void>,
) {
  const cleanups: (() => unknown)[] = []
  const scope = { after: (cleanup: () => unknown) => void cleanups.unshift(cleanup) }
  try {
    const postgres = await startPostgres(scope, { fsync: 'on', shared_buffers: '256MB' })
    const nats = await startNats(scope)
    await use(async () => ({
      DATABASE_URL: await postgres.newDatabase(),
      NATS_URL: `nats://127.0.0.1:${nats.port}`,
    }))
  } finally {
    for (const cleanup of cleanups) await cleanup()
  }
}
