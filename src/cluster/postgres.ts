/** Postgres, opened and brought to the newest schema: a pool, every piece of work with one deadline. */

import { getLogger } from '@logtape/logtape'
import pg from 'pg'
import { sleep, type Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import { DatabaseError, LogUnavailable } from '../store/log.ts'
import { renewNames, tellRenewed } from '../store/names.ts'
import { readSql, stepsAfter, VERSION } from '../store/schema.ts'
import { ConstraintViolation, type Query, type Sql } from '../store/sql.ts'
import { dialect, drive, sqlOn } from './driver.ts'

const OLDEST_VERSION = 14
/** Of the database: all that can keep every text. */
const ENCODINGS = ['UTF8', 'SQL_ASCII']
/** Of one node, beside the one for appends and the one that listens. */
const CONNECTIONS = 10
/** A migration may take this long, and wait this long for another node's. ms */
const MIGRATION_MS = 60_000
/** While Postgres cannot be reached at start, this often the operator is told. ms */
const WARNING_MS = 10_000

/** Nodes that start at once migrate one after the other. Any number that others do not use. */
const MIGRATION_LOCK = 4_843_652_184

/** What Postgres says when the data is to blame: data exceptions, constraints, limits. */
const DEFINITE = /^(22|23|54)/
/** What passes by itself: connections, conflicts, resources, shutdown, a standby being promoted. */
const PASSING = /^(08|25|40|53|55|57|58)/
/** What the driver says, without a code, of a password or a certificate that is not right. */
const REFUSED = /^SASL|SSL|certificate/

export interface Postgres {
  readonly sql: Sql
  /** As `sql`, on a connection kept for it: an append must not wait for a thousand reads. */
  readonly appendSql: Sql
  /** As the log's. */
  readonly epoch: string
  /**
   * One statement, in one round trip and a transaction of its own.
   * @throws {LogUnavailable} when it is not known whether it was done
   */
  readonly query: Query
  /** As `query`, on the connection for appends. */
  readonly queryFirst: Query
  /** A connection of its own, for LISTEN; whoever asks for it ends it. */
  connect(): Promise<pg.Client>
  /** Idempotent. */
  close(): Promise<void>
}

export interface PostgresOptions {
  limits: Pick<Limits, 'databaseMs' | 'statementMs' | 'logRetryMs'>
  clock: Clock
  /** Gets what went wrong outside of any query, for the operator. */
  onFault(error: unknown): void
  /** Whether a Postgres that cannot be reached is waited for; else that is an error. Default: true */
  isPatient?: boolean
  /** Whether tables are made, and brought to this version; else they have to be there. Default: true */
  makes?: boolean
}

/**
 * Connects and brings the schema up to date; waits, and says so, while Postgres cannot be reached.
 * @throws {DatabaseError} when waiting would not help
 */
export async function openPostgres(url: string, options: PostgresOptions): Promise<Postgres> {
  const { clock, limits, isPatient = true, makes = true } = options
  const config = configOf(url, limits)
  let warned = -Infinity
  for (;;) {
    try {
      return usePostgres(config, await prepare(config, makes), options)
    } catch (error) {
      const { host, port } = new pg.Client(config)
      if (!isPatient || !isPassing(error)) {
        throw new DatabaseError(`Postgres at ${host}:${port}: ${why(error)}`)
      }
      if (clock.now() - warned >= WARNING_MS) {
        warned = clock.now()
        const facts = { host, port, reason: why(error) }
        getLogger(['hearth']).warn('waiting for Postgres', facts)
      }
    }
    await sleep(clock, limits.logRetryMs)
  }
}

/** What every connection is opened with: nothing that a pooler between could refuse. */
function configOf(url: string, { databaseMs }: PostgresOptions['limits']): pg.PoolConfig {
  const config = {
    connectionString: url,
    application_name: 'hearth',
    keepAlive: true,
    // Statements that are sent together do not wait for each other's answers.
    pipeline: true,
    connectionTimeoutMillis: databaseMs,
    types: { getTypeParser },
  }
  try {
    void new pg.Client(config)
  } catch (error) {
    const { path } = error as NodeJS.ErrnoException
    if (path !== undefined)
      throw new DatabaseError(`its address names ${path}, which cannot be read`)
    // The error of the parser would show the password.
    throw new DatabaseError('this is no address of a Postgres database')
  }
  return config
}

/** Values as SQLite gives them: whole numbers, ISO 8601 in UTC, JSON as text. */
function getTypeParser(oid: number, format?: 'text' | 'binary') {
  const { INT8, TIMESTAMPTZ, JSONB } = pg.types.builtins
  const parse = pg.types.getTypeParser(oid, format)
  if (oid === INT8) return Number
  if (oid === TIMESTAMPTZ) return (text: string) => (parse(text) as Date).toISOString()
  return oid === JSONB ? String : parse
}

/** Checks the server and migrates. @returns the epoch */
async function prepare(config: pg.ClientConfig, makes: boolean): Promise<string> {
  const client = await connect({ ...config, query_timeout: MIGRATION_MS })
  try {
    const { rows } = await client.query(
      `SELECT current_setting('server_version_num')::int / 10000 AS version,
         current_setting('fsync') = 'on' AS is_durable,
         current_setting('server_encoding') AS encoding`,
    )
    const { version, is_durable: isDurable, encoding } = rows[0]
    if (version < OLDEST_VERSION) {
      throw new DatabaseError(`version ${version} is too old; ${OLDEST_VERSION} is the oldest`)
    }
    if (!ENCODINGS.includes(encoding)) {
      throw new DatabaseError(`its encoding is ${encoding}, in which not every message can be kept`)
    }
    if (!isDurable) {
      getLogger(['hearth']).warn('Postgres has fsync=off: a crash of its machine loses messages')
    }
    return await migrate(client, makes)
  } finally {
    await client.end()
  }
}

/** Brings the tables to the newest version, all of them or nothing. @returns the epoch */
async function migrate(client: pg.Client, makes: boolean): Promise<string> {
  await client.query('BEGIN')
  await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
  // Not asked before: who has seen that a table is not there may see so again until the commit.
  const { rows } = await client.query("SELECT to_regclass('meta') IS NULL AS empty")
  if (rows[0].empty && !makes) {
    throw new DatabaseError('there is no log of Hearth in this database')
  }
  if (rows[0].empty) {
    await client.query(`CREATE TABLE meta (epoch text NOT NULL, version int NOT NULL);
      INSERT INTO meta VALUES (replace(gen_random_uuid()::text, '-', ''), 0)`)
  }
  const [meta] = (await client.query('SELECT epoch, version FROM meta')).rows
  if (!meta) throw new DatabaseError('it is damaged, restore a backup: it has no epoch')
  const { epoch, version } = meta
  if (version > VERSION) throw new DatabaseError('its tables were made by a newer Hearth')
  if (version < VERSION && !makes) {
    throw new DatabaseError(
      'its tables were made by an earlier Hearth: start a server, which adapts them',
    )
  }
  if (version < VERSION) {
    for (const step of stepsAfter(version, 'postgres')) await client.query(step)
    // Made anew with every version; what an earlier one calls stays there for its nodes.
    await client.query(readSql('postgres-functions'))
    await client.query('UPDATE meta SET version = $1', [VERSION])
  }
  await client.query(SETTINGS)
  const query: Query = async (text, values) =>
    (await client.query(text, values && [...values])).rows
  const renewed = makes ? await drive(query, renewNames(dialect)) : null
  await client.query('COMMIT')
  tellRenewed(renewed)
  return epoch
}

async function connect(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(config)
  // Whatever breaks is told to who waits for an answer; an event nobody hears ends the process.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    // Else its socket would keep a tool from ending.
    client.end().catch(() => {})
    throw error
  }
  return client
}

function usePostgres(config: pg.PoolConfig, epoch: string, options: PostgresOptions): Postgres {
  const lane = createLane({ ...config, max: CONNECTIONS }, options)
  const ownLane = createLane({ ...config, max: 1 }, options)
  let closing: Promise<unknown> | undefined
  return {
    epoch,
    sql: sqlOn(lane.run),
    appendSql: sqlOn(ownLane.run),
    query: (text, values) => lane.run((query) => query(text, values)),
    queryFirst: (text, values) => ownLane.run((query) => query(text, values)),
    connect: () =>
      connect(config).catch((error: unknown) => {
        throw unavailable(error)
      }),
    close: async () => void (await (closing ??= Promise.all([lane.close(), ownLane.close()]))),
  }
}

/** A pool whose work has one deadline each, from the wish to the answer. */
function createLane(
  config: pg.PoolConfig,
  { limits: { databaseMs, statementMs }, onFault }: PostgresOptions,
) {
  const newPool = () => {
    // One that is to end waits for what it was asked, in pipeline mode, unless that takes too long.
    const query_timeout = databaseMs
    const onConnect = (client: pg.ClientBase) => setUp(client, statementMs)
    const pool = new pg.Pool({ ...config, query_timeout, onConnect })
    pool.on('error', ({ message }) => onFault(new LogUnavailable(`an idle connection: ${message}`)))
    return pool
  }
  let pool = newPool()
  let answeredAt = performance.now()

  /** Nothing was answered for so long: the idle connections are dead, too, and were not told. */
  const suspectAll = () => {
    if (performance.now() - answeredAt < databaseMs) return
    const dead = pool
    pool = newPool()
    answeredAt = performance.now()
    dead.end().catch(() => {})
  }

  /** A connection whose work failed is not used again. */
  const run = async <T>(work: (query: Query) => Promise<T>): Promise<T> => {
    const connecting = pool.connect()
    let client: pg.PoolClient | undefined
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new LogUnavailable(`Postgres did not answer within ${databaseMs} ms`))
        suspectAll()
      }, databaseMs)
    })
    try {
      const acquired = (client = await Promise.race([connecting, deadline]))
      const query: Query = async (text, values) =>
        (await acquired.query(text, values && [...values])).rows
      const result = await Promise.race([work(query), deadline])
      answeredAt = performance.now()
      client.release()
      return result
    } catch (error) {
      if (client) client.release(true)
      else connecting.then((late) => late.release()).catch(() => {})
      throw refusal(error) ?? unavailable(error)
    } finally {
      clearTimeout(timer)
    }
  }
  return { run, close: () => pool.end() }
}

/**
 * Of each connection: a commit is on disk when it returns; and as all that we ask is found by an
 * index, in its order, no plan may hang on statistics that a new table does not have yet (a whole
 * room would be sorted for its next 100 entries). By statement, as a pooler refuses such settings at
 * start.
 */
export const SETTINGS =
  'SET synchronous_commit = on; SET enable_seqscan = off; SET enable_bitmapscan = off'

/** Besides, a node that froze must not hold locks. */
async function setUp(client: pg.ClientBase, statementMs: number) {
  client.on('error', () => {})
  await client.query(
    `SET statement_timeout = ${statementMs};
     SET idle_in_transaction_session_timeout = ${statementMs}; ${SETTINGS}`,
  )
}

/** The data is to blame. Its own words would carry some of it, perhaps a message, into our logs. */
function refusal(error: unknown) {
  if (!(error instanceof pg.DatabaseError) || !DEFINITE.test(error.code ?? '')) return null
  const { code = '', constraint = '' } = error
  const what = `Postgres refuses the data: ${code} ${constraint}`.trim()
  return code.startsWith('23') ? new ConstraintViolation(what) : new Error(what)
}

/** Whether a start that failed like this may work later. */
function isPassing(error: unknown) {
  if (error instanceof DatabaseError) return false
  return error instanceof pg.DatabaseError
    ? PASSING.test(error.code ?? '')
    : !REFUSED.test(why(error))
}

function unavailable(error: unknown) {
  if (error instanceof LogUnavailable) return error
  return new LogUnavailable(`Postgres: ${why(error)}`, { cause: error })
}

/** Some errors of the network have a code and no message. */
function why(error: unknown) {
  const { message, code } = error as { message?: string; code?: string }
  return message || code || String(error)
}
