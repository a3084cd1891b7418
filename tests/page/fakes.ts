/** What stands in for the world around the client: time, sockets, and things to say. */

import type { Clock } from '../../static/clock.js'
import type { Entry, Message } from '../../static/protocol.js'

export const me = { id: '00000000-0000-4000-8000-000000000001', name: 'Ada' }
export const other = { id: '00000000-0000-4000-8000-000000000002', name: 'Grace' }

/** The same UUID for the same number. */
export const idOf = (n: number) => `00000000-0000-4000-9000-${String(n).padStart(12, '0')}`

type Kind<K extends Entry['kind']> = Extract<Entry, { kind: K }>
type Rest<K extends Entry['kind']> = Partial<Kind<K>> & Omit<Kind<K>, keyof typeof base>
const base = { type: 'message', room: 'lobby', seq: 0, id: '', kind: '', author: me, at: '' }

/** An entry of the log; its id and time follow from its seq. */
export function entryOf<K extends Entry['kind']>(seq: number, kind: K, rest: Rest<K>): Kind<K> {
  const at = new Date(seq * 1000).toISOString()
  return { ...base, seq, id: idOf(seq), kind, author: other, at, ...rest } as unknown as Kind<K>
}

export const said = (seq: number, rest: Partial<Kind<'message'>> = {}) =>
  entryOf(seq, 'message', { body: `message ${seq}`, ...rest })

/** A message as a page shows it. */
export function messageOf(seq: number, rest: Partial<Message> = {}): Message {
  const at = new Date(seq * 1000).toISOString()
  return { seq, id: idOf(seq), author: other, at, body: `message ${seq}`, reactions: [], ...rest }
}

/** Time that passes when told to. */
export class FakeClock implements Clock {
  #now = 1_000_000
  #timers = new Set<{ at: number; run: () => void }>()

  now = () => this.#now

  after = (ms: number, run: () => void) => {
    const timer = { at: this.#now + ms, run }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Lets so much time pass, with everything that is due on the way, in order. */
  pass(ms: number) {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at)
      if (!next || next.at > end) break
      this.#now = Math.max(this.#now, next.at)
      this.#timers.delete(next)
      next.run()
    }
    this.#now = end
  }

  /** A machine that slept: no timer ran meanwhile. */
  sleep(ms: number) {
    this.#now += ms
  }
}

/** A WebSocket whose other end is the test. */
export class FakeSocket {
  sent: Record<string, unknown>[] = []
  isClosed = false
  readyState = 1
  onmessage?: (event: { data: unknown }) => void
  onclose?: (event: { code: number }) => void

  url: string
  protocols: string[]

  constructor(url: string, protocols: string[]) {
    this.url = url
    this.protocols = protocols
  }

  send(text: string) {
    this.sent.push(JSON.parse(text))
  }

  close() {
    this.isClosed = true
  }

  tell(...events: unknown[]) {
    this.onmessage?.({ data: JSON.stringify(events) })
  }

  end(code: number) {
    this.onclose?.({ code })
  }
}

/** The class as a client option; its instances are collected in `sockets`. */
export function fakeSockets() {
  const sockets: FakeSocket[] = []
  class Socket extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols)
      sockets.push(this)
    }
  }
  return { sockets, WebSocket: Socket as unknown as typeof globalThis.WebSocket }
}

export const welcome = {
  type: 'welcome',
  user: me,
  protocol: 'hearth.v1',
  heartbeat: { interval: 25_000, timeout: 35_000 },
  limits: { frame: 16_384, body: 4_000, page: 100, rate: 2, burst: 20 },
  expiresAt: null,
  tokenEveryMessage: false,
}

/** Lets promises that are ready go on. */
export async function settle() {
  for (const _ of Array.from({ length: 10 })) await Promise.resolve()
}
