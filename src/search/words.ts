/** The words of a text, and what a search asks of them: the same whichever database looks. */

/** More of one message are not kept: what people write has at most one per character. */
const WORDS_PER_MESSAGE = 4_000
/** Longer words are known by their beginning: it fits a key of every index. code points */
const WORD_LENGTH = 64
/** More of one query are not looked for. */
const WORDS_PER_QUERY = 32

// Accents and vowel signs that are left out as often as written, and what nobody sees; not the
// voicing marks of Japanese, which make another letter.
const DROPPED =
  /(?![\u3099\u309a])(?=\p{M})[\p{sc=Inherited}\p{sc=Arabic}\p{sc=Hebrew}]|\p{Default_Ignorable_Code_Point}/gu
// Scripts that put no blanks between words: each character is a word, and many are a phrase.
const UNSPACED = String.raw`[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}]`
const LETTER = String.raw`[\p{L}\p{N}\p{M}]`
const RUN = new RegExp(`${LETTER}+`, 'gu')
const WORD = new RegExp(`${UNSPACED}|(?:(?!${UNSPACED})${LETTER})+`, 'gu')
/** A text in quotes, or what is outside of them; a quote without its pair is none. */
const PART = /"([^"]*)"|([^"]+)/g
const QUOTES = /[“”„]/g

/** Words in a row; the last of them may go on, unless it is exact. */
export interface Phrase {
  words: string[]
  isExact: boolean
}

/** A text as it is kept for searching: its words, without case and accents, joined by blanks. */
export function wordsOf(text: string): string {
  return split(fold(text)).slice(0, WORDS_PER_MESSAGE).join(' ')
}

/**
 * What a person looks for: every run of letters and digits, and every text in double quotes.
 * @returns nothing when there is no letter and no digit in it
 */
export function phrasesOf(query: string): Phrase[] {
  const phrases = new Map<string, Phrase>()
  let left = WORDS_PER_QUERY
  for (const [, quoted, plain = ''] of query.replace(QUOTES, '"').matchAll(PART)) {
    const isExact = quoted !== undefined
    for (const run of isExact ? [fold(quoted)] : (fold(plain).match(RUN) ?? [])) {
      const words = split(run).slice(0, left)
      left -= words.length
      if (words.length > 0) phrases.set(`${isExact} ${words.join(' ')}`, { words, isExact })
    }
  }
  const found = [...phrases.values()]
  return found.map((phrase, nth) => (nth === found.length - 1 ? phrase : exactIfShort(phrase)))
}

/**
 * A word of one letter is whole, unless it is the last and may be going on: as beginnings a few of
 * them are those of all that was ever said.
 */
function exactIfShort(phrase: Phrase): Phrase {
  const [word = ''] = phrase.words
  const isLetter = phrase.words.length === 1 && [...word].length === 1
  return isLetter ? { ...phrase, isExact: true } : phrase
}

/** Whether a text, as `wordsOf` gives it, has all of the phrases. */
export function hasAll(words: string, phrases: readonly Phrase[]): boolean {
  const inside = ` ${words} `
  return phrases.every(({ words: wanted, isExact }) =>
    inside.includes(` ${wanted.join(' ')}${isExact ? ' ' : ''}`),
  )
}

/** Without case, accents, width and ligatures; ß is ss, and a sigma a sigma. */
function fold(text: string) {
  const bare = text.normalize('NFKD').replace(DROPPED, '')
  const lower = bare.toLowerCase().toUpperCase().toLowerCase().replaceAll('ς', 'σ')
  // Puts Hangul and what was not dropped together again.
  return lower.normalize('NFC')
}

function split(folded: string): string[] {
  return (folded.match(WORD) ?? []).map((word) =>
    word.length > WORD_LENGTH ? [...word].slice(0, WORD_LENGTH).join('') : word,
  )
}
