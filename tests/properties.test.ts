/** What holds for any text, any JSON, and every frame that is a good one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as v from 'valibot'
import { BODY_LENGTH, Name, parseEvents, parseFrame, STATUS } from '../static/protocol.js'
import { encodeEntry, encodeEvent } from '../src/protocol.ts'
import { entries, frames } from './arbitraries.ts'

const TYPES = ['join', 'say', 'edit', 'delete', 'react', 'history', 'read', 'renew', 'message']
const FIELDS = ['room', 'id', 'body', 'target', 'emoji', 'on', 'seq', 'limit', 'kind', '__proto__']

const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc
    .record({
      type: fc.constantFrom(...TYPES),
      fields: fc.dictionary(fc.constantFrom(...FIELDS), fc.jsonValue()),
    })
    .map(({ type, fields }) => JSON.stringify({ ...fields, type })),
)

function isJsonArray(text: string) {
  try {
    return Array.isArray(JSON.parse(text))
  } catch {
    return false
  }
}

test('any text is a frame or a refusal, and never a fault', () => {
  const check = (text: string) => {
    const { frame, refusal } = parseFrame(text)
    assert.equal(frame === undefined, refusal !== undefined)
    if (!refusal) return
    assert.ok(refusal.code in STATUS)
    encodeEvent({ type: 'error', ...refusal })
  }
  fc.assert(fc.property(texts, check), { numRuns: 2_000 })
})

test('any text is events, or a TypeError when it is not an array', () => {
  const check = (text: string) => {
    if (isJsonArray(text)) assert.ok(Array.isArray(parseEvents(text)))
    else assert.throws(() => parseEvents(text), TypeError)
  }
  const lists = fc
    .array(texts.filter((text) => text === text.trim()))
    .map((all) => `[${all.join()}]`)
  fc.assert(fc.property(fc.oneof(texts, lists), check), { numRuns: 2_000 })
})

test('every good frame comes through as it was sent', () => {
  const check = (frame: object) => assert.deepEqual(parseFrame(JSON.stringify(frame)), { frame })
  fc.assert(fc.property(frames, check), { numRuns: 1_000 })
})

test('a frame with one key broken never comes through', () => {
  const broken = frames.chain((frame) => {
    const keys = Object.keys(frame)
    return fc.tuple(fc.constant(frame), fc.constantFrom(...keys), fc.constantFrom(null, {}, -1))
  })
  fc.assert(
    fc.property(broken, ([frame, key, value]) => {
      assert.ok(parseFrame(JSON.stringify({ ...frame, [key]: value })).refusal)
    }),
  )
})

test('every entry comes through as the log has it', () => {
  fc.assert(
    fc.property(entries, (entry) => {
      assert.deepEqual(parseEvents(`[${encodeEntry(entry)}]`), [entry])
    }),
    { numRuns: 1_000 },
  )
})

/** Characters that are one or two code points, before or after NFC. */
const units = fc.constantFrom('a', 'é', 'e\u0301', '😀', '\u0958', '가', '\u1100\u1161', '👩🏽')
const around = (most: number) => fc.integer({ min: Math.floor(most / 2) - 2, max: most + 2 })

test('the length of a body is that of its NFC in code points', () => {
  const id = crypto.randomUUID()
  const check = (unit: string, times: number, rest: string) => {
    const body = unit.repeat(times) + rest
    const { frame, refusal } = parseFrame(JSON.stringify({ type: 'say', room: 'a', id, body }))
    const length = [...body.normalize('NFC')].length
    assert.equal(refusal?.code, length > BODY_LENGTH ? 'too_long' : undefined)
    if (frame?.type === 'say') assert.equal(frame.body, body.normalize('NFC'))
  }
  fc.assert(fc.property(units, around(BODY_LENGTH), units, check), { numRuns: 300 })
})

test('a name is 1 to 32 code points of NFC, without what turns the text around it', () => {
  const check = (unit: string, times: number) => {
    const name = unit.repeat(times)
    const length = [...name.normalize('NFC')].length
    assert.equal(v.is(Name, name), length >= 1 && length <= 32)
  }
  fc.assert(fc.property(units, fc.integer({ min: 0, max: 34 }), check))
  const bad = ['', '  ', 'a\nb', 'a\tb', '\0', 'a\u202eb', '\u2066a', 'a\u2069', '\ud800', 7, null]
  for (const name of bad) assert.ok(!v.is(Name, name), JSON.stringify(name))
  assert.equal(v.parse(Name, '  Zoe\u0308 '), 'Zoë')
})
