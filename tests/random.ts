/** Chance that a seed repeats; apart from the arbitraries, which take a second to load. */

/** Random numbers that come again with the same seed (mulberry32). */
export function createRandom(seed: number) {
  let state = seed
  /** @returns 0 ≤ n < 1 */
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  /** A whole number below `most`. */
  const below = (most: number) => Math.floor(next() * most)
  return {
    next,
    below,
    pick: <T>(values: readonly T[]): T => values[below(values.length)]!,
    chance: (probability: number) => next() < probability,
  }
}

export type Random = ReturnType<typeof createRandom>
