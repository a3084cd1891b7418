/** What goes wrong, said once and not for every message that meets it. */

import type { Logger } from '@logtape/logtape'
import type { Clock } from './clock.ts'
import { LogUnavailable } from './log/log.ts'

/** Between two lines about a log that does not answer. ms */
const OUTAGE_MS = 10_000

/** @returns what takes every fault, whoever meets it */
export function createFaultLog(logger: Logger, clock: Clock): (error: unknown) => void {
  let saidAt = -Infinity
  let unsaid = 0
  return (error) => {
    if (!(error instanceof LogUnavailable)) return logger.error('fault', { error })
    const now = clock.now()
    unsaid += 1
    if (now - saidAt < OUTAGE_MS) return
    logger.error('the log does not answer', { times: unsaid, reason: error.message })
    saidAt = now
    unsaid = 0
  }
}
