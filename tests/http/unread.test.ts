/** Answers that nobody reads: counted by address, IPv6 site and in all; Deno counts by sample. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createUnread } from '../../src/http/unread.ts'
import { holdAnswer } from '../../src/runtime/deno-answers.ts'
import { testConfig, testJournal, type ServerOptions } from '../helpers.ts'

/** Twenty bytes of an address, and fifty of all. */
const LIMITS = {
  ...{ connectionsPerIp: 2, unreadBytes: 10, unreadBytesInAll: 50, networksPerSite: 2 },
}

function openUnread(options: ServerOptions = {}) {
  const { journal, lines } = testJournal()
  const config = testConfig({ limits: LIMITS, ...options })
  const unread = createUnread({ config, journal }, { 'x-common': 'yes' })
  const ask = (peer: string, forwardedFor?: string) => {
    return unread({ peer, forwardedFor, method: 'GET', target: '/' })
  }
  /** Holds ten bytes as often as that is let in. @returns what lets each go */
  const fill = (...from: Parameters<typeof ask>) => {
    const releases: (() => void)[] = []
    for (let hold; typeof (hold = ask(...from)) === 'function';) releases.push(hold(10))
    return releases
  }
  return { ask, fill, lines }
}

test('an address has its own bytes, and gets them back when an answer is read', () => {
  const { ask, fill, lines } = openUnread()
  const [first, ...others] = fill('192.0.2.1')
  assert.equal(others.length, 1)
  const refusal = { status: 429, headers: { 'x-common': 'yes', 'retry-after': '10' }, body: '' }
  assert.deepEqual(ask('::ffff:192.0.2.1'), refusal)
  assert.deepEqual([lines[0]?.code, lines[0]?.address], ['too_many', '192.0.2.1'])
  for (const release of [first!, first!]) release()
  assert.equal(fill('192.0.2.1').length, 1)
})

test('networks of one IPv6 site, and all together, hold so much', () => {
  const { ask, fill } = openUnread()
  assert.equal(fill('2001:db8:1:1::1').length, 2)
  assert.equal(fill('2001:db8:1:2::1').length, 2)
  assert.equal(fill('2001:db8:1:3::1').length, 0)
  assert.equal(fill('192.0.2.1').length, 1)
  assert.equal((ask('192.0.2.2') as { status: number }).status, 503)
})

test('behind a proxy whoever it names is counted', () => {
  const { fill } = openUnread({ env: { TRUST_PROXY: '1' } })
  assert.equal(fill('127.0.0.1', '192.0.2.1').length, 2)
  assert.equal(fill('127.0.0.1', '192.0.2.2').length, 2)
})

test('one answer in eight is counted for eight, until it is over, and is the same answer', async () => {
  let held = 0
  const hold = (bytes: number) => {
    held += bytes
    return () => void (held -= bytes)
  }
  const text = 'Ünread '.repeat(5_000)
  const size = new TextEncoder().encode(text).length
  const make = (body: string | null = text, status = 201) => {
    return new Response(body, { status, headers: { 'x-some': 'header' } })
  }
  const later = new Promise<void>(() => {})
  const plain = make()
  assert.equal(holdAnswer(plain, hold, later, 1 / 8), plain)
  assert.equal(held, 0)

  let end = () => {}
  const over = new Promise<void>((resolve) => (end = resolve))
  const counted = await holdAnswer(make(), hold, over, 0.124)
  assert.equal(held, 8 * (size + 8_192))
  assert.equal(counted.status, 201)
  assert.equal(counted.headers.get('content-length'), String(size))
  assert.equal(counted.headers.get('x-some'), 'header')
  assert.equal(await counted.text(), text)
  assert.notEqual(held, 0)
  end()
  await over
  assert.equal(held, 0)

  const empty = await holdAnswer(make(null, 304), hold, later, 0)
  assert.deepEqual([empty.status, empty.body, held], [304, null, 0])
  const failed = Promise.reject<void>(new Error('its reader has gone'))
  await holdAnswer(make(), hold, failed, 0)
  await failed.catch(() => {})
  assert.equal(held, 0)
})
