/** Token buckets and strikes; the numbers themselves are in the tests of what keeps them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DEFAULT_LIMITS, Strikes, TokenBucket } from '../src/limits.ts'

test('a bucket gives its burst at once, and then what flows in', () => {
  const bucket = new TokenBucket(2, 3, 0)
  assert.deepEqual(
    [0, 0, 0, 0].map((now) => bucket.take(now)),
    [0, 0, 0, 500],
  )
  assert.equal(bucket.take(250), 250)
  assert.equal(bucket.take(500), 0)
  assert.equal(bucket.take(500), 500)
})

test('a bucket says when to come back, and means it', () => {
  const bucket = new TokenBucket(3, 1, 0)
  let now = 0
  for (let n = 0; n < 100; n += 1) {
    assert.equal(bucket.take(now), 0)
    const wait = bucket.take(now)
    assert.ok(wait > 0 && wait <= 334)
    now += wait
  }
})

test('what costs more than one is taken whole or not at all, and no more than all is asked for', () => {
  const bucket = new TokenBucket(2, 4, 0)
  assert.equal(bucket.take(0, 3), 0)
  assert.equal(bucket.take(0, 3), 1_000)
  assert.equal(bucket.take(0), 0, 'a refusal took nothing')
  assert.equal(bucket.take(2_000, 10), 0, 'with a full bucket')
  assert.equal(bucket.take(2_000), 3_500)
})

test('what work turned out to cost is paid by waiting', () => {
  const bucket = new TokenBucket(2, 4, 0)
  assert.equal(bucket.take(0), 0)
  bucket.pay(5, 0)
  assert.equal(bucket.take(0), 1_500)
  assert.equal(bucket.take(1_500), 0)
})

test('a bucket is full again, never more', () => {
  const bucket = new TokenBucket(1, 2, 0)
  assert.ok(bucket.isFull(0))
  bucket.take(0)
  assert.ok(!bucket.isFull(999))
  assert.ok(bucket.isFull(1_000))
  assert.deepEqual(
    [1e9, 1e9, 1e9].map((now) => bucket.take(now)),
    [0, 0, 1_000],
  )
})

test('over any time a bucket gives no more than burst + rate × time', () => {
  const check = (rate: number, burst: number, pauses: number[]) => {
    const bucket = new TokenBucket(rate, burst, 0)
    let now = 0
    let taken = 0
    for (const pause of pauses) {
      now += pause
      if (bucket.take(now) === 0) taken += 1
    }
    assert.ok(taken <= burst + (rate * now) / 1000 + 1e-6)
  }
  const pauses = fc.array(fc.nat(2_000), { maxLength: 200, size: 'max' })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 50 }), pauses, check),
  )
})

test('strikes count within their window', () => {
  const strikes = new Strikes(3, 1_000)
  assert.deepEqual(
    [0, 500, 1_000].map((now) => strikes.add(now)),
    [false, false, true],
  )
  assert.deepEqual(
    [2_001, 2_500, 3_002].map((now) => strikes.add(now)),
    [false, false, false],
  )
})

test('the numbers of the design', () => {
  const { heartbeatMs, silenceMs, flushMs, commitMs, repairMs, ticketMs, linkMs } = DEFAULT_LIMITS
  assert.deepEqual([heartbeatMs, silenceMs, repairMs], [25_000, 35_000, 100])
  assert.deepEqual([flushMs, commitMs], [16, 20])
  assert.deepEqual([ticketMs, linkMs], [30_000, 600_000])
  const { pauseAt, waitingToClose, shedBytes, slowBytes, catchUpBytes } = DEFAULT_LIMITS
  assert.deepEqual([pauseAt, waitingToClose], [256, 1_024])
  assert.deepEqual([shedBytes, slowBytes, catchUpBytes], [262_144, 1_048_576, 65_536])
  const { tailEntries, tailBytes, tailsBytes, batchEntries, batchBytes } = DEFAULT_LIMITS
  assert.deepEqual([tailEntries, tailBytes, tailsBytes], [1_024, 524_288, 67_108_864])
  assert.deepEqual([batchEntries, batchBytes], [500, 1_048_576])
})
