/** One lasting connection over many sockets: a ticket each time, heartbeat, backoff. No DOM. */

import * as v from 'valibot'
import { ClientFrame, CLOSE, parseEvents, PROTOCOL } from './protocol.js'

/** @typedef {import('./protocol.js').ServerEvent} ServerEvent */
/** @typedef {import('./protocol.js').Position | import('./protocol.js').Broken} Mark */
/** @typedef {Extract<ServerEvent, { type: 'welcome' }>} Welcome */
/** @typedef {'idle' | 'connecting' | 'open' | 'waiting' | 'signed-out' | 'stopped'} State */
/**
 * @typedef {object} ConnectionOptions
 * @property {() => ReturnType<import('./api.js').Api['ticket']>} ticket
 * @property {string} url  of the WebSocket, `…/ws`
 * @property {typeof globalThis.WebSocket} WebSocket
 * @property {import('./clock.js').Clock} clock
 * @property {() => number} random  0 ≤ n < 1
 * @property {(event: ServerEvent | Mark) => void} onEvent
 * @property {(state: State, closeCode?: number) => void} onState  with the code after a close
 */

/** From the ticket to `welcome`. */
const CONNECT_MS = 10_000
/** The server closes a silent client after `heartbeat.timeout`; we give it this much more. */
const GRACE_MS = 5_000
/** How long an open socket has to answer after sleep or a change of network. */
const PROBE_MS = 3_000
const BACKOFF_MS = 500
const BACKOFF_MAX_MS = 20_000
/** A connection that lasted this long was a good one: the backoff starts anew. */
const STABLE_MS = 10_000

/** `WebSocket.OPEN`, which a `WebSocket` of tests need not have. */
const OPEN = 1
const WITH_TOKEN = new Set(['say', 'edit', 'delete', 'react'])
const nothing = () => {}

export class Connection {
  /** @type {State} */
  state = 'idle'
  /** What the server said of itself last. @type {Welcome | undefined} */
  welcome
  #options
  /** @type {WebSocket | undefined} */
  #socket
  #ticket = ''
  #attempt = 0
  #tries = 0
  #openedAt = 0
  #lastSeen = 0
  #notBefore = 0
  /** The close code that says that we are signed out, until a ticket proves it wrong.
   * @type {number | undefined} */
  #doubt
  #callOff = nothing
  #endProbe = nothing

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options
  }

  start() {
    if (this.state === 'idle') void this.#connect()
  }

  stop() {
    this.#drop()
    this.#become('idle')
  }

  /**
   * The network or the person is back: connect at once, or see whether the open socket lives.
   * @param {() => boolean} ask  sends a `join`, which is always answered; false when it could not
   */
  wake(ask) {
    if (this.state === 'waiting') this.#connectAfter(0)
    if (this.state !== 'open' || this.#endProbe !== nothing || !ask()) return
    this.#endProbe = this.#options.clock.after(PROBE_MS, () => this.#reconnect())
  }

  /** Whoever is signed in now is somebody else. */
  end() {
    this.#drop()
    this.#become('signed-out', CLOSE.SIGNED_OUT)
  }

  /**
   * @param {ClientFrame} frame
   * @returns {boolean} false when there is no open socket; nothing is kept then
   * @throws {v.ValiError<typeof ClientFrame>} when the frame is not one
   */
  send(frame) {
    // A socket that is closing takes a frame, and drops it.
    if (this.state !== 'open' || (this.#socket?.readyState ?? 0) > OPEN) return false
    const token = this.welcome?.tokenEveryMessage && WITH_TOKEN.has(frame.type)
    const checked = v.parse(ClientFrame, token ? { ...frame, token: this.#ticket } : frame)
    this.#socket?.send(JSON.stringify(checked))
    return true
  }

  async #connect() {
    this.#drop()
    this.#become('connecting')
    const attempt = ++this.#attempt
    const { value, failure } = await this.#options.ticket()
    if (attempt !== this.#attempt) return
    if (failure) return this.#refused(failure)
    const { WebSocket, url } = this.#options
    const socket = new WebSocket(url, [PROTOCOL, `ticket.${value.ticket}`])
    this.#ticket = value.ticket
    this.#socket = socket
    socket.onmessage = ({ data }) => this.#receive(socket, data)
    // A close follows. Without a listener, the `ws` of Node ends the program instead.
    socket.onerror = nothing
    // Deno says 0 where a browser says 1006.
    socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code || 1006)
    this.#lastSeen = this.#options.clock.now()
    this.#watch(CONNECT_MS)
  }

  /** @param {import('./api.js').Failure} failure */
  #refused(failure) {
    if (failure.status === 401) return this.#become('signed-out', this.#doubt)
    this.#notBefore = this.#options.clock.now() + (failure.retryAfterMs ?? 0)
    this.#backOff()
  }

  /** @param {WebSocket} socket @param {unknown} data */
  #receive(socket, data) {
    this.#lastSeen = this.#options.clock.now()
    for (const event of readEvents(data)) {
      if (socket !== this.#socket) return
      if (event.type === 'welcome') this.#opened(event)
      if (event.type === 'ping') this.send({ type: 'pong' })
      if (event.type === 'bye') this.#notBefore = this.#lastSeen + (event.retryAfterMs ?? 0)
      if (isAnswerToJoin(event)) this.#stopProbe()
      this.#options.onEvent(event)
    }
  }

  /** @param {Welcome} welcome */
  #opened(welcome) {
    this.welcome = welcome
    this.#doubt = undefined
    this.#openedAt = this.#lastSeen
    this.#watch(welcome.heartbeat.timeout + GRACE_MS)
    this.#become('open')
  }

  /** Judges by timestamps, since timers sleep with the machine. @param {number} patience ms */
  #watch(patience) {
    this.#callOff()
    const silent = this.#options.clock.now() - this.#lastSeen
    if (silent >= patience) return this.#reconnect()
    this.#callOff = this.#options.clock.after(patience - silent, () => this.#watch(patience))
  }

  /** This socket is as good as gone: tell the rooms, and take a new one at once. */
  #reconnect() {
    this.#drop()
    this.#become('waiting', 1006)
    this.#connectAfter(0)
  }

  /** @param {number} code */
  #closed(code) {
    this.#drop()
    // A refused token ends a connection as well, and then the session goes on: the next ticket tells.
    if (code === CLOSE.SIGNED_OUT) this.#doubt = code
    else if (code >= 4500 && code <= 4999) return this.#become('stopped', code)
    if (this.#options.clock.now() - this.#openedAt >= STABLE_MS) this.#tries = 0
    this.#backOff(code)
  }

  /** @param {number} [code] */
  #backOff(code) {
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#tries++)
    this.#become('waiting', code)
    this.#connectAfter(this.#options.random() * most)
  }

  /** @param {number} ms  longer when the server asked for it */
  #connectAfter(ms) {
    this.#callOff()
    const wait = Math.max(ms, this.#notBefore - this.#options.clock.now())
    this.#callOff = this.#options.clock.after(wait, () => void this.#connect())
  }

  #drop() {
    this.#attempt++
    this.#callOff()
    this.#stopProbe()
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
  }

  #stopProbe() {
    this.#endProbe()
    this.#endProbe = nothing
  }

  /** @param {State} state @param {number} [code] */
  #become(state, code) {
    this.state = state
    this.#options.onState(state, code)
  }
}

/** @param {unknown} data  @returns {ReturnType<typeof parseEvents>} one `broken` for no array */
function readEvents(data) {
  try {
    return parseEvents(data)
  } catch {
    return [{ type: 'broken' }]
  }
}

/** @param {ServerEvent | Mark} event */
function isAnswerToJoin(event) {
  return event.type === 'joined' || (event.type === 'error' && event.of === 'join')
}
