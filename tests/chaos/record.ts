/** What happened in a run, in the order in which it happened, by one clock. */

import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { Entry, EventOf } from '../../src/protocol.ts'

/** One entry as somebody saw it; `hash` stands for the body. */
export interface Seen {
  seq: number
  id: string
  author: string
  hash: string
}

interface Attempt {
  conn: number
  room: string
  author: string
  id: string
  hash: string
}

/**
 * How an entry came: for all as it went live, as missed before, as a repeated answer, in a page; as
 * the answer to a post, which has no place in the order of a stream.
 */
export type Via = 'live' | 'resume' | 'repeat' | 'page' | 'answer'

/** `t` is in ms; a `conn` is one connection, a `device` one client that comes back on many. */
export type Fact = { t: number } &
  /** Of a socket, an event stream, or a post that was answered. */
  (
    | {
        type: 'open'
        conn: number
        device: string
        user: string
        node: string
        over?: 'stream' | 'post'
        /** A client that does not always read. */
        isSlow?: boolean
      }
    /** `isInside`: a stream, in the middle of an event. */
    | { type: 'close'; conn: number; code: number; isInside?: boolean }
    /** One try to say something. */
    | ({ type: 'invoke' } & Attempt)
    /** It is committed, at `seq`. */
    | ({ type: 'ok'; seq: number; via: Via } & Attempt)
    /** It was refused, and is nowhere. */
    | ({ type: 'fail'; code: string } & Attempt)
    /** Nobody knows. */
    | ({ type: 'info'; code: string } & Attempt)
    /** No answer for long, on a socket that is open. */
    | { type: 'silence'; conn: number; id: string; since: number }
    /** A join is sent; `after` as in the frame. */
    | { type: 'join'; conn: number; room: string; after?: number | undefined }
    /** Its answer; `asked` is the time of the join. */
    | {
        type: 'joined'
        conn: number
        room: string
        head: number
        from: number
        reset: boolean
        asked: number
      }
    /** The server has said, after a leave, that we are not there. */
    | { type: 'left'; conn: number; room: string }
    | ({ type: 'recv'; conn: number; room: string; via: Via } & Seen)
    /** A page came; its messages, as `recv`, follow. `before` is null for the newest. */
    | {
        type: 'page'
        conn: number
        room: string
        head: number
        before: number | null
        count: number
        first: number
        asked: number
      }
    /** Something else was heard of a room. */
    | { type: 'heard'; conn: number; room: string; what: string; seq?: number }
    | { type: 'fault'; name: string; kind: FaultKind; phase: 'start' | 'stop'; what: string }
    | { type: 'start'; node: string }
    | { type: 'exit'; node: string; by: 'harness' | 'self'; how: string }
    /** The end: whoever is still there and in the room has to have everything. */
    | { type: 'stay'; conn: number; room: string }
    | { type: 'astray'; device: string; what: string }
    /** A node is held by SIGSTOP since then; in the middle of a transaction, if that could be had. */
    | { type: 'freeze'; node: string; since: number; isInside: boolean }
    /** One run of a data tool. */
    | { type: 'tool'; command: string; since: number; code: number | string; output: string }
    /**
     * A run of `retain` in a room is over, which may drop what is older than `ageMs`; the floor as
     * it was looked up then, since `asked`, or null where there was no database to ask.
     */
    | { type: 'retain'; room: string; ageMs: number; floor: number | null; asked: number }
    /** Everything that a user said is to be erased; is it. */
    | { type: 'forget'; user: string; phase: 'start' | 'stop' }
    /** A whole room, as one source gave it out at the end; `floor` and `head` as the database says. */
    | {
        type: 'final'
        source: string
        room: string
        entries: Seen[]
        floor?: number
        head?: number
      }
  )

export type FactOf<T extends Fact['type']> = Extract<Fact, { type: T }>
/** What a fault takes away. */
export type FaultKind = 'node' | 'bus' | 'database' | 'link' | 'data'

/** A fact before it is noted. */
export type Untimed<F> = F extends unknown ? Omit<F, 't'> : never

export class Recorder {
  readonly facts: Fact[] = []

  /** ms since this process began. */
  now() {
    return performance.now()
  }

  note(fact: Untimed<Fact>) {
    this.facts.push({ t: this.now(), ...fact } as Fact)
  }
}

/** Notes a page, and what is in it. */
export function notePage(
  recorder: Recorder,
  at: { conn: number; room: string; before: number | null; asked: number },
  { head, messages }: Pick<EventOf<'history'>, 'head' | 'messages'>,
) {
  const { conn, room } = at
  const [count, first] = [messages.length, messages[0]?.seq ?? 0]
  recorder.note({ type: 'page', ...at, head, count, first })
  for (const { seq, id, author, body } of messages) {
    const seen = { seq, id, author: author.id, hash: hashOf(body) }
    recorder.note({ type: 'recv', conn, room, via: 'page', ...seen })
  }
}

/** What stands for an entry in the record. */
export function seenIn(entry: Entry): Seen {
  const { seq, id, author, kind } = entry
  const body = 'body' in entry ? entry.body : undefined
  const target = 'target' in entry ? entry.target : null
  return { seq, id, author: author.id, hash: hashOfEntry(kind, body, target) }
}

/** What stands for an entry of any kind. */
export function hashOfEntry(kind: string, body: string | undefined, target: number | null) {
  return kind === 'message' ? hashOf(body) : `${kind} ${target}`
}

/** Which entry this one erases; null when it is of another kind. */
export function erasedBy({ hash }: Seen): number | null {
  return hash.startsWith('delete ') ? Number(hash.slice('delete '.length)) : null
}

/** Whether pages have it, and not only those who listen. */
export const isMessage = ({ hash }: Seen) => !/^(edit|delete|reaction) /.test(hash)

/** Writes one JSON line per fact. */
export async function writeFacts(facts: readonly Fact[], file: string) {
  const stream = createWriteStream(file)
  for (const fact of facts) stream.write(`${JSON.stringify(fact)}\n`)
  stream.end()
  await finished(stream)
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 12)

/** A body that tells where it comes from, and whether it is whole. */
export function bodyOf(author: string, n: number, room: string, padding: string) {
  const text = `${author}:${n}:${room}:${padding}`
  return `${digest(text)}:${text}`
}

/** Stands for the body of what was erased. */
export const ERASED = 'no body'

/** What stands for a body in the record. */
export function hashOf(body: string | undefined) {
  if (body === undefined) return ERASED
  const [hash = '', ...rest] = body.split(':')
  return digest(rest.join(':')) === hash ? hash : `corrupt ${digest(body)}`
}
