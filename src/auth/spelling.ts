/**
 * Which characters may stand together in a name: one script (UTS #39 §5.2, "highly restrictive"), its
 * letters and marks, digits, and a few signs. What is asked of the name is asked of its NFKC, which
 * brings letters of another width or style to plain ones.
 */

/** UAX #31 Table 5: the scripts that people write every day. */
const SCRIPTS =
  `Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic Georgian Greek Gujarati
  Gurmukhi Hangul Han Hebrew Hiragana Kannada Katakana Khmer Lao Latin Malayalam Myanmar Oriya Sinhala
  Tamil Telugu Thaana Thai Tibetan`.split(/\s+/)
/** Those that are written together. */
const TOGETHER = ['Latin Han Hiragana Katakana', 'Latin Han Bopomofo', 'Latin Han Hangul']
const WRITINGS = [...SCRIPTS, ...TOGETHER].map((scripts) => {
  const letters = ['Common', 'Inherited', ...scripts.split(' ')]
  return new RegExp(
    `^[${letters.map((script) => `\\p{Script_Extensions=${script}}`).join('')}]*$`,
    'u',
  )
})

/** UAX #31 Table 3, signs within names, without those of programs; the curved one is the Unicode apostrophe. */
const SIGNS = String.raw` '’\-‐._·・ʻʼ׳״་`
/** Join letters or part them where a script asks for it (UAX #31 §2.3): Persian and Indic names. */
const JOINERS = String.raw`\u200c-\u200d`
const NO_PART = new RegExp(String.raw`[^\p{L}\p{Mn}\p{Mc}\p{Nd}${JOINERS}${SIGNS}]`, 'u')
/** Dots half-way up are letters' neighbours (`Gal·la`): elsewhere they would part a name from a remark. */
const LOOSE_DOT = /(?<![\p{L}\p{M}])[·・]|[·・](?!\p{L})/u
const JOINING = ['Arabic', 'Bengali', 'Devanagari', 'Gujarati', 'Gurmukhi', 'Kannada', 'Malayalam']
  .concat(['Oriya', 'Sinhala', 'Tamil', 'Telugu'])
  .map((script) => `\\p{Script=${script}}`)
  .join('')
const LOOSE_JOINER = new RegExp(`(?<![${JOINING}])[${JOINERS}]|[${JOINERS}](?![${JOINING}])`, 'u')
const LOOSE_MARK = new RegExp(String.raw`(?<![\p{L}\p{M}${JOINERS}])\p{M}`, 'u')
/** UTS #39 §5.4; marks that belong to no script are accents, and two are what languages need. */
const MARKS_PILED_UP = /(?:(?=\p{Script=Inherited})\p{Mn}){3}|\p{Mn}{5}|(\p{Mn})\1/u
const TATWEEL = 'ـ'
/** In scripts with two cases a letter that has one is phonetic: `ᴀ`, `ǀ`. */
const CASED = /^(?=\p{L})[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Armenian}]$/u
/** Digits and an apostrophe to every reader: tones of Zhuang until 1982, the saltillo. */
const UNLIKE_LETTERS = 'ƧƨƼƽƄƅꞋꞌ'
/**
 * Of what NFKC changes only this may stand in a name: letters of another width, blanks, and letters that
 * it takes apart. The rest looks like something else: lunate sigma, shapes of Arabic, letters of formulas.
 */
const CHANGED = /[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\u3000\u00a0\u2011ำຳև]/u
/** Among letters and marks, too, there are some that nobody sees: fillers, variation selectors. */
const UNSEEN = new RegExp(`(?![${JOINERS}])\\p{Default_Ignorable_Code_Point}`, 'u')
/** Letters of no script: raised commas, rings and the like. */
const COMMON_LETTER = /(?![ʻʼ])(?=\p{Script_Extensions=Common})\p{L}/u

/** Why this is not a name, in words for the person who typed it; null when it is one. */
export function spellingFault(name: string): string | null {
  const text = name.normalize('NFKC')
  if (!/(?![ʻʼ])[\p{L}\p{Nd}]/u.test(text)) return 'a name has a letter or a digit'
  const isOfParts = [...name.normalize('NFC')].every(isPart)
  if (!isOfParts || LOOSE_DOT.test(text) || LOOSE_JOINER.test(text)) {
    return "letters, digits, blanks and - ' . _ only: no emoji, no other signs"
  }
  if (!isOneWriting(text)) {
    return 'letters of one script; Latin may stand beside Chinese, Japanese or Korean'
  }
  if (LOOSE_MARK.test(text) || MARKS_PILED_UP.test(text)) return 'at most two accents on a letter'
  return hasOneKindOfDigits(text) ? null : 'digits of one kind'
}

/** The name without what may not stand in it, for a name that nobody is there to type again. */
export function withoutStrangers(name: string): string {
  const parts = [...name.normalize('NFC')].filter(isPart)
  return parts.join('').replace(/\s+/gu, ' ').trim()
}

/** Whether a character may stand in a name. @param character  of a text in NFC */
export function isPart(character: string): boolean {
  const plain = character.normalize('NFKC')
  return (plain === character || CHANGED.test(character)) && [...plain].every(isPlainPart)
}

function isPlainPart(character: string) {
  if (NO_PART.test(character) || UNSEEN.test(character)) return false
  if (COMMON_LETTER.test(character)) return false
  if (character === TATWEEL || UNLIKE_LETTERS.includes(character)) return false
  return !CASED.test(character) || character.toLowerCase() !== character.toUpperCase()
}

/** Whether all letters may stand in one name. */
export function isOneWriting(text: string): boolean {
  return WRITINGS.some((writing) => writing.test(text))
}

function hasOneKindOfDigits(text: string) {
  const digits = text.match(/\p{Nd}/gu) ?? []
  return new Set(digits.map(zeroOf)).size <= 1
}

/** The zero of a digit's ten: their code points follow each other. */
function zeroOf(digit: string) {
  const code = digit.codePointAt(0)!
  let first = code
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first -= 1
  return code - ((code - first) % 10)
}
