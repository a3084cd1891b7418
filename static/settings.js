/** What this browser remembers for a user: drafts, the last room, which rooms are muted. No DOM. */

/** @typedef {import('./outbox.js').Store} Store */
/**
 * `met`: since when there were no newcomers; `devices`: no device that was signed in later is known.
 * @typedef {'draft' | 'last-room' | 'met' | 'muted' | 'notify' | 'devices'} Kind
 */

export class Settings {
  #user
  #storage

  /** @param {string} user  id @param {Store} storage */
  constructor(user, storage) {
    this.#user = user
    this.#storage = storage
  }

  /**
   * @param {Kind} kind @param {string} [of]  a room, where each has its own
   * @returns {string} '' when unset
   */
  get(kind, of = '') {
    return attempt(() => this.#storage.getItem(this.#key(kind, of))) ?? ''
  }

  /** @param {Kind} kind @param {string} value  '' unsets it @param {string} [of] */
  set(kind, value, of = '') {
    const key = this.#key(kind, of)
    attempt(() =>
      value === '' ? this.#storage.removeItem(key) : this.#storage.setItem(key, value),
    )
  }

  /** How much was written and is not known to be sent. */
  get unsent() {
    const own = `outbox.${this.#user}.`
    return keysOf(this.#storage).filter((key) => key.startsWith(own)).length
  }

  /** Nothing of this user stays in the browser, the outbox included. */
  forget() {
    const own = keysOf(this.#storage).filter((key) => key.split('.')[1] === this.#user)
    for (const key of own) attempt(() => this.#storage.removeItem(key))
  }

  /** @param {Kind} kind @param {string} of */
  #key(kind, of) {
    return `${kind}.${this.#user}.${of}`
  }
}

/** @param {Store} storage  @returns {string[]} */
export function keysOf(storage) {
  return Array.from({ length: storage.length }, (_, i) => storage.key(i) ?? '')
}

/**
 * A full or forbidden storage must not stop the conversation.
 * @template T @param {() => T} run
 */
export function attempt(run) {
  try {
    return run()
  } catch {
    return undefined
  }
}
