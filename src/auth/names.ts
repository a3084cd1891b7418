/** When two names are the same name, so that nobody can pass for another. */

// Also format characters that are not ignorable by default, and the blank of Braille.
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]/gu
const LOOKALIKE_SCRIPTS = [/\p{Script=Latin}/u, /\p{Script=Greek}/u, /\p{Script=Cyrillic}/u]

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
