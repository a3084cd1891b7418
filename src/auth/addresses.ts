/** Which address a request counts for. */

import ipaddr from 'ipaddr.js'

/** Bits of an IPv6 address that one customer shares with nobody (RFC 6177). */
const IPV6_PREFIX = 64

/**
 * @param peer  address of the TCP peer
 * @param forwardedFor  the `X-Forwarded-For` header, to which each proxy adds the address it saw
 * @param proxies  how many of the last addresses were written by proxies of ours; 0 trusts none
 * @returns the canonical address: `::ffff:` stripped, IPv6 as its /64
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, proxies: number) {
  const claimed = proxies > 0 && forwardedFor ? forwardedFor.split(',') : []
  const path = [...claimed.map((address) => address.trim()), peer]
  const address = path[Math.max(0, path.length - 1 - proxies)]!
  return canonical(address) ?? canonical(peer) ?? 'unknown'
}

function canonical(address: string): string | null {
  if (!ipaddr.isValid(address)) return null
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  return ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toString()}/${IPV6_PREFIX}`).toString()
}
