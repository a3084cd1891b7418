/** A browser's own EventSource, with the page's cookie. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchBrowser } from '../browser.ts'
import { newcomer, startServer } from '../helpers.ts'
import { enter } from './people.ts'

test('a browser follows a room, comes back by itself, and stays away once signed out', async (t) => {
  const { url, hub } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const bob = await enter(await launchBrowser(t), url, 'Bob')
  const seen = await bob.page.evaluateHandle(() => {
    const source = new EventSource('/api/rooms/lobby/events')
    const seen = { seqs: [] as string[], opened: 0, source }
    source.onopen = () => (seen.opened += 1)
    source.addEventListener('message', ({ lastEventId }) => seen.seqs.push(lastEventId))
    return seen
  })
  const until = (opened: number, seqs: string) =>
    bob.page.waitForFunction(
      ([seen, opened, seqs]) => seen.opened === opened && seen.seqs.join() === seqs,
      [seen, opened, seqs] as const,
    )
  await until(1, '')
  // Nothing was said yet; a browser knows where to come back to all the same.
  for (const each of hub.connections) if (!each.isPresent) each.close(4000)
  await ann.say('lobby', 'while it was away')
  await until(2, '1')
  await ann.say('lobby', 'live')
  await until(2, '1,2')
  await bob.page.evaluate(() => fetch('/api/session', { method: 'DELETE' }))
  await bob.page.waitForFunction((seen) => seen.source.readyState === EventSource.CLOSED, seen)
  assert.equal([...hub.connections].filter(({ isPresent }) => !isPresent).length, 0)
})
