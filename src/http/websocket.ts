/** `GET /ws`: the handshake, each check in its order, the ticket last. */

import type { Context, Handler } from 'hono'
import { runtime } from '#runtime'
import { CLOSE, PROTOCOL } from '../../static/protocol.js'
import { Connection, type Identity } from '../chat/connection.ts'
import type { ErrorCode } from '../protocol.ts'
import { isOwnOrigin } from './auth.ts'
import { problem, type ProblemOptions } from './problem.ts'
import { addressOf, isUpgrade, type HearthEnv, type Services } from './services.ts'

const TICKET = /^ticket\.([\w-]{16,128})$/
/** 16 bytes in base64 (RFC 6455, 4.1). */
const KEY = /^[A-Za-z0-9+/]{22}==$/
/** The key under which all sockets count. */
const NODE = 'node'
/** One segment: no dots that lead to `/ws` from elsewhere. */
const SHORT_TARGET = /^(https?:\/\/[^/?#]+)?\/[^/?#]+([?#]|$)/
/**
 * For each place of an address, sockets that we closed and whose peers have not gone: Deno cannot
 * end them. A network that broke under all places at once must not lock its people out.
 */
const LINGERING_PER_PLACE = 4
const OVERLOAD_RETRY_MS = 5_000
const LIMIT_RETRY_MS = 10_000

/** Answers a handshake that is refused; its connection ends with it. */
export function refuseUpgrade(c: Context, code: ErrorCode, options: ProblemOptions = {}) {
  c.header('Connection', 'close')
  return problem(c, code, options)
}

/** The arguments of `refuseUpgrade`. */
type Refusal = [code: ErrorCode, options?: ProblemOptions]

function later(code: ErrorCode, detail: string, retryAfterMs: number): Refusal {
  return [code, { detail, retryAfterMs }]
}

export function webSocketRoute(services: Services): Handler<HearthEnv> {
  const { config, hub, accounts, tickets, clock, journal } = services
  const { limits } = config
  const places = createPlaces()
  const lingering = createPlaces()

  /** The user and session that a ticket stands for. */
  const redeem = async (ticket: string, address: string): Promise<Identity | null> => {
    const pass = await tickets.redeem(ticket)
    if (!pass || (pass.address !== null && pass.address !== address)) return null
    const session = await accounts.session(pass.session)
    if (!session) return null
    const { user, role, hash, expiresAt } = session
    return { user, role, session: hash, expiresAt, ticket }
  }

  /** What stands in the way before the ticket is looked at, which then stays good. */
  const obstacle = (
    c: Context<HearthEnv>,
    address: string,
    ticket: string | undefined,
  ): Refusal | null => {
    if (!SHORT_TARGET.test(runtime.requestLine(c).target)) return ['not_found']
    const fault = handshakeFault(c)
    if (fault) return ['invalid', fault]
    if (ticket === undefined) return ['invalid', { detail: `offer ${PROTOCOL} and a ticket` }]
    if (c.req.header('origin') !== undefined && !isOwnOrigin(c, services)) {
      return ['forbidden', { detail: 'this origin is not allowed' }]
    }
    if (hub.isDraining) return later('unavailable', 'the server restarts', OVERLOAD_RETRY_MS)
    const most = limits.connectionsPerIp
    const isStaying = lingering.count(address) >= most * LINGERING_PER_PLACE
    if (places.count(address) >= most || isStaying) {
      return later('too_many', 'too many sockets of this address', LIMIT_RETRY_MS)
    }
    if (places.count(NODE) < limits.connections) return null
    return later('unavailable', 'too many sockets', OVERLOAD_RETRY_MS)
  }

  /** Whose ticket it is, or why it does not count. */
  const identify = async (ticket: string, address: string): Promise<Identity | Refusal> => {
    try {
      const identity = await redeem(ticket, address)
      if (!identity) return ['unauthorized', { detail: 'this ticket is not good' }]
      const isOneTooMany = places.count(identity.user.id) >= limits.connectionsPerUser
      if (!isOneTooMany) return identity
      return later('too_many', 'too many sockets of this user', LIMIT_RETRY_MS)
    } catch (error) {
      journal.fault(error)
      return later('unavailable', 'the ticket cannot be looked up', limits.logRetryMs)
    }
  }

  return async (c) => {
    const address = addressOf(c, config)
    const ticket = offeredTicket(c)
    const refusal = obstacle(c, address, ticket)
    if (refusal) return refuseUpgrade(c, ...refusal)
    const leaves = [places.take(NODE), places.take(address)]
    const leave = () => {
      for (const giveBack of leaves) giveBack()
    }
    const identity = await identify(ticket!, address)
    if (Array.isArray(identity)) {
      leave()
      return refuseUpgrade(c, ...identity)
    }
    leaves.push(places.take(identity.user.id))
    // The peer may be gone before its socket opens; then nobody else gives the places back.
    const cancel = clock.after(limits.handshakeMs, leave)
    let connection: Connection | undefined
    let end = () => {}
    return runtime.upgradeWebSocket(c, PROTOCOL, {
      onOpen: (_event, ws) => {
        cancel()
        connection = new Connection({
          hub,
          socket: runtime.socket(ws),
          identity,
          address,
          redeem: (fresh) => redeem(fresh, address),
          onGone: () => {
            leave()
            end = lingering.take(address)
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

/** How many sockets there are for each key: an address, a user, the node. */
function createPlaces() {
  const counts = new Map<string, number>()
  const count = (key: string) => counts.get(key) ?? 0
  /** @returns what gives the place back; idempotent */
  const take = (key: string) => {
    let isTaken = true
    counts.set(key, count(key) + 1)
    return () => {
      if (!isTaken) return
      isTaken = false
      if (count(key) > 1) counts.set(key, count(key) - 1)
      else counts.delete(key)
    }
  }
  return { count, take }
}
