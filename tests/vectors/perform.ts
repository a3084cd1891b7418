/** Plays a story to a real server at a clock that stands still, and writes down what it answers. */

import type { TestContext } from 'node:test'
import type { ClientFrame, Message, ServerEvent } from '../../src/protocol.ts'
import { connect, startServer, signIn, tempFolder, TestClock } from '../helpers.ts'
import type { Account, Client } from '../helpers.ts'

/** What happens next. */
export type Line =
  /** The client opens a connection, with a new ticket. */
  | { from: 'client'; open: true }
  | { from: 'client'; frame: ClientFrame }
  /** `lost`: the client never gets it. */
  | { from: 'server'; frame: ServerEvent[]; lost?: true }
  | { from: 'server'; close: number }
  /** The network ends the connection; or so much time passes. ms */
  | { from: 'world'; cut: true }
  | { from: 'world'; ms: number }
  | { from: 'world'; restart: true }
  /** Somebody else, `times` over with other ids; what this one hears is left out. */
  | { from: 'other'; frame: ClientFrame; times?: number }

export interface Story {
  story: string
  /** Of the server, where they are not the usual ones. */
  limits?: Record<string, number>
  /** Who the client is, and the other. */
  me: { id: string; name: string }
  other: { id: string; name: string }
  lines: Line[]
  /** What the room looks like to the client in the end. */
  view: { head: number; messages: Message[] }
}

export const ME = { id: '00000000-0000-4000-8000-000000000001', name: 'Ada' }
export const OTHER = { id: '00000000-0000-4000-8000-000000000002', name: 'Grace' }
const EPOCH = 'the-log'
const ROOM = 'lobby'
/** Between a frame and the next thing: a flush is over then. ms */
const STEP_MS = 50

/** The same UUID for the same number. */
export const idOf = (n: number) => `00000000-0000-4000-9000-${String(n).padStart(12, '0')}`

class Stage {
  readonly #t
  readonly #story
  readonly #clock = new TestClock()
  readonly #file
  #server: Awaited<ReturnType<typeof startServer>> | undefined
  #accounts: { me: Account; other: Account } | undefined
  #client: Client | undefined
  #other: Client | undefined
  /** Of the client's events, so many are written down. */
  #taken = 0

  constructor(t: TestContext, story: Pick<Story, 'limits'>) {
    this.#t = t
    this.#story = story
    this.#file = `${tempFolder(t)}/hearth.db`
  }

  get server() {
    return this.#server!
  }

  async start() {
    const env = { DATA_FILE: this.#file }
    const limits = this.#story.limits ?? {}
    this.#server = await startServer(this.#t, { env, limits, clock: this.#clock })
    const { url } = this.#server
    const names = async () => ({
      me: await signIn(url, ME.name),
      other: await signIn(url, OTHER.name),
    })
    this.#accounts ??= await names()
    this.#other = undefined
  }

  /** @returns the line as it happened */
  async play(line: Line): Promise<Line> {
    if ('open' in line) await this.#open()
    else if ('cut' in line) await this.#cut()
    else if ('ms' in line) await this.#clock.advance(line.ms)
    else if ('restart' in line) await this.#restart()
    else if ('close' in line) return { ...line, close: await this.#client!.closeCode() }
    else if (line.from === 'server') return { ...line, frame: await this.#hear(line.frame.length) }
    else if (line.from === 'client') await this.#send(this.#client!, line.frame)
    else await this.#others(line.frame, line.times)
    return line
  }

  async #open() {
    this.#client = await connect(this.#t, this.server.url, this.#accounts!.me)
    this.#taken = 0
  }

  async #cut() {
    this.#client!.cut()
    await this.#client!.closeCode()
  }

  /** Ends as at SIGTERM; what it says at that is the next line, and then it is there again. */
  async #restart() {
    await Promise.all([this.server.close(), this.#client!.closeCode()])
    await this.start()
  }

  async #hear(count: number): Promise<ServerEvent[]> {
    const client = this.#client!
    await client.until(() => client.events.length >= this.#taken + count, `${count} events`)
    const heard = client.events.slice(this.#taken, this.#taken + count)
    this.#taken += count
    return this.#stable(heard)
  }

  async #others(frame: ClientFrame, times = 1) {
    this.#other ??= await connect(this.#t, this.server.url, this.#accounts!.other)
    for (let n = 0; n < times; n += 1) {
      const id = n > 0 && 'id' in frame ? { id: idOf(Number(frame.id.slice(-12)) + n) } : {}
      await this.#send(this.#other, { ...frame, ...id })
    }
  }

  /** Sends, and lets the server do all that follows. */
  async #send(client: Client, frame: ClientFrame) {
    const text = this.#names.reduce(
      (all, [real, made]) => all.replaceAll(made, real),
      JSON.stringify(frame),
    )
    client.send(text)
    await client.isRead()
    await this.#clock.advance(STEP_MS)
  }

  /** What is another with every run, and what stands for it. */
  get #names(): (readonly [real: string, made: string])[] {
    const { me, other } = this.#accounts!
    return [
      [me.user.id, ME.id],
      [other.user.id, OTHER.id],
      [this.server.hub.log.epoch, EPOCH],
    ]
  }

  #stable<T>(value: T): T {
    const text = this.#names.reduce(
      (all, [real, made]) => all.replaceAll(real, made),
      JSON.stringify(value),
    )
    // A server that restarts has each of its clients wait for another while.
    return JSON.parse(text.replace(/("type":"bye",.*"retryAfterMs":)\d+/, '$11000')) as T
  }

  async view(): Promise<Story['view']> {
    const { head, messages } = await this.server.hub.log.page(ROOM, 50)
    return this.#stable({ head, messages })
  }
}

/** @param story  server frames may be stubs: only how many events there are is looked at */
export async function perform(t: TestContext, story: Omit<Story, 'view'>): Promise<Story> {
  const stage = new Stage(t, story)
  await stage.start()
  const lines: Line[] = []
  for (const line of story.lines) lines.push(await stage.play(line))
  return { ...story, lines, view: await stage.view() }
}
