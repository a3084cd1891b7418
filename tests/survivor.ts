/** A client that outlives the server: it comes back, resumes, and sends again what has no answer. */

import assert from 'node:assert/strict'
import { WebSocket } from 'ws'
import { parseEvents, PROTOCOL } from '../static/protocol.js'
import type { Entry, ServerEvent } from '../src/protocol.ts'
import type { Ack, Sent, View } from './checker.ts'
import { newTicket, type Account } from './helpers.ts'

/** Between two tries to reach the server. ms */
const RETRY_MS = 40

export class Survivor {
  readonly account: Account
  readonly sent: Sent[] = []
  readonly acks: Ack[] = []
  readonly view: View
  /** How often it was connected. */
  connections = 0
  readonly #url: string
  readonly #outbox = new Map<string, Sent>()
  #epoch: string | undefined
  #socket: WebSocket | null = null
  #isJoined = false
  #isOver = false

  constructor(url: string, account: Account, room: string) {
    this.#url = url
    this.account = account
    this.view = { name: account.user.name, room, after: 0, seen: [], isComplete: true }
  }

  /** Comes, and comes back until it is told to stop. */
  async live() {
    while (!this.#isOver) {
      await this.#connectOnce().catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  stop() {
    this.#isOver = true
    this.#socket?.terminate()
  }

  get waiting() {
    return this.#outbox.size
  }

  /** Keeps the message until it is answered. */
  say(body: string) {
    const { room } = this.view
    const message = { author: this.account.user.id, id: crypto.randomUUID(), room, body }
    this.sent.push(message)
    this.#outbox.set(message.id, message)
    this.#send(message)
  }

  /** Says again what was said before, with the same id, whether it was answered or not. */
  repeat(index: number) {
    const message = this.sent[index]
    if (message) this.#send(message)
  }

  #send({ id, room, body }: Sent) {
    if (this.#isJoined) this.#socket?.send(JSON.stringify({ type: 'say', room, id, body }))
  }

  async #connectOnce() {
    const ticket = await newTicket(this.#url, this.account.token)
    const protocols = [PROTOCOL, `ticket.${ticket}`]
    const socket = new WebSocket(`${this.#url.replace('http', 'ws')}/ws`, protocols)
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('open', () => this.#join())
    socket.on('message', (data) => {
      for (const event of parseEvents(String(data))) {
        assert.ok(event.type !== 'broken' && event.type !== 'position', String(data))
        this.#take(event)
      }
    })
    if (this.#isOver) socket.terminate()
    await new Promise((resolve) => socket.on('close', resolve))
    this.#isJoined = false
  }

  #join() {
    const { room, after, seen } = this.view
    const last = seen.at(-1)
    const position = { after: after + seen.length, ...(last && { last: last.id }) }
    const resume = this.#epoch === undefined ? { after: 0 } : { ...position, epoch: this.#epoch }
    this.#socket?.send(JSON.stringify({ type: 'join', room, ...resume }))
  }

  #take(event: ServerEvent) {
    if (event.type === 'joined') {
      assert.ok(!event.reset, 'a crash must not cost anybody the position')
      assert.equal(event.from, this.view.after + this.view.seen.length + 1)
      this.#epoch = event.epoch
      this.#isJoined = true
      this.connections += 1
      for (const message of this.#outbox.values()) this.#send(message)
    }
    if (event.type === 'message') this.#accept(event)
    if (event.type === 'error') assert.equal(event.code, 'unavailable', event.message)
  }

  #accept({ room, seq, id, author, repeat }: Entry) {
    if (!repeat) this.view.seen.push({ seq, id })
    if (author.id !== this.account.user.id) return
    this.acks.push({ author: author.id, id, room, seq })
    this.#outbox.delete(id)
  }
}
