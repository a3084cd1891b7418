/** How a bus keeps its one connection, without a server. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Link } from '../../src/cluster/link.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { TestClock, turn } from '../helpers.ts'
import type { Scope } from '../process.ts'
import { recordLogs } from './logs.ts'

function openLink(scope: Scope, { isThere = true } = {}) {
  const clock = new TestClock()
  const net = { isThere, probe: async () => {}, ups: 0 }
  const wires: { onEnd(reason: unknown): void; openedAt: number; isEnded: boolean }[] = []
  const link = new Link({
    name: 'test',
    limits: { ...DEFAULT_LIMITS, busProbeMs: 1_000 },
    clock,
    onFault: assert.ifError,
    open: async (onEnd) => {
      const wire = { onEnd, openedAt: clock.now(), isEnded: false }
      wires.push(wire)
      if (!net.isThere) throw new Error('nobody is there')
      const end = () => void (wire.isEnded = true)
      return { probe: () => net.probe(), silence: () => 'silence', end }
    },
  })
  link.listener.onGap = () => (net.ups += 1)
  scope.after(() => link.close())
  return { link, net, clock, wires }
}

const never = () => new Promise<void>(() => {})

void test('tries come later and later, up to two seconds, and never end', async (t) => {
  const logs = recordLogs(t)
  const { link, net, clock, wires } = openLink(t, { isThere: false })
  await clock.advance(60_000)
  const pauses = wires.slice(1).map(({ openedAt }, i) => openedAt - wires[i]!.openedAt)
  assert.ok(pauses.length >= 30 && pauses[0]! <= 250, `${pauses}`)
  assert.ok(
    pauses.slice(3).every((pause) => pause >= 1_000 && pause <= 2_000),
    `${pauses}`,
  )
  assert.deepEqual([logs.said('bus down'), link.isUp, net.ups], [1, false, 0])
  net.isThere = true
  await clock.advance(2_000)
  assert.deepEqual([logs.said('bus up'), link.isUp, net.ups], [1, true, 1])
})

void test('a probe without an answer ends the connection; the next one is up', async (t) => {
  const logs = recordLogs(t)
  const { link, net, clock, wires } = openLink(t)
  await clock.advance(900)
  net.probe = never
  await clock.advance(1_000)
  assert.ok(link.isUp, 'the probe is under way')
  await clock.advance(100)
  assert.deepEqual([link.isUp, wires[0]!.isEnded], [false, true])
  net.probe = async () => {}
  await clock.advance(250)
  // The end of the first must not end the second.
  wires[0]!.onEnd(new Error('late'))
  await turn()
  assert.deepEqual([link.isUp, net.ups, wires.length], [true, 2, 2])
  assert.match(logs.text(), /silence/)
})

void test('a stall of this process is not taken for silence', async (t) => {
  const { link, net, clock } = openLink(t)
  let answer = () => {}
  net.probe = () => new Promise((resolve) => (answer = resolve))
  await clock.advance(1)
  clock.skip(20_000)
  await clock.advance(1)
  answer()
  await clock.advance(499)
  assert.deepEqual([link.isUp, net.ups], [true, 1])
})

void test('complaints are said once a minute', async (t) => {
  const logs = recordLogs(t)
  const { link, clock } = openLink(t)
  for (let n = 0; n < 1_000; n += 1) link.complain('garbage')
  await clock.advance(60_000)
  link.complain('garbage')
  assert.equal(logs.said('bus message dropped'), 2)
})

void test('after close nothing is opened, and what was is ended', async (t) => {
  const { link, clock, wires } = openLink(t)
  await clock.advance(10)
  link.close()
  link.close()
  await clock.advance(60_000)
  assert.deepEqual([link.isUp, wires.length, wires[0]!.isEnded], [false, 1, true])
  const other = openLink(t)
  other.link.close()
  await other.clock.advance(60_000)
  assert.deepEqual([other.net.ups, other.wires.length, other.wires[0]!.isEnded], [0, 1, true])
})
