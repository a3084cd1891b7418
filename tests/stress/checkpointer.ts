/**
 * A process that does what no program may: it checkpoints a live file, again and again. Before
 * SQLite 3.51.3 that loses what another connection commits, or damages the file
 * (sqlite.org/wal.html#walresetbug). `checkpointer.ts <checkout> <file>`: by that checkout's SQLite.
 */

import { setImmediate as turn } from 'node:timers/promises'
import { join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import type { Runtime } from '../../src/runtime/runtime.ts'

const [root = '', file = ''] = process.argv.slice(2)
const name = process.versions.deno ? 'deno.ts' : 'node.ts'
const module: unknown = await import(pathToFileURL(join(root, 'src/runtime', name)).href)
const { runtime } = module as { runtime: Runtime }
const db = runtime.openSqlite(file)
db.exec('PRAGMA busy_timeout = 10000')
const checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
console.log('checkpointing')
for (;;) {
  checkpoint.all()
  await turn()
}
