import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clock } from '../../static/clock.js'

test('time goes on when the machine’s clock is set back by a day', (t) => {
  const DAY_MS = 86_400_000
  const { now } = Date
  t.after(() => (Date.now = now))
  const before = clock.now()
  Date.now = () => now() - DAY_MS
  const after = clock.now()
  assert.ok(after >= before && after < before + 1_000)
  Date.now = () => now() - DAY_MS + 5_000
  assert.ok(clock.now() >= after + 5_000)
})
