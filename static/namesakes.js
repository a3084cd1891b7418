/** Which of several persons of one name somebody is: a name that was freed is anybody's. Pure. */

import { fold } from './text.js'

/** @typedef {import('./protocol.js').User} User */
/** The seq at which somebody was met first, by id. @typedef {Map<string, number>} Bearers */

export class Namesakes {
  /** By name, as it is written and as it reads. @type {Map<string, Bearers>} */
  #bearers = new Map()

  /**
   * @param {User} user
   * @param {number} seq  of what they wrote; of who is just here, that of the next message
   */
  meet({ id, name }, seq) {
    const bearers = this.#of(name)
    bearers.set(id, Math.min(seq, bearers.get(id) ?? seq))
  }

  /**
   * As far as is known: older messages, once they are there, may bring somebody earlier.
   * @param {User} user
   * @returns {number} 1: the first of this name, or the only one; 2: another person; and so on
   */
  orderOf({ id, name }) {
    const bearers = this.#of(name)
    const since = bearers.get(id) ?? Infinity
    return 1 + [...bearers].filter(([other, seq]) => other !== id && seq < since).length
  }

  /** @param {string} name  @returns {Bearers} */
  #of(name) {
    const known = this.#bearers.get(name)
    if (known) return known
    // Letters and digits, as the server tells names apart, but for its table of look-alikes.
    const key = fold(name).replace(/[^\p{L}\p{N}]+/gu, '') || name
    const bearers = this.#bearers.get(key) ?? new Map()
    this.#bearers.set(key, bearers).set(name, bearers)
    return bearers
  }
}
