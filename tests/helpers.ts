/** What the tests share: a server in this process, a client over a real socket, time that stands still. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import * as v from 'valibot'
import { WebSocket } from 'ws'
import * as protocol from '../static/protocol.js'
import { FRAME_BYTES } from '../static/protocol.js'
import type { Clock } from '../src/clock.ts'
import { readConfig, type Config } from '../src/config.ts'
import { startHearth, type Hearth } from '../src/hearth.ts'
import type { Journal } from '../src/journal.ts'
import type { Limits } from '../src/limits.ts'
import type { ServeOptions } from '../src/runtime/runtime.ts'
import type { Log } from '../src/store/log.ts'
import type { ClientFrame, EventOf, ServerEvent } from '../src/protocol.ts'

/** Longest wait for anything that should come at once. ms */
const PATIENCE_MS = 5_000

/* ------------------------------------------------------------------ time */

/** A clock that goes on only when told to. */
export class TestClock implements Clock {
  #now = 0
  readonly #start = Date.parse('2026-01-01T00:00:00Z')
  readonly #timers = new Set<{ at: number; every: number | null; callback: () => void }>()

  now() {
    return this.#now
  }

  date() {
    return new Date(this.#start + this.#now)
  }

  after(ms: number, callback: () => void) {
    return this.#add({ at: this.#now + ms, every: null, callback })
  }

  every(ms: number, callback: () => void) {
    return this.#add({ at: this.#now + ms, every: ms, callback })
  }

  /** Lets `ms` pass, calling what is due in its order, with room for what follows from it. */
  async advance(ms: number) {
    const end = this.#now + ms
    for (;;) {
      await turn()
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (!due) break
      this.#now = Math.max(this.#now, due.at)
      if (due.every === null) this.#timers.delete(due)
      else due.at += due.every
      due.callback()
    }
    this.#now = end
    await turn()
  }

  /** A stall: time passes and nothing runs, as when the process was stopped. */
  skip(ms: number) {
    this.#now += ms
  }

  #add(timer: { at: number; every: number | null; callback: () => void }) {
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }
}

/** One turn of the event loop. */
export function turn() {
  return new Promise<void>((resolve) => setImmediate(resolve))
}

/* ------------------------------------------------------------------ server */

export interface ServerOptions {
  env?: Record<string, string>
  limits?: Partial<Limits>
  clock?: Clock
}

/** For tests that are about something else than the rates. */
export const GENEROUS = {
  messageRate: 1e6,
  messageBurst: 1e6,
  frameRate: 1e6,
  frameBurst: 1e6,
  readRate: 1e6,
  readBurst: 1e6,
  roomChangesPerMinute: 1e6,
  requestRate: 1e6,
  requestBurst: 1e6,
  sessionsPerMinute: 1e6,
  connectionsPerIp: 1e4,
} satisfies Partial<Limits>

/** A config as the environment would make it, on any free port and in memory. */
export function testConfig({ env, limits, clock }: ServerOptions = {}): Config {
  const { config, problems } = readConfig({ PORT: '0', DATA_FILE: ':memory:', ...env })
  assert.ok(config, problems?.join('\n'))
  // A clock that stands still would hold up every commit but the first.
  const held = clock && { commitMs: 0 }
  return { ...config, limits: { ...config.limits, ...held, ...limits } }
}

/** For tests that serve an app of their own. */
export const SERVING = {
  ...{ hostname: '127.0.0.1', port: 0, headersTimeout: 10_000, closeTimeout: 2_000 },
  ...{ maxFrame: FRAME_BYTES, unansweredRequests: 16, headBytes: 16_384 },
  ...{
    charge: () => null,
    admit: () => () => {},
    unread: () => () => () => {},
    onRefusal: () => {},
    onDeaf: () => {},
  },
} satisfies ServeOptions

/** A server in this process, closed when the test is over. */
export async function startServer(t: TestContext, options: ServerOptions = {}): Promise<Hearth> {
  const hearth = await startHearth(testConfig(options), options.clock)
  t.after(() => hearth.close())
  return hearth
}

/** A journal that can be read by the test. */
export function testJournal() {
  const faults: unknown[] = []
  /** Of each fault. */
  const facts: unknown[] = []
  const lines: { what: string; [fact: string]: unknown }[] = []
  const journal: Journal = {
    fault: (error, more) => {
      faults.push(error)
      facts.push(more)
    },
    answer: () => {},
    deaf: (reason) => void lines.push({ what: 'no connection is accepted', reason }),
    event: (what, facts) => void lines.push({ what, ...facts }),
    refusal: (kind, facts) => void lines.push({ what: `${kind} refused`, ...facts }),
  }
  return { journal, faults, facts, lines }
}

/** Keeps whatever is appended from now on waiting. @returns lets it, and all that follows, go on */
export function holdAppends(log: Log): () => void {
  const { append } = log
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  log.append = async (drafts) => {
    await released
    return append(drafts)
  }
  return release
}

/** An empty folder, gone when the test is over. */
export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-'))
  t.after(async () => {
    // A server's thread that has just begun may make a file in it meanwhile.
    for (let tries = 1; ; tries += 1) {
      try {
        return rmSync(folder, { recursive: true, force: true })
      } catch (error) {
        if (tries === 20) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })
  return folder
}

/* ------------------------------------------------------------------ HTTP */

export interface Account {
  user: { id: string; name: string }
  token: string
}

/** Asks a server's API as somebody. @returns gives the status, with the code of a problem, and the body */
export function asker(url: string) {
  return async (
    method: string,
    path: string,
    { token }: Pick<Account, 'token'>,
    body?: unknown,
  ) => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer: unknown = text === '' ? undefined : JSON.parse(text)
    const code = v.is(protocol.Problem, answer) ? ` ${answer.code}` : ''
    return { result: `${response.status}${code}`, answer }
  }
}

export function post(url: string, body: unknown, token?: string) {
  return fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  })
}

export async function signIn(url: string, name: string, more: object = {}): Promise<Account> {
  const response = await post(`${url}/api/session`, { name, ...more })
  assert.equal(response.status, 201, await response.clone().text())
  const { user, token } = v.parse(protocol.Session, await response.json())
  assert.ok(token)
  return { user, token }
}

export async function newTicket(url: string, token: string): Promise<string> {
  const response = await post(`${url}/api/ticket`, {}, token)
  assert.equal(response.status, 201)
  return v.parse(protocol.Ticket, await response.json()).ticket
}

/* ------------------------------------------------------------------ sockets */

type Matcher = (event: ServerEvent) => boolean

/** A client of the protocol over a real socket; every event is checked by the schema. */
export class Client {
  readonly account: Account
  readonly socket: WebSocket
  /** Every event so far, and how the server cut them into frames. */
  readonly events: ServerEvent[] = []
  readonly frames: ServerEvent[][] = []
  /** The code of the close, once it came. */
  closed: number | null = null
  #taken = 0
  #settled = 0
  readonly #wakers = new Set<() => void>()

  constructor(account: Account, socket: WebSocket) {
    this.account = account
    this.socket = socket
    socket.on('message', (data) => {
      const events = protocol.parseEvents(String(data)).map((event) => {
        assert.ok(event.type !== 'broken' && event.type !== 'position', String(data))
        return event
      })
      this.frames.push(events)
      this.events.push(...events)
      this.#wake()
    })
    socket.on('close', (code) => {
      this.closed = code
      this.#wake()
    })
    socket.on('error', () => {})
  }

  send(frame: ClientFrame | object | string) {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }

  /** The next event of a type that nobody asked for yet; those before it are passed over. */
  async next<T extends ServerEvent['type']>(
    type: T,
    matches: (event: EventOf<T>) => boolean = () => true,
  ): Promise<EventOf<T>> {
    const isIt: Matcher = (event) => event.type === type && matches(event as EventOf<T>)
    await this.until(() => this.events.slice(this.#taken).some(isIt), `next ${type}`)
    this.#taken += this.events.slice(this.#taken).findIndex(isIt) + 1
    return this.events[this.#taken - 1] as EventOf<T>
  }

  /** Events of one type so far. */
  all<T extends ServerEvent['type']>(type: T): EventOf<T>[] {
    return this.events.filter((event) => event.type === type) as EventOf<T>[]
  }

  /** Waits until `condition` holds, looking again at every event. */
  async until(condition: () => boolean, what = 'a condition', patienceMs = PATIENCE_MS) {
    const end = performance.now() + patienceMs
    while (!condition()) {
      const left = end - performance.now()
      const seen = () => JSON.stringify(this.events.slice(-5))
      assert.ok(left > 0, `waited for ${what}; closed ${this.closed}; last events ${seen()}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        const wake = () => {
          clearTimeout(timer)
          this.#wakers.delete(wake)
          resolve()
        }
        this.#wakers.add(wake)
      })
    }
  }

  async closeCode(): Promise<number> {
    await this.until(() => this.closed !== null, 'the close')
    return this.closed ?? 0
  }

  /** Joins and waits for what a join brings. */
  async join(room: string, more: object = {}) {
    this.send({ type: 'join', room, ...more })
    const joined = await this.next('joined', (event) => event.room === room)
    if (joined.from === joined.head + 1 && !('after' in more && !joined.reset)) {
      return { joined, page: await this.next('history', (event) => event.room === room) }
    }
    return { joined, page: null }
  }

  /** Says something and waits for the acknowledgement. */
  async say(room: string, body: string, more: { id?: string; [key: string]: unknown } = {}) {
    const id = more.id ?? crypto.randomUUID()
    this.send({ type: 'say', room, id, body, ...more })
    return this.next('message', (event) => event.id === id)
  }

  /** Waits until the server has taken in what was sent so far, and its answers are here. */
  async settle() {
    const of = `settle-${(this.#settled += 1)}`
    this.send({ type: of })
    await this.until(() => this.all('error').some((error) => error.of === of), of)
  }

  /** Waits until the server has read what was sent so far: a WebSocket ping is answered in turn. */
  async isRead() {
    const pong = new Promise((resolve) => this.socket.once('pong', resolve))
    this.socket.ping()
    await pong
  }

  /** The next refusal that is not of `settle`. */
  refusal() {
    return this.next('error', ({ of }) => !of?.startsWith('settle-'))
  }

  /** Cuts the connection without a word. */
  cut() {
    this.socket.terminate()
  }

  #wake() {
    for (const wake of this.#wakers) wake()
  }
}

/** Opens a socket with a fresh ticket; cut when the test is over. */
export async function connect(t: TestContext, url: string, account: Account): Promise<Client> {
  const ticket = await newTicket(url, account.token)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, [
    protocol.PROTOCOL,
    `ticket.${ticket}`,
  ])
  const client = new Client(account, socket)
  t.after(() => client.cut())
  await client.next('welcome')
  return client
}

/** A new user with a socket. */
export async function newcomer(t: TestContext, url: string, name: string): Promise<Client> {
  return connect(t, url, await signIn(url, name))
}
