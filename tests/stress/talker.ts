/**
 * A client that says, edits, reacts and deletes over a WebSocket, sends again under the same id what
 * has no answer, and keeps what was acknowledged.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { parseEvents, PROTOCOL } from '../../static/protocol.js'
import type { Entry, ErrorEvent, ServerEvent } from '../../src/protocol.ts'
import { requestTicket, signInAnywhere } from '../chaos/http.ts'
import type { Account } from '../helpers.ts'
import type { Random } from '../random.ts'

/** Under way at once. */
const MOST_WAITING = 5
/** Between two tries to reach the server, or to be taken for a while. ms */
const RETRY_MS = 200
/** What may be changed or reacted to: the newest that was heard. */
const REMEMBERED = 20
const EMOJI = ['👍', '🔥', '🎉', '👀']

/** What was asked for; `type` as in its frame. */
export interface Wish {
  type: 'say' | 'edit' | 'delete' | 'react'
  room: string
  id: string
  body?: string
  target?: number
  emoji?: string
  on?: boolean
}

/** It is in the log, at `seq`. */
export interface Stored extends Wish {
  seq: number
}

export interface TalkerOptions {
  url: string
  name: string
  rooms: readonly string[]
  random: Random
  /** Mean pause before the next wish. ms */
  paceMs: number
}

export class Talker {
  readonly stored: Stored[] = []
  /** Ids of all that was ever sent. */
  readonly sent = new Set<string>()
  readonly #options: TalkerOptions
  readonly #waiting = new Map<string, Wish>()
  readonly #joined = new Set<string>()
  /** The newest of each room, and whose they are. */
  readonly #heard: { room: string; seq: number; isOwn: boolean }[] = []
  #account: Account | null = null
  #socket: WebSocket | null = null
  #isSilent = false
  #isOver = false

  constructor(options: TalkerOptions) {
    this.#options = options
  }

  get user() {
    return this.#account?.user.id ?? ''
  }

  /** Nothing is under way. */
  get isSettled() {
    return this.#waiting.size === 0
  }

  /** Signs in, and comes back until it is told to stop. */
  async live() {
    const { url, name, random } = this.#options
    while (!this.#isOver) {
      try {
        this.#account ??= await signInAnywhere(url, name)
        const ticket = await requestTicket(url, this.#account.token)
        if (!this.#isOver) await this.#connect(ticket)
      } catch {
        // The server is away, or coming back.
      }
      if (!this.#isOver) await pause(random.below(RETRY_MS))
    }
  }

  /** Talks until it is told to hush, as fast as it is answered. */
  async talk() {
    const { random, paceMs } = this.#options
    while (!this.#isSilent) {
      await pause(random.below(2 * paceMs))
      const isReady = this.#joined.size === this.#options.rooms.length
      if (isReady && this.#waiting.size < MOST_WAITING) this.#wish()
    }
  }

  hush() {
    this.#isSilent = true
  }

  stop() {
    this.#isOver = this.#isSilent = true
    this.#socket?.terminate()
  }

  /* ------------------------------------------------------------------ what it does */

  #wish() {
    const { rooms, random } = this.#options
    const kind = random.next()
    const id = crypto.randomUUID()
    const own = random.pick([null, ...this.#heard.filter(({ isOwn }) => isOwn)])
    const any = random.pick([null, ...this.#heard])
    if (kind < 0.1 && own) return this.#send(changed('edit', id, own, bodyOf(id, random)))
    if (kind < 0.15 && own) return this.#send(changed('delete', id, own))
    if (kind < 0.3 && any) {
      const reaction = { emoji: random.pick(EMOJI), on: random.chance(0.8) }
      return this.#send({ ...changed('react', id, any), ...reaction })
    }
    this.#send({ type: 'say', room: random.pick(rooms), id, body: bodyOf(id, random) })
    if (kind > 0.97) this.#sendFrame({ type: 'history', room: random.pick(rooms) })
  }

  #send(wish: Wish) {
    this.sent.add(wish.id)
    this.#waiting.set(wish.id, wish)
    this.#sendFrame(wish)
  }

  async #connect(ticket: string) {
    const url = `${this.#options.url.replace('http', 'ws')}/ws`
    const socket = new WebSocket(url, [PROTOCOL, `ticket.${ticket}`])
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('open', () => {
      for (const room of this.#options.rooms) this.#sendFrame({ type: 'join', room })
    })
    socket.on('message', (data) => {
      for (const event of parseEvents(String(data))) {
        if (event.type !== 'broken' && event.type !== 'position') this.#take(event)
      }
    })
    await new Promise((resolve) => socket.on('close', resolve))
    this.#joined.clear()
  }

  #sendFrame(frame: object) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  /* ------------------------------------------------------------------ what it hears */

  #take(event: ServerEvent) {
    if (event.type === 'message') return this.#hear(event)
    if (event.type === 'ping') return this.#sendFrame({ type: 'pong' })
    if (event.type === 'error') return this.#refused(event)
    if (event.type !== 'joined') return
    this.#joined.add(event.room)
    for (const wish of this.#waiting.values()) if (wish.room === event.room) this.#sendFrame(wish)
  }

  #hear(entry: Entry) {
    const { room, seq, author, id, kind } = entry
    const isOwn = author.id === this.user
    const wish = this.#waiting.get(id)
    if (isOwn && wish) {
      this.#waiting.delete(id)
      this.stored.push({ ...wish, seq })
    }
    if (kind !== 'message') return
    this.#heard.push({ room, seq, isOwn })
    if (this.#heard.length > REMEMBERED) this.#heard.shift()
  }

  /** For good, or for now: then it is sent again. */
  #refused({ id, code, retryAfterMs = RETRY_MS }: ErrorEvent) {
    const wish = id === undefined ? undefined : this.#waiting.get(id)
    if (!wish) return
    if (code !== 'unavailable' && code !== 'rate_limited' && code !== 'not_joined') {
      return void this.#waiting.delete(wish.id)
    }
    setTimeout(() => this.#waiting.has(wish.id) && this.#sendFrame(wish), retryAfterMs)
  }
}

function changed(
  type: Wish['type'],
  id: string,
  { room, seq: target }: { room: string; seq: number },
  body?: string,
): Wish {
  return { type, room, id, target, ...(body !== undefined && { body }) }
}

/** Some words for the index, and some length. */
function bodyOf(id: string, random: Random) {
  return `${id} ${'some words to be found '.repeat(1 + random.below(6))}`.trim()
}
