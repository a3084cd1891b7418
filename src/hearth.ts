/** One running Hearth: every part opened in order, closed in reverse. */

import { readFileSync } from 'node:fs'
import { getLogger } from '@logtape/logtape'
import { runtime } from '#runtime'
import { FRAME_BYTES } from '../static/protocol.js'
import { createApp } from './app.ts'
import { clientAddress } from './auth/addresses.ts'
import { Hub } from './chat/hub.ts'
import { systemClock, type Clock } from './clock.ts'
import { loopbackOrigins, type Config } from './config.ts'
import { socketRoom } from './descriptors.ts'
import { createCharge } from './http/charge.ts'
import { createGate } from './http/gate.ts'
import { createUnread } from './http/unread.ts'
import { createJournal, type Journal } from './journal.ts'
import type { RefusedRequest } from './runtime/runtime.ts'
import type { LogDamaged } from './store/log.ts'
import type { Memberships } from './store/memberships.ts'
import { createLogProbe } from './store/probe.ts'
import { Meter } from './meter.ts'
import { openStorage } from './storage.ts'

const LOBBY = 'lobby'

export interface Hearth {
  /** Where the page is. */
  readonly url: string
  /** Where messages are kept. */
  readonly place: string
  readonly hub: Hub
  /** Answers what was received, says goodbye, closes. Idempotent. */
  close(): Promise<void>
}

/**
 * @param onDamage  hears that what is stored cannot be read: this must end
 * @throws {import('./store/log.ts').DatabaseError} when the data cannot be opened
 * @throws {import('./runtime/runtime.ts').AddressInUse} when the port is taken
 */
export async function startHearth(
  config: Config,
  clock: Clock = systemClock,
  onDamage: (error: LogDamaged) => void = () => {},
): Promise<Hearth> {
  const { limits } = config
  const meter = new Meter()
  const journal = createJournal(getLogger(['hearth']), clock, meter)
  const tls = config.tls && readCertificate(config.tls)
  const scheme = tls ? 'https' : 'http'
  const { place, accounts, memberships, tickets, links, search, ...storage } = await openStorage({
    ...{ config, clock, onFault: journal.fault, onDamage },
  })
  const { log, bus, walBytes, bytes } = storage
  const { tokenEveryMessage } = config
  const hub = new Hub({
    ...{ ...storage, clock, limits, tokenEveryMessage, journal, meter },
    keepSessions: accounts.keep,
  })
  await keepLobby(memberships, journal)
  const probe = createLogProbe({ log, clock, limits, journal })
  const metrics = config.metricsToken
    ? (await import('./watch/watch.ts')).createMetrics({ hub, probe, walBytes, bytes })
    : undefined
  let origins = config.allowedOrigins ?? loopbackOrigins(config.port, scheme)
  const app = createApp({
    config,
    clock,
    hub,
    journal,
    probe,
    search,
    metrics,
    accounts,
    memberships,
    tickets,
    links,
    foreignUser: config.jwt && (await createForeign(config.jwt, clock)),
    origins: () => origins,
  })

  const end = async (closeListener = async () => {}) => {
    await hub.drain()
    metrics?.close()
    probe.close()
    await closeListener()
    await bus.close()
    await log.close()
  }

  const headers = await headersOf(app)
  const listener = await runtime
    .serve(app, {
      hostname: config.hostname,
      port: config.port,
      headersTimeout: limits.handshakeMs,
      closeTimeout: limits.closeMs,
      maxFrame: FRAME_BYTES,
      unansweredRequests: limits.unansweredRequests,
      headBytes: limits.headBytes,
      charge: createCharge({ config, clock, journal }, headers),
      unread: createUnread({ config, journal }, headers),
      admit: createGate({ config, journal }, socketRoom()),
      onDeaf: journal.deaf,
      onRefusal: (peer, why) => journal.refusal('request', refusalOf(peer, why)),
      ...(tls && { tls }),
    })
    .catch(async (error: unknown) => {
      await end()
      throw error
    })
  if (!config.allowedOrigins) origins = loopbackOrigins(listener.port, scheme)

  let closing: Promise<void> | undefined
  const close = () => end(() => listener.close())
  return {
    url: `${scheme}://${urlHost(config.hostname)}:${listener.port}`,
    place,
    hub,
    close: () => (closing ??= close()),
  }
}

/** What every answer carries, as this one does. */
async function headersOf(app: ReturnType<typeof createApp>) {
  const { headers } = await app.request('/livez')
  return Object.fromEntries(headers)
}

function refusalOf(peer: string, why: RefusedRequest) {
  const address = clientAddress(peer, undefined, 0)
  return why === 'unclear'
    ? { code: 'invalid', reason: 'its head can be read in two ways', address }
    : { code: 'too_many', reason: 'too many requests wait on its connection', address }
}

/** Where everybody starts: nobody makes it their private room. On a full disk it waits. */
async function keepLobby({ reserve }: Memberships, journal: Journal) {
  const found = await reserve(LOBBY).catch(journal.fault)
  if (found === 'private') journal.event('the lobby is private', { room: LOBBY })
}

/** Loaded only for those who use it, as it would add to every start. */
async function createForeign(jwt: NonNullable<Config['jwt']>, clock: Clock) {
  const { createForeignUsers } = await import('./login/login.ts')
  return createForeignUsers(jwt, clock)
}

/** @throws {Error} that names the setting, and says what the system says of its file */
function readCertificate({ certFile, keyFile }: NonNullable<Config['tls']>) {
  const read = (name: string, file: string) => {
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
    }
  }
  return { cert: read('TLS_CERT', certFile), key: read('TLS_KEY', keyFile) }
}

function urlHost(hostname: string) {
  return hostname.includes(':') ? `[${hostname}]` : hostname
}
