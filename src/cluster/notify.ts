/** The bus that comes with Postgres: LISTEN on a connection of its own, NOTIFY with the heads. */

import { sleep } from '../clock.ts'
import { LogUnavailable } from '../store/log.ts'
import type { Postgres } from './postgres.ts'
import { Backlog, parsePayload } from './backlog.ts'
import type { Bus, BusListener, Hint } from '../chat/bus.ts'
import { Link, RETRY_MS, settled, type BusOptions } from './link.ts'

type Database = Pick<Postgres, 'epoch' | 'query' | 'connect'>

/** Connects in the background. Of `entries` the others get only the head. */
export function createNotifyBus(db: Database, options: BusOptions): Bus {
  return new NotifyBus(db, options)
}

class NotifyBus implements Bus {
  readonly #db: Database
  readonly #options: BusOptions
  readonly #channel: string
  readonly #node = crypto.randomUUID().slice(0, 8)
  readonly #link: Link
  readonly #rooms = new Set<string>()
  readonly #backlog: Backlog
  /** Sends until nothing is left. */
  #sending: Promise<void> | undefined
  #sentAt = -Infinity
  #probe: 'none' | 'waits' | 'sent' = 'none'
  /** Something of our own came back. */
  #onOwn = () => {}
  #closing: Promise<void> | undefined
  #isOver = false

  constructor(db: Database, options: BusOptions) {
    this.#db = db
    this.#options = options
    this.#channel = `hearth_${db.epoch}`
    this.#backlog = new Backlog(this.#node, options.limits.notifyBytes)
    this.#link = new Link({
      ...options,
      name: 'LISTEN/NOTIFY',
      open: (onEnd) => this.#open(onEnd),
    })
  }

  get isUp() {
    return this.#link.isUp
  }

  get trustMs() {
    return this.#link.trustMs
  }

  listen(listener: BusListener) {
    this.#link.listener = listener
  }

  publish(hint: Hint) {
    if (this.#closing) return
    this.#backlog.add(hint)
    this.#send()
  }

  /** One channel carries all rooms: there is nothing to wait for. */
  async subscribe(room: string) {
    this.#rooms.add(room)
  }

  unsubscribe(room: string) {
    this.#rooms.delete(room)
  }

  close() {
    return (this.#closing ??= this.#close())
  }

  /** The last words of a node that ends are worth a moment. */
  async #close() {
    const { clock, limits } = this.#options
    this.#link.close()
    await settled(clock, limits.closeMs / 2, this.#sending)
    this.#isOver = true
  }

  async #open(onEnd: (reason: unknown) => void) {
    const client = await this.#db.connect()
    client.on('error', onEnd)
    client.on('end', () => onEnd(new Error('Postgres closed the connection')))
    client.on('notification', ({ payload }) => this.#receive(payload))
    const listening = client.query(`LISTEN ${client.escapeIdentifier(this.#channel)}`)
    listening.catch(onEnd)
    return {
      probe: () => listening.then(() => this.#roundTrip()),
      silence: () => (this.#probe === 'sent' ? DEAF : 'Postgres does not answer in time'),
      // Not `end()`: that waits for a peer which may be frozen.
      end: () => void client.connection.stream.destroy(),
    }
  }

  /** Any notification is a probe, and one of nothing when there is nothing to say. */
  #roundTrip() {
    this.#probe = 'waits'
    const heard = new Promise<void>((resolve) => (this.#onOwn = resolve))
    this.#send()
    return heard
  }

  #send() {
    if (!this.#isOver) this.#sending ??= this.#sendAll()
  }

  async #sendAll() {
    const { clock, limits } = this.#options
    while (!this.#isOver && (this.#backlog.size > 0 || this.#probe === 'waits')) {
      await sleep(clock, Math.max(0, this.#sentAt + limits.notifyMs - clock.now()))
      await this.#sendSome()
    }
    this.#sending = undefined
  }

  /** A statement of its own: NOTIFY inside a transaction takes a database-wide lock at commit. */
  async #sendSome() {
    const { clock, onFault } = this.#options
    const { payload, hints } = this.#backlog.take()
    this.#sentAt = clock.now()
    try {
      await this.#db.query('SELECT pg_notify($1, $2)', [this.#channel, payload])
      if (this.#probe === 'waits') this.#probe = 'sent'
    } catch (error) {
      if (!(error instanceof LogUnavailable)) onFault(error)
      else for (const hint of hints) if (hint.type === 'head') this.#backlog.add(hint)
      await sleep(clock, RETRY_MS)
    }
  }

  #receive(text: string | undefined) {
    const message = parsePayload(text)
    if (!message) return this.#link.complain('a notification that no node writes')
    if (message.node === this.#node) return this.#onOwn()
    for (const hint of message.hints) if (this.#rooms.has(hint.room)) this.#link.hear(hint)
  }
}

const DEAF =
  'its own notifications do not come back: LISTEN needs a direct connection, and hears nothing ' +
  'through a transaction-mode pooler; meanwhile heads are compared every second'
