/** The servers under test, what they stand on, and the ways between them. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runtime } from '#runtime'
import { startNats, type NatsServer } from '../nats.ts'
import { startPostgres, type PostgresServer } from '../postgres.ts'
import { freePort, ROOT, type Scope } from '../process.ts'
import { startProxy, type FaultProxy } from '../proxy.ts'
import { startFront } from './front.ts'
import { ClusterNode } from './node.ts'
import { hashOf, type Recorder, type Seen } from './record.ts'

const UNLIMITED = Object.fromEntries(
  [
    ...['MESSAGE_RATE', 'MESSAGE_BURST', 'FRAME_RATE', 'FRAME_BURST', 'READ_RATE', 'READ_BURST'],
    'SESSION_RATE',
  ].map((name) => [name, '1000000']),
)
const MANY = '100000'

export interface Plan {
  /** What the log and the bus stand on. */
  services: 'sqlite' | 'postgres' | 'nats'
  /** One node for each: the Deno to run it on, or null for Node. */
  runtimes: readonly (string | null)[]
  /** The checkout to run. */
  root?: string
  /** Wait for the disk, as the real thing does. */
  fsync?: boolean
}

export interface Cluster {
  /** The one address of all. */
  readonly url: string
  readonly nodes: readonly ClusterNode[]
  readonly database: { server: PostgresServer; url: string } | null
  readonly bus: NatsServer | null
  /** The server behind a connection from this local port to `url`. */
  nodeOf(localPort: number): string
  /** Every room, as the database itself has it. */
  readLog(): Promise<Map<string, Seen[]>>
}

interface Row {
  room: string
  seq: number | string
  id: string
  author_id: string
  body: string
}

const ALL_ROWS = 'SELECT room, seq, id, author_id, body FROM messages ORDER BY room, seq'

export async function startCluster(
  scope: Scope,
  { services, runtimes, root = ROOT, fsync = false }: Plan,
  recorder: Recorder,
): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-chaos-'))
  scope.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'hearth.db')
  const server = services === 'sqlite' ? null : await startDatabase(scope, fsync)
  const database = server && { server, url: await server.newDatabase() }
  const bus = services === 'nats' ? await startNats(scope) : null
  const ports = await Promise.all(runtimes.map(() => freePort()))
  const front = await startFront(scope, ports)
  const nodes: ClusterNode[] = []
  for (const [index, deno] of runtimes.entries()) {
    const toDatabase = database ? await startProxy(scope, database.server.port) : undefined
    const toBus = bus ? await startProxy(scope, bus.port) : undefined
    const env = {
      ...UNLIMITED,
      MAX_CONNECTIONS_PER_USER: MANY,
      MAX_CONNECTIONS_PER_IP: MANY,
      LOG_LEVEL: 'warning',
      DATA_FILE: file,
      ...(database && toDatabase && { DATABASE_URL: through(database.url, toDatabase) }),
      ...(toBus && { NATS_URL: `nats://127.0.0.1:${toBus.port}` }),
    }
    const name = `${index + 1}-${deno === null ? 'node' : 'deno'}`
    const ways = { database: toDatabase, bus: toBus }
    const port = ports[index]!
    nodes.push(new ClusterNode(scope, { name, port, env, deno, root, recorder, ...ways }))
  }
  await Promise.all(nodes.map((node) => node.started()))
  return {
    url: front.url,
    nodes,
    database,
    bus,
    nodeOf: (localPort) => nodes[ports.indexOf(front.targetOf(localPort) ?? 0)]?.name ?? '?',
    readLog: async () => {
      const rows = database
        ? await database.server.query<Row>(database.url, ALL_ROWS)
        : readFile(file)
      return byRoom(rows)
    },
  }
}

function startDatabase(scope: Scope, fsync: boolean) {
  return startPostgres(scope, { fsync: fsync ? 'on' : 'off', max_connections: '200' })
}

function through(url: string, { port }: FaultProxy) {
  const address = new URL(url)
  address.port = `${port}`
  return address.href
}

function readFile(file: string) {
  const db = runtime.openSqlite(file)
  try {
    return db.prepare(ALL_ROWS).all() as Row[]
  } finally {
    db.close()
  }
}

function byRoom(rows: readonly Row[]) {
  const rooms = new Map<string, Seen[]>()
  for (const { room, seq, id, author_id: author, body } of rows) {
    const log = rooms.get(room) ?? []
    log.push({ seq: Number(seq), id, author, hash: hashOf(body) })
    rooms.set(room, log)
  }
  return rooms
}
