/** Deno: `Deno.serve` with Hono's adapter. */

import { Buffer } from 'node:buffer'
import { upgradeWebSocket } from 'hono/deno'
import type { Context } from 'hono'
import type { WSContext } from 'hono/ws'
import { AddressInUse, BadCertificate, isClear, type Asking, type Runtime } from './runtime.ts'
import { openSqlite } from './sqlite.js'

/**
 * Deno pings by itself and closes whoever is silent this long, and everybody when the event loop
 * stalled. Ours is the heartbeat that counts, so this one is set far above it. s
 */
const IDLE_TIMEOUT = 240

/** Sockets that were told to close and have not heard back. */
const closing = new Set<WebSocket>()

export const runtime: Runtime = {
  name: `deno ${Deno.version.deno}`,

  serve: async (app, options) => {
    try {
      const server = Deno.serve(
        {
          hostname: options.hostname,
          port: options.port,
          ...options.tls,
          onListen: () => {},
          // Only `breakOff` gets here: what else fails is answered by the app itself.
          onError: () => new Response(null, { status: 500 }),
        },
        async (request, info) => {
          const { method, url, headers } = request
          // Over HTTP/2 and 1.0 there may be no `Host`.
          if (!isClear(method, url, headers.get('host'))) {
            options.onRefusal(info.remoteAddr.hostname, 'unclear')
            return breakOff(new Response(null, { status: 400 }))
          }
          const refusal = options.charge(askingOf(request, info.remoteAddr.hostname))
          if (refusal) {
            const response = new Response(refusal.body, refusal)
            return isHandshake(request) ? breakOff(response) : response
          }
          if (!isHandshake(request)) return app.fetch(request, info)
          const response = await app.fetch(normalise(request), info)
          return response.status === 101 ? response : breakOff(response)
        },
      )
      return { port: server.addr.port, close: () => closeServer(server) }
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) throw new AddressInUse(error.message)
      // What the system refuses has a code, what the certificate lacks has none.
      throw options.tls && !(error as { code?: string }).code ? new BadCertificate(error) : error
    }
  },

  upgradeWebSocket: (c, protocol, events) =>
    upgradeWebSocket(c, events, { protocol, idleTimeout: IDLE_TIMEOUT }),

  requestLine: (c) => ({ method: c.req.method, target: c.req.url }),
  remoteAddress: (c) => bindings(c)?.remoteAddr.hostname ?? '',
  keepOpen: () => null,

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
        if (ws.readyState !== WebSocket.OPEN) return
        closing.add(ws)
        ws.addEventListener('close', () => closing.delete(ws), { once: true })
        ws.close(code)
      },
      pause: () => {},
      resume: () => {},
    }
  },

  encode: (text) => ({ data: text, size: Buffer.byteLength(text) }),

  openSqlite,
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
  const headers = new Headers(request.headers)
  headers.set('upgrade', 'websocket')
  const protocols = headers.get('sec-websocket-protocol')
  // Not split at /\s*,\s*/, which takes quadratic time over a run of blanks.
  const names = protocols?.split(',').map((name) => name.trim())
  if (names) headers.set('sec-websocket-protocol', names.join(', '))
  Object.defineProperty(request, 'headers', { value: headers })
  return request
}

/**
 * Ends the connection with the answer: Deno takes no notice of `Connection: close`, and would go
 * on to answer the bytes after a refused handshake. Only a body that fails ends it.
 */
function breakOff(response: Response): Response {
  const reader = response.body?.getReader()
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const chunk = await reader?.read()
    if (chunk?.value) controller.enqueue(chunk.value)
    else controller.error(new Error('refused'))
  }
  const headers = new Headers(response.headers)
  headers.delete('content-length')
  const body = new ReadableStream({ pull }, { highWaterMark: 0 })
  return new Response(body, { status: response.status, headers })
}

function askingOf({ method, url, headers }: Request, peer: string): Asking {
  const target = url.slice(url.indexOf('/', url.indexOf('//') + 2))
  return { peer, forwardedFor: headers.get('x-forwarded-for') ?? undefined, method, target }
}

function isHandshake(request: Request) {
  return request.headers.get('upgrade')?.toLowerCase() === 'websocket'
}

/**
 * `shutdown` closes what is open with 1001, also a socket that was just closed with another code,
 * and waits for peers that may never leave: each gets a second.
 */
async function closeServer(server: Deno.HttpServer) {
  const closed = [...closing].map(
    (ws) => new Promise((resolve) => ws.addEventListener('close', resolve, { once: true })),
  )
  await withinSecond(Promise.all(closed))
  await withinSecond(server.shutdown())
}

async function withinSecond(work: Promise<unknown>) {
  let timer
  const impatience = new Promise((resolve) => (timer = setTimeout(resolve, 1_000)))
  await Promise.race([work, impatience])
  clearTimeout(timer)
}
