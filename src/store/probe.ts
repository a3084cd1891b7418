/** Whether the log answers: asked once a second, so that nobody who wants to know makes any load. */

import type { Clock } from '../clock.ts'
import type { Journal } from '../journal.ts'
import type { Limits } from '../limits.ts'
import { LogUnavailable, type Log } from './log.ts'

/** Any room will do, also one that is not there. */
const POSITION = { room: 'lobby', seq: 0 }

export interface LogProbe {
  /** Whether the last question was answered in time. */
  readonly isUp: boolean
  /** For how long the log has not answered; below a second or two while all is well. ms */
  readonly silentMs: number
  close(): void
}

export interface LogProbeOptions {
  log: Pick<Log, 'compare'>
  clock: Clock
  limits: Pick<Limits, 'probeMs' | 'probeDeadlineMs'>
  /** Hears of answers, and of questions without one. */
  journal: Pick<Journal, 'answer' | 'fault'>
}

/**
 * Asks from now on, one question at a time. Opening the log was the first answer. It only reads: a
 * full disk is seen where something is written.
 */
export function createLogProbe({ log, clock, limits, journal }: LogProbeOptions): LogProbe {
  let isUp = true
  let isAsking = false
  let isClosed = false
  let cancel = () => {}
  let answeredAt = clock.now()
  const fail = (error: unknown) => {
    // The log may have been closed under a question.
    if (isClosed) return
    isUp = false
    journal.fault(error)
  }
  const ask = async () => {
    if (isAsking) return
    isAsking = true
    const { probeDeadlineMs: deadline } = limits
    const giveUp = () => fail(new LogUnavailable(`silent for ${deadline} ms`))
    // In two halves: after a stall of this process there is time to read what came meanwhile.
    cancel = clock.after(deadline / 2, () => (cancel = clock.after(deadline / 2, giveUp)))
    try {
      await log.compare([POSITION])
      isUp = true
      answeredAt = clock.now()
      journal.answer()
    } catch (error) {
      fail(error)
    } finally {
      cancel()
      isAsking = false
    }
  }
  const stop = clock.every(limits.probeMs, () => void ask())
  return {
    get isUp() {
      return isUp
    },
    get silentMs() {
      return clock.now() - answeredAt
    },
    close: () => {
      isClosed = true
      stop()
      cancel()
    },
  }
}
