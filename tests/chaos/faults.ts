/** What may go wrong, each as one thing that begins, lasts and ends. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Random } from '../random.ts'
import type { FaultProxy } from '../proxy.ts'
import { forgetOnce, retainOnce } from './care.ts'
import type { Cluster } from './cluster.ts'
import { CARE } from './liveness.ts'
import type { ClusterNode } from './node.ts'
import type { World } from './person.ts'
import type { FaultKind } from './record.ts'
import { slander } from './stranger.ts'

/** An effect that takes a moment goes on until this says so. */
export interface Spell {
  cluster: Cluster
  random: Random
  /** For those who take part in it. */
  world: World
  rooms: readonly string[]
  /** Resolves when the time is over. */
  over: Promise<void>
  isOver(): boolean
}

export interface Fault {
  name: string
  kind: FaultKind
  /** How long, at least and at most; less than asked for where longer makes no sense. ms */
  lasts?: readonly [least: number, most: number]
  /** Begins, waits until it is over, heals; resolves when healed. @returns what was hit */
  strike(spell: Spell): Promise<string>
}

/** Does something again and again until the spell is over, after pauses of `ms` and less. */
async function again({ isOver, random }: Spell, ms: number, what: () => Promise<unknown>) {
  let count = 0
  do {
    await what()
    count += 1
    await pause(ms / 5 + random.below(ms))
  } while (!isOver())
  return `${count} times`
}

/** Changes the weather on some ways, and clears it when the spell is over. */
async function on(
  { over }: Spell,
  ways: readonly (FaultProxy | undefined)[],
  change: (way: FaultProxy) => void,
) {
  for (const way of ways) if (way) change(way)
  await over
  for (const way of ways) way?.pass()
  return `${ways.length} of the ways`
}

/** All at once; each is gone before it returns. */
const kill = (nodes: readonly ClusterNode[]) =>
  Promise.all(nodes.map((node) => node.end('SIGKILL')))

const databaseWays = ({ nodes }: Cluster) => nodes.map(({ database }) => database)
const busWays = ({ nodes }: Cluster) => nodes.map(({ bus }) => bus)
const one = <T>(values: readonly T[], random: Random) => [random.pick(values)]

const ON_NODES: Fault[] = [
  {
    name: 'kill -9 of one',
    kind: 'node',
    strike: (spell) => again(spell, 2_000, () => kill(one(spell.cluster.nodes, spell.random))),
  },
  {
    name: 'kill -9 of all',
    kind: 'node',
    strike: (spell) => again(spell, 2_500, () => kill(spell.cluster.nodes)),
  },
  {
    name: 'SIGSTOP',
    kind: 'node',
    lasts: [1_000, 8_000],
    strike: async ({ cluster, random, world, over }) => {
      const node = random.pick(cluster.nodes)
      const { recorder } = world
      const { since, isInside } = await freezeInside(cluster, node, random, () => recorder.now())
      recorder.note({ type: 'freeze', node: node.name, since, isInside })
      await Promise.all([over, pause(LEAST_FROZEN_MS)])
      node.thaw()
      return `${node.name}${isInside ? ', in the middle of a transaction' : ''}`
    },
  },
  {
    name: 'rolling SIGTERM',
    kind: 'node',
    strike: async ({ cluster }) => {
      for (const node of cluster.nodes) {
        await node.end('SIGTERM')
        await pause(1_500)
      }
      return 'each'
    },
  },
  {
    name: CARE,
    kind: 'data',
    lasts: [6_000, 9_000],
    strike: async (spell) => {
      const [retained, forgotten] = await Promise.all([
        again(spell, 200, () => retainOnce(spell)),
        again(spell, 200, () => forgetOnce(spell)),
      ])
      return `retained ${retained}, forgotten ${forgotten}`
    },
  },
]

const ON_DATABASE: Fault[] = [
  {
    name: 'database stopped',
    kind: 'database',
    strike: async ({ cluster: { database }, over }) => {
      database!.server.kill('SIGQUIT')
      await database!.server.ended()
      await over
      await database!.server.start()
      return 'SIGQUIT'
    },
  },
  {
    name: 'database frozen',
    kind: 'database',
    lasts: [6_000, 8_000],
    strike: (spell) => on(spell, databaseWays(spell.cluster), (way) => way.freeze()),
  },
  {
    name: 'database slow',
    kind: 'database',
    strike: (spell) =>
      on(spell, databaseWays(spell.cluster), (way) => way.delay(100 + spell.random.below(150))),
  },
  {
    name: 'backends terminated',
    kind: 'database',
    strike: (spell) => again(spell, 1_000, () => terminate(spell.cluster, 'true')),
  },
  {
    name: 'LISTEN terminated',
    kind: 'bus',
    strike: (spell) => again(spell, 1_000, () => terminate(spell.cluster, `query ILIKE 'listen%'`)),
  },
  {
    name: 'reply to COMMIT cut',
    kind: 'database',
    strike: (spell) =>
      again(spell, 1_000, async () => {
        const [way] = one(databaseWays(spell.cluster), spell.random)
        way?.cutReplies()
        await pause(100)
        way?.pass()
      }),
  },
  {
    name: 'one node without the database',
    kind: 'link',
    strike: (spell) =>
      on(spell, one(databaseWays(spell.cluster), spell.random), (way) => way.cut()),
  },
]

const ON_BUS: Fault[] = [
  {
    name: 'bus stopped',
    kind: 'bus',
    strike: async ({ cluster: { bus }, over }) => {
      bus!.kill('SIGKILL')
      await bus!.ended()
      await over
      await bus!.start()
      return 'SIGKILL'
    },
  },
  {
    name: 'bus frozen',
    kind: 'bus',
    strike: (spell) => on(spell, busWays(spell.cluster), (way) => way.freeze()),
  },
  {
    name: 'bus slow',
    kind: 'bus',
    strike: (spell) =>
      on(spell, busWays(spell.cluster), (way) => way.delay(100 + spell.random.below(400))),
  },
  {
    name: 'bus connections cut',
    kind: 'bus',
    strike: (spell) =>
      again(spell, 1_000, async () => {
        for (const way of busWays(spell.cluster)) {
          way?.cut()
          way?.pass()
        }
      }),
  },
  {
    name: 'bus repeats, reorders, lies',
    kind: 'bus',
    strike: ({ cluster: { bus }, random, over }) => slander(bus!.port, random, over),
  },
  {
    name: 'one node without the bus',
    kind: 'link',
    strike: (spell) => on(spell, one(busWays(spell.cluster), spell.random), (way) => way.cut()),
  },
]

/** The faults that a cluster can have. */
export function faultsOf({ database, bus }: Cluster): Fault[] {
  return [...ON_NODES, ...(database ? ON_DATABASE : []), ...(bus ? ON_BUS : [])]
}

/** Postgres waits for a client in the middle of a transaction, and was not just answering it. */
const INSIDE = `SELECT 1 FROM pg_stat_activity
  WHERE datname = current_database() AND state LIKE 'idle in transaction%'
    AND clock_timestamp() - state_change > interval '30 ms'`
/** So often a node is stopped and let go before it is stopped wherever it is. */
const MOST_TRIES = 15
/** However long that took. ms */
const LEAST_FROZEN_MS = 1_000

/**
 * Stops a node while the database waits for it in the middle of a transaction, if it ever does.
 * @returns since when it is stopped, and whether there
 */
async function freezeInside(
  { database }: Cluster,
  node: ClusterNode,
  random: Random,
  now: () => number,
) {
  for (let n = 1; ; n += 1) {
    const since = now()
    node.freeze()
    if (!database || n > MOST_TRIES) return { since, isInside: false }
    // What was under way to the database arrives there.
    await pause(50)
    const found = await database.server.query(database.url, INSIDE).catch(() => [])
    if (found.length > 0) return { since, isInside: true }
    node.thaw()
    await pause(random.below(30))
  }
}

function terminate({ database }: Cluster, which: string) {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${which}`
  // A database that is away has no backends either.
  return database!.server.query(database!.url, sql).catch(() => {})
}
