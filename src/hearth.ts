/** One running Hearth: every part opened in order, closed in reverse. */

import { getLogger } from '@logtape/logtape'
import { runtime } from '#runtime'
import { FRAME_BYTES } from '../static/protocol.js'
import { createApp } from './app.ts'
import { Hub } from './chat/hub.ts'
import { systemClock, type Clock } from './clock.ts'
import { loopbackOrigins, type Config } from './config.ts'
import { createFaultLog } from './faults.ts'
import { openStorage } from './storage.ts'

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
 * @throws {import('./log/log.ts').DatabaseError} when the data cannot be opened
 * @throws {import('./runtime/runtime.ts').AddressInUse} when the port is taken
 */
export async function startHearth(config: Config, clock: Clock = systemClock): Promise<Hearth> {
  const { limits } = config
  const onFault = createFaultLog(getLogger(['hearth']), clock)
  const { place, accounts, tickets, links, ...storage } = await openStorage({
    ...{ config, clock, onFault },
  })
  const { log, bus } = storage
  const { tokenEveryMessage } = config
  const hub = new Hub({ ...storage, clock, limits, tokenEveryMessage, onFault })
  let origins = config.allowedOrigins ?? loopbackOrigins(config.port)
  const app = createApp({
    config,
    clock,
    hub,
    onFault,
    accounts,
    tickets,
    links,
    origins: () => origins,
  })

  const listener = await runtime
    .serve(app, {
      hostname: config.hostname,
      port: config.port,
      headersTimeout: limits.handshakeMs,
      closeTimeout: limits.closeMs,
      maxFrame: FRAME_BYTES,
    })
    .catch(async (error: unknown) => {
      await hub.drain()
      await bus.close()
      await log.close()
      throw error
    })
  if (!config.allowedOrigins) origins = loopbackOrigins(listener.port)

  let closing: Promise<void> | undefined
  const close = async () => {
    await hub.drain()
    await listener.close()
    await bus.close()
    await log.close()
  }
  return {
    url: `http://${urlHost(config.hostname)}:${listener.port}`,
    place,
    hub,
    close: () => (closing ??= close()),
  }
}

function urlHost(hostname: string) {
  return hostname.includes(':') ? `[${hostname}]` : hostname
}
