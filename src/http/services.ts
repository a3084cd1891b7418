/** What the handlers of HTTP work with, and what they know of a request. */

import type { Context } from 'hono'
import { runtime } from '#runtime'
import type { Accounts, Session } from '../auth/accounts.ts'
import { clientAddress } from '../auth/addresses.ts'
import type { Tickets } from '../auth/tickets.ts'
import type { Hub } from '../chat/hub.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'

export interface Services {
  config: Config
  clock: Clock
  hub: Hub
  accounts: Accounts
  tickets: Tickets
  /** Tickets that sign in another device. */
  links: Tickets
  /** Gets what nobody expected, for the operator. */
  onFault(error: unknown): void
  /** The origins a browser may come from. */
  origins(): readonly string[]
}

/** Hono's variables: who asks, once the middleware has found out. */
export interface HearthEnv {
  Variables: { session: Session }
}

/** The canonical address that a request counts for. */
export function addressOf(c: Context, { trustProxy }: Config): string {
  return clientAddress(runtime.remoteAddress(c), c.req.header('x-forwarded-for'), trustProxy)
}

/** Whether every way in is https: then cookies, HSTS and the like may say so. */
export function isSecure({ origins }: Services): boolean {
  return origins().every((origin) => origin.startsWith('https:'))
}
