/** Cleans up after a run that is not a test. */

import type { Scope } from '../process.ts'

export interface RunScope extends Scope {
  /** Everything in reverse. */
  end(): Promise<void>
}

export function createScope(): RunScope {
  const cleanups: (() => unknown)[] = []
  return {
    after: (cleanup) => void cleanups.push(cleanup),
    end: async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
    },
  }
}
