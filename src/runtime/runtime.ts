/** What Hearth needs of a runtime. `node.ts` and `deno.ts` give it; nothing else knows which. */

import type { Context, Env, Hono } from 'hono'
import type { WSContext, WSEvents } from 'hono/ws'

export interface Runtime {
  /**
   * Listens, and resolves once it does.
   * @throws {AddressInUse} when the port is taken; whatever the system says otherwise
   */
  serve<E extends Env>(app: Hono<E>, options: ServeOptions): Promise<Listener>
  /** Hono's helper, with this runtime's limits set. The answer names `protocol` and no other. */
  upgradeWebSocket(c: Context, protocol: string, events: WSEvents): Promise<Response>
  /** The method as sent: Node's adapter presents every upgrade as a GET. */
  requestMethod(c: Context): string
  /** Address of the peer of the TCP connection; empty when it is gone already. */
  remoteAddress(c: Context): string
  /** The parts of a socket that Hono's `WSContext` leaves out. */
  socket(ws: WSContext): Socket
  /** Text made ready for any number of `Socket.send`. */
  encode(text: string): Frame
  /** A SQLite database that this process reads and writes synchronously. */
  openSqlite(file: string): Sqlite
}

export interface ServeOptions {
  hostname: string
  /** 0: any free one. */
  port: number
  /** Longest wait for the head of a request, and for any answer to an odd one. ms */
  headersTimeout: number
  /** Largest client frame, where the runtime can refuse it on the wire. bytes */
  maxFrame: number
  /** How long a closing socket may take to say goodbye, where the runtime can tell. ms */
  closeTimeout: number
}

export interface Listener {
  readonly port: number
  /** Stops accepting, ends what is left open. Idempotent. */
  close(): Promise<void>
}

/** One encoded server frame; `size` is its length on the wire without the header. */
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

/** The common part of `node:sqlite` and `libsql`; rows are plain objects by column name. */
export interface Sqlite {
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
  close(): void
}

export interface SqliteStatement {
  run(...values: SqliteValue[]): { changes: number }
  /** The first row. Statements that may find more carry a LIMIT. */
  get(...values: SqliteValue[]): unknown
  all(...values: SqliteValue[]): unknown[]
}

/** Somebody else listens on this port. */
export class AddressInUse extends Error {}
