/** WebSocket frames by hand over TCP (RFC 6455, 5.2), for what no library sends. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { ServerEvent } from '../src/protocol.ts'
import { handshake, type RawHeaders } from './conformance/raw.ts'
import type { Scope } from './process.ts'

export const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const

/** Longest wait for anything that should come at once. ms */
const PATIENCE_MS = 10_000

export interface WireOptions {
  opcode?: number
  fin?: boolean
  /** The three reserved bits, as 0b100 for RSV1. */
  rsv?: number
  masked?: boolean
  /** What the header says, where that is not the truth. bytes */
  length?: number
}

/** One client frame as it goes over the wire; its mask is zeros, so that the payload stays. */
export function wire(payload: string | Uint8Array, options: WireOptions = {}): Buffer {
  const { opcode = OPCODE.TEXT, fin = true, rsv = 0, masked = true } = options
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  const { length = bytes.length } = options
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  const mask = masked ? Buffer.alloc(4) : Buffer.alloc(0)
  return Buffer.concat([Buffer.from([first]), lengthBytes(length, masked), mask, bytes])
}

/** A close frame. */
export function wireClose(code: number, reason: string | Uint8Array = ''): Buffer {
  const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)])
  return wire(payload, { opcode: OPCODE.CLOSE })
}

/** A text in pieces of `size` bytes. */
export function wireFragments(payload: string | Uint8Array, size: number): Buffer[] {
  const bytes = Buffer.from(payload)
  const starts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => n * size)
  return starts.map((start) =>
    wire(bytes.subarray(start, start + size), {
      opcode: start === 0 ? OPCODE.TEXT : OPCODE.CONTINUATION,
      fin: start + size >= bytes.length,
    }),
  )
}

function lengthBytes(length: number, masked: boolean): Buffer {
  const bit = masked ? 0x80 : 0
  if (length < 126) return Buffer.from([bit | length])
  const bytes = Buffer.alloc(length < 65_536 ? 3 : 9)
  bytes[0] = bit | (length < 65_536 ? 126 : 127)
  if (length < 65_536) bytes.writeUInt16BE(length, 1)
  else bytes.writeBigUInt64BE(BigInt(length), 1)
  return bytes
}

/** A client that sends bytes, and reads the server's frames as any client does. */
export class WireClient {
  readonly socket: Socket
  /** Every event so far, unparsed by any schema. */
  readonly events: ServerEvent[] = []
  readonly pongs: Buffer[] = []
  /** The code of the server's close frame: 1005 for one without a code. */
  closeCode: number | null = null
  /** The end of the TCP connection. */
  isEnded = false
  /** Whether a close frame is answered, as RFC 6455 5.5.1 asks. */
  answersClose = true
  #status: number | null = null
  #rest: Buffer = Buffer.alloc(0)
  readonly #wakers = new Set<() => void>()

  constructor(scope: Scope, url: string) {
    const { hostname, port } = new URL(url)
    this.socket = connect(Number(port), hostname)
    this.socket.setNoDelay(true)
    this.socket.on('data', (bytes) => {
      this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
      this.#read()
      this.#wake()
    })
    this.socket.on('close', () => {
      this.isEnded = true
      this.#wake()
    })
    this.socket.on('error', () => {})
    scope.after(() => this.socket.destroy())
  }

  /** The number in the answer to the handshake. */
  get status() {
    return this.#status
  }

  write(...frames: Uint8Array[]) {
    this.socket.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames))
  }

  send(...frames: object[]) {
    this.write(...frames.map((frame) => wire(JSON.stringify(frame))))
  }

  all<T extends ServerEvent['type']>(type: T) {
    return this.events.filter((event) => event.type === type) as Extract<ServerEvent, { type: T }>[]
  }

  /** Waits until `condition` holds, looking again at whatever comes. */
  async until(condition: () => boolean, what = 'a condition', patienceMs = PATIENCE_MS) {
    const end = performance.now() + patienceMs
    while (!condition()) {
      const left = end - performance.now()
      const seen = () => JSON.stringify(this.events.slice(-3)).slice(0, 500)
      const state = () => `ended ${this.isEnded}, close ${this.closeCode}, events ${seen()}`
      assert.ok(left > 0, `waited for ${what}; ${state()}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wakers.add(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  /** Writes whenever the system takes it, until it is over. @returns how many bytes */
  async pour(next: () => Buffer, isOver: () => boolean): Promise<number> {
    let sentBytes = 0
    let bytes = next()
    while (!isOver()) {
      // What waits here already is enough to keep the system busy.
      if (this.socket.writableLength < bytes.length * 4) {
        this.socket.write(bytes)
        sentBytes += bytes.length
        bytes = next()
        await pause(0)
      } else await pause(1)
    }
    return sentBytes
  }

  /** Resolves with the code of the close, or 1006 where the connection ended without one. */
  async closed(patienceMs = PATIENCE_MS): Promise<number> {
    await this.until(() => this.closeCode !== null || this.isEnded, 'the close', patienceMs)
    return this.closeCode ?? 1006
  }

  #read() {
    if (this.#status === null) {
      const end = this.#rest.indexOf('\r\n\r\n')
      if (end < 0) return
      this.#status = Number(this.#rest.toString('latin1', 9, 12))
      this.#rest = this.#rest.subarray(end + 4)
    }
    while (this.#readFrame());
  }

  #readFrame(): boolean {
    const bytes = this.#rest
    if (bytes.length < 2) return false
    const short = bytes[1]! & 0x7f
    const head = short < 126 ? 2 : short === 126 ? 4 : 10
    if (bytes.length < head) return false
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    if (bytes.length < head + length) return false
    this.#rest = bytes.subarray(head + length)
    this.#take(bytes[0]! & 0x0f, bytes.subarray(head, head + length))
    return true
  }

  #take(opcode: number, payload: Buffer) {
    if (opcode === OPCODE.TEXT) this.events.push(...JSON.parse(payload.toString()))
    if (opcode === OPCODE.PONG) this.pongs.push(Buffer.from(payload))
    if (opcode !== OPCODE.CLOSE) return
    this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005
    if (!this.answersClose || this.socket.writableEnded) return
    this.write(wire(payload.subarray(0, 2), { opcode: OPCODE.CLOSE }))
    this.socket.end()
  }

  #wake() {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
  }
}

/** Opens a socket by hand, and waits for the welcome. */
export async function openWire(
  scope: Scope,
  url: string,
  ticket: string,
  headers?: RawHeaders,
): Promise<WireClient> {
  const client = new WireClient(scope, url)
  client.socket.write(handshake(ticket, headers))
  await client.until(() => client.events.length > 0 || client.isEnded, 'the welcome')
  assert.equal(client.status, 101)
  return client
}

/** As many requests without an answer as a server takes on one connection, and some less. */
const TICKETS_AT_ONCE = 10

/** Tickets, asked for some at once on one connection. */
export async function takeTickets(url: string, token: string, count: number): Promise<string[]> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const request =
    `POST /api/ticket HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${token}\r\n` +
    'Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'
  let asked = Math.min(count, TICKETS_AT_ONCE)
  socket.write(request.repeat(asked))
  let text = ''
  for await (const bytes of socket) {
    text += String(bytes)
    const tickets = [...text.matchAll(/"ticket":"([\w-]+)"/g)].map(([, ticket]) => ticket!)
    if (tickets.length === count) return tickets
    const more = Math.min(count, tickets.length + TICKETS_AT_ONCE) - asked
    socket.write(request.repeat(more))
    asked += more
    assert.doesNotMatch(text, /HTTP\/1.1 [^2]/)
  }
  assert.fail('the connection ended before all tickets came')
}
