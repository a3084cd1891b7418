/** A short stress of one SQLite file; by hand it goes on for minutes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stress } from './stress.ts'

test('a busy server, killed in the middle, and all data tools on one file: all is there, once', async (t) => {
  const { wrongs, stored, ...rest } = await stress(t, {
    ...{ seconds: 8, ageSeconds: 2, paceMs: 25 },
    least: { forgotten: 1, dropped: 50 },
  })
  t.diagnostic(JSON.stringify({ stored, ...rest }))
  assert.deepEqual(wrongs, [])
  assert.ok(stored >= 200, `${stored}`)
  assert.ok(rest.kills >= 1)
})
