/** The Postgres database: a pool of connections, every statement with its own deadline. */

import pg from 'pg'
import type { Limits } from '../limits.ts'
import { LogUnavailable } from './log.ts'

export interface Postgres {
  /** As the log's. */
  readonly epoch: string
  /**
   * One statement, in one round trip, with a deadline of its own.
   * @throws {LogUnavailable} when it is not known whether it was done
   */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** A connection of its own, for LISTEN; whoever asks for it ends it. */
  connect(): Promise<pg.Client>
  /** Idempotent. */
  close(): Promise<void>
}
