/** Node: `@hono/node-server` with `ws`. */

import { createServer, IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket as TcpSocket } from 'node:net'
import { createSecureContext } from 'node:tls'
import { createAdaptorServer, upgradeWebSocket, type HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { WSContext, WSEvents } from 'hono/ws'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import { PROTOCOL } from '../../static/protocol.js'
import { askingOf, isCutOff, limitConnections, limitRequests, Unanswered } from './node-guard.ts'
import { AddressInUse, BadCertificate, isClear } from './runtime.ts'
import type { Runtime, ServeOptions } from './runtime.ts'
import { openSqlite } from './sqlite.js'

/** Past these, a message is made of suspiciously small pieces. */
const MAX_FRAGMENTS = 64
const MAX_BUFFERED_CHUNKS = 1_024
/** A whole text frame (RFC 6455, 5.2), and from where on its length takes 2 or 8 bytes more. */
const FINAL_TEXT = 0x81
const LONG = 126
const VERY_LONG = 65_536
/** Lines in the head of a request, as on Deno; past 2,000 Node would leave out the rest. */
const MAX_HEADERS = 128

/**
 * Below each WebSocket, by way of its handshake. A frame of the server has no mask, so it is the
 * same for all who get it: it is made once, and its bytes go to the TCP sockets as they are. `ws`
 * would make a header for each, and two pieces to write.
 */
const tcpSockets = new WeakMap<WebSocket, TcpSocket>()

export const runtime: Runtime = {
  name: `node ${process.versions.node}`,

  serve: async (app, options) => {
    const unanswered = new Unanswered()
    const server = createAdaptorServer({
      fetch: (request, env) => {
        const { incoming } = env as HttpBindings
        if (isCutOff(incoming) || !isPlain(incoming)) return new Response(null, { status: 400 })
        // A handshake does not come by way of `limitRequests`.
        const refusal = isHandshake(incoming) && options.charge(askingOf(incoming))
        if (refusal) return new Response(refusal.body, refusal)
        // The adapter leaves an empty header out of a handshake, and no `Origin` is a good one.
        if (incoming.headers.origin === '') request.headers.set('origin', '')
        return app.fetch(request, env)
      },
      ...serverOf(options, (adapter) => {
        const listener: RequestListener = (incoming, outgoing) => {
          // Who asked for an upgrade may speak another language from here on: no more is answered.
          if (incoming.headers.upgrade) outgoing.shouldKeepAlive = false
          unanswered.add(incoming, outgoing, () => {
            if (!server.listening) incoming.socket.destroySoon()
          })
          // Some of these the adapter answers itself.
          if (!isPlain(incoming)) options.onRefusal(incoming.socket.remoteAddress ?? '', 'unclear')
          adapter(incoming, outgoing)
        }
        return limitRequests(listener, unanswered, options)
      }),
      websocket: { server: createWebSocketServer(options) },
    }) as Server
    const sockets = trackSockets(server, options)
    limitConnections(server, options)
    return new Promise((resolve, reject) => {
      // Later ones are of a connection that could not be accepted: the next may be.
      server.on('error', (error: NodeJS.ErrnoException) => {
        if (server.listening) return options.onDeaf(error.message)
        reject(error.code === 'EADDRINUSE' ? new AddressInUse(error.message) : error)
      })
      server.listen(options.port, options.hostname, () => {
        const { port } = server.address() as AddressInfo
        resolve({
          port,
          close: () => closeServer(server, sockets, unanswered, options.closeTimeout),
        })
      })
    })
  },

  upgradeWebSocket: (c, _protocol, events) => {
    const env = bindings(c)
    const onOpen: WSEvents['onOpen'] = (event, ws) => {
      env.incoming = env.outgoing = undefined
      events.onOpen?.(event, ws)
    }
    return upgradeWebSocket(handshakeOf(c), { ...events, onOpen })
  },

  requestLine: (c) => {
    const { method = c.req.method, url: target = c.req.url } = bindings(c).incoming ?? {}
    return { method, target }
  },
  remoteAddress: (c) => bindings(c).incoming?.socket.remoteAddress ?? '',
  keepOpen: (c) => {
    const { incoming, outgoing } = bindings(c)
    // Else the server's own limit for silence would end it.
    incoming?.socket.setTimeout(0)
    // A body that fails would be written of on the console, and into the answer.
    return () => {
      if (!outgoing?.writableFinished) incoming?.socket.destroy()
    }
  },

  socket: (context) => {
    const ws = (context as WSContext<WebSocket>).raw!
    const tcp = tcpSockets.get(ws)!
    return {
      send: (frame) => {
        if (ws.readyState === ws.OPEN) tcp.write(frame.data)
      },
      get bufferedAmount() {
        return tcp.writableLength
      },
      close: (code) => ws.close(code),
      pause: () => ws.pause(),
      resume: () => ws.resume(),
    }
  },

  encode: (text) => {
    const size = Buffer.byteLength(text)
    const start = size < LONG ? 2 : size < VERY_LONG ? 4 : 10
    const data = Buffer.allocUnsafe(start + size)
    data[0] = FINAL_TEXT
    data[1] = size < LONG ? size : size < VERY_LONG ? 126 : 127
    if (start === 4) data.writeUInt16BE(size, 2)
    if (start === 10) data.writeBigUInt64BE(BigInt(size), 2)
    data.write(text, start)
    return { data, size }
  },

  openSqlite,
  assertRoom: () => {},
}

/**
 * A request that asks for any other upgrade (`h2c`) is an ordinary request. Without this Node
 * hands its socket to the upgrade listener, which ignores it, and nobody ever answers. So is one
 * that cannot be read, of which the adapter would make a 500.
 */
class Incoming extends IncomingMessage {
  // Only declared, as the setter runs inside the constructor of the base.
  declare private isUpgrade: boolean
  get upgrade() {
    // Also what makes Node stop reading, see node-guard.ts.
    return isCutOff(this) || (this.isUpgrade && isHandshake(this) && isPlain(this))
  }
  set upgrade(value: boolean) {
    this.isUpgrade = value
  }
}

/** What Deno refuses by itself is refused here: two hosts (RFC 9112, 3.2), a body of a handshake. */
function isPlain(incoming: IncomingMessage) {
  const { method = '', url = '', headers, headersDistinct, rawHeaders } = incoming
  const [host = '', ...others] = headersDistinct.host ?? []
  const isLong = rawHeaders.length > MAX_HEADERS * 2 || others.length > 0
  const hasBody = 'content-length' in headers || 'transfer-encoding' in headers
  if (isLong || incoming.httpVersionMajor !== 1 || (hasBody && isHandshake(incoming))) return false
  return isClear(method, url.startsWith('/') ? `http://${host}${url}` : url, host)
}

function isHandshake({ headers }: IncomingMessage) {
  return headers.upgrade?.toLowerCase() === 'websocket'
}

/** What the adapter gives to the app; `app.request()` in tests gives nothing. */
function bindings(c: Context): { [name in keyof HttpBindings]?: HttpBindings[name] | undefined } {
  return (c.env as Partial<HttpBindings> | undefined) ?? {}
}

/**
 * What the adapter reads of a handshake. It holds on to it for as long as the socket lives: all of
 * the context, request and headers would be a fourth of what a connection takes.
 */
function handshakeOf({ env, req }: Context): Context {
  const upgrade = req.header('upgrade')
  return { env, req: { url: req.url, header: () => upgrade } } as unknown as Context
}

/** @param guard  makes of the adapter's listener the one that hears of all requests */
function serverOf(
  { headersTimeout, headBytes, tls }: ServeOptions,
  guard: (adapter: RequestListener) => RequestListener,
) {
  const common = {
    IncomingMessage: Incoming,
    headersTimeout,
    requestTimeout: headersTimeout * 2,
    connectionsCheckingInterval: headersTimeout / 2,
    maxHeaderSize: headBytes,
    // Node would answer by itself, and past the guard.
    requireHostHeader: false,
  }
  const secure = { ...tls, minVersion: 'TLSv1.2' as const, handshakeTimeout: headersTimeout }
  try {
    if (tls) createSecureContext(tls)
  } catch (error) {
    throw new BadCertificate(error)
  }
  const create = (_options: unknown, adapter: RequestListener) => {
    const listener = guard(adapter)
    const server = tls
      ? createTlsServer({ ...common, ...secure }, listener)
      : createServer(common, listener)
    // An `Expect` that nobody knows: the same.
    return server.on('checkExpectation', listener)
  }
  return { createServer: create as typeof createServer }
}

function createWebSocketServer({ maxFrame, closeTimeout }: ServeOptions) {
  const options: ServerOptions & NewerOptions = {
    noServer: true,
    maxPayload: maxFrame,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_BUFFERED_CHUNKS,
    closeTimeout,
    perMessageDeflate: false,
    clientTracking: false,
    // One message of each socket per turn of the loop: else the 600 in one read of a flooder, times
    // fifty, go before anybody else's (p99 beside fifty flooders 370 ms, so 60 ms).
    allowSynchronousEvents: false,
    // Unset, ws echoes the first protocol offered, which may be the ticket.
    handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false),
  }
  const server = new WebSocketServer(options)
  server.on('connection', (ws, { socket }) => tcpSockets.set(ws, socket))
  return server
}

/** Options of ws 8.21 and 8.23 that its types do not know yet. */
interface NewerOptions {
  closeTimeout: number
  maxFragments: number
  maxBufferedChunks: number
}

/** Guards sit on 'connection': a second 'upgrade' listener would switch off every refusal. */
function trackSockets(server: Server, { closeTimeout, headersTimeout, tls }: ServeOptions) {
  /** By peer: a TLS socket takes the place of the bare one, which would cut off its last words. */
  const sockets = new Map<string, TcpSocket>()
  for (const event of ['connection', 'secureConnection']) {
    server.on(event, (socket: TcpSocket) => {
      const peer = `${socket.remoteAddress} ${socket.remotePort}`
      sockets.set(peer, socket)
      socket.once('close', () => {
        if (sockets.get(peer) === socket) sockets.delete(peer)
      })
    })
  }
  // A socket that became a WebSocket was set to no timeout by ws.
  server.timeout = headersTimeout
  server.on(tls ? 'secureConnection' : 'connection', (socket: TcpSocket) => {
    for (const event of ['error', 'timeout']) socket.on(event, () => socket.destroy())
    // A refused upgrade only ends its own half; without this a peer that never does, and sends a
    // byte now and then, keeps the descriptor.
    socket.once('finish', () => {
      const timer = setTimeout(() => socket.destroy(), closeTimeout)
      socket.once('close', () => clearTimeout(timer))
    })
  })
  return sockets
}

/** Whoever waits for an answer gets it, if it comes soon. */
function closeServer(
  server: Server,
  sockets: Map<string, TcpSocket>,
  unanswered: Unanswered,
  closeTimeout: number,
) {
  return new Promise<void>((resolve) => {
    if (!server.listening) return resolve()
    const end = () => {
      for (const socket of sockets.values()) socket.destroySoon()
    }
    const timer = setTimeout(end, closeTimeout)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
    for (const socket of sockets.values()) if (unanswered.of(socket) === 0) socket.destroySoon()
  })
}
