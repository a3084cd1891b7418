/** HTTP by hand over TCP, for what no well-behaved client sends. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

const PATIENCE_MS = 5_000
/** The server's goodbye, which is answered by going. */
const CLOSE_FRAME = Buffer.from([0x88, 2])

export class RawSocket {
  readonly socket: Socket
  /** All that came, byte by byte. */
  text = ''
  isClosed = false
  readonly #wakers = new Set<() => void>()

  constructor(t: TestContext, url: string) {
    const { hostname, port } = new URL(url)
    this.socket = connect(Number(port), hostname)
    this.socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1')
      if (bytes.subarray(-4, -2).equals(CLOSE_FRAME)) this.socket.end()
      this.#wake()
    })
    this.socket.on('close', () => {
      this.isClosed = true
      this.#wake()
    })
    this.socket.on('error', () => {})
    t.after(() => this.socket.destroy())
  }

  /** The number in the first line of the answer. */
  get status() {
    return Number(/^HTTP\/1\.1 (\d+) /.exec(this.text)?.[1])
  }

  header(name: string): string | undefined {
    const [head = ''] = this.text.split('\r\n\r\n')
    return new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trim()
  }

  /** How many answers came. */
  get answers() {
    return this.text.split('HTTP/1.1 ').length - 1
  }

  write(text: string) {
    this.socket.write(text)
  }

  async until(condition: () => boolean) {
    const end = performance.now() + PATIENCE_MS
    while (!condition()) {
      const left = end - performance.now()
      assert.ok(
        left > 0,
        `closed: ${this.isClosed}; came: ${JSON.stringify(this.text.slice(-500))}`,
      )
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wakers.add(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  /** Waits for the head of the answer. @returns its status */
  async head() {
    await this.until(() => this.text.includes('\r\n\r\n') || this.isClosed)
    return this.status
  }

  async end() {
    await this.until(() => this.isClosed)
  }

  #wake() {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
  }
}

/** A handshake as text. `null` leaves a header out; `method` and `target` stand in the first line. */
export function handshake(
  ticket: string,
  headers: Record<string, string | null> = {},
  { method = 'GET', target = '/ws' } = {},
) {
  const all: Record<string, string | null> = {
    Host: '127.0.0.1',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': `hearth.v1, ticket.${ticket}`,
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}`],
  )
  return `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
}

/** Tries a handshake. The socket stays open when it was let in. */
export async function knock(
  t: TestContext,
  url: string,
  ...request: Parameters<typeof handshake>
): Promise<RawSocket> {
  const raw = new RawSocket(t, url)
  raw.write(handshake(...request))
  await raw.head()
  return raw
}
