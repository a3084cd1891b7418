/** Node: what is refused before anything is made of it, requests that pile up and connections. */

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import type { Asking, ServeOptions } from './runtime.ts'

/** Connections of which nothing more is taken: they end with the answer under way. */
const cutOff = new WeakSet<TcpSocket>()

/** The answers that connections wait for. */
export class Unanswered {
  readonly #counts = new WeakMap<TcpSocket, number>()

  of(socket: TcpSocket): number {
    return this.#counts.get(socket) ?? 0
  }

  /** @param onLast  called when no answer is left */
  add({ socket }: IncomingMessage, outgoing: ServerResponse, onLast: () => void) {
    this.#counts.set(socket, this.of(socket) + 1)
    outgoing.once('close', () => {
      this.#counts.set(socket, this.of(socket) - 1)
      if (this.of(socket) === 0) onLast()
    })
  }
}

/**
 * Hands requests on, as long as their connection does not wait for too many answers. Node gives
 * all requests of one read, up to 64 KiB, before the first is answered: some thousand, at 10 KB of
 * memory each. A connection with too many ends, and so does one whose request is refused, with the
 * answer; `isCutOff` stops the parser.
 */
export function limitRequests(
  listener: RequestListener,
  unanswered: Unanswered,
  { unansweredRequests, charge, onRefusal }: ServeOptions,
): RequestListener {
  return (incoming, outgoing) => {
    const { socket } = incoming
    if (isCutOff(incoming)) return
    if (unanswered.of(socket) >= unansweredRequests) {
      onRefusal(socket.remoteAddress ?? '', 'piled up')
      return void socket.destroy()
    }
    const refusal = charge(askingOf(incoming))
    if (!refusal) return void listener(incoming, outgoing)
    cutOff.add(socket)
    outgoing.shouldKeepAlive = false
    const { status, headers, body } = refusal
    outgoing.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body)
  }
}

/** What is known of a request before anything is made of it. */
export function askingOf({ socket, method = '', url = '', headers }: IncomingMessage): Asking {
  const { 'x-forwarded-for': claimed } = headers
  const forwardedFor = typeof claimed === 'string' ? claimed : claimed?.join(', ')
  return { peer: socket.remoteAddress ?? '', forwardedFor, method, target: url }
}

/** Whether this came in one read with what ended its connection. */
export function isCutOff({ socket }: IncomingMessage): boolean {
  return socket.destroyed || cutOff.has(socket)
}

/** Ends connections that may not be, before anything else hears of them. Called last. */
export function limitConnections(server: Server, { admit }: ServeOptions) {
  const others = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: TcpSocket) => {
    const leave = admit(socket.remoteAddress ?? '')
    if (!leave) return void socket.destroy()
    socket.once('close', leave)
    for (const listener of others) listener.call(server, socket)
  })
}
