/** Random values that open doors, and the hashes under which they are kept. */

import { Buffer } from 'node:buffer'
import { createHash, timingSafeEqual } from 'node:crypto'

const SECRET_BYTES = 32

/** @returns 256 random bits in base64url without padding (43 characters) */
export function newSecret(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString('base64url')
}

/** SHA-256 in base64url. Enough for values that are random themselves; passwords would need more. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/** Eight hex digits that tell one log from another, and nothing else of it. @param epoch  of a log */
export function markOf(epoch: string): string {
  return createHash('sha256').update(epoch).digest('hex').slice(0, 8)
}

/** Compares two secrets of any length in a time that tells nothing about them. */
export function isSameSecret(a: string, b: string): boolean {
  const [left, right] = [a, b].map((secret) => createHash('sha256').update(secret).digest())
  return timingSafeEqual(left!, right!)
}
