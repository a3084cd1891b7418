/** For programs: signs in, stays connected, says what happens, and answers once the log has it. */

import * as v from 'valibot'
import { createApi } from './api.js'
import { Client } from './client.js'
import { newId } from './outbox.js'
import { Room as RoomName } from './protocol.js'

/** @typedef {import('./protocol.js').Entry} Entry */
/** @template {Entry['kind']} K @typedef {{ room: string, entry: Extract<Entry, { kind: K }> }} In */
/** @typedef {import('./protocol.js').User} User */
/** @typedef {import('./connection.js').State} State */
/** @typedef {import('./client.js').News} News */
/** @typedef {{ code: string, message?: string, status?: number, retryAfterMs?: number }} Failure */
/**
 * @template T
 * @typedef {{ value: T, failure?: undefined } | { value?: undefined, failure: Failure }} Answer
 */
/** @typedef {{ room: string, head: number, messages: readonly import('./timeline.js').Item[] }} View */
/**
 * What `on` tells. Entries come in the order of their room and each once, also through a lost
 * connection; one's own are among them.
 * @typedef {object} Events
 * @property {In<'message'>} message
 * @property {In<'edit'>} edit
 * @property {In<'delete'>} delete
 * @property {In<'reaction'>} reaction
 * @property {View} reset  the room starts here: entered for the first time, or too much was missed.
 *   What was known of it is to be replaced by this
 * @property {{ room: string, count: number, members?: User[] | undefined }} presence  who is here;
 *   without members when they are too many
 * @property {{ room: string, user: User }} typing  somebody else is, for the next 6 s
 * @property {{ room: string, seq: number }} read  another device of this user has read up to here
 * @property {{ room: string, why: 'forbidden' | 'removed' }} removed  out of the room
 * @property {Extract<import('./protocol.js').ServerEvent, { type: 'admitted' }>} admitted  a new
 *   member of a private room
 * @property {Extract<import('./protocol.js').ServerEvent, { type: 'owner' }>} owner  of a private room
 * @property {Extract<import('./protocol.js').ServerEvent, { type: 'device' }>} device  another
 *   device of this user was signed in
 * @property {{ state: State, closeCode?: number | undefined }} state  `signed-out` and `stopped` are
 *   the end of it; all others pass
 * @property {Extract<import('./protocol.js').ServerEvent, { type: 'error' }>} error  a frame was
 *   refused, also one that is tried again
 */
/**
 * @typedef {object} Options
 * @property {string} base  the server, such as `https://chat.example.org`
 * @property {string} [token]  of a session that there is; without it, one is made from the rest:
 * @property {string} [name]  for a new guest
 * @property {string} [code]  beside the name, where the server asks for an access code
 * @property {string} [link]  for another device of a user, once
 * @property {number} [keep]  newest messages held of each room; default 100
 * @property {import('./outbox.js').Store} [storage]  keeps what is not yet sent, such as
 *   `localStorage`; default: memory
 * @property {typeof globalThis.WebSocket} [WebSocket]  default: the runtime's, which Node 20 lacks
 * @property {typeof globalThis.fetch} [fetch]
 * @property {import('./clock.js').Clock} [clock]
 * @property {() => number} [random]  0 ≤ n < 1
 */

/** Newest messages that are held of a room. */
const KEEP = 100
/** @type {ReadonlySet<State>} */
const ENDS = new Set(['signed-out', 'stopped'])
const NO_ROOM = { code: 'invalid', message: 'no room can have this name' }
const OUT = { code: 'unauthorized', message: 'the session is over' }

/** Why somebody was not let in: `code` as in docs/protocol.md, or `offline`. */
export class Refused extends Error {
  /** @param {Failure} failure */
  constructor({ code, message }) {
    super(message ?? code)
    this.name = 'Refused'
    this.code = code
  }
}

/**
 * Signs in and connects. What is to be heard is asked for at once after this, with `on`: the rooms
 * that the user is in already are entered next. The connection then comes back by itself.
 * @param {Options} options
 * @returns {Promise<Chat>} once the server has said welcome
 * @throws {Refused} when there is no session to go on with
 */
export async function connect({ base, token, name, code, link, fetch, ...options }) {
  const open = { base, ...(fetch && { fetch }) }
  const who = link === undefined ? { name: name ?? '', ...(code && { code }) } : { link }
  const signIn = token ? createApi({ ...open, token }).session() : createApi(open).signIn(who)
  const { value, failure } = await signIn
  if (failure) throw new Refused(named(failure))
  const key = token ?? value.token ?? ''
  const api = createApi({ ...open, token: key })
  const url = `${base.replace(/^http/, 'ws')}/ws`
  const chat = new Chat({ user: value.user, token: key, api, url, ...options })
  const { failure: closed } = await chat.opened
  if (closed) throw new Refused(closed)
  return chat
}

/** A connected user. Nothing here throws or rejects: what can fail answers with a `failure`. */
export class Chat {
  #api
  #client
  /** @type {Map<keyof Events, Set<(event: never) => void>>} */
  #listeners = new Map()
  /** By the id of what was written. @type {Map<string, { room: string } & Waiting<Entry>>} */
  #written = new Map()
  /** By room. @type {Map<string, Waiting<View>>} */
  #joins = new Map()

  /** @template T @typedef {{ answer: Promise<Answer<T>>, give: (answer: Answer<T>) => void }} Waiting */

  /** Made by `connect`. @param {{ token: string } & import('./client.js').ClientOptions} options */
  constructor({ token, keep = KEEP, ...options }) {
    /** Who this is: `{ id, name }`. */
    this.user = options.user
    /** Of the session, for the next `connect`. */
    this.token = token
    this.#api = options.api
    /** @type {Waiting<true>} */
    const opened = wait()
    /** Answers when the server has said welcome for the first time, or never will. */
    this.opened = opened.answer
    this.#client = new Client({
      ...options,
      keep,
      onNews: (news) => this.#hear(news),
      onState: (state, closeCode) => {
        if (state === 'open') opened.give({ value: true })
        if (ENDS.has(state)) opened.give({ failure: OUT })
        if (ENDS.has(state)) this.#giveUp(OUT)
        this.#tell('state', { state, closeCode })
      },
    })
    this.#client.start()
  }

  /** Names of the rooms that this user is in. */
  get rooms() {
    return this.#client.openRooms.map(({ name }) => name)
  }

  /** The newest messages, as they read now. @param {string} room */
  messages(room) {
    return this.#client.rooms.get(room)?.timeline.items ?? []
  }

  /**
   * @template {keyof Events} T
   * @param {T} type @param {(event: Events[T]) => void} listener
   * @returns {() => void} takes it off again
   */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners.add(listener))
    return () => void listeners.delete(listener)
  }

  /**
   * Enters a room, which is made if there is none of this name.
   * @param {string} room @param {{ limit?: number }} [options]  messages to begin with; default 50
   * @returns {Promise<Answer<View>>}
   */
  async join(room, options) {
    if (!v.is(RoomName, room)) return { failure: NO_ROOM }
    if (ENDS.has(this.#client.connection.state)) return { failure: OUT }
    if (this.#client.rooms.get(room)?.isHeld) return { value: this.#view(room) }
    const waiting = this.#joins.get(room) ?? wait()
    this.#joins.set(room, waiting)
    this.#client.enter(room, options)
    return waiting.answer
  }

  /** Ends the membership. @param {string} room  @returns {boolean} false: not connected, not done */
  leave(room) {
    const isLeft = this.#client.leave(room)
    if (isLeft) this.#giveUp({ code: 'not_joined' }, room)
    return isLeft
  }

  /**
   * Writes a message, entering the room if need be. It is sent until the log has it or refuses it.
   * @param {string} room @param {string} body
   * @param {{ replyTo?: number, mentions?: string[], id?: string }} [options]  `id`: a lower-case
   *   UUID; the same one again is the same message, and is stored once
   * @returns {Promise<Answer<Entry>>} the entry once it is on disk
   */
  say(room, body, { id, ...more } = {}) {
    return this.#write({ type: 'say', room, body, ...more }, id)
  }

  /** @param {string} room @param {number} target  seq @param {string} body @param {string} [id] */
  edit(room, target, body, id) {
    return this.#write({ type: 'edit', room, target, body }, id)
  }

  /** @param {string} room @param {number} target  seq @param {string} [id] */
  delete(room, target, id) {
    return this.#write({ type: 'delete', room, target }, id)
  }

  /**
   * @param {string} room @param {number} target  seq @param {string} emoji
   * @param {{ on?: boolean, id?: string }} [options]  on: false takes it off
   */
  react(room, target, emoji, { on = true, id } = {}) {
    return this.#write({ type: 'react', room, target, emoji, on }, id)
  }

  /**
   * A page of messages, newest last.
   * @param {string} room @param {{ before?: number, limit?: number }} [options]  `before`: seq,
   *   exclusive; default: the newest. `limit`: 1 to 100, default 50
   * @returns {Promise<Answer<import('./api.js').Found>>}
   */
  async history(room, options) {
    if (!v.is(RoomName, room)) return { failure: NO_ROOM }
    const { value, failure } = await this.#api.messages(room, options)
    return failure ? { failure: named(failure) } : { value }
  }

  /** Says that all messages of a room that came so far are read. @param {string} room */
  markRead(room) {
    this.#client.rooms.get(room)?.markRead()
  }

  /** Says that this user is typing; more often than every 3 s it does nothing. @param {string} room */
  typing(room) {
    this.#client.rooms.get(room)?.sendTyping()
  }

  /** Ends the connection, not the session. Whatever waits for an answer fails with `closed`. */
  close() {
    this.#client.stop()
    this.#giveUp({ code: 'closed' })
  }

  /**
   * @param {import('./client.js').Unsent} unsent @param {string} [id]
   * @returns {Promise<Answer<Entry>>}
   */
  async #write(unsent, id = newId()) {
    const { room } = unsent
    if (ENDS.has(this.#client.connection.state)) return { failure: OUT }
    const waiting = this.#written.get(id) ?? { room, ...wait() }
    this.#written.set(id, waiting)
    const fault = this.#client.write(unsent, id)
    if (fault) this.#fail(id, { code: 'invalid', message: fault })
    else if (!this.#client.rooms.get(room)?.live) this.#client.enter(room, { limit: 0 })
    return waiting.answer
  }

  /** @param {News} news */
  #hear(news) {
    if (news.type === 'entry') this.#tell(news.entry.kind, { room: news.room, entry: news.entry })
    else if (news.type === 'reset') this.#reset(news.room)
    else if (news.type === 'stored') this.#settle(news.id, { value: news.entry })
    else if (news.type === 'failed') this.#fail(news.id, news.failure)
    else if (news.type === 'presence') this.#tell('presence', this.#present(news.room))
    else if (news.type === 'error') this.#refused(news)
    else this.#tell(news.type, news)
    if (news.type === 'removed') this.#giveUp({ code: news.why }, news.room)
  }

  /** @param {string} room */
  #reset(room) {
    const view = this.#view(room)
    this.#tell('reset', view)
    this.#joins.get(room)?.give({ value: view })
    this.#joins.delete(room)
  }

  /** @param {Events['error']} error */
  #refused(error) {
    this.#tell('error', error)
    const { room = '', code, message } = error
    if (!this.#client.rooms.get(room)?.refused) return
    this.#client.rooms.delete(room)
    this.#giveUp({ code, message }, room)
  }

  /** @param {string} room  @returns {View} */
  #view(room) {
    const { position = 0, items = [] } = this.#client.rooms.get(room)?.timeline ?? {}
    return { room, head: position, messages: items }
  }

  /** @param {string} room */
  #present(room) {
    const { count = 0, members } = this.#client.rooms.get(room) ?? {}
    return { room, count, members }
  }

  /** @param {Failure} failure @param {string} [room]  default: all of them */
  #giveUp(failure, room) {
    const isIn = (/** @type {string} */ name) => room === undefined || name === room
    for (const [id, waiting] of [...this.#written]) if (isIn(waiting.room)) this.#fail(id, failure)
    for (const [name, { give }] of [...this.#joins]) {
      if (isIn(name)) give({ failure })
      if (isIn(name)) this.#joins.delete(name)
    }
  }

  /** @param {string} id @param {Failure} failure */
  #fail(id, failure) {
    this.#settle(id, { failure })
    this.#client.outbox.remove(id)
  }

  /** @param {string} id @param {Answer<Entry>} answer */
  #settle(id, answer) {
    this.#written.get(id)?.give(answer)
    this.#written.delete(id)
  }

  /** @param {keyof Events} type @param {Events[keyof Events] | { room: string, entry: Entry }} event */
  #tell(type, event) {
    for (const listener of this.#listeners.get(type) ?? []) {
      try {
        listener(/** @type {never} */ (event))
      } catch (error) {
        // The program's fault, and not to be hidden; but the next event is right all the same.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

/** @template T @returns {Waiting<T>} */
function wait() {
  /** @type {(answer: Answer<T>) => void} */
  let give = () => {}
  const answer = new Promise((resolve) => (give = resolve))
  return { answer, give }
}

/** A problem in the words of the other failures. @param {import('./api.js').Failure} failure */
function named({ code, detail, status, retryAfterMs }) {
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs }
  return { code, message: detail ?? code, status, ...wait }
}
