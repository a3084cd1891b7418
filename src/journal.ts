/** What the operator reads: a line per event, never what people wrote or what opens a door. */

import type { Logger } from '@logtape/logtape'
import type { Clock } from './clock.ts'
import { Unavailable } from './faults.ts'
import { Buckets, TokenBucket } from './limits.ts'
import { Meter, Tally } from './meter.ts'

/** Between two lines about a log that does not answer; without one for so long it is back. ms */
const OUTAGE_MS = 10_000
/** Lines about refusals, for each address: at once, and then per second. */
const REFUSALS_BURST = 60
const REFUSALS_RATE = 1
/** The same for all addresses together, of which an IPv6 site has 65,536. */
const ALL_REFUSALS_BURST = 1_000
const ALL_REFUSALS_RATE = 20
/** Lines about sockets and streams that open and close: a node full of them, and then per second. */
const TRAFFIC_BURST = 20_000
const TRAFFIC_RATE = 50
/** Between two lines about connections that were refused, from whatever address. ms */
const CROWD_MS = 10_000
/** What strangers send may be long, and may hold what opens a door: 40 such letters in a row. */
const LONGEST = 120
const SECRET = /[\w-]{40,}/g
/** Names that we gave, or that a proxy of ours did: they may be as long. */
const IDS = ['request', 'connection']

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
  fault(this: void, error: unknown, facts?: Facts): void
  /** The log has answered: when that holds for a while, the end of an outage is said. */
  answer(this: void): void
  /** No connection can be accepted for now: said once in a while. */
  deaf(this: void, reason: string): void
  /** What happened, to whom. */
  event(this: void, what: string, facts: Facts): void
  /**
   * What was refused to whom; the lines of one address, and of all together, are counted, not
   * written, in a flood, and so are those about connections, whosever they are.
   */
  refusal(
    this: void,
    what: 'connection' | 'request' | 'handshake' | 'frame',
    refusal: Refusal,
  ): void
}

/** @param meter  counts what is written, and what is not for want of room */
export function createJournal(logger: Logger, clock: Clock, meter = new Meter()): Journal {
  const refusals = new Buckets(REFUSALS_RATE, REFUSALS_BURST)
  const allRefusals = new TokenBucket(ALL_REFUSALS_RATE, ALL_REFUSALS_BURST, clock.now())
  const traffic = new TokenBucket(TRAFFIC_RATE, TRAFFIC_BURST, clock.now())
  const crowds = new TokenBucket(1_000 / CROWD_MS, 1, clock.now())
  const outages = new TokenBucket(1_000 / OUTAGE_MS, 1, clock.now())
  const unsaid = new Tally()
  let saidAt = -Infinity
  let unsaidFaults = 0
  /** The first and the last time that the log did not answer, until it is back. */
  let outage: { since: number; until: number } | null = null
  return {
    fault: (error, facts) => {
      if (!(error instanceof Unavailable)) {
        meter.faults += 1
        return logger.error('fault', { error, ...facts })
      }
      const now = clock.now()
      meter.unanswered += 1
      unsaidFaults += 1
      outage = { since: outage?.since ?? now, until: now }
      if (now - saidAt < OUTAGE_MS) return
      const { message: reason } = error
      logger.error('the log does not answer', { times: unsaidFaults, reason, ...facts })
      saidAt = now
      unsaidFaults = 0
    },
    answer: () => {
      // A full disk is read as ever: only when nobody complains any more is it over.
      if (!outage || clock.now() - outage.until < OUTAGE_MS) return
      const goneMs = Math.round(outage.until - outage.since)
      logger.warn('the log answers again', { goneMs, unsaid: unsaidFaults || undefined })
      outage = null
      saidAt = -Infinity
      unsaidFaults = 0
    },
    deaf: (reason) => {
      meter.refused.add('connection unavailable')
      if (outages.take(clock.now()) > 0) return unsaid.add('deaf')
      const times = 1 + (unsaid.get('deaf') ?? 0)
      logger.error('no connection is accepted', { times, reason })
      unsaid.delete('deaf')
    },
    event: (what, facts) => {
      if (what === 'opened') meter.opened += 1
      if (what === 'closed') meter.closed.add(String(facts.code ?? 'none'))
      const isTraffic = what === 'opened' || what === 'closed'
      if (isTraffic && traffic.take(clock.now()) > 0) return unsaid.add('traffic')
      logger.info(what, clean(isTraffic ? { ...facts, unsaid: unsaid.get('traffic') } : facts))
      if (isTraffic) unsaid.delete('traffic')
    },
    refusal: (what, refusal) => {
      meter.refused.add(`${what} ${refusal.code}`)
      const [kind, now] = [what === 'connection' ? what : 'other', clock.now()]
      const wait =
        what === 'connection'
          ? crowds.take(now)
          : refusals.take(refusal.address, now) || allRefusals.take(now)
      if (wait > 0) return unsaid.add(kind)
      logger.info(`${what} refused`, clean({ ...refusal, unsaid: unsaid.get(kind) }))
      unsaid.delete(kind)
    },
  }
}

/** The same journal for one request: these facts are in each of its lines. */
export function withFacts(journal: Journal, more: Facts): Journal {
  return {
    ...journal,
    fault: (error) => journal.fault(error, more),
    event: (what, facts) => journal.event(what, { ...more, ...facts }),
    refusal: (what, refusal) => journal.refusal(what, { ...more, ...refusal }),
  }
}

/** Facts that are there, short, and without anything that could be a secret. */
function clean(facts: Facts) {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    known.map(([name, value]) => {
      const isForeign = typeof value === 'string' && !IDS.includes(name)
      return [name, isForeign ? shorten(value) : value]
    }),
  )
}

function shorten(text: string) {
  // Cut before as well: what strangers send may be as long as the head of a request.
  const plain = text.slice(0, LONGEST * 2).replace(SECRET, '…')
  return plain.slice(0, LONGEST)
}
