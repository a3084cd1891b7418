/** The newest entries in memory, against a model: a plain list of entries. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { Tail } from '../../src/chat/tail.ts'
import { encodeEntry, type Entry } from '../../src/protocol.ts'
import { ann, edit, erase, say } from '../store/drafts.ts'
import { MemoryLog } from '../store/model.ts'

const LIMITS = { tailEntries: 8, tailBytes: 4_000, stepEntries: 3, stepBytes: 900 }

const size = (text: string) => Buffer.byteLength(text)
const sum = (texts: readonly string[]) => texts.reduce((total, text) => total + size(text), 0)

/** A tail beside the log that it is the end of, which may have started long ago. */
function setUp(limits = LIMITS, before = 0) {
  const log = new MemoryLog()
  for (let n = 0; n < before; n += 1) log.appendNow(say(ann))
  const tail = new Tail(limits)
  const append = (...drafts: Parameters<MemoryLog['appendNow']>) => {
    const { entry } = log.appendNow(...drafts)
    if (entry) tail.push(entry)
  }
  /** The texts of the entries first … last, as they read now. */
  const texts = (first: number, last: number) =>
    log
      .entries('lobby')
      .slice(first - 1, last)
      .map(encodeSame)
  return { log, tail, append, texts, head: () => log.entries('lobby').length }
}

/** As JSON, with the keys in one order. */
function encodeSame(entry: Entry) {
  return same(encodeEntry(entry))
}

function same(json: string) {
  const entries = Object.entries(JSON.parse(json)).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(entries)
}

const actions = fc.array(
  fc.record({
    kind: fc.constantFrom('say', 'say', 'say', 'edit', 'delete', 'flush', 'drop'),
    nth: fc.nat(20),
    length: fc.constantFrom(1, 50, 700, 1_500),
  }),
  { maxLength: 40, size: 'max' },
)

test('whatever is said, edited, deleted and trimmed: as the model has it', () => {
  const check = (before: number, steps: { kind: string; nth: number; length: number }[]) => {
    const { tail, append, texts, head } = setUp(LIMITS, before)
    let flushed = before
    for (const { kind, nth, length } of steps) {
      const target = before + nth
      if (kind === 'say') append(say(ann, 'ü'.repeat(length)))
      if (kind === 'edit') append(edit(ann, target, 'e'.repeat(length)))
      if (kind === 'delete') append(erase(ann, target))
      if (kind === 'flush') tail.trim((flushed = head()))
      if (kind === 'drop') tail.trim(flushed, 0, 0)
      assert.deepEqual(tail.since(flushed).map(same), texts(flushed + 1, head()))
      const held = heldFrom(tail, head())
      assert.ok(held <= flushed + 1)
      assert.equal(tail.bytes, sum(tail.since(held - 1)))
      for (let seq = held; seq <= head(); seq += 1) checkStep(tail, seq - 1, head(), texts)
      for (const seq of [0, before, held - 2, head(), head() + 1]) {
        if (seq < held - 1 || seq >= head()) assert.equal(tail.step(seq, head()), null)
      }
    }
  }
  fc.assert(fc.property(fc.nat(5), actions, check), { numRuns: 200 })
})

/** `seq` of the first entry that the tail still holds. */
function heldFrom(tail: Tail, head: number) {
  let seq = head
  while (seq > 0 && tail.idAt(seq) !== undefined) seq -= 1
  return seq + 1
}

function checkStep(
  tail: Tail,
  after: number,
  until: number,
  texts: (first: number, last: number) => string[],
) {
  const step = tail.step(after, until)
  assert.ok(step)
  assert.deepEqual(step.texts.map(same), texts(after + 1, step.last))
  assert.ok(step.texts.length >= 1 && step.texts.length <= LIMITS.stepEntries)
  assert.ok(step.texts.length === 1 || sum(step.texts) <= LIMITS.stepBytes)
  const isFull =
    step.texts.length === LIMITS.stepEntries ||
    step.last === until ||
    sum(tail.since(after).slice(0, step.texts.length + 1)) > LIMITS.stepBytes
  assert.ok(isFull, 'a step takes as much as fits')
}

test('a step goes no further than told', () => {
  const { tail, append } = setUp()
  for (const body of ['a', 'b', 'c']) append(say(ann, body))
  assert.equal(tail.step(0, 2)?.last, 2)
  assert.equal(tail.step(1, 2)?.texts.length, 1)
})

test('trimming keeps the limits, and everything that is not flushed', () => {
  const { tail, append } = setUp()
  for (let n = 0; n < 20; n += 1) append(say(ann))
  tail.trim(0)
  assert.ok(tail.idAt(1))
  tail.trim(5)
  assert.equal(tail.idAt(5), undefined)
  assert.ok(tail.idAt(6))
  tail.trim(20)
  assert.equal(tail.idAt(12), undefined)
  assert.ok(tail.idAt(13))
  tail.trim(20, 0, 0)
  assert.deepEqual([tail.bytes, tail.idAt(20), tail.step(19, 20)], [0, undefined, null])
})

test('too many bytes go, oldest first', () => {
  const { tail, append } = setUp()
  for (let n = 0; n < 5; n += 1) append(say(ann, 'x'.repeat(1_500)))
  tail.trim(5)
  assert.ok(tail.bytes <= LIMITS.tailBytes)
  assert.equal(tail.idAt(3), undefined)
  assert.ok(tail.idAt(5))
})

test('a deleted body leaves memory, with those of its edits', () => {
  const { tail, append } = setUp()
  append(say(ann, 'secret'))
  append(edit(ann, 1, 'secret too'))
  append(say(ann, 'kept'))
  append(erase(ann, 1))
  const texts = tail.since(0).join()
  assert.ok(!texts.includes('secret') && texts.includes('kept'))
  assert.equal(texts.match(/"deleted":true/g)?.length, 2)
})
