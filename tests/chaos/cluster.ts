/** The servers under test, what they stand on, and the ways between them. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runtime } from '#runtime'
import { startNats, type NatsServer } from '../nats.ts'
import { startPostgres, type PostgresServer } from '../postgres.ts'
import { freePort, ROOT, type Scope, type ServerProcess } from '../process.ts'
import { startProxy, type FaultProxy } from '../proxy.ts'
import { startFront } from './front.ts'
import { ClusterNode } from './node.ts'
import { hashOfEntry, type Recorder, type Seen } from './record.ts'
import { startTool } from '../tool.ts'

/** No limit of the server stands in the way of a few clients that do much. */
export const UNLIMITED = Object.fromEntries(
  [
    ...['MESSAGE_RATE', 'MESSAGE_BURST', 'FRAME_RATE', 'FRAME_BURST', 'READ_RATE', 'READ_BURST'],
    ...['SESSION_RATE', 'ROOM_RATE'],
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
  /** Starts a data tool beside the servers, on the runtime of one of them. */
  startTool(node: ClusterNode, ...args: string[]): ServerProcess
  /** What the database has of its rooms, without their entries. */
  readRooms(): Promise<RoomRow[]>
  /** Every room, as the database itself has it. */
  readLog(): Promise<Map<string, RoomLog>>
}

export interface RoomRow {
  room: string
  head: number
  floor: number
}

export interface RoomLog extends RoomRow {
  entries: Seen[]
}

interface Row {
  room: string
  seq: number | string
  id: string
  kind: string
  author_id: string
  body: string | null
  target: number | string | null
}

const ALL_ROWS =
  'SELECT room, seq, id, kind, author_id, body, target FROM messages ORDER BY room, seq'
const ROOMS = 'SELECT room, head, floor FROM rooms WHERE head > 0 ORDER BY room'

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
  const readAll = async <R extends object>(text: string) =>
    database ? await database.server.query<R>(database.url, text) : readFile<R>(file, text)
  const readRooms = async () =>
    (await readAll<RoomRow>(ROOMS)).map(({ room, head, floor }) => {
      return { room, head: Number(head), floor: Number(floor) }
    })
  const data: Record<string, string> = database
    ? { DATABASE_URL: database.url }
    : { DATA_FILE: file }
  return {
    url: front.url,
    nodes,
    database,
    bus,
    nodeOf: (localPort) => nodes[ports.indexOf(front.targetOf(localPort) ?? 0)]?.name ?? '?',
    startTool: ({ options: { deno } }, ...args) => startTool(scope, data, args, { deno, root }),
    readRooms,
    readLog: async () => {
      const rooms = await readRooms()
      return byRoom(rooms, await readAll<Row>(ALL_ROWS))
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

function readFile<R extends object>(file: string, text: string) {
  const db = runtime.openSqlite(file)
  try {
    return db.prepare(text).all() as R[]
  } finally {
    db.close()
  }
}

function byRoom(rooms: readonly RoomRow[], rows: readonly Row[]) {
  const logs = new Map<string, RoomLog>(rooms.map((row) => [row.room, { ...row, entries: [] }]))
  for (const { room, seq, id, kind, author_id: author, body, target } of rows) {
    const hash = hashOfEntry(kind, body ?? undefined, target === null ? null : Number(target))
    const log = logs.get(room) ?? { room, head: 0, floor: 0, entries: [] }
    logs.set(room, log)
    log.entries.push({ seq: Number(seq), id, author, hash })
  }
  return logs
}
