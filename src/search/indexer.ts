/** The index of words follows the log: at leisure, or at once for somebody who searches. */

import { setImmediate } from 'node:timers'
import type { Clock } from '../clock.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import { LogUnavailable, SearchTooLong } from '../store/log.ts'

/** Times the length of a step: the index takes a tenth of the time from the talk. */
const REST = 9
const LEAST_REST_MS = 10
/** The least time from a step that was the last one to the next: what is said meanwhile is one. ms */
const GATHER_MS = 1_000
/** As long as a search may take. ms */
const REACH_MS = 4_000

/** How far a room is in the index, and how far it goes. */
export interface Progress {
  indexed: number
  head: number
}

export interface IndexerOptions {
  /** Takes some more of a room into the index; is called for one room after it has resolved. */
  step(room: string): Promise<Progress>
  clock: Clock
  /** Gets what nobody expected, for the operator. */
  onFault(error: unknown): void
}

export interface Indexer {
  /** Something was said in these rooms; taken in when there is time. */
  note(rooms: Iterable<string>): void
  /**
   * Resolves when all that is on disk now is in the index.
   * @throws {SearchTooLong} when that takes too long; else what a step throws
   */
  reach(room: string): Promise<void>
  /** Resolves when no step is under way any more. Idempotent. */
  close(): Promise<void>
}

interface Step {
  hasBegun: boolean
  done: Promise<Progress>
}

export function createIndexer({ step, clock, onFault }: IndexerOptions): Indexer {
  const noted = new Set<string>()
  /** The last step of each room in which there is one, begun or waiting for the one before. */
  const steps = new Map<string, Step>()
  let isAwake = false
  let isClosed = false
  let stopRest = () => {}

  /** A step that begins after now: one that runs already may not know of the newest entry. */
  const next = (room: string): Promise<Progress> => {
    const last = steps.get(room)
    if (last && !last.hasBegun) return last.done
    const own: Step = {
      hasBegun: false,
      done: Promise.resolve(last?.done.catch(() => {}))
        .then(() => {
          if (isClosed) throw new LogUnavailable('the log is closed')
          own.hasBegun = true
          return step(room)
        })
        .finally(() => {
          if (steps.get(room) === own) steps.delete(room)
        }),
    }
    steps.set(room, own)
    return own.done
  }

  const rest = (ms: number) => {
    stopRest = clock.after(ms, () => void follow())
  }

  /** One step of the room that waits longest; one that is not done goes behind the others. */
  const follow = async () => {
    const [room] = noted
    isAwake = room !== undefined
    if (room === undefined) return
    noted.delete(room)
    const started = clock.now()
    let pause = DEFAULT_LIMITS.logRetryMs
    try {
      const { indexed, head } = await next(room)
      pause = Math.max(LEAST_REST_MS, REST * (clock.now() - started))
      if (indexed < head) noted.add(room)
      else pause = Math.max(GATHER_MS / (noted.size + 1), pause)
    } catch (error) {
      noted.add(room)
      if (!isClosed) onFault(error)
    }
    if (!isClosed) rest(pause)
  }

  return {
    note: (rooms) => {
      for (const room of rooms) noted.add(room)
      if (isAwake || isClosed || noted.size === 0) return
      isAwake = true
      rest(GATHER_MS)
    },

    reach: async (room) => {
      const deadline = clock.now() + REACH_MS
      const { indexed: reached, head } = await next(room)
      for (let indexed = reached; indexed < head; indexed = (await next(room)).indexed) {
        if (clock.now() >= deadline) throw new SearchTooLong('the search took too long')
        await new Promise((resolve) => setImmediate(resolve))
      }
    },

    close: async () => {
      isClosed = true
      stopRest()
      await Promise.allSettled([...steps.values()].map(({ done }) => done))
    },
  }
}
