/** What makes two entries with one id the same entry. */

import { createHash } from 'node:crypto'
import type { Draft } from './log.ts'

/** The content of any kind of draft; what its kind does not have is undefined. */
export function contentOf(draft: Draft) {
  const { kind, body, target, replyTo, mentions, emoji, on }: Partial<AnyContent> & Draft = draft
  return { kind, body, target, replyTo, mentions, emoji, on }
}

interface AnyContent {
  body: string
  target: number
  replyTo: number | undefined
  mentions: string[] | undefined
  emoji: string
  on: boolean
}

/**
 * SHA-256 of the content, base64url. It stays when a delete erases the body, so that a late repeat
 * is still known as one.
 */
export function digestOf(draft: Draft): string {
  const content = JSON.stringify(Object.values(contentOf(draft)))
  return createHash('sha256').update(content).digest('base64url')
}
