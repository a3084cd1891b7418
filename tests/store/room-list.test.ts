/** The lists of rooms on SQLite: read on the event loop, which has its turns between them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dialect } from '../../src/cluster/driver.ts'
import { createLog } from '../../src/store/create-log.ts'
import type { Sql } from '../../src/store/sql.ts'
import { TestClock, turn } from '../helpers.ts'

test('lists that are asked for together are read one by one, with a rest as long behind each', async () => {
  const clock = new TestClock()
  let reads = 0
  const run: Sql['run'] = async () => {
    reads += 1
    clock.skip(50)
    if (reads === 2) throw new Error('it cannot be asked now')
    return [] as never
  }
  const sql = { run, dialect } as Sql
  const log = createLog({ sql, epoch: 'e', clock, rests: true, close: async () => {} })
  const asked = Promise.allSettled(['ann', 'bob', 'cid'].map((user) => log.rooms(user)))
  await turn()
  await clock.advance(49)
  assert.equal(reads, 1)
  // The clock of the test goes back to where it was sent.
  await clock.advance(1)
  assert.equal(reads, 2)
  await clock.advance(99)
  assert.equal(reads, 2, 'one that failed took as long')
  await clock.advance(1)
  const outcomes = (await asked).map(({ status }) => status)
  assert.deepEqual(outcomes, ['fulfilled', 'rejected', 'fulfilled'])
})
