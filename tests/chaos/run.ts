/** One run: a crowd on a cluster, faults, peace, the final reads, the verdict. */

import { setTimeout as pause } from 'node:timers/promises'
import { createRandom, type Random } from '../random.ts'
import type { Scope } from '../process.ts'
import { check, type Violation } from './checker.ts'
import { startCluster, type Cluster, type Plan } from './cluster.ts'
import { CROWD, gatherCrowd, type Crowd, type CrowdPlan } from './crowd.ts'
import { faultsOf, type Fault } from './faults.ts'
import { readEverything } from './final.ts'
import { BOUNDS, DATABASE_OUTAGES, type Bounds } from './liveness.ts'
import type { World } from './person.ts'
import { Recorder, type Fact } from './record.ts'

/** Quiet before the first fault, and between two at least. ms */
const QUIET_MS = 1_500
/** How long a fault lasts, at least and at most, when it does not say. ms */
const LASTS: [number, number] = [2_500, 5_000]
const SETTLE_MS = 60_000

export interface RunOptions extends Plan {
  /** Of faults; without it each happens once. */
  seconds?: number
  seed: number
  /** Parts of the names of the faults; default: all that the cluster can have. */
  faults?: readonly string[]
  /** How long each lasts, at least and at most. ms */
  lasts?: readonly [least: number, most: number]
  /** Between two; without it, long enough to see how outages of the database end. */
  quietMs?: number
  crowd?: Partial<CrowdPlan>
  bounds?: Partial<Bounds>
  /** For everybody to be back, answered, and complete after the last fault. ms */
  settleMs?: number
  /** Gets one line now and then. */
  onProgress?(line: string): void
}

export interface Result {
  facts: readonly Fact[]
  /** Names of those that were to happen. */
  faults: readonly string[]
  violations: readonly Violation[]
}

export async function run(scope: Scope, options: RunOptions): Promise<Result> {
  const { seconds, seed, onProgress = () => {} } = options
  const random = createRandom(seed)
  const recorder = new Recorder()
  const cluster = await startCluster(scope, options, recorder)
  const crowdPlan = { ...CROWD, ...options.crowd }
  const world = worldOf(cluster, recorder)
  const crowd = await gatherCrowd(world, crowdPlan, random.below(1e9))
  scope.after(() => crowd.stop())
  onProgress(`${crowd.everybody.length} clients on ${cluster.nodes.length} nodes, seed ${seed}`)
  const end = recorder.now() + (seconds ?? Infinity) * 1_000
  const isOver = () => recorder.now() >= end
  const { lasts, quietMs } = options
  const isOnce = seconds === undefined
  const stage: Stage = {
    ...{ cluster, random, recorder, crowd, world, lasts, quietMs, isOnce, isOver, onProgress },
  }
  const faults = chosen(cluster, options.faults)
  await strikeAll(faults, stage)
  await crowd.hush()
  await settle(crowd, cluster, recorder.now() + (options.settleMs ?? SETTLE_MS))
  for (const survivor of crowd.everybody) survivor.stay()
  await crowd.stop()
  await readEverything(cluster, recorder)
  await Promise.all(cluster.nodes.map((node) => node.shutDown()))
  return {
    facts: recorder.facts,
    faults: faults.map(({ name }) => name),
    violations: check(recorder.facts, { ...BOUNDS, ...options.bounds }),
  }
}

function worldOf(cluster: Cluster, recorder: Recorder): World {
  let conns = 0
  return { url: cluster.url, recorder, nodeOf: cluster.nodeOf, nextConn: () => (conns += 1) }
}

function chosen(cluster: Cluster, parts: readonly string[] = ['']) {
  return faultsOf(cluster).filter(({ name }) => parts.some((part) => name.includes(part)))
}

interface Stage extends Pick<RunOptions, 'lasts' | 'quietMs'> {
  cluster: Cluster
  random: Random
  recorder: Recorder
  crowd: Crowd
  world: World
  isOnce: boolean
  isOver(): boolean
  onProgress(line: string): void
}

/** Each fault alone, in a random order; then, where there is a time for it, two at a time. */
async function strikeAll(faults: readonly Fault[], stage: Stage) {
  const { random, crowd, isOnce, isOver } = stage
  const left = shuffled(faults, random)
  await peace(QUIET_MS, isOver)
  while (!isOver()) {
    const first = left.pop()
    if (!first && isOnce) return
    const both = first ? [first] : shuffled(faults, random).slice(0, 2)
    await Promise.all(both.map((fault) => strike(fault, stage)))
    // Who fled to the nodes that were up is spread over all of them again.
    for (const one of crowd.everybody) if (random.chance(0.3)) one.drop()
    const isWatched = both.some(({ name }) => DATABASE_OUTAGES.has(name))
    const quietMs = stage.quietMs ?? (isWatched ? BOUNDS.recoveryMs : QUIET_MS)
    await peace(quietMs + random.below(quietMs), isOver)
  }
}

async function strike(fault: Fault, stage: Stage) {
  const { name, kind } = fault
  const { cluster, random, recorder, world, onProgress } = stage
  const [least, most] = stage.lasts ?? fault.lasts ?? LASTS
  const until = recorder.now() + least + random.below(most - least)
  const isOver = () => recorder.now() >= until
  const over = peace(until - recorder.now(), stage.isOver)
  recorder.note({ type: 'fault', name, kind, phase: 'start', what: '' })
  const { rooms } = stage.crowd
  const what = await fault.strike({ cluster, random, world, rooms, over, isOver })
  recorder.note({ type: 'fault', name, kind, phase: 'stop', what })
  onProgress(`${name}: ${what}`)
}

/** Lets time pass, less of it when the run is over. */
async function peace(ms: number, isOver: () => boolean) {
  const until = performance.now() + ms
  while (performance.now() < until && !isOver()) await pause(100)
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const keyed = values.map((value) => ({ value, key: random.next() }))
  return keyed.sort((a, b) => a.key - b.key).map(({ value }) => value)
}

/** Waits until all are back and answered, and have what the log has. */
async function settle({ everybody }: Crowd, cluster: Cluster, until: number) {
  const waitFor = async (isSo: () => boolean) => {
    while (!isSo() && performance.now() < until) {
      for (const one of everybody) one.comeBack()
      await pause(50)
    }
  }
  const isBack = () =>
    everybody.every(({ isSettled, outbox }) => isSettled && outbox.waiting.size === 0)
  await waitFor(isBack)
  const logs = await cluster.readLog()
  const hasAll = () =>
    everybody.every((one) =>
      one.rooms.every((room) => one.heldOf(room) >= (logs.get(room)?.head ?? 0)),
    )
  await waitFor(() => isBack() && hasAll())
}
