/** A real PostgreSQL from npm, with its data in a folder of its own; gone when the test is over. */

import { spawn, type ChildProcess } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import pg from 'pg'
import { systemClock } from '../src/clock.ts'
import { DEFAULT_LIMITS } from '../src/limits.ts'
import { openPostgres, type Postgres, type PostgresOptions } from '../src/cluster/postgres.ts'
import { createData, programs, unprivileged } from './postgres-files.ts'
import { freePort, type Scope } from './process.ts'

/** Longest wait for the server to start or to stop. ms */
const PATIENCE_MS = 20_000
const START = /ready to accept connections/
/** Ends whatever still runs in a database, and makes it one that has just been opened. */
const EMPTY = `DO $$ BEGIN
  PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
  IF to_regclass('meta') IS NOT NULL THEN
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') FROM pg_tables
      WHERE schemaname = 'public' AND tablename <> 'meta');
    UPDATE meta SET epoch = replace(gen_random_uuid()::text, '-', '');
  END IF;
END $$`
const VERSION = /starting PostgreSQL (\d+)/
/** Nothing waits for the disk, and little is written to it. */
const HASTY = { fsync: 'off', wal_init_zero: 'off', shared_buffers: '16MB' }

export interface PostgresServer {
  readonly port: number
  /** Makes an empty database. @returns its address */
  newDatabase(): Promise<string>
  /** Lends a database with empty tables, if any, until the scope is over. @returns its address */
  lendDatabase(scope: Scope): Promise<string>
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

/**
 * @param settings  for `postgres -c`, beside those with which nothing waits for the disk
 * @param own  the folder of its programs; default: those of the whole suite
 */
export async function startPostgres(
  t: Scope,
  settings: Record<string, string> = {},
  own?: string,
): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-postgres-'))
  const data = join(folder, 'data')
  if (unprivileged.uid) chownSync(folder, unprivileged.uid, unprivileged.uid)
  const bin = own ?? programs(folder)
  createData(data, bin)
  const port = await freePort()
  const address = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`
  const local = { listen_addresses: '127.0.0.1', unix_socket_directories: '' }
  const options = Object.entries({ ...local, ...HASTY, ...settings })
  const argv = ['-D', data, '-p', `${port}`]
  for (const [name, value] of options) argv.push('-c', `${name}=${value}`)
  let child: ChildProcess | undefined
  let end: Promise<void> = Promise.resolve()
  let databases = 0
  const returned: string[] = []
  /** Copies files instead of logging them page by page, as all did before version 15. */
  let strategy = ''

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
        if (Number(VERSION.exec(text)?.[1]) >= 15) strategy = 'STRATEGY file_copy'
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
  const newDatabase = async () => {
    const name = `hearth_${(databases += 1)}`
    await query(address('postgres'), `CREATE DATABASE ${name} ${strategy}`)
    return address(name)
  }

  t.after(async () => {
    kill('SIGQUIT')
    await end
    rmSync(folder, { recursive: true, force: true })
  })
  await start()
  return {
    port,
    newDatabase,
    lendDatabase: async (scope) => {
      const used = returned.pop()
      if (used !== undefined) await query(used, EMPTY)
      const url = used ?? (await newDatabase())
      scope.after(() => returned.push(url))
      return url
    },
    query,
    kill,
    ended: () => end,
    start,
  }
}
