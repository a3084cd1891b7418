/** How many files and sockets the system lets this process open, where it can be read. */

import { readFileSync } from 'node:fs'
import { getLogger } from '@logtape/logtape'

/** Linux. Deno shows it to `--allow-all` only. */
const LIMITS = '/proc/self/limits'
/** Besides sockets of the chat: requests, the database, the log's files, modules. */
const OTHERS = 256

/** @returns the most open descriptors; null where nobody says, Infinity where there is no limit */
export function descriptorLimit(text = readLimits()): number | null {
  const soft = /^Max open files +(\d+|unlimited)/m.exec(text)?.[1]
  if (soft === undefined) return null
  return soft === 'unlimited' ? Infinity : Number(soft)
}

/** How many sockets a limit leaves room for: of a small one half. Infinity where nobody says. */
export function socketRoom(limit = descriptorLimit()): number {
  return limit === null ? Infinity : limit - Math.min(OTHERS, Math.ceil(limit / 2))
}

/** What to do about a limit that so many connections would meet; null when there is nothing. */
export function descriptorShortage(connections: number, limit: number | null) {
  const needed = connections + OTHERS
  if (limit === null || limit >= needed) return null
  const advice = `raise it (systemd: LimitNOFILE, a shell: ulimit -n) or lower MAX_CONNECTIONS`
  return { limit, needed, advice }
}

/** Both runtimes raise the soft limit to the hard one as they start: what is left is too little. */
export function warnOfDescriptors(connections: number) {
  const shortage = descriptorShortage(connections, descriptorLimit())
  if (shortage) getLogger(['hearth']).warn('too few open files are allowed', shortage)
}

function readLimits() {
  try {
    return readFileSync(LIMITS, 'utf8')
  } catch {
    return ''
  }
}
