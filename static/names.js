/** Whom an `@name` means, and who is meant before it is written out. Pure. */

/** @typedef {{ id: string, name: string }} Person */
/**
 * A tree of letters, in which a name ends where there is an id.
 * @typedef {{ id?: string, next: Map<string, Letter> }} Letter
 */

/** Of the longest name, in UTF-16 units; longer ones, of other issuers, are not found. */
const LENGTH = 64
// Scripts in which words, or their endings, follow each other without a blank.
const DENSE = ['Han', 'Hira', 'Kana', 'Hang', 'Thai', 'Lao', 'Khmr', 'Mymr']
/** One letter or digit that goes on with the word before it; for a regular expression. */
export const WORD = `(?![${DENSE.map((name) => `\\p{sc=${name}}`).join('')}])[\\p{L}\\p{M}\\p{N}]`
const STARTS = new RegExp(`(?<!${WORD})@`, 'uy')
const GOES_ON = new RegExp(WORD, 'uy')
const QUERY = new RegExp(`(?<!${WORD})@([\\p{L}\\p{M}\\p{N}._'’-]{0,64})$`, 'u')

/** @param {Person[]} people  @returns {Letter} */
export function namesOf(people) {
  /** @type {Letter} */
  const root = { next: new Map() }
  for (const { id, name } of people) lower(name).split('').reduce(follow, root).id = id
  return root
}

/** @param {Letter} letter @param {string} char  @returns {Letter} */
function follow({ next }, char) {
  const letter = next.get(char) ?? { next: new Map() }
  next.set(char, letter)
  return letter
}

/**
 * Whose name stands there, and how it is written: Ada Lovelace before Ada.
 * @param {string} text @param {number} at  where the `@` is @param {Letter} names
 * @returns {Person | undefined}
 */
export function nameAt(text, at, names) {
  const start = at + 1
  const found = lower(text.slice(start, start + LENGTH))
  /** @param {Letter} letter @param {number} length  @returns {Person | undefined} */
  const read = ({ id, next }, length) => {
    const letter = next.get(found.charAt(length))
    const longer = letter && read(letter, length + 1)
    const isWhole = id !== undefined && !isAt(GOES_ON, text, start + length)
    return longer ?? (isWhole ? { id, name: text.slice(start, start + length) } : undefined)
  }
  return isAt(STARTS, text, at) ? read(names, 0) : undefined
}

/** @param {RegExp} pattern  a sticky one @param {string} text @param {number} index */
export function isAt(pattern, text, index) {
  pattern.lastIndex = index
  return pattern.test(text)
}

/** As long as before: one letter grows otherwise, and one has a form for the end of a word. @param {string} text */
const lower = (text) => text.replaceAll('İ', 'I').toLowerCase().replaceAll('ς', 'σ')

/**
 * What is being written behind an `@`, right before the caret.
 * @param {string} text @param {number} caret
 * @returns {{ start: number, query: string } | null} start: where the `@` stands
 */
export function queryAt(text, caret) {
  const match = QUERY.exec(text.slice(Math.max(0, caret - 80), caret))
  return match && { start: caret - match[0].length, query: match[1] ?? '' }
}

/**
 * Those whose name starts so, then those of whom another word does; accents and case aside.
 * @param {Person[]} people @param {string} query @param {number} [most]  @returns {Person[]}
 */
export function rank(people, query, most = 6) {
  const start = fold(query)
  const folded = people.map((person) => ({ person, name: fold(person.name) }))
  const first = folded.filter(({ name }) => name.startsWith(start))
  const later = folded.filter(({ name }) => !name.startsWith(start) && startsWord(name, start))
  return [...first, ...later].slice(0, most).map(({ person }) => person)
}

/** @param {string} name @param {string} start */
const startsWord = (name, start) =>
  name.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(start))

/** @param {string} text */
const fold = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
