/**
 * A Hearth client: all rooms of one user over one connection, with an outbox. It knows no page:
 * browsers, Node ≥ 22 and Deno run it as it stands.
 */

import * as v from 'valibot'
import { clock as systemClock } from './clock.js'
import { Connection } from './connection.js'
import { createMemoryStore, newId, Outbox } from './outbox.js'
import { ClientFrame, explain, Room as RoomName } from './protocol.js'
import { Room } from './room.js'

/** @typedef {import('./connection.js').State} State */
/** @typedef {import('./protocol.js').ServerEvent} ServerEvent */
/** @typedef {import('./protocol.js').Entry} Entry */
/** @typedef {Extract<Entry, { kind: 'message' }>} Said */
/**
 * What a program wants to hear of: each once, entries in the order of their room.
 * @typedef {{ type: 'entry', room: string, entry: Entry }
 *   | { type: 'reset', room: string }
 *   | { type: 'removed', room: string, why: import('./room.js').Shut }
 *   | { type: 'stored', id: string, entry: Entry }
 *   | { type: 'failed', id: string, failure: { code: string, message: string } }
 *   | Extract<ServerEvent, { type: 'error' | 'presence' | 'read' | 'typing' | 'admitted' | 'owner' | 'device' }>} News
 */
/**
 * @template {{ id: string }} T
 * @typedef {T extends unknown ? Omit<T, 'id' | 'token'> : never} WithoutId
 */
/** @typedef {WithoutId<import('./outbox.js').Sendable>} Unsent */
/**
 * @typedef {object} ClientOptions
 * @property {import('./protocol.js').User} user  who is signed in
 * @property {import('./api.js').Api} api
 * @property {string} url  of the WebSocket, e.g. `wss://chat.example.org/ws`
 * @property {() => void} [onChange]  something to show has changed
 * @property {(room: Room, entry: Said) => void} [onMention]  somebody named this user, now or while
 *   it was away for a little; not what a page brings, and nothing that is read already
 * @property {(news: News) => void} [onNews]
 * @property {(state: State, closeCode?: number) => void} [onState]
 * @property {number | undefined} [keep]  messages held of each room, and none is counted as unread;
 *   default: all, for as long as it runs
 * @property {typeof globalThis.WebSocket} [WebSocket]
 * @property {import('./outbox.js').Store} [storage]  default: memory
 * @property {import('./clock.js').Clock} [clock]
 * @property {() => number} [random]
 */

/** The server lets one connection into so many rooms. */
const ROOMS = 32
/** What asks for the list of rooms within this time is answered by one request. */
const REFRESH_MS = 500
const PASSED_ON = new Set(['presence', 'read', 'typing', 'admitted', 'owner'])

export class Client {
  /** @type {Map<string, Room>} */
  rooms = new Map()
  /** The room that is looked at: joined first, and with its newest page. */
  current = ''
  #api
  #clock
  #onChange
  #onMention
  #onNews
  #keep
  /** Counts the requests for the list of rooms: only the newest one's answer is true. */
  #asked = 0
  #asksSoon = false
  #isListKnown = false

  /** @param {ClientOptions} options */
  constructor({
    user,
    api,
    url,
    onChange = () => {},
    onMention = () => {},
    onNews = () => {},
    keep,
    onState = () => {},
    WebSocket = globalThis.WebSocket,
    storage = createMemoryStore(),
    clock = systemClock,
    random = Math.random,
  }) {
    this.user = user
    this.#api = api
    this.#clock = clock
    this.#onChange = onChange
    this.#onMention = onMention
    this.#onNews = onNews
    this.#keep = keep
    this.connection = new Connection({
      ticket: api.ticket,
      url,
      WebSocket,
      clock,
      random,
      onEvent: (event) => this.#onEvent(event),
      onState: (state, code) => {
        if (code !== undefined) this.#disconnected(code)
        onState(state, code)
        onChange()
      },
    })
    this.outbox = new Outbox({
      user: user.id,
      storage,
      clock,
      send: (frame) => this.rooms.get(frame.room)?.live === true && this.connection.send(frame),
      onChange,
      onFail: ({ id }, failure) => onNews({ type: 'failed', id, failure }),
    })
  }

  /** Those that are not closed to us, by name. */
  get openRooms() {
    const open = [...this.rooms.values()].filter(({ shut }) => !shut)
    return open.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  start() {
    this.connection.start()
  }

  stop() {
    this.#asked++
    this.#disconnected(1000)
    this.connection.stop()
  }

  /** To be called when the network or the person has come back. */
  wake() {
    this.connection.wake(() => this.rooms.get(this.current)?.join() === true)
    this.#refreshSoon()
  }

  /** Looks at a room, entering it if need be. @param {string} name  @returns {Room} */
  open(name) {
    this.current = name
    return this.enter(name)
  }

  /**
   * Enters a room, at once or on the next connection.
   * @param {string} name @param {{ limit?: number }} [options]  messages of the first page
   * @throws {v.ValiError<typeof RoomName>} when no room can have this name
   */
  enter(name, options) {
    const room = this.#room(name)
    if (!room.live) room.join(options)
    this.#onChange()
    return room
  }

  /** Ends the membership. @param {string} name  @returns {boolean} false when it cannot be told */
  leave(name) {
    if (!this.connection.send({ type: 'leave', room: name })) return false
    this.rooms.delete(name)
    // An answer that is on its way may know nothing of it.
    this.#asked++
    this.#refreshSoon()
    this.#onChange()
    return true
  }

  /**
   * Writes a message: it is kept until the log has it.
   * @param {string} room @param {string} text
   * @param {{ replyTo?: number | undefined, mentions?: string[] | undefined }} [options]
   * @returns {string | undefined} what is wrong with the text, and nothing was written
   */
  say(room, text, { replyTo, mentions = [] } = {}) {
    const reply = replyTo === undefined ? {} : { replyTo }
    const named = mentions.length === 0 ? {} : { mentions }
    return this.write({ type: 'say', room, body: text, ...reply, ...named })
  }

  /** As `say`. @param {string} room @param {number} target @param {string} text */
  edit(room, target, text) {
    return this.write({ type: 'edit', room, target, body: text })
  }

  /** @param {string} room @param {number} target */
  delete(room, target) {
    this.write({ type: 'delete', room, target })
  }

  /** @param {string} room @param {number} target @param {string} emoji @param {boolean} on */
  react(room, target, emoji, on) {
    this.write({ type: 'react', room, target, emoji, on })
  }

  /**
   * As `say`, of any kind.
   * @param {Unsent} unsent @param {string} [id]  a lower-case UUID
   */
  write(unsent, id = newId()) {
    const frame = v.safeParse(ClientFrame, { ...unsent, id })
    if (!frame.success) return explain(frame.issues).replace(/^body: /, '')
    if ('id' in frame.output) this.outbox.add(frame.output)
    return undefined
  }

  /** @param {string} name */
  #room(name) {
    const known = this.rooms.get(name)
    if (known) return known
    const room = new Room(v.parse(RoomName, name), {
      me: this.user.id,
      clock: this.#clock,
      send: (frame) => this.connection.send(frame),
      onChange: () => this.#onChange(),
      keep: this.#keep,
    })
    room.isReadKnown = this.#isListKnown
    this.rooms.set(name, room)
    return room
  }

  /** @param {number} code */
  #disconnected(code) {
    for (const room of this.rooms.values()) room.disconnected()
    this.outbox.closed(code)
  }

  #joinAll() {
    if (this.current) this.#room(this.current).join()
    void this.#refresh()
  }

  /** The server's list is the truth: other devices read, enter and leave rooms as well. */
  async #refresh() {
    const asked = ++this.#asked
    // One that is entered from now on may be missing in the answer.
    const entered = [...this.rooms.values()].filter(({ timeline }) => timeline.epoch !== undefined)
    const { value, failure } = await this.#api.rooms()
    if (asked !== this.#asked) return
    if (failure?.retryAfterMs !== undefined) this.#refreshSoon(failure.retryAfterMs)
    const listed = new Set(value?.map(({ room }) => room))
    for (const { name } of value ? entered : []) {
      if (listed.has(name) || name === this.current) continue
      this.rooms.delete(name)
      this.#onNews({ type: 'removed', room: name, why: 'removed' })
    }
    for (const summary of value ?? []) this.#room(summary.room).summary(summary)
    // Of a room that is not among them nothing was read.
    this.#isListKnown ||= value !== undefined
    for (const room of this.rooms.values()) room.isReadKnown = this.#isListKnown
    const rooms = this.openRooms
    const count = rooms.filter((room) => room.live || room.name === this.current).length
    const others = rooms.filter((room) => !room.live && !room.refused && room.name !== this.current)
    for (const room of others.slice(0, Math.max(0, ROOMS - count))) room.join({ limit: 0 })
    this.#onChange()
  }

  #refreshSoon(ms = REFRESH_MS) {
    if (this.#asksSoon) return
    this.#asksSoon = true
    this.#clock.after(ms, () => {
      this.#asksSoon = false
      if (this.connection.state === 'open') void this.#refresh()
    })
  }

  /** There is no place for the room that is looked at: it comes first on the next connection. */
  #startAfresh() {
    this.stop()
    this.start()
  }

  /** @param {ServerEvent | import('./connection.js').Mark} event */
  #onEvent(event) {
    // Another tab may have signed out and in again, and tickets are given to whoever is there now.
    if (event.type === 'welcome' && event.user.id !== this.user.id) return this.connection.end()
    if (event.type === 'welcome') {
      // Who signs in with an issuer's name may have been given another one.
      this.user = event.user
      this.#joinAll()
    } else if (event.type === 'ping') this.#checkHeads(event.heads)
    else if (event.type === 'error') this.#refused(event)
    else if (event.type === 'device') this.#onNews(event)
    else this.#inRoom(event)
    this.#onChange()
  }

  /** @param {Record<string, number>} heads */
  #checkHeads(heads) {
    const rooms = [...this.rooms.values()]
    for (const room of rooms) room.checkHead(heads[room.name])
    if (rooms.some((room) => room.isMiscounted || !room.live)) this.#refreshSoon()
  }

  /** @param {Extract<ServerEvent, { type: 'error' }>} error */
  #refused(error) {
    if (error.id) this.outbox.refuse(error)
    const room = this.rooms.get(error.room ?? '')
    room?.error(error)
    this.#onNews(error)
    if (room?.shut) this.#close(room, room.shut)
    const hasOthers = [...this.rooms.values()].some(({ live }) => live)
    const isFull = error.of === 'join' && error.code === 'too_many' && hasOthers
    if (isFull && room?.name === this.current) this.#startAfresh()
  }

  /** Only who looks at it need know. @param {Room} room @param {import('./room.js').Shut} why */
  #close(room, why) {
    room.close(why)
    if (room.name !== this.current) this.rooms.delete(room.name)
    this.#onNews({ type: 'removed', room: room.name, why })
  }

  /** @param {ServerEvent | import('./connection.js').Mark} event */
  #inRoom(event) {
    const room = 'room' in event && event.room ? this.rooms.get(event.room) : undefined
    if (event.type === 'read' && !room) this.#refreshSoon()
    if (!room) return
    if (event.type === 'joined') this.#joined(room, event)
    if (event.type === 'position') room.entry(event)
    if (event.type === 'message') this.#entry(room, event)
    if (event.type === 'history') this.#page(room, event)
    if (event.type === 'presence') room.presence(event)
    if (event.type === 'typing') room.types(event.user)
    if (event.type === 'read') room.readElsewhere(event.seq)
    if (event.type === 'broken') room.repair()
    if (event.type === 'owner') room.owned(event.owner)
    if (event.type === 'removed') this.#close(room, 'removed')
    if (PASSED_ON.has(event.type)) this.#onNews(/** @type {News} */ (event))
    if (room.isMiscounted) this.#refreshSoon()
  }

  /** @param {Room} room @param {import('./room.js').Event<'joined'>} event */
  #joined(room, event) {
    room.joined(event)
    this.#onNews({ type: 'presence', room: room.name, count: event.count })
    this.outbox.pump(room.name)
  }

  /** @param {Room} room @param {Entry} entry */
  #entry(room, entry) {
    if (room.entry(entry)) {
      this.#onNews({ type: 'entry', room: room.name, entry })
      if (entry.kind === 'message' && room.isMention(entry)) this.#onMention(room, entry)
    }
    this.#acknowledge(entry)
  }

  /** @param {Room} room @param {import('./protocol.js').HistoryPage} page */
  #page(room, page) {
    if (room.page(page)) this.#onNews({ type: 'reset', room: room.name })
    for (const { reactions: _reactions, editedAt: _at, ...message } of page.messages) {
      this.#acknowledge({ type: 'message', kind: 'message', room: room.name, ...message })
    }
  }

  /** @param {Entry} entry */
  #acknowledge(entry) {
    if (entry.author.id !== this.user.id) return
    this.outbox.remove(entry.id)
    this.#onNews({ type: 'stored', id: entry.id, entry })
  }
}
