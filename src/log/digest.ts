/** What makes two entries with one id the same entry. */

import { createHash } from 'node:crypto'
import type { Draft } from './log.ts'

/**
 * SHA-256 of the content, base64url. It stays when a delete erases the body, so that a late repeat
 * is still known as one.
 */
export function digestOf(draft: Draft): string {
  const { kind, body, target, replyTo, mentions, emoji, on } = draft as Draft &
    Partial<Record<'body' | 'target' | 'replyTo' | 'mentions' | 'emoji' | 'on', unknown>>
  const content = JSON.stringify([kind, body, target, replyTo, mentions, emoji, on])
  return createHash('sha256').update(content).digest('base64url')
}
