/** Which address a request counts for, behind any number of proxies. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientAddress } from '../../src/auth/addresses.ts'

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
    '1.2.3.4:5678',
    '[::1]:80',
    '999.1.1.1',
    '<script>',
    '::1::',
    '/',
  ]
  for (const header of garbage) assert.equal(clientAddress(PEER, header, 1), PEER, header)
  assert.equal(clientAddress('', undefined, 0), 'unknown')
  assert.equal(clientAddress('', 'x', 1), 'unknown')
})
