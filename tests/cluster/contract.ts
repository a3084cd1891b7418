/** What every bus between nodes promises; each implementation runs all of it on a real server. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Bus, Hint } from '../../src/chat/bus.ts'
import type { BusOptions } from '../../src/cluster/link.ts'
import { systemClock } from '../../src/clock.ts'
import { DEFAULT_LIMITS, type Limits } from '../../src/limits.ts'
import type { Entry } from '../../src/protocol.ts'
import type { Scope } from '../process.ts'
import { recordLogs } from './logs.ts'

/** Short, but long enough for two busy cores. ms */
const PROBE_MS = 700
/** Longest wait for anything. ms */
const PATIENCE_MS = 10_000

export interface Network {
  /** A new bus of one more node. */
  open(options: BusOptions): Promise<Bus>
  /** Publishes words of somebody else about a room. */
  shout(room: string, text: string): Promise<void>
  /** Words that no node says. */
  garbage: string[]
  /** Ends the server, and starts it again. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Nothing goes through any more, though all connections stay. */
  freeze(): void
  thaw(): void
}

/** Opens one for a test; gone when that is over. */
export type OpenNetwork = (t: TestContext) => Promise<Network>

/** A bus, and what came of it. */
export interface Node {
  bus: Bus
  hints: Hint[]
  gaps: number
  faults: unknown[]
}

export function listenTo(bus: Bus): Node {
  const node: Node = { bus, hints: [], gaps: 0, faults: [] }
  bus.listen({ onHint: (hint) => node.hints.push(hint), onGap: () => (node.gaps += 1) })
  return node
}

/** Opens a node's bus; closed when the test is over. */
export async function openNode(
  scope: Scope,
  network: Pick<Network, 'open'>,
  limits: Partial<Limits> = {},
): Promise<Node> {
  const faults: unknown[] = []
  const bus = await network.open({
    limits: { ...DEFAULT_LIMITS, busProbeMs: PROBE_MS, ...limits },
    clock: systemClock,
    onFault: (error) => faults.push(error),
  })
  scope.after(() => bus.close())
  return Object.assign(listenTo(bus), { faults })
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean, what: string, ms = PATIENCE_MS) {
  const end = performance.now() + ms
  while (!condition()) {
    assert.ok(performance.now() < end, `waited for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const ann = { id: '00000000-0000-4000-8000-000000000001', name: 'Änn 👩🏽‍💻' }
const bob = '00000000-0000-4000-8000-000000000002'

export function entry(room: string, seq: number, body = `nr ${seq}`): Entry {
  const id = `10000000-0000-4000-8000-${String(seq).padStart(12, '0')}`
  const at = '2026-01-01T00:00:00.000Z'
  return { type: 'message', kind: 'message', room, seq, id, author: ann, at, body }
}

const everyKind = (room: string): Hint[] => [
  { type: 'presence', room },
  { type: 'entries', room, entries: [entry(room, 4), entry(room, 5)] },
  { type: 'typing', room, user: ann },
  { type: 'read', room, user: bob, seq: 3 },
  { type: 'admitted', room, user: ann, at: '2026-01-01T00:00:00.000Z' },
  { type: 'owner', room, owner: bob },
]

/** Where a bus may say only the head, both are the same. */
const asHead = (hint: Hint): Hint =>
  hint.type === 'entries' ? { type: 'head', room: hint.room, head: hint.entries.at(-1)!.seq } : hint

const headOf = (hint: Hint | undefined) => {
  const head = hint && asHead(hint)
  return head?.type === 'head' ? head.head : 0
}

/** Runs it as parts of the test `t`. */
export async function busContract(t: TestContext, openNetwork: OpenNetwork) {
  const check = (title: string, body: (network: Network, scope: Scope) => Promise<void>) =>
    t.test(title, async (part) => {
      // Nodes leave before their servers do; Node calls what is after a test first come, first served.
      const cleanups: (() => unknown)[] = []
      const network = await openNetwork(part)
      try {
        await body(network, { after: (cleanup) => cleanups.unshift(cleanup) })
      } finally {
        for (const cleanup of cleanups) await cleanup()
      }
    })

  /** Nodes that hear each other about the lobby. */
  const openNodes = async (t: Scope, network: Network, n: number) => {
    const nodes = await Promise.all(Array.from({ length: n }, () => openNode(t, network)))
    for (const { bus } of nodes) await until(() => bus.isUp, 'the bus')
    for (const { bus } of nodes) await bus.subscribe('lobby')
    return nodes as [Node, Node, ...Node[]]
  }

  await check(
    'each kind of hint reaches all other nodes, equal and in order',
    async (network, t) => {
      const [from, ...others] = await openNodes(t, network, 3)
      const hints = everyKind('lobby')
      for (const hint of hints) from.bus.publish(hint)
      for (const node of others) {
        await until(() => node.hints.length === hints.length, 'all hints')
        assert.deepEqual(node.hints.map(asHead), hints.map(asHead))
      }
      others[0]!.bus.publish({ type: 'head', room: 'lobby', head: 9 })
      await until(() => from.hints.length > 0, 'the answer')
      assert.deepEqual(from.hints, [{ type: 'head', room: 'lobby', head: 9 }])
      for (const node of [from, ...others]) assert.deepEqual(node.faults, [])
    },
  )

  await check(
    'only subscribed rooms are heard, and those no longer than wished',
    async (network, t) => {
      const [from, to] = await openNodes(t, network, 2)
      await to.bus.subscribe('garden')
      await to.bus.subscribe('garden')
      from.bus.publish({ type: 'head', room: 'garden', head: 1 })
      from.bus.publish({ type: 'head', room: 'cellar', head: 1 })
      from.bus.publish({ type: 'head', room: 'lobby', head: 1 })
      await until(() => to.hints.length === 2, 'two hints')
      assert.deepEqual(
        to.hints.map(({ room }) => room),
        ['garden', 'lobby'],
      )
      to.bus.unsubscribe('garden')
      to.bus.unsubscribe('cellar')
      // The server has taken the first when it has taken the second.
      await to.bus.subscribe('attic')
      from.bus.publish({ type: 'head', room: 'garden', head: 2 })
      from.bus.publish({ type: 'head', room: 'attic', head: 1 })
      await until(() => to.hints.length === 3, 'the third')
      assert.equal(to.hints[2]!.room, 'attic')
    },
  )

  await check(
    'the hints of a room keep their order, and the last one comes',
    async (network, t) => {
      const [from, to] = await openNodes(t, network, 2)
      for (let seq = 1; seq <= 1_000; seq += 1) {
        from.bus.publish({ type: 'entries', room: 'lobby', entries: [entry('lobby', seq)] })
        if (seq % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await until(() => headOf(to.hints.at(-1)) === 1_000, 'the last')
      const heads = to.hints.map(headOf)
      assert.deepEqual(
        heads,
        heads.toSorted((a, b) => a - b),
      )
    },
  )

  await check(
    'a server that ends and comes back: down, up, and then one gap',
    async (network, t) => {
      const logs = recordLogs(t)
      const nodes = await openNodes(t, network, 2)
      assert.deepEqual(
        nodes.map(({ gaps }) => gaps),
        [1, 1],
      )
      assert.equal(nodes[0].bus.trustMs, DEFAULT_LIMITS.compareMs)
      await network.stop()
      for (const { bus } of nodes) {
        await until(() => !bus.isUp, 'the end')
        assert.equal(bus.trustMs, DEFAULT_LIMITS.compareDownMs)
        for (const hint of everyKind('lobby')) bus.publish(hint)
        await bus.subscribe('garden')
      }
      assert.deepEqual(
        nodes.map(({ gaps }) => gaps),
        [1, 1],
      )
      await network.start()
      for (const node of nodes) {
        await until(() => node.gaps === 2, 'the gap')
        assert.ok(node.bus.isUp)
      }
      assert.equal(logs.said('bus up'), 4)
      nodes[0].bus.publish({ type: 'head', room: 'garden', head: 77 })
      nodes[1].bus.publish({ type: 'head', room: 'lobby', head: 78 })
      await until(() => headOf(nodes[1].hints.at(-1)) === 77, 'a room subscribed meanwhile')
      await until(() => headOf(nodes[0].hints.at(-1)) === 78, 'a room subscribed before')
      assert.deepEqual([nodes[0].gaps, nodes[1].gaps], [2, 2])
      for (const node of nodes) assert.deepEqual(node.faults, [])
    },
  )

  await check('a frozen server is noticed, and so is its return', async (network, t) => {
    const [from, to] = await openNodes(t, network, 2)
    network.freeze()
    await until(() => !from.bus.isUp && !to.bus.isUp, 'the freeze', 3 * PROBE_MS)
    for (let seq = 1; seq < 1_000; seq += 1) {
      from.bus.publish({ type: 'entries', room: 'lobby', entries: [entry('lobby', seq)] })
    }
    const gaps = to.gaps
    network.thaw()
    await until(() => to.gaps > gaps && from.bus.isUp, 'the thaw')
    from.bus.publish({ type: 'head', room: 'lobby', head: 5_000 })
    await until(() => headOf(to.hints.at(-1)) === 5_000, 'a hint')
  })

  await check('a server that is not there yet is waited for', async (network, t) => {
    await network.stop()
    const logs = recordLogs(t)
    const node = await openNode(t, network)
    await node.bus.subscribe('lobby')
    await until(() => logs.said('bus down') > 0, 'a word about it')
    assert.ok(!node.bus.isUp)
    await network.start()
    await until(() => node.gaps === 1 && node.bus.isUp, 'the server')
    const other = await openNode(t, network)
    await until(() => other.bus.isUp, 'the other')
    other.bus.publish({ type: 'head', room: 'lobby', head: 1 })
    await until(() => node.hints.length === 1, 'a hint')
  })

  await check(
    'what a stranger says is dropped, said once, and ends nothing',
    async (network, t) => {
      const logs = recordLogs(t)
      const [from, to] = await openNodes(t, network, 2)
      for (const text of network.garbage) await network.shout('lobby', text)
      from.bus.publish({ type: 'head', room: 'lobby', head: 8 })
      await until(() => to.hints.length > 0, 'the hint')
      assert.deepEqual(to.hints, [{ type: 'head', room: 'lobby', head: 8 }])
      assert.equal(logs.said('bus message dropped'), 2, 'once per node')
      assert.deepEqual([from.gaps, to.gaps, from.bus.isUp, to.bus.isUp], [1, 1, true, true])
      assert.deepEqual([...from.faults, ...to.faults], [])
    },
  )

  await check('the last words of a node that closes are heard', async (network, t) => {
    const [from, to] = await openNodes(t, network, 2)
    from.bus.publish({ type: 'head', room: 'lobby', head: 3 })
    await Promise.all([from.bus.close(), from.bus.close()])
    from.bus.publish({ type: 'head', room: 'lobby', head: 4 })
    await from.bus.subscribe('garden')
    from.bus.unsubscribe('lobby')
    assert.ok(!from.bus.isUp)
    await until(() => to.hints.length === 1, 'the last word')
    assert.deepEqual(to.hints, [{ type: 'head', room: 'lobby', head: 3 }])
  })

  await check('it closes in time, whatever the server does', async (network, t) => {
    const [first, second] = await openNodes(t, network, 2)
    const close = async ({ bus }: Node) => {
      const start = performance.now()
      await bus.close()
      assert.ok(performance.now() - start < 2_000, 'two seconds')
      assert.ok(!bus.isUp)
    }
    network.freeze()
    first.bus.publish({ type: 'head', room: 'lobby', head: 3 })
    await close(first)
    network.thaw()
    await network.stop()
    await close(second)
    await network.start()
    assert.deepEqual([first.gaps, second.gaps], [1, 1])
  })
}
