/**
 * A client without a socket that outlives the servers: it posts until it is answered, a few at a
 * time, and follows its rooms as event streams. In the record each post is a connection of its own,
 * as no two of them have an order.
 */

import { Agent } from 'node:http'
import { parseEvents } from '../../static/protocol.js'
import { Follower } from './follower.ts'
import { ask, type Answer } from './http.ts'
import {
  AGAIN_MS,
  ANSWER_MS,
  Person,
  RETRY_MS,
  type Message,
  type PersonOptions,
} from './person.ts'
import { notePage, seenIn } from './record.ts'

/** For good: no such message to answer, an id that is used, too long. */
const REFUSED = new Set([404, 409, 413])

/**
 * Posts of one client at a time. Their connections are used again, as Node accepts one new one per
 * turn of its loop: with one for each post all of them wait on a machine that is busy.
 */
const MOST_POSTS = 4

/** A message under way. */
interface Post {
  conn: number
  id: string
  since: number
  cutter: AbortController
}

export class HttpSurvivor extends Person {
  readonly #options: PersonOptions
  readonly #followers: readonly Follower[]
  readonly #posts = new Set<Post>()
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MOST_POSTS })
  #notBefore = 0
  #stop = () => {}
  readonly #stopped = new Promise<void>((resolve) => (this.#stop = resolve))

  constructor(options: PersonOptions) {
    super(options)
    this.#options = options
    this.#followers = options.rooms.map((room) => new Follower(options, room))
  }

  get rooms() {
    return this.#followers.map(({ room }) => room)
  }

  get isSettled() {
    return this.#followers.every(({ conn }) => conn !== null)
  }

  heldOf(room: string) {
    return this.#followerOf(room)?.held ?? 0
  }

  /* ------------------------------------------------------------------ life */

  async live() {
    const tick = setInterval(() => this.#tick(), AGAIN_MS)
    await Promise.all([this.#stopped, ...this.#followers.map((follower) => follower.follow())])
    clearInterval(tick)
  }

  stop() {
    this.#stop()
    for (const follower of this.#followers) follower.stop()
    this.#cutPosts()
  }

  drop() {
    for (const follower of this.#followers) follower.drop(this.random.chance(0.5))
    this.#cutPosts()
  }

  goAway(ms: number) {
    for (const follower of this.#followers) follower.goAway(this.now() + ms)
    this.#cutPosts()
  }

  comeBack() {
    for (const follower of this.#followers) follower.comeBack()
  }

  pause() {
    for (const follower of this.#followers) follower.pause()
  }

  resume() {
    for (const follower of this.#followers) follower.resume()
  }

  stay() {
    for (const { room, conn } of this.#followers) {
      if (conn !== null) this.note({ type: 'stay', conn, room })
    }
    if (!this.isSettled) this.astray('it did not come back to all its rooms')
  }

  /** What became due meanwhile: answers, the life of the streams. */
  #tick() {
    const now = this.now()
    for (const follower of this.#followers) follower.tick(now)
    for (const { conn, id, since, cutter } of this.#posts) {
      if (now - since < ANSWER_MS || cutter.signal.aborted) continue
      this.note({ type: 'silence', conn, id, since })
      cutter.abort()
    }
    this.#sendWaiting()
  }

  #cutPosts() {
    for (const { cutter } of this.#posts) cutter.abort()
    this.#agent.destroy()
  }

  #followerOf(room: string) {
    return this.#followers.find((follower) => follower.room === room)
  }

  /* ------------------------------------------------------------------ what it says */

  /** Does nothing while enough is under way, or the server asked for patience. */
  send(message: Message) {
    const { id } = message
    if (this.#posts.size >= MOST_POSTS || this.now() < this.#notBefore) return
    const conn = this.#options.world.nextConn()
    const post = { conn, id, since: this.now(), cutter: new AbortController() }
    this.#posts.add(post)
    this.noteAttempt(conn, 'invoke', message)
    void this.#post(message, post)
  }

  #sendWaiting() {
    for (const message of this.outbox.waiting.values()) {
      if (!this.isUnderWay(message.id)) this.send(message)
    }
  }

  protected isUnderWay(id: string) {
    return [...this.#posts].some((post) => post.id === id)
  }

  async #post(message: Message, post: Post) {
    const { id, body, replyTo } = message
    const answer = await ask(this.#urlOf(message.room), {
      method: 'POST',
      body: { id, body, ...(replyTo !== undefined && { replyTo }) },
      token: this.#options.account.token,
      signal: post.cutter.signal,
      agent: this.#agent,
    }).catch(() => null)
    this.#posts.delete(post)
    if (answer) return this.#answered(message, post.conn, answer)
    this.noteAttempt(post.conn, 'info', message, 'closed')
    this.#notBefore = this.now() + this.random.below(RETRY_MS)
  }

  #answered(message: Message, conn: number, { status, text, retryAfterMs, localPort }: Answer) {
    const { device, user, world } = { ...this.#options, user: this.user.id }
    this.note({ type: 'open', conn, device, user, node: world.nodeOf(localPort), over: 'post' })
    if (status === 200 || status === 201) return this.#stored(message, conn, text)
    this.noteAttempt(conn, status === 503 ? 'info' : 'fail', message, `${status}`)
    if (status === 503 || status === 429) {
      this.#notBefore = this.now() + retryAfterMs
      return
    }
    this.outbox.settle(message.id, false)
    if (!REFUSED.has(status)) this.astray(`a post is answered ${status}: ${text}`)
  }

  #stored(message: Message, conn: number, text: string) {
    const [entry] = parseEvents(`[${text}]`)
    if (entry?.type !== 'message') return this.astray(`a post is answered ${text}`)
    const via = entry.repeat ? 'repeat' : 'answer'
    this.note({ type: 'recv', conn, room: entry.room, via, ...seenIn(entry) })
    this.noteAttempt(conn, 'ok', message, '', { seq: entry.seq, via })
    this.outbox.settle(message.id, true)
    this.#sendWaiting()
  }

  /* ------------------------------------------------------------------ what it reads */

  read(room: string, before: number | null = null, limit = 50) {
    const conn = this.#followerOf(room)?.conn ?? null
    if (conn !== null) void this.#read({ conn, room, before, asked: this.now() }, limit)
  }

  /** The page stands in the record as read by whoever follows the room. */
  async #read(at: Parameters<typeof notePage>[1], limit: number) {
    const query = new URLSearchParams({
      limit: `${limit}`,
      ...(at.before !== null && { before: `${at.before}` }),
    })
    const signal = AbortSignal.timeout(ANSWER_MS)
    const { token } = this.#options.account
    const url = `${this.#urlOf(at.room)}?${query}`
    const answer = await ask(url, { token, signal }).catch(() => null)
    if (answer?.status !== 200) return
    const [page] = parseEvents(JSON.stringify([{ ...JSON.parse(answer.text), type: 'history' }]))
    if (page?.type !== 'history') return this.astray(`a page is ${answer.text}`)
    notePage(this.#options.world.recorder, at, page)
  }

  #urlOf(room: string) {
    return `${this.#options.world.url}/api/rooms/${room}/messages`
  }
}
