/** What counts as one emoji in a reaction. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFrame } from '../static/protocol.js'

const EMOJI = {
  plain: '👍 👎 😂 😀 🎉 🔥 🙏 👀 💯 🚀 🫡 🫨 🥹 🧑 🐈 🍕',
  'with a variation selector': '❤️ ☀️ ✌️ ☎️ ✔️ ™️ ©️ ☺️ ⚠️ 🕵️',
  'text style': '❤ ☺ ✔',
  'skin tones': '👍🏻 👍🏿 ✌🏽 🤝🏾 🫱🏻‍🫲🏿',
  keycaps: '1️⃣ 0️⃣ #️⃣ *️⃣ 5⃣',
  flags: '🇩🇪 🇫🇷 🇺🇳 🇪🇺 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏴󠁧󠁢󠁳󠁣󠁴󠁿',
  joined: '👨‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 🏳️‍⚧️ 🏴‍☠️ ❤️‍🔥 👁️‍🗨️ 🧑🏻‍❤️‍💋‍🧑🏿 🕵🏻‍♂️ 🕵️‍♀️ 🐈‍⬛ 🐻‍❄️ 🐦‍🔥 🍋‍🟩 🙂‍↔️ 😶‍🌫️ 👩🏻‍🤝‍👨🏿 🧔‍♂️ ⛓️‍💥',
}

const NOT_ONE = [
  ...['', ' ', 'a', 'A', 'é', '漢', 'ok', ':)', ':thumbsup:', '<b>', '1', '#', '*', '12', '\0'],
  ...['👍👍', '👍 ', ' 👍', '👍a', 'a👍', '👍\n', '🇩🇪🇫🇷', '🇩', '1️⃣2️⃣', '❤️❤️', '👍👎'],
  // Parts of an emoji: a joiner, a selector, a skin tone, the keycap and a tag, each alone.
  ...['\u200d', '\ufe0f', '\u{1f3fb}', '\u20e3', '\u{e0067}', '👨\u200d', '\u200d👨'],
  ...[
    '👩\u200d\u200d👩',
    '👨\u200da',
    '👍\u{e0068}\u{e0069}\u{e007f}',
    '🏴\u{e0067}',
    'a\ufe0f',
    'a\u20e3',
    '\ud83d',
    '👍\u202e',
  ],
]

const accepts = (emoji: string) =>
  parseFrame(
    JSON.stringify({
      ...{ type: 'react', room: 'lobby', id: '0b5f3a52-6f0e-4f5c-9d54-0123456789ab' },
      ...{ target: 1, on: true, emoji },
    }),
  ).frame !== undefined

test('one emoji is one emoji, whatever it is made of', () => {
  for (const [kind, list] of Object.entries(EMOJI)) {
    for (const emoji of list.split(' ')) assert.ok(accepts(emoji), `${kind}: ${emoji}`)
  }
})

test('text, parts of an emoji and several of them are refused', () => {
  for (const text of NOT_ONE) assert.ok(!accepts(text), JSON.stringify(text))
})
