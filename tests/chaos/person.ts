/** What all clients of a run have in common: who they are, what they say, what they write down. */

import type { Account } from '../helpers.ts'
import type { Random } from '../random.ts'
import { bodyOf, hashOf, type Fact, type Recorder, type Untimed, type Via } from './record.ts'

/** Between two tries to reach a server, at most; less is drawn. ms */
export const RETRY_MS = 400
/** The next try of what was refused for now. ms */
export const AGAIN_MS = 500
/** No answer for so long on an open connection: said again. ms */
export const ANSWER_MS = 10_000
/** Nothing at all for so long: the connection is dead. ms */
export const SILENCE_MS = 40_000

/** What a run gives to its clients. */
export interface World {
  /** Where the servers are, all behind one address. */
  url: string
  recorder: Recorder
  /** The server behind a connection of ours. */
  nodeOf(localPort: number): string
  /** A number for each connection. */
  nextConn(): number
}

export interface Message {
  id: string
  room: string
  body: string
  hash: string
  replyTo?: number
}

/** What a user said and has no answer to; all devices of the user share it. */
export class Outbox {
  readonly waiting = new Map<string, Message>()
  /** The newest that were acknowledged, to be said again. */
  readonly done: Message[] = []
  n = 0

  settle(id: string, isStored: boolean) {
    const message = this.waiting.get(id)
    if (!message) return
    this.waiting.delete(id)
    if (isStored && this.done.push(message) > 50) this.done.shift()
  }
}

export interface PersonOptions {
  world: World
  account: Account
  device: string
  rooms: readonly string[]
  random: Random
  /** Wants every entry from the first, instead of what is new. */
  fromStart?: boolean
  /** Shared with the user's other device. */
  outbox: Outbox
  /** The other device, which says only what it is told to. */
  isTwin?: boolean
  /** Now and then it will not read. */
  isSlow?: boolean
}

export abstract class Person {
  readonly outbox: Outbox
  readonly random: Random
  readonly device: string
  readonly user: Account['user']
  readonly #recorder: Recorder

  constructor({ outbox, random, device, account, world }: PersonOptions) {
    this.outbox = outbox
    this.random = random
    this.device = device
    this.user = account.user
    this.#recorder = world.recorder
  }

  abstract get rooms(): readonly string[]
  /** Whether it follows all its rooms. */
  abstract get isSettled(): boolean
  /** The last entry it holds of a room. */
  abstract heldOf(room: string): number
  /** Comes, and comes back until it is told to stop. */
  abstract live(): Promise<void>
  abstract stop(): void
  /** Cuts its connections without a word. */
  abstract drop(): void
  /** Cuts its connections and stays away for a while. */
  abstract goAway(ms: number): void
  /** Comes back now, and to all its rooms. */
  abstract comeBack(): void
  /** Reads nothing until `resume`. */
  abstract pause(): void
  abstract resume(): void
  /** Asks for a page. */
  abstract read(room: string, before?: number | null, limit?: number): void
  /** The end of the run: says where it still is. */
  abstract stay(): void
  /** Tries to say a message now. */
  abstract send(message: Message): void
  /** Whether an answer to it is waited for. */
  protected abstract isUnderWay(id: string): boolean

  /** Keeps a message until it is answered. */
  say(room: string, padding: string): Message {
    const { id: author } = this.user
    const body = bodyOf(author, (this.outbox.n += 1), room, padding)
    const message = { id: crypto.randomUUID(), room, body, hash: hashOf(body) }
    this.outbox.waiting.set(message.id, message)
    this.send(message)
    return message
  }

  /** Says again what is acknowledged already. */
  repeat() {
    const { done } = this.outbox
    const message = done[this.random.below(done.length)]
    if (message && !this.isUnderWay(message.id)) this.send(message)
  }

  /** Says what has to be refused: under an id that is used, as an answer to nothing, too much. */
  misbehave(room: string) {
    const body = bodyOf(this.user.id, 0, room, crypto.randomUUID())
    const fresh = { id: crypto.randomUUID(), room, body, hash: hashOf(body) }
    const used = this.outbox.done.find(({ id }) => !this.isUnderWay(id))
    const kind = this.random.below(3)
    if (kind === 0 && used) return this.send({ ...fresh, id: used.id, room: used.room })
    const bad =
      kind === 1 ? { ...fresh, replyTo: 1e12 } : { ...fresh, body: body.padEnd(4_001, '.') }
    this.outbox.waiting.set(bad.id, bad)
    this.send(bad)
  }

  protected now() {
    return this.#recorder.now()
  }

  protected note(fact: Untimed<Fact>) {
    this.#recorder.note(fact)
  }

  protected astray(what: string) {
    this.note({ type: 'astray', device: this.device, what })
  }

  protected noteAttempt(
    conn: number,
    type: 'invoke' | 'info' | 'fail' | 'ok',
    { room, id, hash }: Message,
    code = '',
    at?: { seq: number; via: Via },
  ) {
    const attempt = { conn, room, author: this.user.id, id, hash }
    if (type === 'invoke') this.note({ type, ...attempt })
    else if (type === 'ok' && at) this.note({ type, ...attempt, ...at })
    else if (type !== 'ok') this.note({ type, code, ...attempt })
  }
}
