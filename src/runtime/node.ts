/** Node: `@hono/node-server` with `ws`, and `libsql`, since Node 20 has no `node:sqlite`. */

import { IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket as TcpSocket } from 'node:net'
import { createAdaptorServer, upgradeWebSocket, type HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { WSContext } from 'hono/ws'
import Database from 'libsql'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import { PROTOCOL } from '../../static/protocol.js'
import { AddressInUse, type Runtime, type ServeOptions, type SqliteValue } from './runtime.ts'

/** Past these, a message is made of suspiciously small pieces. */
const MAX_FRAGMENTS = 64
const MAX_BUFFERED_CHUNKS = 1_024

export const runtime: Runtime = {
  serve: (app, options) => {
    const server = createAdaptorServer({
      fetch: app.fetch,
      serverOptions: {
        IncomingMessage: Incoming,
        headersTimeout: options.headersTimeout,
        requestTimeout: options.headersTimeout * 2,
        connectionsCheckingInterval: options.headersTimeout / 2,
      },
      websocket: { server: createWebSocketServer(options) },
    }) as Server
    // Who asked for an upgrade may speak another language from here on: nothing more is answered.
    server.prependListener('request', (incoming, outgoing) => {
      if (incoming.headers.upgrade) outgoing.shouldKeepAlive = false
    })
    const sockets = trackSockets(server, options)
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(error.code === 'EADDRINUSE' ? new AddressInUse(error.message) : error)
      })
      server.listen(options.port, options.hostname, () => {
        const { port } = server.address() as AddressInfo
        resolve({ port, close: () => closeServer(server, sockets) })
      })
    })
  },

  upgradeWebSocket: (c, _protocol, events) => upgradeWebSocket(c, events),

  requestMethod: (c) => bindings(c).incoming?.method ?? c.req.method,
  remoteAddress: (c) => bindings(c).incoming?.socket.remoteAddress ?? '',

  socket: (context) => {
    const ws = (context as WSContext<WebSocket>).raw!
    return {
      // Bytes sent as text, past Hono: it would turn the string into bytes for every member.
      send: (frame) => ws.send(frame.data, { binary: false }),
      get bufferedAmount() {
        return ws.bufferedAmount
      },
      close: (code) => ws.close(code),
      pause: () => ws.pause(),
      resume: () => ws.resume(),
    }
  },

  encode: (text) => {
    const data = Buffer.from(text)
    return { data, size: data.length }
  },

  openSqlite: (file) => {
    const db = new Database(file)
    return {
      exec: (sql) => void db.exec(sql),
      prepare: (sql) => {
        const statement = db.prepare(sql)
        return {
          run: (...values: SqliteValue[]) => ({ changes: statement.run(values).changes }),
          get: (...values: SqliteValue[]) => statement.get(values),
          all: (...values: SqliteValue[]) => statement.all(values),
        }
      },
      close: () => void db.close(),
    }
  },
}

/**
 * A request that asks for any other upgrade (`h2c`) is an ordinary request. Without this Node
 * hands its socket to the upgrade listener, which ignores it, and nobody ever answers.
 */
class Incoming extends IncomingMessage {
  // Only declared, as the setter runs inside the constructor of the base.
  declare private isUpgrade: boolean
  get upgrade() {
    const isWebSocket = this.headers.upgrade?.toLowerCase() === 'websocket'
    return this.isUpgrade && isWebSocket && isReadable(this)
  }
  set upgrade(value: boolean) {
    this.isUpgrade = value
  }
}

/** An upgrade to `http://[` is a 500 of the adapter, and an ordinary request to it a 400. */
function isReadable({ url = '' }: IncomingMessage) {
  return url.startsWith('/') || URL.canParse(url)
}

/** What the adapter gives to the app; `app.request()` in tests gives nothing. */
function bindings(c: Context): Partial<HttpBindings> {
  return (c.env as Partial<HttpBindings> | undefined) ?? {}
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
    // Unset, ws echoes the first protocol offered, which may be the ticket.
    handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false),
  }
  return new WebSocketServer(options)
}

/** Options of ws 8.21 and 8.23 that its types do not know yet. */
interface NewerOptions {
  closeTimeout: number
  maxFragments: number
  maxBufferedChunks: number
}

/** Guards sit on 'connection': a second 'upgrade' listener would switch off every refusal. */
function trackSockets(server: Server, { headersTimeout }: ServeOptions) {
  const sockets = new Set<TcpSocket>()
  server.on('connection', (socket: TcpSocket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    // A refused upgrade only ends its own half; without this a peer that never does keeps the
    // descriptor. A socket that became a WebSocket was set to no timeout by ws.
    socket.setTimeout(headersTimeout)
    socket.on('timeout', () => socket.destroy())
  })
  return sockets
}

function closeServer(server: Server, sockets: Set<TcpSocket>) {
  return new Promise<void>((resolve) => {
    if (!server.listening) return resolve()
    server.close(() => resolve())
    server.closeIdleConnections()
    for (const socket of sockets) socket.destroySoon()
  })
}
