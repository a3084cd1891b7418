/** How much of a page goes into one frame. */

import { Buffer } from 'node:buffer'
import type { Page } from '../protocol.ts'

/** Keeps the newest messages that fit `bytes` of JSON, and at least one. */
export function fitPage({ head, messages, more }: Page, bytes: number): Page {
  let left = bytes
  let start = messages.length
  while (start > 0) {
    left -= Buffer.byteLength(JSON.stringify(messages[start - 1]))
    if (left < 0 && start < messages.length) break
    start -= 1
  }
  return { head, messages: messages.slice(start), more: more || start > 0 }
}
