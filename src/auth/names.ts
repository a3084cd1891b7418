/** When two names are the same name, so that nobody can pass for another. */

import { NAME_LENGTH } from '../../static/protocol.js'

// Also format characters that are not ignorable by default, and the blank of Braille.
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]/gu
const LOOKALIKE_SCRIPTS = [/\p{Script=Latin}/u, /\p{Script=Greek}/u, /\p{Script=Cyrillic}/u]
/** Numbers that make a name unique: the small ones in turn, then any of the large. */
const SMALL_NUMBERS = 9
const LARGE_NUMBERS = 1_000_000
const TRIES = 100

/**
 * Case, width, invisible characters and spacing make no difference (NFKC, UAX #15).
 * @param name  1 to 32 code points, as the schema lets through
 * @returns the key under which a name is owned; null for a name that shows nothing, or that mixes
 *   scripts whose letters look alike
 */
export function nameKey(name: string): string | null {
  const key = name
    .normalize('NFKC')
    .toLowerCase()
    .replace(INVISIBLE, '')
    .normalize('NFKC')
    .replace(/\s+/g, ' ')
    .trim()
  const scripts = LOOKALIKE_SCRIPTS.filter((script) => script.test(key))
  return key === '' || scripts.length > 1 ? null : key
}

/** A name as it is shown, and the key under which it is owned. */
export interface Name {
  name: string
  key: string
}

/** The name and its key, then the name with one number after the other. */
export function* namesLike(name: string): Generator<Name> {
  for (let n = 1; n <= TRIES; n += 1) {
    const number = n <= SMALL_NUMBERS ? n : Math.floor(Math.random() * LARGE_NUMBERS)
    const variant = n === 1 ? name : withNumber(name, number)
    const key = nameKey(variant)
    if (key) yield { name: variant, key }
  }
}

/** Whether a name is the wanted one, or what `namesLike` made of it. */
export function isNameLike(name: string, wanted: string): boolean {
  const number = / (\d+)$/.exec(name)?.[1]
  return name === wanted || (number !== undefined && name === withNumber(wanted, Number(number)))
}

function withNumber(name: string, number: number) {
  const suffix = ` ${number}`
  return (
    [...name]
      .slice(0, NAME_LENGTH - suffix.length)
      .join('')
      .trimEnd() + suffix
  )
}
