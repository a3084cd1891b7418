/** What the handlers of HTTP work with, and what they know of a request. */

import type { Context } from 'hono'
import { runtime } from '#runtime'
import type { Accounts, Session } from '../store/accounts.ts'
import { clientAddress } from '../auth/addresses.ts'
import type { Memberships } from '../store/memberships.ts'
import type { Tickets } from '../store/tickets.ts'
import type { Hub } from '../chat/hub.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Journal } from '../journal.ts'
import type { Search } from '../store/log.ts'
import type { LogProbe } from '../store/probe.ts'

export interface Services {
  config: Config
  clock: Clock
  hub: Hub
  accounts: Accounts
  memberships: Memberships
  tickets: Tickets
  /** Tickets that sign in another device. */
  links: Tickets
  /** Whom another issuer vouches for, when there is one. */
  foreignUser: ForeignUsers | undefined
  /** For the operator, about no request: those have `c.var.journal`. */
  journal: Journal
  probe: LogProbe
  /** Where old messages are found, unless that is switched off. */
  search: Search | undefined
  /** All that is measured, as Prometheus reads it; when somebody may ask for it. */
  metrics: Metrics | undefined
  /** The origins a browser may come from. */
  origins(): readonly string[]
}

export interface ForeignUser {
  /** Issuer and subject, as one text. */
  subject: string
  /** A name that fits ours; others may have it. */
  name: string
  expiresAt: Date
}

/**
 * The user that a token speaks of; null when the token is not good.
 * @throws {unknown} when the issuer's keys cannot be had
 */
export type ForeignUsers = (token: string) => Promise<ForeignUser | null>

export interface Metrics {
  readonly contentType: string
  read(): Promise<string>
}

/** Hono's variables. */
export interface HearthEnv {
  Variables: {
    /** Of this request: its id is in every line. */
    requestId: string
    journal: Journal
    /** Who asks, once the middleware has found out. */
    session: Session
    /** Why it was refused. */
    refusal: { code: string; reason: string | undefined }
  }
}

/** The canonical address that a request counts for. */
export function addressOf(c: Context, { trustProxy }: Config): string {
  return clientAddress(runtime.remoteAddress(c), c.req.header('x-forwarded-for'), trustProxy)
}

/** Whether the request wants to become a WebSocket. */
export function isUpgrade(c: Context) {
  return c.req.header('upgrade')?.toLowerCase() === 'websocket'
}

/** Whether every way in is https: then cookies, HSTS and the like may say so. */
export function isSecure({ origins }: Services): boolean {
  return origins().every((origin) => origin.startsWith('https:'))
}
