/**
 * All that is measured, by name, with its unit: a room that `METRICS_TOKEN` opens. It costs
 * `prom-client`, and ten looks a second at how late the event loop is.
 */

import { readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { Counter, Gauge, Histogram, Registry, type Metric } from 'prom-client'
import { runtime } from '#runtime'
import type { Hub } from '../chat/hub.ts'
import { descriptorLimit } from '../descriptors.ts'
import type { LogProbe } from '../store/probe.ts'
import type { Observed, Tally } from '../meter.ts'

/** Between two looks at how late the event loop is. ms */
const LAG_MS = 100
/** Between two questions how large the database is. ms */
const SIZE_MS = 60_000
/** s */
const WAITS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const DRAFTS = [1, 2, 5, 10, 20, 50, 100, 200, 500]
const OPEN_FILES = '/proc/self/fd'
const WAL_BYTES = 'hearth_sqlite_wal_bytes'

/** A number, or one for each set of labels. */
type Reading = number | (readonly [labels: Record<string, string>, value: number])[]
type Named = [name: string, help: string, read: () => Reading, labels?: string[]]

export interface Measured {
  hub: Hub
  probe: LogProbe
  /** How long the -wal of the SQLite file is, where there is one. */
  walBytes: (() => number) | undefined
  /** How much the database takes on its disk. */
  bytes(): Promise<number>
}

/** Reads everything when it is asked; only the histograms hear of each value. */
export function createMetrics({ hub, probe, walBytes, bytes }: Measured) {
  const registry = new Registry()
  for (const counter of countersOf(hub)) registry.registerMetric(counterOf(counter))
  const wal: Named[] = walBytes ? [[WAL_BYTES, 'Length of the -wal file', walBytes]] : []
  for (const gauge of [...gaugesOf(hub, probe), ...wal, ...processGauges()]) {
    registry.registerMetric(gaugeOf(gauge))
  }
  registry.registerMetric(counterOf(CPU))
  registry.registerMetric(sizeOf(bytes, hub))
  observe(hub, registry)
  return {
    contentType: registry.contentType,
    read: () => registry.metrics(),
    close: watchLag(hub, registry),
  }
}

/** Users, rooms and addresses are never labels: there may be any number of them. */
function countersOf({ meter }: Hub): Named[] {
  return [
    [
      'hearth_connections_opened_total',
      'Sockets and event streams that were let in',
      () => meter.opened,
    ],
    [
      'hearth_connections_closed_total',
      'Those that are over, by the code of our close; none: the peer went by itself',
      ...byLabel('code', meter.closed),
    ],
    [
      'hearth_refusals_total',
      'Handshakes, requests and frames that were refused, by error code',
      () => [...meter.refused].map(([key, times]) => [refusalOf(key), times]),
      ['what', 'code'],
    ],
    [
      'hearth_frames_received_total',
      'Frames from clients, without pong that are free',
      () => meter.frames,
    ],
    [
      'hearth_frames_dropped_total',
      'Frames over the rate that were not even answered',
      () => meter.dropped,
    ],
    [
      'hearth_entries_appended_total',
      'New entries in the log from this node, by kind',
      ...byLabel('kind', meter.appended),
    ],
    ['hearth_entries_repeated_total', 'Drafts that were in the log already', () => meter.repeats],
    [
      'hearth_entries_delivered_total',
      'Entries written to members: to all at once by a flush, or to one who catches up',
      ...byLabel('by', meter.delivered),
    ],
    [
      'hearth_joins_total',
      'Joins: fresh, continued where the client was, or reset to the last page',
      ...byLabel('outcome', meter.joins),
    ],
    [
      'hearth_gap_repairs_total',
      'Reads of the log for entries that did not come by themselves',
      () => meter.repairs,
    ],
    ['hearth_log_errors_total', 'Questions that the log did not answer', () => meter.unanswered],
    ['hearth_faults_total', 'What nobody expected; each has a line in the log', () => meter.faults],
  ]
}

function gaugesOf(hub: Hub, probe: LogProbe): Named[] {
  const version = readVersion()
  const queues = () => [...hub.connections].map(({ queued }) => queued)
  return [
    [
      'hearth_build_info',
      'Always 1; what runs here',
      () => [[{ version, runtime: runtime.name }, 1]],
      ['version', 'runtime'],
    ],
    [
      'hearth_connections',
      'Open connections, by kind',
      () => {
        const streams = [...hub.connections].filter(({ isPresent }) => !isPresent).length
        const sockets = hub.connections.size - streams
        return [
          [{ kind: 'websocket' }, sockets],
          [{ kind: 'events' }, streams],
        ]
      },
      ['kind'],
    ],
    ['hearth_connections_limit', 'MAX_CONNECTIONS', () => hub.limits.connections],
    ['hearth_users', 'Users with a connection here', () => hub.sizes.users],
    ['hearth_rooms', 'Rooms open here', () => hub.sizes.rooms],
    ['hearth_tail_bytes', 'Newest entries held in memory', () => hub.sizes.tailBytes],
    ['hearth_appends_waiting', 'Drafts that no commit has taken', () => hub.sizes.appendsWaiting],
    ['hearth_entries_behind', 'Entries known of and not yet here', () => hub.sizes.behind],
    [
      'hearth_queue_bytes',
      'Written to sockets and not taken by the system: all together',
      () => queues().reduce((sum, bytes) => sum + bytes, 0),
    ],
    [
      'hearth_queue_max_bytes',
      'Written to one socket and not taken by the system: the longest queue',
      () => queues().reduce((most, bytes) => Math.max(most, bytes), 0),
    ],
    ['hearth_log_up', 'Whether the log answers', () => Number(probe.isUp)],
    ['hearth_log_silence_seconds', 'Since the log last answered', () => probe.silentMs / 1000],
    ['hearth_bus_up', 'Whether other nodes are heard; 1 without any', () => Number(hub.bus.isUp)],
    ['hearth_draining', 'Whether this node is about to end', () => Number(hub.isDraining)],
  ]
}

const CPU: Named = [
  'process_cpu_seconds_total',
  'Time on the processor, of the user and of the system',
  () => Object.values(process.cpuUsage()).reduce((sum, micros) => sum + micros, 0) / 1e6,
]

/** Asked once a minute at most, as Postgres looks at each of its files; what is not known is left out. */
function sizeOf(bytes: () => Promise<number>, { clock }: Hub): Metric {
  let askedAt = -Infinity
  return new Gauge({
    ...{ name: 'hearth_log_bytes', help: 'The database on its disk', registers: [] },
    async collect() {
      if (clock.now() - askedAt < SIZE_MS) return
      askedAt = clock.now()
      const size = await bytes().catch(() => null)
      if (size !== null) this.set(size)
    },
  })
}

/** By the names that dashboards know. What the runtime may not read is left out. */
function processGauges(): Named[] {
  const startedAt = Date.now() / 1000 - process.uptime()
  const limit = descriptorLimit()
  const all: Named[] = [
    ['process_start_time_seconds', 'Start, since 1970', () => startedAt],
    ['process_resident_memory_bytes', 'Memory', () => process.memoryUsage().rss],
    ['process_heap_bytes', 'Memory of JavaScript', () => process.memoryUsage().heapUsed],
  ]
  if (limit === null) return all
  return [
    ...all,
    ['process_open_fds', 'Open descriptors', () => readdirSync(OPEN_FILES).length],
    ['process_max_fds', 'Most open descriptors', () => limit],
  ]
}

function observe({ meter }: Hub, registry: Registry) {
  const registers = [registry]
  const histograms: { [K in keyof Observed]: (value: Observed[K]) => void } = {
    append: inSeconds(
      new Histogram({
        ...{ name: 'hearth_append_duration_seconds', buckets: WAITS, registers },
        help: 'From the wish to append to its outcome',
      }),
    ),
    delivery: inSeconds(
      new Histogram({
        ...{ name: 'hearth_delivery_delay_seconds', buckets: WAITS, registers },
        help: 'From the moment that an entry may go out to its flush: the longest of each flush',
      }),
    ),
    commit: (drafts) => commits.observe(drafts),
  }
  const commits = new Histogram({
    ...{ name: 'hearth_commit_entries', buckets: DRAFTS, registers },
    help: 'Drafts in one commit',
  })
  meter.observe = (what, value) => histograms[what](value)
}

/** `perf_hooks` measures this on each runtime from another zero; a timer is the same on both. */
function watchLag({ clock }: Hub, registry: Registry) {
  const observe = inSeconds(
    new Histogram({
      ...{ name: 'hearth_event_loop_lag_seconds', buckets: WAITS, registers: [registry] },
      help: `How late a timer of ${LAG_MS} ms is`,
    }),
  )
  let lastAt = clock.now()
  return clock.every(LAG_MS, () => {
    const now = clock.now()
    observe(Math.max(0, now - lastAt - LAG_MS))
    lastAt = now
  })
}

function inSeconds(histogram: Histogram) {
  return (ms: number) => histogram.observe(ms / 1000)
}

function byLabel(label: string, tally: Tally): [read: () => Reading, labels: string[]] {
  return [() => [...tally].map(([name, times]) => [{ [label]: name }, times]), [label]]
}

/** @param key  as `Meter.refused` has it */
function refusalOf(key: string) {
  const [what = '', code = ''] = key.split(' ')
  return { what, code }
}

function counterOf([name, help, read, labelNames = []]: Named): Metric {
  return new Counter({
    ...{ name, help, labelNames, registers: [] },
    collect() {
      this.reset()
      for (const [labels, value] of pairsOf(read())) this.inc(labels, value)
    },
  })
}

function gaugeOf([name, help, read, labelNames = []]: Named): Metric {
  return new Gauge({
    ...{ name, help, labelNames, registers: [] },
    collect() {
      for (const [labels, value] of pairsOf(read())) this.set(labels, value)
    },
  })
}

function pairsOf(reading: Reading) {
  return typeof reading === 'number' ? ([[{}, reading]] as const) : reading
}

function readVersion() {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
