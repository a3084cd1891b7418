/** Opens a bus on NATS, closes it half a second later, and must then come to an end by itself. */

import process from 'node:process'
import { createNatsBus } from '../../src/cluster/nats.ts'
import { sleep, systemClock as clock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'

const bus = createNatsBus({
  servers: [process.argv[2]!],
  epoch: 'e1',
  limits: DEFAULT_LIMITS,
  clock,
  onFault: (error) => console.log('fault', error),
})
await bus.subscribe('lobby')
await sleep(clock, 500)
console.log(bus.isUp ? 'up' : 'down')
await bus.close()
