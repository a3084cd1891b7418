/** What Hearth needs of a runtime. `node.ts` and `deno.ts` give it; nothing else knows which. */

import type { Context, Env, Hono } from 'hono'
import type { WSContext, WSEvents } from 'hono/ws'

export interface Runtime {
  /** Name and version, for the operator. */
  readonly name: string
  /**
   * Listens, and resolves once it does.
   * @throws {AddressInUse} when the port is taken; {BadCertificate}; else what the system says
   */
  serve<E extends Env>(app: Hono<E>, options: ServeOptions): Promise<Listener>
  /** Hono's helper, with this runtime's limits set. The answer names `protocol` and no other. */
  upgradeWebSocket(c: Context, protocol: string, events: WSEvents): Promise<Response>
  /** As sent: Node's adapter makes every upgrade a GET and resolves the dots in its path. */
  requestLine(c: Context): { method: string; target: string }
  /** Address of the peer of the TCP connection; empty when it is gone already. */
  remoteAddress(c: Context): string
  /**
   * The answer to this request may be silent for long, and then go on.
   * @returns what cuts its connection; null where only a body that fails does
   */
  keepOpen(c: Context): (() => void) | null
  /** The parts of a socket that Hono's `WSContext` leaves out. */
  socket(ws: WSContext): Socket
  /** Text made ready for any number of `Socket.send`. */
  encode(text: string): Frame
  /**
   * A SQLite database that this process reads and writes synchronously.
   * @throws {import('./sqlite.js').NoSoundSqlite} when there is none that can be trusted
   */
  openSqlite(file: string): Sqlite
  /**
   * Where a thread that finds no descriptor ends the process.
   * @throws what the system says when there are too few for one
   */
  assertRoom(): void
}

export interface ServeOptions {
  hostname: string
  /** 0: any free one. */
  port: number
  /** Longest wait for the head of a request, and for any answer to an odd one. ms */
  headersTimeout: number
  /** Largest client frame, where the runtime can refuse it on the wire. bytes */
  maxFrame: number
  /** PEM texts; with them https and wss are served, from TLS 1.2 on, and nothing else. */
  tls?: { cert: string; key: string }
  /** Requests of a connection that wait for an answer; one more ends it, where they can pile up. */
  unansweredRequests: number
  /** Longest head of a request, where the runtime lets it be set. bytes */
  headBytes: number
  /**
   * Asked for each connection, where the runtime shows them.
   * @returns what gives its place back; null when it has to go
   */
  admit(peer: string): (() => void) | null
  /**
   * Asked for each request before anything is made of it, handshakes too.
   * @returns the answer that refuses it; null when it may go on
   */
  charge(asking: Asking): Answer | null
  /**
   * Asked for each request behind `charge`, where the runtime keeps any number of answers that
   * nobody reads.
   * @returns what counts its answer; or the answer, without a body, that refuses it
   */
  unread(asking: Asking): HoldAnswer | Answer
  /** Hears, each time, that no connection can be accepted for now, and why. */
  onDeaf(reason: string): void
  /** Hears of what the runtime refuses by itself; from which address. */
  onRefusal(peer: string, why: RefusedRequest): void
  /** How long a closing socket may take to say goodbye, where the runtime can tell. ms */
  closeTimeout: number
}

/** What is known of a request before anything is made of it. */
export interface Asking {
  peer: string
  forwardedFor: string | undefined
  method: string
  /** Path and query, as sent. */
  target: string
}

/** An answer that the runtime gives by itself. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/** Counts so many bytes of an answer. @returns what ends that, when it has been read; idempotent */
export type HoldAnswer = (bytes: number) => () => void

/** `unclear`: its head can be read in two ways. `piled up`: too many before it have no answer. */
export type RefusedRequest = 'unclear' | 'piled up'

export interface Listener {
  readonly port: number
  /** Stops accepting, ends what is left open. Idempotent. */
  close(): Promise<void>
}

/** One encoded server frame; `size` is the length of its text in UTF-8, which ends `data`. */
export interface Frame {
  readonly data: string | Uint8Array<ArrayBuffer>
  readonly size: number
}

export interface Socket {
  send(frame: Frame): void
  /** Bytes handed over and not yet taken by the system. */
  readonly bufferedAmount: number
  /** Starts the closing handshake. Does nothing on a closed socket. */
  close(code: number): void
  /** Stops and starts reading; does nothing where the runtime cannot. */
  pause(): void
  resume(): void
}

export type SqliteValue = string | number | null | Uint8Array

/** One connection, by what is the same in every `node:sqlite`; see sqlite.js. */
export interface Sqlite {
  /** Any number of statements, without values; what they find is dropped. */
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
  /** Rolls back what is not committed; its statements only throw from here on. Idempotent. */
  close(): void
}

/**
 * Values go by position, to `?` or `?1`. A number may be bound as REAL: where it matters (`/`,
 * `typeof`), the statement casts. Rows are plain objects by column name; an integer above 2^53 in
 * one throws.
 */
export interface SqliteStatement {
  /** The first row. Statements that may find more carry a LIMIT. */
  get(...values: SqliteValue[]): unknown
  all(...values: SqliteValue[]): unknown[]
}

/** Somebody else listens on this port. */
export class AddressInUse extends Error {}

/** The certificate or the key cannot be used, or they are no pair. */
export class BadCertificate extends Error {
  constructor(cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`TLS_CERT and TLS_KEY cannot be used together: ${reason}`, { cause })
  }
}

/** A name or an address, with or without a port. */
const HOST = /^(\[[\da-f:.]+\]|[\w.-]+)(:\d+)?$/i
/** No user, and no backslash in the path, which some take for a slash. */
const ADDRESS = /^https?:\/\/[^/\\?#@]+(\/[^\\?#]*)?([?#]|$)/

/** Whether everybody who reads this request takes it for the same; others are answered with 400. */
export function isClear(method: string, url: string, host: string | null): boolean {
  const isHost = host === null || HOST.test(host)
  return method !== 'CONNECT' && isHost && ADDRESS.test(url) && URL.canParse(url)
}
