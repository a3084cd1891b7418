/** One node alone: there is nobody to tell and nothing to hear. */

import type { Bus } from './bus.ts'

export const localBus: Bus = {
  // A tool beside us may append (tools/forget.ts).
  trustMs: 10_000,
  isUp: true,
  listen: () => {},
  publish: () => {},
  subscribe: async () => {},
  unsubscribe: () => {},
  close: async () => {},
}
