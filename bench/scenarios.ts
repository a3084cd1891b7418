/** What is measured. Each scenario fills tables; every figure is from a server started for it. */

import type { Percentiles, Talked } from './generator.ts'
import { makeLog, withServices } from './data.ts'
import { startLoad, type Load, type Server } from './machine.ts'
import { scalingTables } from './scaling.ts'
import { KINDS, type Kind } from './servers.ts'

/** One measured quantity, once per run. */
export type Figures = Map<string, number[]>

export interface Table {
  title: string
  /** Quantity → unit, as the columns stand. */
  columns: readonly string[]
  /** Row → column → the figures of all runs. */
  rows: Map<string, Figures>
}

export interface Run {
  kinds: readonly Kind[]
  runs: number
  say(line: string): void
  /** For Node itself. */
  flags: readonly string[]
}

const MEMBERS = 500
const BODY = 70
/** What counts as keeping up. */
const DELIVERED = 0.99
const PATIENCE_MS = 250
/** Between two rates that are tried: coarse, then halved so often. */
const STEP = 1.5
const HALVINGS = 2

const talkers: readonly Kind[] = [
  KINDS.hearth,
  KINDS['hearth-deno'],
  KINDS.uws,
  KINDS.lesson,
  KINDS.socketio,
  KINDS.deno,
  KINDS.control,
]

export interface Scenario {
  about: string
  kinds: readonly Kind[]
  measure(run: Run): Promise<Table[]>
}

export const SCENARIOS: Record<string, Scenario> = {
  sustained: {
    about: 'the most that 500 members get in time: ≥ 99 % delivered, p99 ≤ 250 ms',
    kinds: talkers,
    measure: async (run) => {
      const table = tableOf('Sustained, 500 members', [
        'deliveries/s',
        'messages/s',
        'p99 ms',
        'µs/delivery',
      ])
      await each(run, async (kind) => {
        const best = await findLimit(kind, run)
        note(table, kind.name, {
          'deliveries/s': best.perSecond,
          'messages/s': best.rate,
          'p99 ms': best.p99,
          'µs/delivery': best.micros,
        })
        run.say(`${kind.name}: ${Math.round(best.perSecond)}/s at p99 ${best.p99.toFixed(0)} ms`)
      })
      return [table]
    },
  },

  steady: {
    about: 'what a delivery costs, and how late it is, at 100 and at 2,000 messages/s',
    kinds: talkers,
    measure: async (run) => {
      const columns = ['µs/delivery', 'delivered %', 'p50 ms', 'p99 ms', 'max ms']
      const tables = [100, 2000].map((rate) => ({
        rate,
        ...tableOf(`${rate} messages/s to 500 members`, columns),
      }))
      await each(run, async (kind) => {
        await once(kind, run, MEMBERS, 1, async (talk) => {
          // What is measured is a server that has run for a while.
          let seen = await talk(kind.modest)
          for (const { rate, ...table } of tables) {
            seen = await talk(rate, 5000)
            note(table, kind.name, {
              'µs/delivery': seen.micros,
              'delivered %': seen.share * 100,
              'p50 ms': seen.p50,
              'p99 ms': seen.p99,
              'max ms': seen.max,
            })
            run.say(
              `${kind.name}, ${rate}/s: ${seen.micros.toFixed(2)} µs, p99 ${seen.p99.toFixed(1)}`,
            )
          }
          return seen
        })
      })
      return tables
    },
  },

  overload: {
    about: 'three times what it manages, for 15 s, and 100 messages/s afterwards',
    kinds: [KINDS.hearth, KINDS['hearth-deno']],
    measure: async (run) => {
      const columns = [
        'deliveries/s',
        'refused/s',
        'closed',
        'p99 ms',
        'memory before MiB',
        'after MiB',
        'p99 afterwards ms',
      ]
      const table = tableOf('Offered 20,000 messages/s', columns)
      await each(run, async (kind) => {
        await once(kind, run, MEMBERS, 1, async (talk, server) => {
          await talk(1000, 3000)
          const before = server.memory()
          const seen = await talk(20_000, 15_000)
          const after = server.memory()
          const then = await talk(100, 3000)
          note(table, kind.name, {
            'deliveries/s': seen.perSecond,
            'refused/s': seen.refused / 15,
            closed: seen.closed,
            'p99 ms': seen.p99,
            'memory before MiB': before / 2 ** 20,
            'after MiB': after / 2 ** 20,
            'p99 afterwards ms': then.p99,
          })
          return seen
        })
        run.say(`${kind.name}: done`)
      })
      return [table]
    },
  },

  idle: {
    about: 'memory of a connection, and what 15,000 that say nothing cost',
    kinds: [KINDS.bare, KINDS.hearth, KINDS['hearth-deno'], KINDS.deno],
    measure: async (run) => {
      const table = tableOf('Idle', ['KiB/connection', '15,000: % of a core'])
      await each(run, (kind) =>
        withServer(kind, run, async (server, load) => {
          const count = 15_000
          const before = server.memory()
          await enter(load, kind, server, count, 100)
          await sleep(5000)
          const each = (server.memory() - before) / count / 1024
          const cpu = server.cpu()
          await sleep(50_000)
          const share = ((server.cpu() - cpu) / 50) * 100
          note(table, kind.name, { 'KiB/connection': each, '15,000: % of a core': share })
          run.say(`${kind.name}: ${each.toFixed(1)} KiB, ${share.toFixed(1)} %`)
        }),
      )
      return [table]
    },
  },

  return: {
    about: '2,000 are cut off at once, come back and have what they missed',
    kinds: [KINDS.hearth, KINDS['hearth-deno']],
    measure: async (run) => {
      const table = tableOf('2,000 come back', [
        's until the last has all',
        'ms of the server each',
      ])
      await each(run, (kind) =>
        withServer(kind, run, async (server, load) => {
          await enter(load, kind, server, 2000, 1)
          const cpu = server.cpu()
          const { took } = await load.order<{ took: number }>({ do: 'return' })
          note(table, kind.name, {
            's until the last has all': took / 1000,
            'ms of the server each': ((server.cpu() - cpu) / 2000) * 1000,
          })
          run.say(`${kind.name}: ${(took / 1000).toFixed(2)} s`)
        }),
      )
      return [table]
    },
  },

  start: {
    about: 'from the start of the process until it listens',
    kinds: [KINDS.hearth, KINDS['hearth-deno']],
    measure: async (run) => {
      const table = tableOf('Start', ['ms until it listens'])
      for (let tries = 0; tries < 5; tries += 1) {
        await each(run, async (kind) => {
          const server = await kind.start()
          note(table, kind.name, { 'ms until it listens': server.started })
          await server.stop()
        })
      }
      return [table]
    },
  },

  log: {
    about: 'a log of 10 million messages against one of 1,000: start, pages, coming back',
    kinds: [KINDS.hearth, KINDS['hearth-deno']],
    measure: async (run) => {
      const columns = ['start ms', 'page p50 ms', 'page p99 ms', 'return p50 ms', 'return p99 ms']
      const table = tableOf('A long log', columns)
      for (const messages of [1000, 10_000_000]) {
        run.say(`making ${messages.toLocaleString('en')} messages`)
        const file = makeLog(messages)
        const read = async (kind: Kind, server: Server, load: Load) => {
          await enter(load, kind, server, 1, 1)
          const seen = await load.order<Record<'pages' | 'returns', Percentiles>>({
            do: 'read',
            times: 1000,
          })
          note(table, `${kind.name}, ${messages.toLocaleString('en')}`, {
            'start ms': server.started,
            'page p50 ms': seen.pages.p50,
            'page p99 ms': seen.pages.p99,
            'return p50 ms': seen.returns.p50,
            'return p99 ms': seen.returns.p99,
          })
        }
        await each(run, (kind) =>
          withServer(kind, run, (server, load) => read(kind, server, load), {
            DATA_FILE: file.path,
          }),
        )
        file.remove()
      }
      return [table]
    },
  },

  nodes: {
    about: 'one room on one, two and three nodes with Postgres and NATS, 250 members each',
    kinds: [KINDS.hearth],
    measure: async (run) => {
      const columns = ['µs/delivery', 'deliveries/s of as many cores', '× one node', 'p99 ms']
      const table = tableOf('Nodes, 500 messages/s', columns)
      await withServices(async (newEnvironment) => {
        await each(run, async (kind) => {
          let one = 0
          for (const count of [1, 2, 3]) {
            const env = await newEnvironment()
            const nodes: Server[] = []
            for (let n = 0; n < count; n += 1) nodes.push(await kind.start(env, run.flags))
            const load = startLoad()
            const ports = nodes.map(({ port }) => port)
            const { dialect } = kind
            await load.order({ do: 'enter', dialect, ports, members: 250 * count, rooms: 1 })
            const cpu = () => nodes.reduce((sum, node) => sum + node.cpu(), 0)
            const seen = await talk(load, { cpu }, 500, 6000)
            const most = (count / seen.micros) * 1e6
            if (count === 1) one = most
            note(table, `${count}`, {
              'µs/delivery': seen.micros,
              'deliveries/s of as many cores': most,
              '× one node': most / one,
              'p99 ms': seen.p99,
            })
            run.say(`${count} nodes: ${seen.micros.toFixed(3)} µs, × ${(most / one).toFixed(2)}`)
            await load.stop()
            for (const node of nodes) await node.stop()
          }
        })
      })
      return [table]
    },
  },

  growth: {
    about: 'what a second costs the server, by members, rooms and messages',
    kinds: [KINDS.hearth],
    measure: async (run) => {
      const columns = ['members', 'rooms', 'messages/s', '% of a core', 'Mbyte/s', 'p99 ms']
      const table = tableOf('Growth', columns)
      const points: [members: number, rooms: number, rate: number][] = [
        ...[10, 100, 1000, 10_000].map((members) => [members, 1, 50] as [number, number, number]),
        ...[1, 10, 100, 1000, 10_000].map(
          (rooms) => [10_000, rooms, 100] as [number, number, number],
        ),
        ...[10, 100, 500, 1000, 2000, 4000].map(
          (rate) => [500, 1, rate] as [number, number, number],
        ),
      ]
      for (const [members, rooms, rate] of points) {
        await each(run, async (kind) => {
          const seen = await once(kind, run, members, rooms, async (talk) => {
            await talk(rate, 2000)
            return talk(rate, 5000)
          })
          note(table, `${members} members, ${rooms} rooms, ${rate}/s`, {
            members,
            rooms,
            'messages/s': rate,
            '% of a core': seen.core * 100,
            'Mbyte/s': seen.bytes / 5e6,
            'p99 ms': seen.p99,
          })
          run.say(`${members} in ${rooms}, ${rate}/s: ${(seen.core * 100).toFixed(1)} %`)
        })
      }
      return [table]
    },
  },

  scaling: {
    about: 'what many people need, computed from unit costs; nothing is started',
    kinds: [],
    measure: async () => scalingTables(),
  },
}

interface Seen extends Talked {
  rate: number
  /** Of what should have come, 0 … 1. */
  share: number
  /** Deliveries. */
  perSecond: number
  /** Of the server, all its threads: per delivery in µs, and 1 for a whole core. */
  micros: number
  core: number
}

type Talk = (rate: number, time?: number) => Promise<Seen>

/** Runs `use` with a fresh server and members who are in. */
function once(
  kind: Kind,
  run: Run,
  members: number,
  rooms: number,
  use: (talk: Talk, server: Server) => Promise<Seen>,
): Promise<Seen> {
  return withServer(kind, run, async (server, load) => {
    await enter(load, kind, server, members, rooms)
    return use((rate, time) => talk(load, server, rate, time), server)
  })
}

/** Runs `use` with a fresh server and a load that is not in yet. */
async function withServer<T>(
  kind: Kind,
  run: Run,
  use: (server: Server, load: Load) => Promise<T>,
  env: Record<string, string> = {},
): Promise<T> {
  const server = await kind.start(env, run.flags)
  const load = startLoad()
  try {
    return await use(server, load)
  } finally {
    await load.stop()
    await server.stop()
  }
}

function enter(load: Load, { dialect }: Kind, { port }: Server, members: number, rooms: number) {
  return load.order({ do: 'enter', dialect, ports: [port], members, rooms })
}

async function talk(
  load: Load,
  server: Pick<Server, 'cpu'>,
  rate: number,
  time = 3000,
): Promise<Seen> {
  const warmUp = 1000
  const talking = load.order<Talked>({ do: 'talk', rate, bytes: BODY, warmUp, time })
  await sleep(warmUp)
  const before = server.cpu()
  await sleep(time)
  const cpu = server.cpu() - before
  const seen = await talking
  return {
    ...seen,
    rate,
    share: seen.delivered / seen.expected,
    perSecond: seen.delivered / (time / 1000),
    micros: (cpu / seen.delivered) * 1e6,
    core: cpu / (time / 1000),
  }
}

/** The highest rate at which a server keeps up. */
async function findLimit(kind: Kind, run: Run): Promise<Seen> {
  const attempt = async (rate: number) => {
    const seen = await once(kind, run, MEMBERS, 1, (talk) => talk(rate))
    const keepsUp = seen.share >= DELIVERED && seen.p99 <= PATIENCE_MS && seen.closed === 0
    return keepsUp ? seen : null
  }
  let best: Seen | null = null
  let rate = kind.modest
  let step = STEP
  for (let seen; (seen = await attempt(rate)); rate *= step) best = seen
  // The first guess may have been too much.
  while (!best) best = await attempt((rate /= step))
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    step = Math.sqrt(step)
    best = (await attempt(best.rate * step)) ?? best
  }
  return best
}

async function each(run: Run, measure: (kind: Kind) => Promise<void>) {
  for (let nth = 0; nth < run.runs; nth += 1) for (const kind of run.kinds) await measure(kind)
}

function tableOf(title: string, columns: readonly string[]): Table {
  return { title, columns, rows: new Map() }
}

function note({ rows }: Table, row: string, values: Record<string, number>) {
  const figures = rows.get(row) ?? new Map<string, number[]>()
  rows.set(row, figures)
  for (const [name, value] of Object.entries(values)) {
    figures.set(name, [...(figures.get(name) ?? []), value])
  }
}

function sleep(ms: number) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
