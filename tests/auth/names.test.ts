/** Which names are one name, and which are none. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nameKey } from '../../src/auth/names.ts'

/** Every name of a row passes for the first one, so it belongs to its owner. */
const SAME = [
  [
    'Ann',
    'ANN',
    'ann',
    ' Ann ',
    'Ａｎｎ',
    '𝐀𝐧𝐧',
    'A\u200bnn',
    'Ann\ufeff',
    'A\u00adnn',
    '\u2060Ann',
  ],
  ['Ann', 'Ann\u200d', 'A\u034fnn', 'Ann\u{e0041}', 'Ann\u180e', 'A\u200e\u200fnn', 'Ann\u2800'],
  ['Ann Lee', 'ann  lee', 'Ann\u00a0Lee', 'Ann\u3000Lee', 'ann\tlee', 'Ann \u200b Lee'],
  ['Zoë', 'Zoe\u0308', 'ZOË'],
  ['Kim', '\u212aim', 'ＫＩＭ'],
  ['first', 'ﬁrst', 'ﬁRST'],
  ['Анна', 'АННА', 'анна'],
  ['Σωκράτης', 'ΣΩΚΡΆΤΗΣ'.toLowerCase()],
  ['user1', 'user①', 'user１'],
]

const DIFFERENT = [
  'Ann',
  'Anna',
  'Änn',
  'A nn',
  'Анн',
  'アン',
  '安',
  'Ann 1',
  'Ann.',
  'Ann_',
  '🔥',
  'عمر',
]

const NO_NAME = {
  nothing: [
    '',
    ' ',
    '\u200b',
    '\u2060\u200d',
    '\u3164',
    '\uffa0',
    '\u115f\u1160',
    '\u{e0041}',
    '\u2800',
  ],
  'mixed scripts': ['Аnn', 'Annа', 'pаypal', 'Αnn', 'Аλ', 'ѕcope', 'Ann Анна'],
}

test('names that look the same are the same', () => {
  for (const [first, ...others] of SAME) {
    const key = nameKey(first!)
    assert.ok(key)
    for (const name of others) assert.equal(nameKey(name), key, JSON.stringify(name))
  }
})

test('names that do not are not', () => {
  assert.equal(new Set(DIFFERENT.map(nameKey)).size, DIFFERENT.length)
  assert.ok(!DIFFERENT.map(nameKey).includes(null))
})

test('what shows nothing or mixes scripts is no name', () => {
  for (const [why, names] of Object.entries(NO_NAME)) {
    for (const name of names) assert.equal(nameKey(name), null, `${why}: ${JSON.stringify(name)}`)
  }
})

test('a key is its own key, whatever the case and spacing', () => {
  const check = (name: string) => {
    const key = nameKey(name)
    assert.equal(nameKey(`  ${name}\u200b`), key)
    if (key !== null) assert.equal(nameKey(key), key)
  }
  fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 32 }), check), { numRuns: 1_000 })
})
