/** Who may open a TCP connection: counted by address, IPv6 site and in all. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGate } from '../../src/http/gate.ts'
import { socketRoom } from '../../src/descriptors.ts'
import { testConfig, testJournal, type ServerOptions } from '../helpers.ts'

/** Two connections for each of two that an address may hold, and eleven in all. */
const LIMITS = {
  ...{ connectionsPerIp: 2, peersPerConnection: 2, networksPerSite: 2 },
  ...{ connections: 8, sparePeers: 3 },
}

function openGate(options: ServerOptions = {}, room = Infinity) {
  const { journal, lines } = testJournal()
  const admit = createGate({ config: testConfig({ limits: LIMITS, ...options }), journal }, room)
  /** Opens as many as may be. @returns what closes each */
  const fill = (peer: string) => {
    const leaves: (() => void)[] = []
    for (let leave; (leave = admit(peer)) !== null;) leaves.push(leave)
    return leaves
  }
  return { admit, fill, lines }
}

test('an address has its own places, and gets them back', () => {
  const { admit, fill, lines } = openGate()
  const leaves = fill('192.0.2.1')
  assert.equal(leaves.length, 4)
  assert.equal(fill('::ffff:192.0.2.1').length, 0)
  const refusal = { code: 'too_many', reason: 'too many connections of this address' }
  assert.deepEqual(lines[0], { what: 'connection refused', ...refusal, address: '192.0.2.1' })
  assert.equal(fill('192.0.2.2').length, 4)
  for (const leave of [leaves[0]!, leaves[0]!]) leave()
  assert.ok(admit('192.0.2.1'))
  assert.equal(admit('192.0.2.1'), null)
})

test('networks of one IPv6 site share what some of them may have', () => {
  const { fill } = openGate()
  assert.equal(fill('2001:db8:1:1::1').length, 4)
  assert.equal(fill('2001:db8:1:1::2').length, 0)
  assert.equal(fill('2001:db8:1:2::1').length, 4)
  assert.equal(fill('2001:db8:1:3::1').length, 0)
  assert.equal(fill('2001:db8:2:1::1').length, 3, 'and all together eleven')
})

test('behind a proxy only all together are bounded', () => {
  const { fill, lines } = openGate({ env: { TRUST_PROXY: '1' } })
  assert.equal(fill('127.0.0.1').length, 11)
  assert.deepEqual([lines[0]?.code, lines[0]?.reason], ['unavailable', 'too many connections'])
})

test('a system that lets few files be open bounds them, too', () => {
  const { fill } = openGate({ env: { TRUST_PROXY: '1' } }, 5)
  assert.equal(fill('127.0.0.1').length, 5)
  assert.deepEqual([10_000, 512, 64, Infinity, null].map(socketRoom), [
    ...[9_744, 256, 32, Infinity, Infinity],
  ])
})
