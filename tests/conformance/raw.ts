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
  /** The end of it: to look through all again and again takes long when it is megabytes. */
  tail = ''
  isClosed = false
  readonly #wakers = new Set<() => void>()

  /** @param options  `ignoresClose`: it answers no goodbye */
  constructor(t: TestContext, url: string, { allowHalfOpen = false, ignoresClose = false } = {}) {
    const { hostname, port } = new URL(url)
    this.socket = connect({ host: hostname, port: Number(port), allowHalfOpen })
    this.socket.on('data', (bytes) => {
      const text = bytes.toString('latin1')
      this.text += text
      this.tail = `${this.tail}${text}`.slice(-1_000)
      const isClose = bytes.subarray(-4, -2).equals(CLOSE_FRAME)
      if (isClose && !ignoresClose) this.socket.end()
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
    return Number(/^HTTP\/1\.[01] (\d+) /.exec(this.text)?.[1])
  }

  header(name: string): string | undefined {
    const [head = ''] = this.text.split('\r\n\r\n')
    return new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trim()
  }

  /** How many answers came. */
  get answers() {
    return this.text.split(/HTTP\/1\.[01] /).length - 1
  }

  write(text: string) {
    this.socket.write(text)
  }

  async until(condition: () => boolean) {
    const end = performance.now() + PATIENCE_MS
    while (!condition()) {
      const left = end - performance.now()
      assert.ok(left > 0, `closed: ${this.isClosed}; came: ${JSON.stringify(this.tail)}`)
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

/** `null` leaves a header out, a list sends it several times. */
export type RawHeaders = Record<string, string | readonly string[] | null>

/** A request as text; `method`, `target` and `version` stand in the first line. */
export function request(
  target: string,
  headers: RawHeaders = {},
  { method = 'GET', version = '1.1' } = {},
) {
  const lines = Object.entries({ Host: '127.0.0.1', ...headers }).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((text) => `${name}: ${text}`),
  )
  return `${[`${method} ${target} HTTP/${version}`, ...lines].join('\r\n')}\r\n\r\n`
}

/** A handshake as text. */
export function handshake(
  ticket: string,
  headers: RawHeaders = {},
  { target = '/ws', ...line }: { method?: string; target?: string; version?: string } = {},
) {
  const all: RawHeaders = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': `hearth.v1, ticket.${ticket}`,
    ...headers,
  }
  return request(target, all, line)
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
