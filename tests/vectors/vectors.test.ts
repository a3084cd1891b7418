/** The recorded conversations: a real server answers so, and a right client ends so. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Api } from '../../static/api.js'
import { Chat } from '../../static/hearth.js'
import { protocolSchema } from '../../src/spec/schemas.ts'
import type { ClientFrame } from '../../src/protocol.ts'
import { FakeClock, fakeSockets, settle } from '../page/fakes.ts'
import { perform, type Line, type Story } from './perform.ts'
import { STORIES } from './stories.ts'

const folder = new URL('./', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.json'))
/** What the tests of the client module have no server for. */
const nothing = { failure: { status: 0, code: 'offline' } }
const ticket = { value: { ticket: 'x'.repeat(43), expiresAt: '' } }
const api = { ticket: async () => ticket, rooms: async () => nothing } as unknown as Api

function readStory(file: string): Story {
  return JSON.parse(readFileSync(new URL(file, folder), 'utf8'))
}

/** The client module, at the other end of whose socket the story is told. */
class Listener {
  readonly #clock = new FakeClock()
  readonly #net = fakeSockets()
  readonly chat: Chat
  /** The seqs that it told, and what they begin after. */
  readonly heard: number[] = []
  #sockets = 0
  #taken = 0

  constructor({ me }: Story) {
    const { WebSocket } = this.#net
    const fakes = { api, WebSocket, clock: this.#clock, random: () => 1 }
    this.chat = new Chat({ user: me, token: '', url: 'ws://hearth.example/ws', ...fakes })
    for (const kind of ['message', 'edit', 'delete', 'reaction'] as const) {
      this.chat.on(kind, ({ entry }) => this.heard.push(entry.seq))
    }
    this.chat.on('reset', ({ head }) => this.heard.splice(0, Infinity, head))
  }

  get #socket() {
    return this.#net.sockets.at(-1) ?? assert.fail('it has no socket')
  }

  async tell(line: Line) {
    if ('open' in line) await this.#opens()
    else if ('cut' in line) this.#socket.end(1006)
    else if ('close' in line) this.#socket.end(line.close)
    else if ('ms' in line) this.#clock.pass(line.ms)
    else if (line.from === 'server' && !line.lost) this.#socket.tell(...line.frame)
    else if (line.from === 'client') this.#says(line.frame)
    await settle()
  }

  /** By itself, after a while. */
  async #opens() {
    for (let n = 0; n < 30 && this.#net.sockets.length === this.#sockets; n += 1) {
      if (this.#sockets > 0) this.#clock.pass(1_000)
      await settle()
    }
    assert.equal(this.#net.sockets.length, ++this.#sockets)
    this.#taken = 0
  }

  /** What it does not send by itself it is told to. */
  #says(frame: ClientFrame) {
    if (!this.#socket.sent[this.#taken]) this.#do(frame)
    assert.deepEqual(this.#socket.sent[this.#taken], frame)
    this.#taken += 1
  }

  #do(frame: ClientFrame) {
    const { chat } = this
    if (frame.type === 'join') void chat.join(frame.room)
    if (frame.type === 'say') void chat.say(frame.room, frame.body, frame)
    if (frame.type === 'edit') void chat.edit(frame.room, frame.target, frame.body, frame.id)
    if (frame.type === 'delete') void chat.delete(frame.room, frame.target, frame.id)
    if (frame.type === 'react') void chat.react(frame.room, frame.target, frame.emoji, frame)
  }

  assertSilent() {
    assert.deepEqual(this.#socket.sent.slice(this.#taken), [])
  }

  view(): Story['view'] {
    const messages = this.chat.messages('lobby').map(({ asOf: _asOf, ...message }) => message)
    // Without what is undefined, as on the wire.
    return JSON.parse(JSON.stringify({ head: this.heard.at(-1), messages }))
  }
}

test('every story is recorded', () => {
  assert.deepEqual(files.sort(), [...STORIES.keys()].map((name) => `${name}.json`).sort())
})

for (const file of files) {
  const story = readStory(file)

  test(`${file}: a real server answers as it is written`, async (t) => {
    assert.deepEqual(await perform(t, story), story)
  })

  test(`${file}: the client module sends what is written, and ends as it says`, async () => {
    const listener = new Listener(story)
    for (const line of story.lines) await listener.tell(line)
    listener.assertSilent()
    assert.deepEqual(listener.view(), story.view)
    const [first = 0] = listener.heard
    const inOrder = listener.heard.map((_, index) => first + index)
    assert.deepEqual(listener.heard, inOrder, 'each once, in order')
    listener.chat.close()
  })

  test(`${file}: every frame is one by /protocol.json`, () => {
    const ajv = new Ajv2020({ strictTypes: false })
    // Its types are of the default export that CommonJS has not.
    ;(addFormats as unknown as (ajv: Ajv2020) => void)(ajv)
    ajv.addSchema(protocolSchema(), 'hearth')
    for (const line of story.lines) {
      if (!('frame' in line)) continue
      const name = line.from === 'server' ? 'ServerFrame' : 'ClientFrame'
      const isValid = ajv.validate(`hearth#/$defs/${name}`, line.frame)
      assert.ok(isValid, `${JSON.stringify(line)} ${ajv.errorsText()}`)
    }
  })
}
