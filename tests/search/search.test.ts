/** The search as it is opened, over an index of which only the answers exist. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { createSearch } from '../../src/search/search.ts'
import { LogUnavailable } from '../../src/store/log.ts'
import { TestClock, turn } from '../helpers.ts'

const { logRetryMs: RETRY_MS } = DEFAULT_LIMITS
/** More than it takes until something that was noted is taken in. ms */
const SOON_MS = 2_000

/** @param behind  what is missing, or fails */
async function open(t: TestContext, behind: () => Promise<string[]>) {
  const clock = new TestClock()
  const faults: unknown[] = []
  const taken: string[] = []
  const index = {
    behind,
    step: async (room: string) => {
      taken.push(room)
      return { indexed: 1, head: 1 }
    },
    find: async () => ({ messages: [], head: 0, more: false }),
    close: async () => {},
  }
  const search = await createSearch(index, { clock, onFault: (error) => faults.push(error) })
  t.after(() => search.close())
  return { clock, faults, taken, search }
}

test('what is missing is asked for again while the database cannot be asked', async (t) => {
  let tries = 0
  const { clock, faults, taken, search } = await open(t, async () => {
    tries += 1
    if (tries < 4) throw new LogUnavailable('not now')
    return ['lobby']
  })
  assert.equal(tries, 1)
  await search.search('garden', 'word', 9)
  await clock.advance(2 * RETRY_MS)
  assert.deepEqual([tries, faults.length], [3, 3])
  await clock.advance(RETRY_MS + SOON_MS)
  assert.deepEqual([tries, faults.length, taken], [4, 3, ['garden', 'lobby']])
})

test('one that is closed asks no more, also when it was just asking', async (t) => {
  let tries = 0
  let fail = () => {}
  const { clock, faults, search } = await open(t, async () => {
    tries += 1
    if (tries > 1) await new Promise<void>((resolve) => (fail = resolve))
    throw new LogUnavailable('not now')
  })
  await clock.advance(RETRY_MS)
  assert.equal(tries, 2)
  await search.close()
  fail()
  await turn()
  await clock.advance(9 * RETRY_MS)
  assert.deepEqual([tries, faults.length], [2, 1])
})
