/** What every log finds, whichever database looks: a part of the contract. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Draft } from '../../src/store/log.ts'
import { ann, bob, edit, erase, react, say } from './drafts.ts'
import { comparable, MemoryLog } from './model.ts'
import type { SearchedLog } from './opened.ts'

/** One message each, from 1 on. */
const SAID = [
  'The cat sat on the mat.',
  'Category: CATS & dogs',
  'Crème brûlée, Straße, ΟΔΟΣ',
  'I concatenate cat-dog strings',
  'creme de la creme',
  '東京タワーに行きました',
  'いま京東にいます',
  'ประเทศไทย',
  '한국어 교육',
  'हिन्दी में',
  '😀 👍🏽 … —',
  "O'Neil said: it's 3.14 at 10:30",
  'ａｂｃ ﬁne \u202bשָׁלוֹם',
  `${'long'.repeat(100)} tail`,
]

const FOUND: [query: string, ...seqs: number[]][] = [
  ['cat', 1, 2, 4],
  ['CAT', 1, 2, 4],
  ['"cat"', 1, 4],
  ['“cat”', 1, 4],
  ['dog cat', 2, 4],
  ['mat the sat', 1],
  ['"the cat"', 1],
  ['"the mat" cat', 1],
  ['"cat the"'],
  ['"cat mat', 1],
  ['cat-do', 2, 4],
  // One letter before others is a word, and no beginning.
  ['cat d', 2, 4],
  ['d cat'],
  ['s said', 12],
  ['creme', 3, 5],
  ['BRÛLÉ', 3],
  ['strasse', 3],
  ['STRASS', 3],
  ['οδός', 3],
  ['東京', 6],
  ['京', 6, 7],
  ['京東', 7],
  ['東 京', 6, 7],
  ['ワーに行', 6],
  ['ไทย', 8],
  ['교', 9],
  ['육'],
  ['हिन', 10],
  ['3.1', 12],
  ['10 30', 12],
  ['oneil'],
  ["o'neil", 12],
  ['abc fine', 13],
  ['שלום', 13],
  ['long', 14],
  ['longlong tail', 14],
  ['long'.repeat(50), 14],
  ['', ...[]],
  ['😀'],
  ['"" * …'],
  ['nothing'],
]

/** What a database might take for its own language, or choke on. */
const HOSTILE = [
  ...['"', '""', '"""', '*', 'cat*', '"cat" *', '^cat', 'cat:', 'text:cat', '{text}: cat', '-cat'],
  ...['NEAR(cat mat)', 'NEAR(', 'cat OR mat', 'cat AND', 'NOT cat', '(cat', 'cat)', 'a + b', "'"],
  ...["cat' OR 1=1 --", '\\', '\\"cat', "cat\\'", 'cat\u0000mat', '\u0000', '%', '_', '% cat', '/'],
  ...["lobby/cat'", 'cat:*', 'cat & mat', 'cat | mat', '!cat', 'cat <-> mat', '$1', '?1', '\ud800'],
  ...[
    'a '.repeat(4_000),
    'x'.repeat(20_000),
    '"a" '.repeat(500),
    '東'.repeat(4_000),
    'ﷺ'.repeat(200),
  ],
]

const word = fc.constantFrom(
  ...['cat', 'Cats', 'dog', 'Élan', 'elan', '東京', '京', 'a', 'b', '😀'],
)
const text = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join(' '))
const query = fc
  .tuple(text, fc.constantFrom('', '"'), fc.boolean())
  .map(([words, quote, isCut]) => `${quote}${isCut ? words.slice(0, -1) : words}${quote}`)
const action = fc.record({
  kind: fc.constantFrom(...(['say', 'say', 'say', 'edit', 'delete'] as const)),
  target: fc.integer({ min: 1, max: 6 }),
  body: text,
})

export const searchChecks: [
  title: string,
  body: (opened: { log: SearchedLog }) => Promise<void>,
][] = [
  [
    'a search finds words, beginnings and phrases, in every script',
    async ({ log }) => {
      await log.append(SAID.map((body) => say(ann, body)))
      for (const [query, ...expected] of FOUND) {
        assert.deepEqual(await seqs(log, query), expected, query)
      }
    },
  ],
  [
    'a message is found by its newest words, in its room, until it is deleted',
    async ({ log }) => {
      await log.append([say(ann, 'old words'), say(ann, 'other words'), react(bob, 2)])
      await log.append([say(bob, 'words elsewhere', { room: 'garden' })])
      await log.append([edit(ann, 1, 'new words'), edit(ann, 1, 'newest words')])
      const page = await log.search('lobby', 'words', 50)
      assert.deepEqual(page, await log.page('lobby', 50))
      assert.equal(page.messages[0]?.body, 'newest words')
      assert.deepEqual([await seqs(log, 'old'), await seqs(log, 'new')], [[], [1]])
      await log.append([erase(ann, 1), erase(ann, 2)])
      assert.deepEqual(await log.search('lobby', 'words', 50), {
        ...{ head: 7, messages: [], more: false },
      })
      assert.deepEqual(await seqs(log, 'words', 'garden'), [1])
      assert.deepEqual(await log.search('nowhere', 'words', 50), {
        ...{ head: 0, messages: [], more: false },
      })
      await log.append([say(ann, 'words'), edit(ann, 8, '😀')])
      assert.deepEqual(await seqs(log, 'words'), [])
    },
  ],
  [
    'of a thousand matches come the newest, then those before; the rare one is found among them',
    async ({ log }) => {
      const talk = (n: number) => say(ann, `common ${n === 7 ? 'rare' : 'talk'} ${n % 500}`)
      for (let n = 0; n < 2_500; n += 500) {
        await log.append(Array.from({ length: 500 }, (_, nth) => talk(n + nth)))
      }
      const find = async (query: string, limit: number, before?: number) => {
        const { head, messages, more } = await log.search('lobby', query, limit, before)
        assert.equal(head, 2_500)
        return [messages.length, messages[0]?.seq, messages.at(-1)?.seq, more]
      }
      assert.deepEqual(await find('common', 100), [100, 2_401, 2_500, true])
      assert.deepEqual(await find('common talk', 100, 2_401), [100, 2_301, 2_400, true])
      assert.deepEqual(await find('common', 100, 101), [100, 1, 100, false])
      assert.deepEqual(await find('common', 3, 3), [2, 1, 2, false])
      assert.deepEqual(await find('common', 3, 1), [0, undefined, undefined, false])
      assert.deepEqual(await find('rare com', 1), [1, 8, 8, false])
      assert.deepEqual(await find('"499"', 5), [5, 500, 2_500, false])
      assert.deepEqual(await find('"499"', 4, Number.MAX_SAFE_INTEGER), [4, 1_000, 2_500, true])
      assert.deepEqual(await find('"talk 499"', 2, 2_000), [2, 1_000, 1_500, true])
    },
  ],
  [
    'no query fails, whatever it is made of, and no message',
    async ({ log }) => {
      await log.append([say(ann, 'the cat'), ...HOSTILE.map((body) => say(ann, clean(body)))])
      for (const query of HOSTILE) await log.search('lobby', query, 1)
      const found = await seqs(log, "cat' \\ \u0000 (the:*")
      assert.deepEqual(found, [1])
      await log.append(HOSTILE.map((body) => edit(ann, 1, clean(body))))
      await log.append([erase(ann, 1)])
    },
  ],
  [
    'a search finds what one finds by looking at everything',
    async ({ log }) => {
      let run = 0
      const property = fc.asyncProperty(
        fc.array(action, { minLength: 1, maxLength: 12 }),
        fc.array(query, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 4 }),
        async (actions, queries, limit) => {
          const room = `run-${(run += 1)}`
          const model = new MemoryLog()
          const drafts = actions.map(({ kind, target, body }): Draft => {
            if (kind === 'say') return say(ann, body, { room })
            return kind === 'edit'
              ? edit(ann, target, body, { room })
              : erase(ann, target, { room })
          })
          await Promise.all([log.append(drafts), model.append(drafts)])
          for (const query of queries) {
            for (const before of [undefined, 4]) {
              const found = await log.search(room, query, limit, before)
              const expected = await model.search(room, query, limit, before)
              assert.deepEqual(
                { ...found, messages: comparable(found.messages) },
                { ...expected, messages: comparable(expected.messages) },
                query,
              )
            }
          }
        },
      )
      await fc.assert(property, { numRuns: 40 })
    },
  ],
]

async function seqs(log: SearchedLog, query: string, room = 'lobby') {
  return (await log.search(room, query, 100)).messages.map(({ seq }) => seq)
}

/** What a message may be made of. */
function clean(text: string) {
  return text.replace(/[\0\ud800]/g, '-').slice(0, 4_000)
}
