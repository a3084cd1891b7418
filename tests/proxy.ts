/** A TCP proxy that loses, holds up or cuts what runs through it, as networks do. */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Scope } from './process.ts'

/** After the first lost bytes of a reply, until the connection is cut. ms */
const CUT_AFTER_MS = 50

type Mode = 'pass' | 'cut' | 'freeze' | 'lose-replies'

export interface FaultProxy {
  readonly port: number
  /** Everything runs as if nothing stood between; what a freeze held up runs on. */
  pass(): void
  /** Drops every connection and refuses new ones. */
  cut(): void
  /** Bytes stop both ways; connections stay, new ones are accepted and hear nothing. */
  freeze(): void
  /** Passes everything `ms` later, each way in its order. */
  delay(ms: number): void
  /** Passes what clients ask, loses what the server answers, then cuts that connection. */
  cutReplies(): void
}

/**
 * Listens on a free port of 127.0.0.1 for what should go to another; closed with the scope.
 * @param targetPort  on 127.0.0.1
 */
export async function startProxy(scope: Scope, targetPort: number): Promise<FaultProxy> {
  const links = new Set<Link>()
  let mode: Mode = 'pass'
  let delayMs = 0
  let gate = openGate()
  const weather: Weather = {
    mode: () => mode,
    delayMs: () => delayMs,
    passable: () => gate.opened,
  }
  const server = createServer((client) => {
    if (mode === 'cut') return client.resetAndDestroy()
    const link = createLink(client, targetPort, weather)
    links.add(link)
    client.on('close', () => links.delete(link))
  })
  const change = (next: Mode, ms = 0) => {
    if (mode === 'freeze' && next !== 'freeze') gate.open()
    if (mode !== 'freeze' && next === 'freeze') gate = closedGate()
    mode = next
    delayMs = ms
  }
  const cut = () => {
    change('cut')
    for (const link of links) link.cut()
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scope.after(async () => {
    cut()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    port: (server.address() as AddressInfo).port,
    pass: () => change('pass'),
    cut,
    freeze: () => change('freeze'),
    delay: (ms) => change('pass', ms),
    cutReplies: () => change('lose-replies'),
  }
}

interface Weather {
  mode(): Mode
  delayMs(): number
  /** Resolves when bytes may run. */
  passable(): Promise<void>
}

interface Link {
  cut(): void
}

/** One client and its connection to the server, which is made when bytes may run. */
function createLink(client: Socket, targetPort: number, weather: Weather): Link {
  let server: Socket | null = null
  let isCut = false
  const cut = () => {
    isCut = true
    client.destroy()
    server?.destroy()
  }
  client.on('error', cut)
  client.on('close', cut)
  client.pause()
  void weather.passable().then(() => {
    if (isCut) return
    server = connect(targetPort, '127.0.0.1')
    server.on('error', cut)
    carry(client, server, weather, () => true)
    carry(server, client, weather, () => {
      if (weather.mode() !== 'lose-replies') return true
      setTimeout(cut, CUT_AFTER_MS)
      return false
    })
    client.resume()
  })
  return { cut }
}

/**
 * Carries bytes one way, in order, each no sooner than the weather allows.
 * @param mayPass  asked for every piece; false loses it
 */
function carry(from: Socket, to: Socket, weather: Weather, mayPass: () => boolean) {
  let last: Promise<unknown> = Promise.resolve()
  from.setNoDelay(true)
  from.on('data', (bytes: Buffer) => {
    const due = performance.now() + weather.delayMs()
    last = last.then(async () => {
      const wait = due - performance.now()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      await weather.passable()
      if (to.destroyed || !mayPass() || to.write(bytes)) return
      from.pause()
      to.once('drain', () => from.resume())
    })
  })
  from.on('close', () => {
    void last.then(() => to.end(() => to.destroy()))
  })
}

interface Gate {
  opened: Promise<void>
  open(): void
}

function closedGate(): Gate {
  let open = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

function openGate(): Gate {
  return { opened: Promise.resolve(), open: () => {} }
}
