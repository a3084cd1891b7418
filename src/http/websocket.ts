/** `GET /ws`: the handshake, each check in its order, the ticket last. */

import type { Context, Handler } from 'hono'
import { runtime } from '#runtime'
import { CLOSE, PROTOCOL } from '../../static/protocol.js'
import { Connection, type Identity } from '../chat/connection.ts'
import type { ErrorCode } from '../protocol.ts'
import { isOwnOrigin } from './auth.ts'
import { later, OVERLOAD_RETRY_MS, type Place, type Places, type Refusal } from './places.ts'
import { problem, type ProblemOptions } from './problem.ts'
import type { Journal } from '../journal.ts'
import { addressOf, isUpgrade, type HearthEnv, type Services } from './services.ts'

const TICKET = /^ticket\.([\w-]{16,128})$/
/** 16 bytes in base64 (RFC 6455, 4.1). */
const KEY = /^[A-Za-z0-9+/]{22}==$/
/** One segment: no dots that lead to `/ws` from elsewhere. */
const SHORT_TARGET = /^(https?:\/\/[^/?#]+)?\/[^/?#]+([?#]|$)/

/** Answers a handshake that is refused; its connection ends with it. */
export function refuseUpgrade(c: Context, code: ErrorCode, options: ProblemOptions = {}) {
  c.header('Connection', 'close')
  return problem(c, code, options)
}

export function webSocketRoute(services: Services, places: Places): Handler<HearthEnv> {
  const { config, hub, clock } = services
  return async (c) => {
    const address = addressOf(c, config)
    const { journal, requestId: id } = c.var
    const ticket = offeredTicket(c)
    const refusal = obstacle(c, { services, places, address, ticket })
    if (refusal) return refuseUpgrade(c, ...refusal)
    const place = places.take(address)
    const identity = await identify(ticket!, address, place, { services, journal })
    if (Array.isArray(identity)) {
      place.leave()
      return refuseUpgrade(c, ...identity)
    }
    // The peer may be gone before its socket opens; then nobody else gives the place back.
    const cancel = clock.after(config.limits.handshakeMs, place.leave)
    let connection: Connection | undefined
    let end = () => {}
    return runtime.upgradeWebSocket(c, PROTOCOL, {
      onOpen: (_event, ws) => {
        cancel()
        connection = new Connection({
          hub,
          socket: runtime.socket(ws),
          identity,
          id,
          address,
          redeem: (fresh) => redeem(fresh, address, services),
          onGone: () => {
            place.leave()
            end = place.linger()
          },
        })
        if (hub.isDraining) connection.close(CLOSE.RESTART, OVERLOAD_RETRY_MS)
      },
      onMessage: ({ data }) => connection?.receive(data),
      onClose: () => {
        connection?.gone()
        end()
      },
      // What went wrong on the wire; the close that follows is what counts.
      onError: () => {},
    })
  }
}

/** The user and session that a ticket stands for. */
async function redeem(
  ticket: string,
  address: string,
  { tickets, accounts }: Services,
): Promise<Identity | null> {
  const pass = await tickets.redeem(ticket)
  if (!pass || (pass.address !== null && pass.address !== address)) return null
  const session = await accounts.session(pass.session)
  if (!session) return null
  const { user, role, hash, expiresAt } = session
  return { user, role, session: hash, expiresAt, ticket }
}

interface Handshake {
  services: Services
  places: Places
  address: string
  ticket: string | undefined
}

/** What stands in the way before the ticket is looked at, which then stays good. */
function obstacle(
  c: Context<HearthEnv>,
  { services, places, address, ticket }: Handshake,
): Refusal | null {
  if (!SHORT_TARGET.test(runtime.requestLine(c).target)) return ['not_found']
  const fault = handshakeFault(c)
  if (fault) return ['invalid', fault]
  if (ticket === undefined) return ['invalid', { detail: `offer ${PROTOCOL} and a ticket` }]
  if (c.req.header('origin') !== undefined && !isOwnOrigin(c, services)) {
    return ['forbidden', { detail: 'this origin is not allowed' }]
  }
  return places.obstacle(address)
}

/** Whose ticket it is, now with a place of its own; or why it does not count. */
async function identify(
  ticket: string,
  address: string,
  place: Place,
  { services, journal }: { services: Services; journal: Journal },
): Promise<Identity | Refusal> {
  try {
    const identity = await redeem(ticket, address, services)
    if (!identity) return ['unauthorized', { detail: 'this ticket is not good' }]
    return place.assign(identity.user.id) ?? identity
  } catch (error) {
    journal.fault(error)
    const { logRetryMs } = services.config.limits
    return later('unavailable', 'the ticket cannot be looked up', logRetryMs)
  }
}

/** What is wrong with a handshake as such (RFC 6455, 4.2.1); null when nothing is. */
function handshakeFault(c: Context): ProblemOptions | null {
  if (runtime.requestLine(c).method !== 'GET') {
    c.header('Allow', 'GET')
    return { status: 405, detail: 'GET only' }
  }
  const isAsked = listed(c, 'connection').some((name) => name.toLowerCase() === 'upgrade')
  if (!isUpgrade(c) || !isAsked) return upgradeRequired(c, 'this is a WebSocket')
  if (c.req.header('sec-websocket-version') !== '13') return upgradeRequired(c, 'version 13 only')
  if (!KEY.test(c.req.header('sec-websocket-key') ?? '')) return { detail: 'no good key' }
  return null
}

function upgradeRequired(c: Context, detail: string): ProblemOptions {
  c.header('Upgrade', 'websocket')
  c.header('Sec-WebSocket-Version', '13')
  return { status: 426, detail }
}

/** The ticket in a protocol list that also offers ours; undefined when either is missing. */
function offeredTicket(c: Context): string | undefined {
  const offered = listed(c, 'sec-websocket-protocol')
  if (!offered.includes(PROTOCOL)) return undefined
  return offered.map((name) => TICKET.exec(name)?.[1]).find((ticket) => ticket !== undefined)
}

/** The names in a header that is a list. */
function listed(c: Context, header: string): string[] {
  return (c.req.header(header) ?? '').split(',').map((name) => name.trim())
}
