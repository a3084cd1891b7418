/** What the operator reads: a line per event, never what people wrote or what opens a door. */

import type { Logger } from '@logtape/logtape'
import type { Clock } from './clock.ts'
import { Buckets } from './limits.ts'
import { LogUnavailable } from './log/log.ts'

/** Between two lines about a log that does not answer. ms */
const OUTAGE_MS = 10_000
/** Lines about refusals, for each address: at once, and then per second. */
const REFUSALS_BURST = 60
const REFUSALS_RATE = 1
/** What strangers send may be long, and may hold what opens a door: 40 such letters in a row. */
const LONGEST = 120
const SECRET = /[\w-]{40,}/g

export type Facts = Readonly<Record<string, string | number | undefined>>

export interface Refusal extends Facts {
  /** The code of the protocol. */
  readonly code: string
  /** For a person; never a stranger's words. */
  readonly reason: string | undefined
  readonly address: string
}

export interface Journal {
  /** What nobody expected; that the log does not answer is said once in a while. */
  fault(this: void, error: unknown): void
  /** What happened, to whom. */
  event(this: void, what: string, facts: Facts): void
  /** What was refused to whom; the lines of one address are counted, not written, in a flood. */
  refusal(this: void, what: 'request' | 'handshake' | 'frame', refusal: Refusal): void
}

export function createJournal(logger: Logger, clock: Clock): Journal {
  const refusals = new Buckets(REFUSALS_RATE, REFUSALS_BURST)
  let unsaidRefusals = 0
  let saidAt = -Infinity
  let unsaidFaults = 0
  return {
    fault: (error) => {
      if (!(error instanceof LogUnavailable)) return logger.error('fault', { error })
      const now = clock.now()
      unsaidFaults += 1
      if (now - saidAt < OUTAGE_MS) return
      logger.error('the log does not answer', { times: unsaidFaults, reason: error.message })
      saidAt = now
      unsaidFaults = 0
    },
    event: (what, facts) => logger.info(what, clean(facts)),
    refusal: (what, refusal) => {
      if (refusals.take(refusal.address, clock.now()) > 0) return void (unsaidRefusals += 1)
      logger.info(`${what} refused`, clean({ ...refusal, unsaid: unsaidRefusals || undefined }))
      unsaidRefusals = 0
    },
  }
}

/** Facts that are there, short, and without anything that could be a secret. */
function clean(facts: Facts) {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    known.map(([name, value]) => [name, typeof value === 'string' ? shorten(value) : value]),
  )
}

function shorten(text: string) {
  // Cut before as well: what strangers send may be as long as the head of a request.
  const plain = text.slice(0, LONGEST * 2).replace(SECRET, '…')
  return plain.slice(0, LONGEST)
}
