/** Which address a request counts for, behind any number of proxies. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AddressBuckets } from '../../src/auth/address-buckets.ts'
import { clientAddress, isReadable, siteOf } from '../../src/auth/addresses.ts'

const PEER = '10.0.0.1'

test('the address as far as our own proxies vouch for it', () => {
  // Peer, X-Forwarded-For, TRUST_PROXY, the address that counts.
  const cases: [string, string | undefined, number, string][] = [
    [PEER, undefined, 0, PEER],
    [PEER, '1.1.1.1', 0, PEER],
    [PEER, '1.1.1.1', 1, '1.1.1.1'],
    [PEER, '6.6.6.6, 1.1.1.1', 1, '1.1.1.1'],
    [PEER, '6.6.6.6, 1.1.1.1, 2.2.2.2', 2, '1.1.1.1'],
    [PEER, '1.1.1.1 ,2.2.2.2', 2, '1.1.1.1'],
    [PEER, '1.1.1.1', 5, '1.1.1.1'],
    [PEER, undefined, 2, PEER],
    [PEER, '', 1, PEER],
  ]
  for (const [peer, header, proxies, expected] of cases) {
    assert.equal(clientAddress(peer, header, proxies), expected, `${header} ${proxies}`)
  }
})

test('one spelling for one address; IPv6 by its /64', () => {
  const cases = {
    '::ffff:1.2.3.4': '1.2.3.4',
    '::FFFF:102:304': '1.2.3.4',
    '::1': '::',
    '2001:db8:0:1:2:3:4:5': '2001:db8:0:1::',
    '2001:DB8::1:ffff:ffff:ffff:ffff': '2001:db8:0:1::',
    '2001:0db8:0000:0001::': '2001:db8:0:1::',
    'fe80::1%eth0': 'fe80::',
  }
  for (const [peer, expected] of Object.entries(cases)) {
    assert.equal(clientAddress(peer, undefined, 0), expected, peer)
  }
})

test('what is no address falls back to the peer', () => {
  const garbage = [
    'unknown',
    '_hidden',
    '999.1.1.1',
    '999.1.1.1:80',
    '1.2.3.4:',
    '1.2.3.4:5678:9',
    '[1.2.3.4',
    '[]:80',
    '[1.2.3.4:80]',
    '<script>',
    '::1::',
    '/',
  ]
  for (const header of garbage) {
    assert.equal(clientAddress(PEER, header, 1), PEER, header)
    assert.deepEqual([isReadable(header, 1), isReadable(header, 0)], [false, true], header)
  }
  assert.deepEqual([isReadable('1.2.3.4', 1), isReadable(undefined, 1)], [true, true])
  assert.equal(clientAddress('', undefined, 0), 'unknown')
  assert.equal(clientAddress('', 'x', 1), 'unknown')
})

test('a port behind the address, as some proxies write it, is left out', () => {
  const cases = {
    '1.2.3.4:5678': '1.2.3.4',
    '[2001:db8:0:1::5]:443': '2001:db8:0:1::',
    '[2001:db8:0:1::5]': '2001:db8:0:1::',
    '[::ffff:1.2.3.4]:80': '1.2.3.4',
  }
  for (const [header, expected] of Object.entries(cases)) {
    assert.equal(clientAddress(PEER, header, 1), expected, header)
  }
})

test('an IPv6 address belongs to a site, its /48; IPv4 to none', () => {
  const networks = ['2001:db8:7:1::', '2001:db8:7:ffff::', '2001:db8:8::']
  assert.deepEqual(networks.map(siteOf), ['2001:db8:7::', '2001:db8:7::', '2001:db8:8::'])
  assert.deepEqual(['1.2.3.4', 'unknown', ''].map(siteOf), [null, null, null])
})

test('an IPv6 site may do as much as four of its networks, any IPv4 address as much as any', () => {
  const buckets = new AddressBuckets(1, 2)
  const taken = (address: string) => [0, 0, 0].map(() => buckets.take(address, 0) === 0)
  const networks = [1, 2, 3, 4, 5].map((n) => `2001:db8:7:${n}::`)
  const [first, , , fourth, fifth] = networks.map(taken)
  assert.deepEqual(
    [first, fourth],
    [
      [true, true, false],
      [true, true, false],
    ],
  )
  assert.deepEqual(fifth, [false, false, false])
  assert.deepEqual(taken('2001:db8:8:1::'), [true, true, false])
  assert.deepEqual(['1.2.3.4', '1.2.3.5'].map(taken), [first, first])
  assert.equal(buckets.take(networks[4]!, 1_000), 0)
})
