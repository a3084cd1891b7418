/**
 * What a text looks like, as one spelling for all that look alike: the skeleton of UTS #39 §4, which
 * here outlives a change of case. The table is Unicode's `confusables.txt`, as the package
 * `unhomoglyph` keeps it; read when it is first asked for.
 */

import { createRequire } from 'node:module'
import { isOneWriting, isPart } from './spelling.ts'

const require = createRequire(import.meta.url)

/** Which table this is, for what was made by it. */
export function tableVersion(): string {
  const { name, version } = require('unhomoglyph/package.json') as { name: string; version: string }
  return `${name} ${version}`
}

interface Table {
  /** By a letter in lower case, the spelling of all that look like it within one writing. */
  alike: ReadonlyMap<string, string>
  /** By a letter as it stands there, what it is taken for besides: letters of another script. */
  foreign: ReadonlyMap<string, string>
}

let table: Table | undefined

/** The same for every text that looks like this one in some case, and is written in the same script. */
export function skeleton(text: string): string {
  const { alike } = (table ??= readTable())
  return pieces(text)
    .map((piece) => alike.get(piece) ?? piece)
    .join('')
}

/** The same for every text that looks like this one as it stands here, whatever its script. */
export function lookOf(text: string): string {
  const { foreign } = (table ??= readTable())
  const shown = [...text.normalize('NFKD')].map((character) => foreign.get(character) ?? character)
  return skeleton(shown.join(''))
}

/**
 * Letters and digits without what is easily overlooked: case, width, accents (marks that belong to no
 * script, but not those of Kana), signs and blanks.
 */
function pieces(text: string): string[] {
  const folded = [...text.normalize('NFKD')].map(fold).join('')
  return [...folded].filter((character) => KEPT.test(character))
}

const KEPT = new RegExp(
  String.raw`^(?:(?![ʻʼ])\p{L}|\p{N}|[\u3099\u309a]` +
    String.raw`|(?![\p{Script=Inherited}\p{Script=Hebrew}])\p{M})$`,
  'u',
)

/** By way of upper case, which brings together what lower case leaves apart: `ς` and `σ`, `ß` and `ss`. */
function fold(character: string) {
  const upper = character.toLowerCase().toUpperCase()
  return [...upper].map((one) => one.toLowerCase()).join('')
}

function readTable(): Table {
  const prototypes = require('unhomoglyph/data.json') as Record<string, string>
  const foreign = new Map<string, string>()
  const classes = new Classes()
  for (const [character, prototype] of Object.entries(prototypes)) {
    // What NFKC takes apart, and what no name contains, nobody meets here.
    if (character.normalize('NFKC') !== character || !isPart(character)) continue
    const [own, ...more] = pieces(character)
    const other = pieces(prototype)
    if (own === undefined || other.length === 0) continue
    // What looks like `ß` does not look like `ss`.
    const isSpeltOut = more.length > 0 || other.length > [...prototype].length
    if (isSpeltOut || !isOneWriting(character + other.join(''))) foreign.set(character, prototype)
    else classes.join(own, other)
  }
  return { alike: classes.spellings(), foreign }
}

/** Letters that look alike, joined step by step (union-find). */
class Classes {
  readonly #parents = new Map<string, string>()
  /** Of a class whose letters look like several: `m` like `rn`. */
  readonly #several = new Map<string, string[]>()

  join(letter: string, others: string[]) {
    const [other = '', ...more] = others
    const [mine, its] = [this.#rootOf(letter), this.#rootOf(other)]
    if (more.length > 0) this.#several.set(mine, others)
    else if (mine !== its) this.#unite(mine, its)
  }

  spellings() {
    const letters = [...this.#parents.keys(), ...this.#several.keys()]
    return new Map(letters.map((letter) => [letter, this.#spell(letter)]))
  }

  #unite(root: string, other: string) {
    this.#parents.set(root, other)
    const several = this.#several.get(root)
    if (several) this.#several.set(other, several)
  }

  #rootOf(letter: string): string {
    const parent = this.#parents.get(letter)
    return parent === undefined ? letter : this.#rootOf(parent)
  }

  #spell(letter: string): string {
    const root = this.#rootOf(letter)
    const several = this.#several.get(root)
    // A class that were part of its own spelling would never end.
    if (!several || several.some((part) => this.#rootOf(part) === root)) return root
    return several.map((part) => this.#spell(part)).join('')
  }
}
