/** Deno: `Deno.serve` with Hono's adapter. */

import { Buffer } from 'node:buffer'
import { upgradeWebSocket } from 'hono/deno'
import type { Context } from 'hono'
import type { WSContext } from 'hono/ws'
import { holdAnswer, holdStream } from './deno-answers.ts'
import { AddressInUse, BadCertificate, isClear } from './runtime.ts'
import type { Answer, Asking, Runtime, ServeOptions } from './runtime.ts'
import { openSqlite } from './sqlite.js'

/**
 * Deno pings by itself and closes whoever is silent this long, and everybody when the event loop
 * stalled. Ours is the heartbeat that counts, so this one is set far above it. s
 */
const IDLE_TIMEOUT = 240

/** Requests that are begun in one turn of the loop. */
const REQUESTS_PER_TURN = 32

/** After a server that gave up accepting, until the next one. ms */
const SHORTEST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000
/** Descriptors that have to be free for the next one, which would give up at once, or a thread. */
const LEAST_ROOM = 16

const UNCLEAR: Answer = { status: 400, headers: {}, body: '' }

/** Requests whose answers go on for long: what waits in them is bounded where it is written. */
const lasting = new WeakSet<Request>()
/** Sockets that were told to close and have not heard back. */
const closing = new Set<WebSocket>()

export const runtime: Runtime = {
  name: `deno ${Deno.version.deno}`,

  serve: async (app, options) => {
    const turns = createTurns()
    const listen = (port: number) =>
      Deno.serve(
        {
          hostname: options.hostname,
          port,
          ...options.tls,
          onListen: () => {},
          // Only `breakOff` gets here: what else fails is answered by the app itself.
          onError: () => new Response(null, { status: 500 }),
        },
        async (request, info) => {
          await turns.take()
          const asking = askingOf(request, info.remoteAddr.hostname)
          const charged = options.charge(asking)
          // Over HTTP/2 and 1.0 there may be no `Host`.
          const isOdd = !isClear(request.method, request.url, request.headers.get('host'))
          if (isOdd && !charged) options.onRefusal(asking.peer, 'unclear')
          const refusal = charged ?? (isOdd ? UNCLEAR : null)
          // Never over HTTP/2.
          if (isHandshake(request)) {
            const response = refusal ? answer(refusal) : await app.fetch(normalise(request), info)
            return response.status === 101 ? response : breakOff(response)
          }
          const hold = options.unread(asking)
          if (typeof hold !== 'function') return answer(hold)
          if (isOdd) {
            holdStream(0, hold, info.completed)
            return breakOff(answer(refusal!))
          }
          const response = refusal ? answer(refusal) : await app.fetch(request, info)
          return lasting.has(request) ? response : holdAnswer(response, hold, info.completed)
        },
      )
    try {
      return serveForGood(listen, options)
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
  keepOpen: (c) => {
    lasting.add(c.req.raw)
    return null
  },

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
  assertRoom,
}

/**
 * Lets so many requests through in one turn of the loop. What is pipelined on some connections
 * would go one behind the other, before any WebSocket has its turn (p99 beside fifty who pipeline
 * 600 ms and more, so 160 ms); and of a hundred that come at once over HTTP/2 all would be begun
 * before the first answer is counted.
 */
function createTurns() {
  const waiting: (() => void)[] = []
  let left = REQUESTS_PER_TURN
  let isTimed = false
  const begin = () => {
    isTimed = false
    const next = waiting.splice(0, REQUESTS_PER_TURN)
    left = REQUESTS_PER_TURN - next.length
    if (next.length > 0) wait()
    for (const go of next) go()
  }
  const wait = () => {
    if (!isTimed) setTimeout(begin, 0)
    isTimed = true
  }
  const take = (): Promise<void> | undefined => {
    wait()
    if (left > 0) {
      left -= 1
      return
    }
    return new Promise((resolve) => waiting.push(resolve))
  }
  return { take }
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

function answer({ status, headers, body }: Answer) {
  return new Response(body || null, { status, headers })
}

function askingOf({ method, url, headers }: Request, peer: string): Asking {
  const target = url.slice(url.indexOf('/', url.indexOf('//') + 2))
  return { peer, forwardedFor: headers.get('x-forwarded-for') ?? undefined, method, target }
}

function isHandshake(request: Request) {
  return request.headers.get('upgrade')?.toLowerCase() === 'websocket'
}

/**
 * Serves, and does so again when Deno gives up accepting, which it does when the system lets it
 * open no more: `finished` is rejected, and unheard that ends the process. The connections that
 * there are go on, so the server that gave up is kept until the end.
 */
function serveForGood(
  listen: (port: number) => Deno.HttpServer<Deno.NetAddr>,
  options: ServeOptions,
) {
  const servers: Deno.HttpServer<Deno.NetAddr>[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  let isClosed = false
  let pauseMs = SHORTEST_PAUSE_MS
  const open = (port: number) => {
    const server = listen(port)
    servers.push(server)
    const openedAt = performance.now()
    server.finished.catch((error: Error) => {
      if (performance.now() - openedAt > LONGEST_PAUSE_MS) pauseMs = SHORTEST_PAUSE_MS
      pause(server.addr.port, error)
    })
    return server.addr.port
  }
  const pause = (port: number, error: Error) => {
    if (isClosed) return
    options.onDeaf(error.message)
    timer = setTimeout(() => reopen(port), pauseMs)
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
  }
  const reopen = (port: number) => {
    try {
      assertRoom()
      open(port)
    } catch (error) {
      pause(port, error as Error)
    }
  }
  const close = async () => {
    isClosed = true
    clearTimeout(timer)
    await closeServers(servers)
  }
  return { port: open(options.port), close }
}

/** @throws what the system says when it lets too few files be open */
function assertRoom() {
  const files: Deno.FsFile[] = []
  try {
    while (files.length < LEAST_ROOM) files.push(Deno.openSync(new URL(import.meta.url)))
  } finally {
    for (const file of files) file.close()
  }
}

/**
 * `shutdown` closes what is open with 1001, also a socket that was just closed with another code,
 * and waits for peers that may never leave: each gets a second.
 */
async function closeServers(servers: readonly Deno.HttpServer[]) {
  const closed = [...closing].map(
    (ws) => new Promise((resolve) => ws.addEventListener('close', resolve, { once: true })),
  )
  await withinSecond(Promise.all(closed))
  await withinSecond(Promise.all(servers.map((server) => server.shutdown())))
}

async function withinSecond(work: Promise<unknown>) {
  let timer
  const impatience = new Promise((resolve) => (timer = setTimeout(resolve, 1_000)))
  await Promise.race([work, impatience])
  clearTimeout(timer)
}
