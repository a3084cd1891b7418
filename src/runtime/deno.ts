/** Deno: `Deno.serve` with Hono's adapter, and the built-in `node:sqlite`, which needs no FFI. */

import { DatabaseSync } from 'node:sqlite'
import { upgradeWebSocket } from 'hono/deno'
import type { Context } from 'hono'
import type { WSContext } from 'hono/ws'
import { AddressInUse, type Runtime } from './runtime.ts'

/**
 * Deno pings by itself and closes whoever is silent this long, and everybody when the event loop
 * stalled. Ours is the heartbeat that counts, so this one is set far above it. s
 */
const IDLE_TIMEOUT = 240

const encoder = new TextEncoder()

export const runtime: Runtime = {
  name: `deno ${Deno.version.deno}`,

  serve: async (app, options) => {
    try {
      const server = Deno.serve(
        { hostname: options.hostname, port: options.port, onListen: () => {} },
        (request, info) => app.fetch(normalise(request), info),
      )
      return { port: server.addr.port, close: () => closeServer(server) }
    } catch (error) {
      throw error instanceof Deno.errors.AddrInUse ? new AddressInUse(error.message) : error
    }
  },

  upgradeWebSocket: (c, protocol, events) =>
    upgradeWebSocket(c, events, { protocol, idleTimeout: IDLE_TIMEOUT }),

  requestMethod: (c) => c.req.method,
  remoteAddress: (c) => bindings(c)?.remoteAddr.hostname ?? '',

  socket: (context) => {
    const ws = (context as WSContext<WebSocket>).raw!
    return {
      // Bytes would go out as a binary frame, so a frame is a string here.
      send: (frame) => {
        if (ws.readyState === WebSocket.OPEN) ws.send(frame.data)
      },
      get bufferedAmount() {
        return ws.bufferedAmount
      },
      close: (code) => {
        if (ws.readyState === WebSocket.OPEN) ws.close(code)
      },
      pause: () => {},
      resume: () => {},
    }
  },

  encode: (text) => ({ data: text, size: byteLength(text) }),

  openSqlite: (file) => {
    const db = new DatabaseSync(file)
    return {
      exec: (sql) => db.exec(sql),
      prepare: (sql) => {
        const statement = db.prepare(sql)
        return {
          run: (...values) => ({ changes: Number(statement.run(...values).changes) }),
          get: (...values) => statement.get(...values),
          all: (...values) => statement.all(...values),
        }
      },
      close: () => db.close(),
    }
  },
}

/** What `Deno.serve` gives to the app; `app.request()` in tests gives nothing. */
function bindings(c: Context): Deno.ServeHandlerInfo<Deno.NetAddr> | undefined {
  const env = c.env as Partial<Deno.ServeHandlerInfo<Deno.NetAddr>> | undefined
  return env?.remoteAddr ? (env as Deno.ServeHandlerInfo<Deno.NetAddr>) : undefined
}

/**
 * Legal spellings that Hono's helper or `Deno.upgradeWebSocket` trip over: `Upgrade: WebSocket`
 * (compared letter by letter) and a protocol list without spaces (split at ', '). The request
 * itself must stay the same object for the upgrade, so only its headers are replaced.
 */
function normalise(request: Request): Request {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') return request
  const headers = new Headers(request.headers)
  headers.set('upgrade', 'websocket')
  const protocols = headers.get('sec-websocket-protocol')
  if (protocols) headers.set('sec-websocket-protocol', protocols.split(/\s*,\s*/).join(', '))
  Object.defineProperty(request, 'headers', { value: headers })
  return request
}

/** UTF-8 length; counted only where the text is not plain ASCII, as `encode` runs per flush. */
function byteLength(text: string) {
  return encoder.encode(text).length
}

/** `shutdown` waits for open sockets, whose peers may never leave; it gets a second. */
async function closeServer(server: Deno.HttpServer) {
  let timer
  const impatience = new Promise((resolve) => (timer = setTimeout(resolve, 1_000)))
  await Promise.race([server.shutdown(), impatience])
  clearTimeout(timer)
}
