/**
 * What was written and is not yet known to be kept. One storage key per entry, so that it survives
 * the tab and two tabs do not race; per room first in, first out, one in flight. No DOM.
 */

import * as v from 'valibot'
import { ClientFrame } from './protocol.js'
import { attempt, keysOf } from './settings.js'

/** @typedef {Extract<ClientFrame, { id: string }>} Sendable */
/** @typedef {Extract<ClientFrame, { type: 'say' }>} Say */
/** @typedef {Extract<ClientFrame, { type: 'edit' }>} Edit */
/** @typedef {{ frame: Sendable, at: number, strikes: number, failed?: string }} Parcel */
/** @typedef {Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>} Store */
/**
 * @typedef {object} OutboxOptions
 * @property {string} user  id
 * @property {Store} storage
 * @property {import('./clock.js').Clock} clock
 * @property {(frame: Sendable) => boolean} send  false when it cannot be sent now
 * @property {() => void} onChange
 * @property {(frame: Sendable, failure: { code: string, message: string }) => void} [onFail]  it is
 *   not sent again by itself
 */

/** No answer for this long: send it again, with the same id. */
const ANSWER_MS = 10_000
const RETRY_MS = 1_000
/** An entry that closed the socket this often is not sent again by itself. */
const STRIKES = 2
const TRY_AGAIN = new Set(['unavailable', 'rate_limited'])
/** How many ids of entries that are done with are remembered. */
const DONE = 1_000
// The connection or the room comes back, and with it the next try.
const COMES_BACK = new Set(['unauthorized', 'not_joined'])

const Stored = v.object({
  frame: ClientFrame,
  at: v.number(),
  strikes: v.number(),
  failed: v.optional(v.string()),
})

export class Outbox {
  #options
  /** In the order of writing. @type {Map<string, Parcel>} */
  #parcels = new Map()
  /** By room, what waits for its answer or its next try. @type {Map<string, Flight>} */
  #flights = new Map()
  /** Rooms for which another tab has written something. */
  #watched = new Set()
  /** Ids of what a full storage did not take: it is kept for as long as the tab. */
  #homeless = new Set()
  /** Of entries that are done with. Another tab's may be heard of here before its key is seen. */
  #done = new Set()

  /** @typedef {{ id: string, callOff: () => void }} Flight */

  /** @param {OutboxOptions} options */
  constructor(options) {
    this.#options = options
    this.#load()
  }

  /**
   * Reads the storage again: another tab may have written, sent or discarded. What it has written
   * it sends itself, unless it was closed meanwhile: so that is looked after a little later.
   */
  reload() {
    this.#load()
    const rooms = new Set([...this.#parcels.values()].map(({ frame }) => frame.room))
    for (const room of rooms) if (!this.#flights.has(room)) this.#lookAfter(room)
    this.#options.onChange()
  }

  #load() {
    const { storage, user } = this.#options
    const parcels = keysOf(storage)
      .filter((key) => key.startsWith(`outbox.${user}.`))
      .flatMap((key) => readParcel(storage.getItem(key)))
    const homeless = [...this.#parcels.values()].filter(({ frame }) => this.#homeless.has(frame.id))
    const kept = parcels.filter(({ frame }) => !this.#homeless.has(frame.id))
    const all = [...kept, ...homeless].sort((a, b) => a.at - b.at)
    const waiting = all.filter(({ frame }) => !this.#done.has(frame.id))
    this.#parcels = new Map(waiting.map((parcel) => [parcel.frame.id, parcel]))
    for (const [room, { id }] of [...this.#flights]) {
      if (!this.#parcels.has(id)) this.#release(room, id)
    }
  }

  /** @param {string} room */
  #lookAfter(room) {
    if (this.#watched.has(room)) return
    this.#watched.add(room)
    this.#options.clock.after(ANSWER_MS, () => {
      this.#watched.delete(room)
      this.pump(room)
    })
  }

  /** @param {Sendable} frame */
  add(frame) {
    const newest = [...this.#parcels.values()].at(-1)?.at ?? 0
    this.#keep({ frame, at: Math.max(this.#options.clock.now(), newest + 1), strikes: 0 })
    this.pump(frame.room)
  }

  /** How many entries are not known to be kept, in whatever room. */
  get size() {
    return this.#parcels.size
  }

  /** @param {string} room  @returns {Parcel[]} in the order of writing */
  of(room) {
    return [...this.#parcels.values()].filter((parcel) => parcel.frame.room === room)
  }

  /** Sends the next of a room, unless one is in flight. @param {string} room */
  pump(room) {
    if (this.#flights.has(room)) return
    const next = this.of(room).find((parcel) => !parcel.failed)
    if (next && this.#options.send(next.frame)) this.#hold(room, next.frame.id, ANSWER_MS)
  }

  /** @param {Extract<import('./protocol.js').ServerEvent, { type: 'error' }>} error */
  refuse({ id, code, message, retryAfterMs }) {
    const parcel = this.#parcels.get(id ?? '')
    if (!parcel) return
    const { room } = parcel.frame
    // What is too many passes by itself only where the server says when.
    const passes = TRY_AGAIN.has(code) || retryAfterMs !== undefined
    if (passes) return this.#hold(room, parcel.frame.id, retryAfterMs ?? RETRY_MS)
    if (COMES_BACK.has(code)) return this.#release(room, parcel.frame.id)
    this.#fail(parcel, { code, message })
    this.#release(room, parcel.frame.id)
    this.pump(room)
  }

  /** @param {number} [code]  the close code; 1009 and 45xx count against what was in flight */
  closed(code = 0) {
    const isStrike = code === 1009 || (code >= 4500 && code < 4600)
    const flying = [...this.#flights]
    for (const [room, { id }] of flying) {
      this.#release(room, id)
      const parcel = this.#parcels.get(id)
      if (!parcel || !isStrike) continue
      const struck = { ...parcel, strikes: parcel.strikes + 1 }
      if (struck.strikes < STRIKES) this.#keep(struck)
      else this.#fail(struck, { code: 'closed', message: 'The server does not take it.' })
    }
  }

  /** @param {Parcel} parcel @param {{ code: string, message: string }} failure */
  #fail(parcel, failure) {
    this.#keep({ ...parcel, failed: failure.message })
    this.#options.onFail?.(parcel.frame, failure)
  }

  /** @param {string} id */
  retry(id) {
    const parcel = this.#parcels.get(id)
    if (!parcel) return
    const { failed: _failed, ...rest } = parcel
    this.#keep({ ...rest, strikes: 0 })
    this.pump(parcel.frame.room)
  }

  /** It is in the log, or nobody wants it any more. @param {string} id */
  remove(id) {
    this.#done.add(id)
    const [oldest] = this.#done
    if (this.#done.size > DONE) this.#done.delete(oldest)
    const parcel = this.#parcels.get(id)
    if (!parcel) return
    this.#parcels.delete(id)
    this.#homeless.delete(id)
    attempt(() => this.#options.storage.removeItem(this.#key(id)))
    this.#release(parcel.frame.room, id)
    this.#options.onChange()
    this.pump(parcel.frame.room)
  }

  /** @param {Parcel} parcel */
  #keep(parcel) {
    this.#parcels.set(parcel.frame.id, parcel)
    const { id } = parcel.frame
    const text = JSON.stringify(parcel)
    const isStored = attempt(() => this.#options.storage.setItem(this.#key(id), text) ?? true)
    if (isStored) this.#homeless.delete(id)
    else this.#homeless.add(id)
    this.#options.onChange()
  }

  /**
   * The room's next try comes with an answer, or after this time.
   * @param {string} room @param {string} id @param {number} ms
   */
  #hold(room, id, ms) {
    this.#flights.get(room)?.callOff()
    const callOff = this.#options.clock.after(ms, () => {
      this.#flights.delete(room)
      this.pump(room)
    })
    this.#flights.set(room, { id, callOff })
  }

  /** @param {string} room @param {string} id */
  #release(room, id) {
    const flight = this.#flights.get(room)
    if (flight?.id !== id) return
    flight.callOff()
    this.#flights.delete(room)
  }

  /** @param {string} id */
  #key(id) {
    return `outbox.${this.#options.user}.${id}`
  }
}

/** @param {string | null} text  @returns {Parcel[]} none when it cannot be read */
function readParcel(text) {
  const value = attempt(() => JSON.parse(text ?? ''))
  const { success, output } = v.safeParse(Stored, value)
  return success && 'id' in output.frame ? [{ ...output, frame: output.frame }] : []
}

/** A random lower-case UUID. `crypto.randomUUID` is missing on `http://` LAN addresses. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Keeps entries for as long as the program runs; where there is no localStorage. */
export function createMemoryStore() {
  /** @type {Map<string, string>} */
  const map = new Map()
  return {
    get length() {
      return map.size
    },
    /** @param {number} index */
    key: (index) => [...map.keys()][index] ?? null,
    /** @param {string} key */
    getItem: (key) => map.get(key) ?? null,
    /** @param {string} key @param {string} value */
    setItem: (key, value) => void map.set(key, value),
    /** @param {string} key */
    removeItem: (key) => void map.delete(key),
  }
}
