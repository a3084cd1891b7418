/** Group commit: whatever waits on this node goes into the log in one transaction. */

import { Buffer } from 'node:buffer'
import { setImmediate } from 'node:timers'
import { sleep, type Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import { Meter } from '../meter.ts'
import type { Entry } from '../protocol.ts'
import { LogUnavailable, type Draft, type Log, type Outcome } from './log.ts'

/** Around the body of an entry: ids, name, time. bytes */
const ENTRY_OVERHEAD = 256

const UNAVAILABLE: Outcome = {
  code: 'unavailable',
  message: 'the message may or may not be stored; send it again with the same id',
}
const OVERLOADED: Outcome = { code: 'unavailable', message: 'too many messages are waiting' }
const UNSTORABLE: Outcome = { code: 'invalid_frame', message: 'this cannot be stored' }

export interface Appender {
  /**
   * Resolves when the draft's fate is known, in the order of the calls, after `onAppended` has
   * seen the batch. Never rejects.
   */
  append(draft: Draft): Promise<Outcome>
  /** Drafts that no commit has taken yet. */
  readonly waiting: number
  /** Resolves when nothing waits and nothing is in flight. */
  idle(): Promise<void>
}

export interface AppenderOptions {
  log: Log
  clock: Clock
  limits: Pick<Limits, 'commitMs' | 'batchEntries' | 'batchBytes' | 'waitingAppends'>
  /** Gets the new entries of a batch, ascending per room, as soon as they are on disk. */
  onAppended(entries: Entry[]): void
  /** Gets what went wrong, for the operator. */
  onFault(error: unknown): void
  meter?: Meter
}

interface Waiting {
  draft: Draft
  size: number
  /** Since when it waits. */
  since: number
  resolve(outcome: Outcome): void
}

export function createAppender(options: AppenderOptions): Appender {
  const { log, clock, limits, onAppended, onFault, meter = new Meter() } = options
  const queue: Waiting[] = []
  let isRunning = false
  let startedAt = -Infinity
  let idlers: (() => void)[] = []

  const takeBatch = () => {
    let bytes = 0
    let count = 0
    for (const { size } of queue) {
      bytes += size
      if (count === limits.batchEntries || (count > 0 && bytes > limits.batchBytes)) break
      count += 1
    }
    return queue.splice(0, count)
  }

  /** A batch that the log refuses as a whole is tried entry by entry: one may be to blame. */
  const store = async (drafts: Draft[]): Promise<Outcome[]> => {
    try {
      return await log.append(drafts)
    } catch (error) {
      onFault(error)
      if (error instanceof LogUnavailable) return drafts.map(() => UNAVAILABLE)
      if (drafts.length === 1) return [UNSTORABLE]
      const outcomes: Outcome[] = []
      for (const draft of drafts) {
        const isLost = outcomes.includes(UNAVAILABLE)
        outcomes.push(...(isLost ? [UNAVAILABLE] : await store([draft])))
      }
      return outcomes
    }
  }

  /** A commit costs as much as some tens of messages in it: what comes within a moment shares one. */
  const gather = async () => {
    const wait = startedAt + limits.commitMs - clock.now()
    if (wait > 0 && queue.length < limits.batchEntries) await sleep(clock, wait)
    startedAt = clock.now()
  }

  const run = async () => {
    while (queue.length > 0) {
      await gather()
      const batch = takeBatch()
      meter.observe('commit', batch.length)
      const outcomes = await store(batch.map(({ draft }) => draft))
      // Who waits behind a batch that got no answer would only wait as long again.
      if (outcomes.includes(UNAVAILABLE)) batch.push(...queue.splice(0))
      onAppended(outcomes.flatMap((outcome) => newEntry(outcome) ?? []))
      const now = clock.now()
      for (const [index, { resolve, since }] of batch.entries()) {
        const outcome = outcomes[index] ?? UNAVAILABLE
        meter.settle(outcome, now - since)
        resolve(outcome)
      }
    }
    isRunning = false
    for (const resolve of idlers) resolve()
    idlers = []
  }

  return {
    append: (draft) =>
      new Promise((resolve) => {
        if (queue.length >= limits.waitingAppends) return resolve(OVERLOADED)
        queue.push({ draft, size: sizeOf(draft), since: clock.now(), resolve })
        if (isRunning) return
        isRunning = true
        // After the sockets that are readable in this turn of the event loop: they are one batch.
        setImmediate(() => void run())
      }),
    get waiting() {
      return queue.length
    },
    idle: () =>
      isRunning ? new Promise<void>((resolve) => idlers.push(resolve)) : Promise.resolve(),
  }
}

function sizeOf(draft: Draft) {
  return ENTRY_OVERHEAD + ('body' in draft ? Buffer.byteLength(draft.body) : 0)
}

function newEntry(outcome: Outcome) {
  return outcome.entry && !outcome.repeat ? outcome.entry : null
}
