/** The bus on NATS, core only: a subject per room, heard where members are. */

import {
  NatsConnectionImpl,
  PermissionViolationError,
  setTransportFactory,
  type ConnectionOptions,
  type Msg,
  type NatsConnection,
  type Subscription,
} from '@nats-io/transport-node'
import { NodeTransport, nodeResolveHost } from '@nats-io/transport-node/lib/node_transport.js'
import * as v from 'valibot'
import { Hint, type Bus, type BusListener } from '../chat/bus.ts'
import { Link, settled, type BusOptions } from './link.ts'

/** Longest wait for the server to say that it has a subscription. ms */
const SUBSCRIBE_MS = 1_000

export interface NatsOptions extends BusOptions {
  /** `nats://[user:password@ | token@]host[:port]`, or `tls://…`; the first with a name names all. */
  servers: readonly string[]
  /** The log's: nodes of different logs do not hear each other. */
  epoch: string
}

/** Connects in the background. What is published while it is down is lost. */
export function createNatsBus(options: NatsOptions): Bus {
  return new NatsBus(options)
}

class NatsBus implements Bus {
  readonly #options: NatsOptions
  readonly #settings: ConnectionOptions
  readonly #link: Link
  readonly #rooms = new Map<string, Subscription | null>()
  #connection: NatsConnection | null = null
  #closing: Promise<void> | undefined

  constructor(options: NatsOptions) {
    this.#options = options
    this.#settings = { ...toSettings(options.servers), timeout: options.limits.busProbeMs }
    this.#link = new Link({
      ...options,
      name: 'NATS',
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
    if (!this.isUp || this.#closing || this.#connection?.isClosed()) return
    try {
      this.#connection?.publish(this.#subject(hint.room), this.#encode(hint))
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  async subscribe(room: string) {
    const connection = this.#connection?.isClosed() ? null : this.#connection
    if (!this.#rooms.has(room)) this.#rooms.set(room, connection && this.#hear(connection, room))
    if (connection && this.isUp) {
      await settled(this.#options.clock, SUBSCRIBE_MS, connection.flush())
    }
  }

  unsubscribe(room: string) {
    this.#rooms.get(room)?.unsubscribe()
    this.#rooms.delete(room)
  }

  close() {
    return (this.#closing ??= this.#close())
  }

  /** The last words of a node that ends are worth a moment. */
  async #close() {
    const { clock, limits } = this.#options
    if (this.isUp) await settled(clock, limits.closeMs / 2, this.#connection?.flush())
    this.#link.close()
  }

  async #open(onEnd: (reason: unknown) => void) {
    const connection = await NatsConnectionImpl.connect({ ...this.#settings })
    this.#connection = connection
    void connection.closed().then((error) => {
      if (this.#connection === connection) this.#connection = null
      onEnd(error ?? new Error('NATS closed the connection'))
    })
    void this.#watch(connection, onEnd)
    for (const room of this.#rooms.keys()) this.#rooms.set(room, this.#hear(connection, room))
    return {
      probe: () => connection.flush(),
      silence: () => 'NATS does not answer in time',
      end: () => void connection.close(),
    }
  }

  /** An error that leaves the connection open: whoever may not subscribe is as good as deaf. */
  async #watch(connection: NatsConnection, onEnd: (reason: unknown) => void) {
    for await (const status of connection.status()) {
      if (status.type !== 'error') continue
      const { error } = status
      const isOnlyMute = error instanceof PermissionViolationError && error.operation === 'publish'
      if (isOnlyMute) this.#link.complain(error.message)
      else onEnd(error)
    }
  }

  #hear(connection: NatsConnection, room: string) {
    return connection.subscribe(this.#subject(room), {
      callback: (error, message) => {
        if (!error) this.#receive(room, message)
      },
    })
  }

  #receive(room: string, message: Msg) {
    const isSmall = message.data.length <= this.#options.limits.natsBytes
    const hint = isSmall ? parseHint(room, message.string()) : null
    if (hint) this.#link.hear(hint)
    else this.#link.complain('a message that no node writes')
  }

  #encode(hint: Hint): Uint8Array {
    const bytes = encoder.encode(JSON.stringify(hint))
    const max = Math.min(this.#options.limits.natsBytes, this.#connection?.info?.max_payload ?? 0)
    if (hint.type !== 'entries' || bytes.length <= max) return bytes
    return this.#encode({ type: 'head', room: hint.room, head: hint.entries.at(-1)!.seq })
  }

  #subject(room: string) {
    return `hearth.${this.#options.epoch}.room.${room}`
  }
}

const encoder = new TextEncoder()
const HintText = v.pipe(v.string(), v.parseJson(), Hint)

/** @returns null unless all of it is about this room */
function parseHint(room: string, text: string): Hint | null {
  const { success, output } = v.safeParse(HintText, text)
  if (!success || output.room !== room) return null
  if (output.type === 'entries' && output.entries.some((entry) => entry.room !== room)) return null
  return output
}

/**
 * `reconnect: false`: our link opens a connection, and each anew. The client by itself gives up
 * after ten tries or two refused passwords, and cannot be stopped in its first try.
 */
function toSettings(servers: readonly string[]): ConnectionOptions {
  const urls = servers.map((server) => new URL(server))
  // The client takes the first `:number` for the port, even in a password; and would log it.
  const named = urls.find(({ username }) => username !== '')
  const [name, pass] = [named?.username, named?.password].map((text) =>
    decodeURIComponent(text ?? ''),
  )
  return {
    servers: urls.map(({ host }) => host),
    ...(name && (pass ? { user: name, pass } : { token: name })),
    ...(urls.some(({ protocol }) => protocol === 'tls:') && { tls: {} }),
    name: 'hearth',
    noEcho: true,
    reconnect: false,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
  }
}

/** The client forgets the socket of a server that took the connection and never said a word. */
class Transport extends NodeTransport {
  override async close(error?: Error) {
    await super.close(error)
    this.discard()
  }
}

setTransportFactory({ factory: () => new Transport(), dnsResolveFn: nodeResolveHost })
