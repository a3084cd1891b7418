/** A WebSocket client on a raw TCP socket, for one process that holds thousands of them. */

import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'

/** All sockets read into the same memory, as each is done with it when its callback returns. bytes */
const shared = Buffer.allocUnsafeSlow(1024 * 1024)
const HEAD_END = Buffer.from('\r\n\r\n')

const TEXT = 0x1
const CLOSE = 0x8
const PING = 0x9
const PONG = 0xa

export interface WireOptions {
  port: number
  path: string
  headers?: Readonly<Record<string, string>>
  /** Gets the payload of each text frame, which is good until it returns. */
  onText(wire: Wire, payload: Buffer): void
  /** Called once, when the socket is gone. */
  onClose(): void
}

export class Wire {
  readonly #socket: Socket
  readonly #options: WireOptions
  /** What came of a frame, or of the answer to the handshake, that is not whole yet. */
  #rest: Buffer = Buffer.alloc(0)
  #opened: ((wire: Wire) => void) | null = null
  #failed: (error: Error) => void = () => {}
  bytes = 0

  /** Resolves when the server agreed. @throws {Error} with the first line of its answer */
  static open(options: WireOptions): Promise<Wire> {
    return new Promise((resolve, reject) => new Wire(options, resolve, reject))
  }

  private constructor(
    options: WireOptions,
    opened: (wire: Wire) => void,
    failed: (error: Error) => void,
  ) {
    this.#options = options
    this.#opened = opened
    this.#failed = failed
    const { port, path, headers = {} } = options
    const onread = {
      buffer: shared,
      callback: (length: number) => {
        this.#take(shared.subarray(0, length))
        return true
      },
    }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('error', (error) => this.#failed(error))
    this.#socket.on('close', () => {
      this.#failed(new Error('closed before it opened'))
      options.onClose()
    })
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ]
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  }

  send(text: string) {
    this.#write(TEXT, Buffer.from(text))
  }

  /** Leaves what comes in the system's hands until `resume`. */
  pause() {
    this.#socket.pause()
  }

  resume() {
    this.#socket.resume()
  }

  /** Cuts the connection without a goodbye. */
  cut() {
    this.#socket.destroy()
  }

  /** A mask of zeros is a mask, and leaves the bytes as they are. */
  #write(opcode: number, payload: Buffer) {
    const isShort = payload.length < 126
    const frame = Buffer.alloc(payload.length + (isShort ? 6 : 8))
    frame[0] = 0x80 | opcode
    frame[1] = 0x80 | (isShort ? payload.length : 126)
    if (!isShort) frame.writeUInt16BE(payload.length, 2)
    payload.copy(frame, isShort ? 6 : 8)
    this.#socket.write(frame)
  }

  #take(chunk: Buffer) {
    this.bytes += chunk.length
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    const end = this.#opened ? this.#takeHead(data) : this.#takeFrames(data, 0)
    // A copy, as what was read is overwritten by the next one.
    this.#rest = Buffer.from(data.subarray(end))
  }

  #takeHead(data: Buffer): number {
    const end = data.indexOf(HEAD_END)
    if (end < 0) return 0
    const status = data.subarray(0, data.indexOf('\r\n')).toString()
    if (!status.includes(' 101 ')) {
      this.#failed(new Error(status))
      this.cut()
      return data.length
    }
    this.#opened?.(this)
    this.#opened = null
    return this.#takeFrames(data, end + HEAD_END.length)
  }

  /** @returns where the first frame that is not whole begins */
  #takeFrames(data: Buffer, from: number): number {
    let at = from
    while (at + 2 <= data.length) {
      let length = data[at + 1]!
      let start = at + 2
      if (length === 126) {
        if (at + 4 > data.length) break
        length = data.readUInt16BE(start)
        start += 2
      } else if (length === 127) {
        if (at + 10 > data.length) break
        length = data.readUInt32BE(start + 4)
        start += 8
      }
      if (start + length > data.length) break
      this.#takeFrame(data[at]! & 0x0f, data.subarray(start, start + length))
      at = start + length
    }
    return at
  }

  #takeFrame(opcode: number, payload: Buffer) {
    if (opcode === TEXT) this.#options.onText(this, payload)
    else if (opcode === PING) this.#write(PONG, payload)
    else if (opcode === CLOSE) this.cut()
  }
}
