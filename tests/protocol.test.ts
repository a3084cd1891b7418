/** Client frames: what passes, what is refused, and what the refusal says. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BODY_LENGTH, isTooLong, NewSession, parseFrame } from '../static/protocol.js'
import * as v from 'valibot'

const id = '0b5f3a52-6f0e-4f5c-9d54-0123456789ab'
const ticket = 'x'.repeat(43)

/** The least and the most of every frame: all fields of `most` but those of `least` are optional. */
const FRAMES: Record<string, { least: object; most?: object }> = {
  join: {
    least: { room: 'lobby' },
    most: { after: 7, last: id, epoch: 'e', limit: 50 },
  },
  leave: { least: { room: 'lobby' } },
  say: {
    least: { room: 'lobby', id, body: 'hello' },
    most: { replyTo: 1, mentions: [id], token: ticket },
  },
  edit: { least: { room: 'lobby', id, target: 1, body: 'hello' }, most: { token: ticket } },
  delete: { least: { room: 'lobby', id, target: 1 }, most: { token: ticket } },
  react: {
    least: { room: 'lobby', id, target: 1, emoji: '👍', on: true },
    most: { token: ticket },
  },
  history: { least: { room: 'lobby' }, most: { before: 7, limit: 50 } },
  read: { least: { room: 'lobby', seq: 7 } },
  typing: { least: { room: 'lobby' } },
  pong: { least: {} },
  renew: { least: { ticket } },
}

const ids = {
  good: [id, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  bad: ['', 'x', id.toUpperCase(), id.replaceAll('-', ''), `{${id}}`, `${id}\n`, ` ${id}`, 7, null],
}
const positions = {
  good: [0, 1, Number.MAX_SAFE_INTEGER],
  bad: [-1, 1.5, 2 ** 53, '1', '', null, true, [], {}],
}
const targets = { good: [1, Number.MAX_SAFE_INTEGER], bad: [0, ...positions.bad] }
const tokens = {
  good: [ticket, 'a-Z_0123456789xy', 'x'.repeat(128)],
  bad: ['', 'x'.repeat(15), 'x'.repeat(129), `${'x'.repeat(42)}=`, 'x'.repeat(40) + '+/a', 7, null],
}

const FIELDS: Record<string, { good: unknown[]; bad: unknown[] }> = {
  room: {
    good: ['a', '0', 'a-b', 'a--', '7-up', 'x'.repeat(32)],
    bad: [
      '',
      '-a',
      'A',
      'é',
      'a_b',
      'a b',
      'a/b',
      '../a',
      'a\n',
      'a.b',
      'x'.repeat(33),
      1,
      null,
      [],
    ],
  },
  id: ids,
  last: ids,
  after: positions,
  before: positions,
  seq: positions,
  target: targets,
  replyTo: targets,
  epoch: { good: ['', 'e', 'e'.repeat(64)], bad: ['e'.repeat(65), 7, null] },
  body: {
    good: ['a', ' ', '\n', '\t', '<b>', '\u202eabc', 'a'.repeat(4000), '😀'.repeat(4000), '\u200d'],
    bad: [
      '',
      'a\0',
      '\u0007',
      'a\rb',
      '\u007f',
      '\u0085',
      'a\ud800',
      '\udc00a',
      7,
      null,
      ['a'],
      {},
    ],
  },
  mentions: {
    good: [[], [id], Array.from({ length: 50 }, () => id)],
    bad: [Array.from({ length: 51 }, () => id), ['x'], [null], [[id]], id, {}, null],
  },
  emoji: { good: ['👍', '1️⃣', '🇩🇪'], bad: ['', 'a', '1', '👍👍', '👍 ', 7, null, '👍'.repeat(32)] },
  on: { good: [true, false], bad: ['true', 1, 0, null] },
  token: tokens,
  ticket: tokens,
}

const LIMITS: Record<string, { good: unknown[]; bad: unknown[] }> = {
  join: { good: [0, 1, 100], bad: [101, ...positions.bad] },
  history: { good: [1, 100], bad: [0, 101, ...positions.bad] },
}

/** Every frame with everything it may have. */
const full = Object.entries(FRAMES).map(([type, { least, most }]) => ({ type, ...least, ...most }))

/** Each field of each frame, with values for it. */
const cases = full.flatMap((frame) =>
  Object.keys(frame)
    .filter((field) => field !== 'type')
    .map((field) => {
      const values = field === 'limit' ? LIMITS[frame.type] : FIELDS[field]
      assert.ok(values, `no values for ${frame.type}.${field}`)
      return { frame, field, ...values }
    }),
)

const parse = (value: unknown) => parseFrame(JSON.stringify(value))
const without = (frame: object, field: string) =>
  Object.fromEntries(Object.entries(frame).filter(([name]) => name !== field))

test('every frame passes with the least and with the most that it can have', () => {
  for (const [type, { least, most }] of Object.entries(FRAMES)) {
    for (const frame of [
      { type, ...least },
      { type, ...least, ...most },
    ]) {
      assert.deepEqual(parse(frame), { frame })
    }
  }
})

test('every field takes its good values as they are', () => {
  for (const { frame, field, good } of cases) {
    for (const value of good) {
      const changed = { ...frame, [field]: value }
      assert.deepEqual(
        parse(changed),
        { frame: changed },
        `${frame.type}.${field} ${String(value)}`,
      )
    }
  }
})

test('every field refuses its bad values, and the refusal names the field and the frame', () => {
  for (const { frame, field, bad } of cases) {
    for (const value of bad) {
      const name = `${frame.type}.${field} ${JSON.stringify(value)?.slice(0, 40)}`
      const { refusal } = parse({ ...frame, [field]: value })
      assert.equal(refusal?.code, 'invalid_frame', name)
      assert.ok(refusal.message.startsWith(field), `${name}: ${refusal.message}`)
      assert.equal(refusal.of, frame.type, name)
      if ('id' in frame && field !== 'id') assert.equal(refusal.id, frame.id, name)
      if ('room' in frame && field !== 'room') assert.equal(refusal.room, frame.room, name)
    }
  }
})

test('a field that must be there is missed; one that need not be is not', () => {
  for (const { frame, field } of cases) {
    const isNeeded = field in FRAMES[frame.type]!.least
    const { refusal } = parse(without(frame, field))
    assert.equal(refusal?.code, isNeeded ? 'invalid_frame' : undefined, `${frame.type}.${field}`)
  }
})

test('unknown keys are left out', () => {
  for (const frame of full) assert.deepEqual(parse({ ...frame, extra: 1, on_: [] }), { frame })
})

test('a body is brought to NFC and then counted in code points', () => {
  const say = (body: string) => parse({ ...FRAMES.say!.least, type: 'say', body })
  const code = (body: string) => say(body).refusal?.code
  const { frame } = say('e\u0301')
  assert.equal(frame?.type === 'say' && frame.body, 'é')
  assert.equal(code('e\u0301'.repeat(BODY_LENGTH)), undefined)
  assert.equal(code('a'.repeat(BODY_LENGTH + 1)), 'too_long')
  assert.equal(code('😀'.repeat(BODY_LENGTH + 1)), 'too_long')
  // U+0958 is two code points in NFC.
  assert.equal(code('\u0958'.repeat(BODY_LENGTH / 2)), undefined)
  assert.equal(code('\u0958'.repeat(BODY_LENGTH / 2 + 1)), 'too_long')
})

test('too_long is said only when nothing else is wrong', () => {
  const body = 'a'.repeat(BODY_LENGTH + 1)
  const say = { type: 'say', room: 'lobby', id, body }
  assert.equal(parse(say).refusal?.code, 'too_long')
  assert.equal(parse({ ...say, id: 'x' }).refusal?.code, 'invalid_frame')
  assert.equal(parse({ ...say, body: `${body}\0` }).refusal?.code, 'invalid_frame')
  assert.equal(isTooLong(v.safeParse(NewSession, { name: 'a'.repeat(33) }).issues ?? []), false)
})

test('what is not one JSON object is not a frame', () => {
  const texts = ['', ' ', 'null', '1', '"pong"', 'true', '{', '{"type":"pong"}x', "{type:'pong'}"]
  const lists = ['[]', '[{"type":"pong"}]', '\ufeff{"type":"pong"}', 'NaN', '{"type":"pong",}']
  const binary = [undefined, null, 7, new ArrayBuffer(2), new Uint8Array([123, 125]), {}]
  for (const text of [...texts, ...lists, ...binary]) {
    const { refusal } = parseFrame(text)
    assert.deepEqual(refusal, { code: 'invalid_frame', message: 'a frame is one JSON object' })
  }
})

test('an unknown type is told apart from a missing one', () => {
  for (const type of [
    'nope',
    '',
    'SAY',
    'say ',
    'constructor',
    '__proto__',
    'toString',
    'message',
  ]) {
    const { refusal } = parse({ type, room: 'lobby', id })
    assert.equal(refusal?.code, 'unknown_type', type)
    assert.deepEqual([refusal.of, refusal.id, refusal.room], [type, id, 'lobby'])
  }
  for (const type of [undefined, null, 1, [], ['say'], {}]) {
    assert.equal(parse({ type }).refusal?.code, 'invalid_frame')
  }
  assert.equal(parse({ type: 'x'.repeat(5000) }).refusal?.of?.length, 32)
})

test('keys that mean something to JavaScript do nothing', () => {
  const texts = [
    `{"type":"pong","__proto__":{"polluted":true}}`,
    `{"type":"pong","constructor":{"prototype":{"polluted":true}}}`,
    `{"type":"pong","toString":1,"hasOwnProperty":null,"toJSON":1}`,
  ]
  for (const text of texts) assert.deepEqual(parseFrame(text), { frame: { type: 'pong' } })
  assert.equal(parseFrame('{"__proto__":{"type":"pong"}}').refusal?.code, 'invalid_frame')
  assert.equal('polluted' in {}, false)
})

test('of a key that comes twice the last one counts', () => {
  assert.equal(parseFrame('{"type":"nope","type":"pong"}').frame?.type, 'pong')
  assert.equal(parseFrame('{"type":"pong","type":"nope"}').refusal?.code, 'unknown_type')
})

test('deep and long JSON is read or refused, never a fault', () => {
  const deep = `${'['.repeat(8000)}${']'.repeat(8000)}`
  assert.equal(parseFrame(deep).refusal?.code, 'invalid_frame')
  assert.equal(parseFrame(`{"type":"pong","x":${deep}}`).frame?.type, 'pong')
  assert.equal(parseFrame(`${'{"type":'.repeat(2000)}1`).refusal?.code, 'invalid_frame')
  const say = (body: string) => `{"type":"say","room":"lobby","id":"${id}","body":${body}}`
  assert.equal(parseFrame(say(deep)).refusal?.code, 'invalid_frame')
  assert.equal(parseFrame(say(`"${'a'.repeat(1e6)}"`)).refusal?.code, 'too_long')
  assert.equal(parseFrame(`{"type":"read","room":"lobby","seq":1e400}`).refusal?.of, 'read')
})
