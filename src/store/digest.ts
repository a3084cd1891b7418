/** What makes two entries with one id the same entry. */

import { hash } from 'node:crypto'
import type { Draft } from './log.ts'

/** The content of any kind of draft; what its kind does not have is undefined. */
export interface AnyContent {
  kind: Draft['kind']
  body?: string | undefined
  target?: number | undefined
  replyTo?: number | undefined
  mentions?: string[] | undefined
  emoji?: string | undefined
  on?: boolean | undefined
}

/**
 * SHA-256 of the content, base64url. It stays when a delete erases the body, so that a late repeat
 * is still known as one.
 */
export function digestOf(draft: AnyContent): string {
  const { kind, body, target, replyTo, mentions, emoji, on } = draft
  const text = JSON.stringify([kind, body, target, replyTo, mentions, emoji, on])
  return hash('sha256', text, 'base64url')
}
