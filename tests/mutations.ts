/** Makes hostile frames of good ones: as text, as JSON, and as bytes on the wire. */

import { Buffer } from 'node:buffer'
import type { Random } from './random.ts'
import { wire, wireClose, wireFragments } from './wire.ts'

/** JSON values that no schema expects, as they are written. */
const ODD_VALUES = [
  ...['null', 'true', '[]', '{}', '""', '-0', '-1', '0.5', '1e400', '-1e400', '9007199254740993'],
  ...['"\\ud800"', '"\\u0000"', '"\\u202e"', '"__proto__"', '[[[[[[]]]]]]', '{"__proto__":{}}'],
  ...['"lobby\\n"', '"LOBBY"', '"../x"', '"quiet; DROP TABLE entries"', '"’"', '"\\uffff"'],
  `"${'x'.repeat(4_001)}"`,
  `"${'a\\u0301'.repeat(1_200)}"`,
  '9'.repeat(400),
  `${'['.repeat(500)}${']'.repeat(500)}`,
]
const ODD_KEYS = [
  '__proto__',
  'constructor',
  'type',
  'id',
  'room',
  'token',
  'then',
  '',
  'k'.repeat(999),
]
const ODD_TYPES = ['shout', 'SAY', 'say ', '', 'message', '__proto__', 'toString', 'welcome', 'é']
/** Pieces of JSON, and of what is none. */
const PIECES = [
  ...'{}[]":,\\',
  '\u0000',
  '\ufeff',
  'null',
  '{"',
  '"}',
  '\\u',
  '1e9',
  '//',
  '\ud800',
]

/** A text with a few characters changed, taken away, put in, or doubled. */
export function mutateText(text: string, { below, pick, chance }: Random): string {
  let mutated = text
  do {
    const at = below(mutated.length + 1)
    const length = chance(0.8) ? 1 : below(20)
    const before = mutated.slice(0, at)
    const after = mutated.slice(at)
    mutated = pick([
      () => before + String.fromCharCode(below(128)) + after.slice(1),
      () => before + after.slice(length),
      () => before + pick(PIECES) + after,
      () => before + after.slice(0, length).repeat(2 + below(3)) + after.slice(length),
    ])()
  } while (chance(0.3))
  return mutated
}

/** A frame that says something else, which may be anything. */
export function mutateBody(text: string, random: Random): string {
  const frame = JSON.parse(text) as { body: string }
  return JSON.stringify({ ...frame, body: mutateText(frame.body, random) })
}

/** A frame with one of its values, keys or types changed; it stays JSON. */
export function mutateFrame(text: string, { pick, chance }: Random): string {
  const fields = Object.entries(JSON.parse(text) as object).map(
    ([key, value]) => [key, JSON.stringify(value)] as [string, string],
  )
  const field = pick(fields)
  const isType = field[0] === 'type'
  pick([
    () => (field[1] = isType ? JSON.stringify(pick(ODD_TYPES)) : pick(ODD_VALUES)),
    () => fields.push([pick(ODD_KEYS), pick(ODD_VALUES)]),
    () => fields.push([field[0], chance(0.5) ? pick(ODD_VALUES) : field[1]]),
    () => (field[0] = pick(ODD_KEYS)),
    () => (isType ? (field[1] = JSON.stringify(pick(ODD_TYPES))) : fields.reverse()),
  ])()
  return `{${fields.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join()}}`
}

/** Good frames on the wire, in whatever way the protocol allows. */
function encode(text: string, { below, pick, chance }: Random): Buffer {
  const masks = () => Buffer.from([below(256), below(256), below(256), below(256)])
  return pick([
    () => wire(text),
    () => masked(wire(text), masks()),
    () => Buffer.concat(wireFragments(text, 1 + below(Math.max(1, text.length)) + text.length / 9)),
    () =>
      Buffer.concat([wire('p'.repeat(below(126)), { opcode: chance(0.5) ? 9 : 10 }), wire(text)]),
    () => wire(text, { opcode: 2 }),
  ])()
}

/** The same frame under another mask than zeros. */
function masked(frame: Buffer, mask: Buffer): Buffer {
  const length = frame[1]! & 0x7f
  const head = 2 + (length === 126 ? 2 : length === 127 ? 8 : 0)
  mask.copy(frame, head)
  for (let at = head + 4; at < frame.length; at += 1) frame[at]! ^= mask[(at - head) % 4]!
  return frame
}

/** Good frames as one stream of bytes, with a few of them changed, and a goodbye behind. */
export function mutateStream(texts: readonly string[], random: Random): Buffer {
  const { below, pick, chance } = random
  const frames = texts.map((text) => encode(text, random))
  do {
    const index = below(frames.length)
    const frame = frames[index]!
    // Headers are what matters here; texts are mutated by others.
    const at = chance(0.7) ? below(Math.min(frame.length, 14)) : below(frame.length)
    const rest = frame.subarray(at)
    const some = Buffer.from(Array.from({ length: 1 + below(8) }, () => below(256)))
    frames[index] = pick([
      () =>
        Buffer.concat([
          frame.subarray(0, at),
          Buffer.from([rest[0]! ^ (1 << below(8))]),
          rest.subarray(1),
        ]),
      () => Buffer.concat([frame.subarray(0, at), some, rest]),
      () => Buffer.concat([frame.subarray(0, at), rest.subarray(1 + below(4))]),
      () => Buffer.concat([frame.subarray(0, at), some, rest.subarray(some.length)]),
      () => Buffer.concat([frame, frame.subarray(0, at)]),
      () => wireClose(below(5_100), some.subarray(below(8))),
    ])()
    if (frames[index].length === 0) frames[index] = Buffer.from([below(256)])
  } while (chance(0.4))
  return Buffer.concat([...frames, wireClose(1000)])
}
