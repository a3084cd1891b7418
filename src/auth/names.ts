/** When two names are the same name, so that nobody can pass for another. */

import { NAME_LENGTH } from '../../static/protocol.js'
import { lookOf, skeleton, tableVersion } from './confusables.ts'
import { isReserved } from './reserved.ts'
import { spellingFault, withoutStrangers } from './spelling.ts'

export { isReserved } from './reserved.ts'
export { spellingFault } from './spelling.ts'

/** Raised with every change of what a key is made of; the keys that are stored are then made again. */
const RULE = 1

/** Of whom no name is known. */
export const NOBODY = 'someone'

/** Numbers that make a name unique: the small ones in turn, then any of the large. */
const SMALL_NUMBERS = 9
const LARGE_NUMBERS = 1_000_000
const TRIES = 100

/** The rule by which `nameKeys` makes keys. */
export function ruleOfNames(): string {
  return `${RULE}, ${tableVersion()}`
}

/** What a name is owned by: two names are one when they agree in either. */
export interface NameKeys {
  /** What it reads as in any case, with the letters of its script that look alike made one. */
  key: string
  /** What it reads as in the case that it is written in, whatever the script. */
  look: string
}

/** The keys of a name, also of one that would not be let in. */
export function nameKeys(name: string): NameKeys {
  return { key: skeleton(name), look: lookOf(name) }
}

/**
 * The name without what cannot stand in one, for who is not there to choose another: the issuer of a
 * token gave it. null when nothing is left, or a name for admins.
 */
export function fittingName(name: string): string | null {
  const rest = withoutStrangers(name)
  return spellingFault(rest) !== null || isReserved(rest) ? null : rest
}

/** The name, then the name with one number after the other. */
export function* namesLike(name: string): Generator<string> {
  for (let n = 1; n <= TRIES; n += 1) {
    const number = n <= SMALL_NUMBERS ? n : Math.floor(Math.random() * LARGE_NUMBERS)
    yield n === 1 ? name : withNumber(name, number)
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
