/** What fits a NOTIFY: heads and hints in few bytes, and those that wait for their turn. */

import type { User } from '../protocol.ts'
import * as v from 'valibot'
import * as schemas from '../../static/protocol.js'
import type { Hint } from '../chat/bus.ts'

/** Above this many that wait, only heads are taken. */
const MAX_WAITING = 1_000

/** Of a user, as everybody is told it; guests have none. JSON has null for it. */
const KIND = v.nullish(v.unwrap(schemas.User.entries.kind))

/** A room's head, or something that does not last. */
const News = v.union([
  schemas.Seq,
  v.tuple([v.literal('presence')]),
  v.tuple([v.literal('typing'), schemas.Id, schemas.User.entries.name, KIND]),
  v.tuple([v.literal('read'), schemas.Id, schemas.Seq]),
  v.tuple([v.literal('admitted'), schemas.Id, schemas.User.entries.name, v.string(), KIND]),
  v.tuple([v.literal('owner'), schemas.Id]),
])
const Pair = v.tuple([schemas.Room, News])
type Pair = v.InferOutput<typeof Pair>
/** `["<node>", ["lobby", 17], …]`: by the node it knows its own, as a pooler hides the session. */
const Payload = v.pipe(v.string(), v.parseJson(), v.tupleWithRest([v.string()], Pair))

/** @returns null for what no node writes */
export function parsePayload(text: string | undefined): { node: string; hints: Hint[] } | null {
  const { success, output } = v.safeParse(Payload, text)
  if (!success) return null
  const [node, ...pairs] = output
  return { node, hints: pairs.map(toHint) }
}

/** What waits for its NOTIFY: of hints that replace each other, the newest. */
export class Backlog {
  readonly #pairs = new Map<string, Pair>()
  readonly #node: string
  readonly #maxBytes: number

  constructor(node: string, maxBytes: number) {
    this.#node = node
    this.#maxBytes = maxBytes
  }

  get size() {
    return this.#pairs.size
  }

  /** Of `entries` only the head is kept. Heads go up only and are never dropped. */
  add(hint: Hint) {
    const [room, news] = toPair(hint)
    const isHead = typeof news === 'number'
    const key = isHead ? room : [room, ...news.slice(0, 2)].join(' ')
    const old = this.#pairs.get(key)?.[1]
    if (isHead && typeof old === 'number' && old >= news) return
    if (!isHead && !old && this.size >= MAX_WAITING) return
    this.#pairs.set(key, [room, news])
  }

  /** Takes what fits one payload, oldest first. */
  take(): { payload: string; hints: Hint[] } {
    const hints: Hint[] = []
    let payload = JSON.stringify([this.#node]).slice(0, -1)
    let bytes = payload.length + 1
    for (const [key, pair] of this.#pairs) {
      const part = `,${JSON.stringify(pair)}`
      bytes += encoder.encode(part).length
      // What fits no payload must not stand in the way of all others.
      if (bytes <= this.#maxBytes || hints.length === 0) this.#pairs.delete(key)
      if (bytes > this.#maxBytes) break
      payload += part
      hints.push(toHint(pair))
    }
    return { payload: `${payload}]`, hints }
  }
}

const encoder = new TextEncoder()

function toPair(hint: Hint): Pair {
  const { type, room } = hint
  if (type === 'entries') return [room, hint.entries.at(-1)!.seq]
  if (type === 'head') return [room, hint.head]
  if (type === 'presence') return [room, [type]]
  if (type === 'typing') return [room, [type, hint.user.id, hint.user.name, hint.user.kind]]
  if (type === 'admitted')
    return [room, [type, hint.user.id, hint.user.name, hint.at, hint.user.kind]]
  if (type === 'owner') return [room, [type, hint.owner]]
  return [room, [type, hint.user, hint.seq]]
}

function toHint([room, news]: Pair): Hint {
  if (typeof news === 'number') return { type: 'head', room, head: news }
  if (news[0] === 'presence') return { type: 'presence', room }
  if (news[0] === 'typing') return { type: 'typing', room, user: toUser(news[1], news[2], news[3]) }
  if (news[0] === 'owner') return { type: 'owner', room, owner: news[1] }
  if (news[0] === 'admitted') {
    return { type: 'admitted', room, user: toUser(news[1], news[2], news[4]), at: news[3] }
  }
  return { type: 'read', room, user: news[1], seq: news[2] }
}

function toUser(id: string, name: string, kind: User['kind'] | null): User {
  return { id, name, ...(kind && { kind }) }
}
