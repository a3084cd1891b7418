/** Which address a request counts for. */

import ipaddr from 'ipaddr.js'

/** Bits of an IPv6 address that one customer shares with nobody (RFC 6177). */
const IPV6_PREFIX = 64
/** Bits of what a provider gives to one customer at most: the 65,536 networks in it are one person's. */
const IPV6_SITE = 48
/** As some proxies write it: the address with its port, or IPv6 in brackets. */
const WITH_PORT = /^(?:(\d+(?:\.\d+){3}):\d{1,5}|\[([^\]]*)\](?::\d{1,5})?)$/

/**
 * @param peer  address of the TCP peer
 * @param forwardedFor  the `X-Forwarded-For` header, to which each proxy adds the address it saw
 * @param proxies  how many of the last addresses were written by proxies of ours; 0 trusts none
 * @returns the canonical address: `::ffff:` stripped, IPv6 as its /64
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, proxies: number) {
  return canonical(written(peer, forwardedFor, proxies)) ?? canonical(peer) ?? 'unknown'
}

/** Whether our proxy wrote an address that can be read; else all that it passes on count as its own. */
export function isReadable(forwardedFor: string | undefined, proxies: number): boolean {
  return canonical(written('0.0.0.0', forwardedFor, proxies)) !== null
}

function written(peer: string, forwardedFor: string | undefined, proxies: number): string {
  const claimed = proxies > 0 && forwardedFor ? forwardedFor.split(',') : []
  const path = [...claimed.map((address) => address.trim()), peer]
  return path[Math.max(0, path.length - 1 - proxies)]!
}

/** The IPv6 /48 around an address, of which one customer may have all; null for IPv4. */
export function siteOf(address: string): string | null {
  return ipaddr.IPv6.isValid(address) ? networkOf(address, IPV6_SITE) : null
}

function canonical(text: string): string | null {
  const [, v4, v6] = WITH_PORT.exec(text) ?? []
  const address = v4 ?? v6 ?? text
  if (!ipaddr.isValid(address)) return null
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4' ? parsed.toString() : networkOf(parsed.toString(), IPV6_PREFIX)
}

function networkOf(address: string, bits: number) {
  return ipaddr.IPv6.networkAddressFromCIDR(`${address}/${bits}`).toString()
}
