/** Three servers behind a proxy, restarted one after the other under load: nobody notices. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import process from 'node:process'
import { Readable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { EventSource } from 'eventsource'
import * as v from 'valibot'
import { WebSocket } from 'ws'
import { connect, type Chat } from '../static/hearth.js'
import * as protocol from '../static/protocol.js'
import { startPostgres } from './postgres.ts'
import { freePort, startProcess } from './process.ts'
import { CADDY, find, NAME, NGINX, ORIGIN, startSite, toSite, type Site } from './site.ts'

const PEOPLE = 5
/** What each says, at least, before, while and after one server more is restarted. */
const SAID_EACH = 5
/** Nobody waits longer for anything: a new try to connect after a restart is within 1 s. ms */
const LONGEST_MS = 5_000
const LIVELY = {
  MESSAGE_RATE: '1000',
  MESSAGE_BURST: '1000',
  READ_RATE: '1000',
  READ_BURST: '1000',
}

/** What somebody heard, in the order of arrival. */
class Heard {
  readonly seqs: number[] = []
  readonly bodies: string[] = []
  #wake = () => {}

  add(entry: protocol.Entry) {
    this.seqs.push(entry.seq)
    this.bodies.push(entry.kind === 'message' ? (entry.body ?? '') : entry.kind)
    this.#wake()
  }

  async reaches(seq: number) {
    const deadline = performance.now() + LONGEST_MS
    while (this.seqs.at(-1) !== seq) {
      const left = deadline - performance.now()
      assert.ok(left > 0, `heard ${this.seqs.at(-1)} of ${seq}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => (clearTimeout(timer), resolve())
      })
    }
  }
}

/** `fetch` for the site's name at the site's address, with its certificate believed. */
function fetchAt(site: Site): typeof globalThis.fetch {
  return async (input, init = {}) => {
    const { pathname, search } = new URL(String(input))
    const headers = { ...Object.fromEntries(new Headers(init.headers)), host: NAME }
    const { method = 'GET', body, signal } = init
    const options = { ...toSite(site), method, headers, agent: false as const }
    const outgoing = request({ ...options, path: pathname + search, ...(signal && { signal }) })
    outgoing.end(body)
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    incoming.on('error', () => {})
    const { statusCode: status = 0, headers: given } = incoming
    const stream = status === 204 ? null : (Readable.toWeb(incoming) as ReadableStream)
    const plain = Object.entries(given).map(
      ([name, value]) => [name, String(value)] as [string, string],
    )
    return new Response(stream, { status, headers: plain })
  }
}

/** Somebody who says one thing after the other, and writes down what comes. */
class Person {
  readonly heard = new Heard()
  readonly said: string[] = []
  longestMs = 0
  readonly #chat: Chat

  constructor(t: TestContext, chat: Chat) {
    this.#chat = chat
    t.after(() => chat.close())
    chat.on('message', ({ entry }) => this.heard.add(entry))
  }

  static async enter(t: TestContext, site: Site, name: string) {
    const socketAt = class extends WebSocket {
      constructor(url: string, protocols: string[]) {
        const { port } = toSite(site)
        super(url.replace(NAME, `127.0.0.1:${port}`), protocols, {
          ...toSite(site),
          headers: { host: NAME, origin: ORIGIN },
        })
      }
    }
    const WebSocketAt = socketAt as unknown as typeof globalThis.WebSocket
    const chat = await connect({
      ...{ base: ORIGIN, name, fetch: fetchAt(site), WebSocket: WebSocketAt },
    })
    const person = new Person(t, chat)
    assert.ok((await chat.join('lobby')).value)
    return person
  }

  /** Says `least` things, and goes on until `isOver`. */
  async talk(least: number, isOver = () => true) {
    const goal = this.said.length + least
    while (this.said.length < goal || !isOver()) {
      const body = `${this.#chat.user.name} ${this.said.length}`
      const started = performance.now()
      const { value, failure } = await this.#chat.say('lobby', body)
      assert.ok(value, JSON.stringify(failure))
      this.longestMs = Math.max(this.longestMs, performance.now() - started)
      this.said.push(body)
    }
  }
}

/** The same with HTTP alone: posts until it is answered, and follows the events. */
class Curl {
  readonly heard = new Heard()
  readonly said: string[] = []
  longestMs = 0
  readonly #fetch: typeof globalThis.fetch
  readonly #headers: Record<string, string>

  constructor(t: TestContext, site: Site, token: string) {
    this.#fetch = fetchAt(site)
    this.#headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const source = new EventSource(`${ORIGIN}/api/rooms/lobby/events?after=0`, {
      fetch: (input, init) =>
        this.#fetch(input, { ...init, headers: { ...init.headers, ...this.#headers } }),
    })
    t.after(() => source.close())
    source.addEventListener('message', ({ data }: MessageEvent<string>) => {
      this.heard.add(v.parse(protocol.Entry, JSON.parse(data)))
    })
  }

  static async enter(t: TestContext, site: Site, name: string) {
    const response = await fetchAt(site)(`${ORIGIN}/api/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
    })
    const { token } = v.parse(protocol.Session, await response.json())
    return new Curl(t, site, token ?? '')
  }

  async talk(least: number, isOver = () => true) {
    const goal = this.said.length + least
    while (this.said.length < goal || !isOver()) {
      const body = `curl ${this.said.length}`
      const started = performance.now()
      const id = crypto.randomUUID()
      while (!(await this.#post({ id, body }))) assert.ok(performance.now() - started < LONGEST_MS)
      this.longestMs = Math.max(this.longestMs, performance.now() - started)
      this.said.push(body)
    }
  }

  async #post(message: object) {
    const options = { method: 'POST', headers: this.#headers, body: JSON.stringify(message) }
    const response = await this.#fetch(`${ORIGIN}/api/rooms/lobby/messages`, options).catch(
      () => null,
    )
    await response?.body?.cancel()
    if (response?.ok) return true
    // Between two servers, or one that is just going: sent again with the same id.
    assert.ok(!response || [502, 503].includes(response.status), String(response?.status))
    return false
  }
}

async function startThree(t: TestContext, url: string) {
  const ports = [await freePort(), await freePort(), await freePort()]
  const env = { DATABASE_URL: url, TRUST_PROXY: '1', ALLOWED_ORIGINS: ORIGIN, ...LIVELY }
  const start = async (port: number) => {
    const server = startProcess(t, { PORT: String(port), LOG_LEVEL: 'warning', ...env })
    await server.started()
    return server
  }
  const servers = await Promise.all(ports.map(start))
  const restart = async (n: number) => {
    servers[n]!.kill('SIGTERM')
    assert.equal(await servers[n]!.ended(), 0, servers[n]!.output.stderr)
    servers[n] = await start(ports[n]!)
  }
  return { ports, restart }
}

test('a rolling restart of three servers under load', async (t) => {
  // Each restart loads a server anew: both proxies on both runtimes would take a minute.
  const proxies = [process.versions.deno ? CADDY : NGINX].filter(find)
  if (proxies.length === 0) return t.skip('there is no proxy')
  const postgres = await startPostgres(t)
  for (const proxy of proxies) {
    await t.test(`behind ${proxy.program}`, async (t) => {
      const { ports, restart } = await startThree(t, await postgres.lendDatabase(t))
      const site = await startSite(t, proxy, ports, 10 * PEOPLE)
      const names = Array.from({ length: PEOPLE }, (_, n) => `Person ${n}`)
      const people = await Promise.all([
        ...names.map((name) => Person.enter(t, site, name)),
        Curl.enter(t, site, 'Curl'),
      ])
      const allSay = (isOver?: () => boolean) =>
        Promise.all(people.map((person) => person.talk(SAID_EACH, isOver)))
      await allSay()
      for (const n of [0, 1, 2]) {
        let isBack = false
        await Promise.all([restart(n).finally(() => (isBack = true)), allSay(() => isBack)])
        await allSay()
      }

      const said = people.flatMap((person) => person.said)
      for (const { heard } of people) await heard.reaches(said.length)
      const follower = people.at(-1)!.heard
      assert.deepEqual([...follower.bodies].sort(), [...said].sort())
      for (const { heard } of people) {
        const first = heard.seqs[0]!
        assert.deepEqual(
          heard.seqs,
          heard.seqs.map((_, index) => first + index),
        )
        assert.deepEqual(heard.bodies, follower.bodies.slice(first - 1))
      }
      const longest = Math.max(...people.map(({ longestMs }) => longestMs))
      assert.ok(longest < LONGEST_MS, `somebody waited ${longest} ms`)
      t.diagnostic(`${said.length} messages; the longest wait for one: ${Math.round(longest)} ms`)
    })
  }
})
