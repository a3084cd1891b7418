/** The log of any database, put together. */

import { sleep, type Clock } from '../clock.ts'
import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import * as appends from './append.ts'
import * as doors from './doors.ts'
import * as reads from './reads.ts'
import { createReadAuthors } from './authors.ts'
import type { Draft, Log, Outcome } from './log.ts'
import { roomCountOf } from './memberships.ts'
import { toEntry } from './rows.ts'
import { ConstraintViolation, type Sql } from './sql.ts'

export interface LogOptions {
  sql: Sql
  /** As `sql`, on a connection kept for it: an append must not wait for a thousand reads. */
  appendSql?: Sql
  /** Default: by statements, in one transaction. */
  appendNew?: appends.AppendNew
  epoch: string
  clock: Clock
  limits?: Pick<Limits, 'membershipsPerUser'>
  /** Whether a commit holds up the event loop: then it gets as long to do the rest. */
  rests: boolean
  /** Hears in which rooms something was stored. */
  onAppended?(rooms: Iterable<string>): void
  /** Closes the database. */
  close(): Promise<void>
}

export function createLog(options: LogOptions): Log {
  const { sql, epoch, clock, close, limits = DEFAULT_LIMITS } = options
  const append = createAppend(options)
  const readAuthors = createReadAuthors(sql)
  const visitor = (room: string, user: string, session: string, after: number | undefined) => {
    return { room, user, session, after, now: clock.date() }
  }
  const rooms = (user: string, after?: string, limit?: number) =>
    sql.run(() => doors.roomsOf(user, after, limit))
  return {
    epoch,
    append: options.rests ? withRests(append, clock) : append,
    enter: (room, user, session, after, mayMake = () => true) => {
      const { membershipsPerUser: most } = limits
      return doors.enter(sql, visitor(room, user, session, after), { most, mayMake })
    },
    visit: (room, user, session, after, mayMake) =>
      sql.run(() => doors.visit(visitor(room, user, session, after), mayMake)),
    leave: async (room, user) => void (await doors.leave(sql, room, user)),
    after: (room, after, limit) => sql.run(() => reads.readAfter(readAuthors, room, after, limit)),
    page: (room, limit, before = Number.MAX_SAFE_INTEGER) =>
      sql.run(() => reads.readPage(readAuthors, reads.PAGE, limit, [room, before, limit + 1])),
    compare: (positions) => sql.run(() => reads.compare(sql, positions)),
    roomCount: (user) => sql.run(() => roomCountOf(user)),
    rooms: options.rests ? inTurn(rooms, clock) : rooms,
    saveReads: (reads) => sql.run(() => doors.saveReads(sql, reads)),
    close,
  }
}

/** New messages alone are stored without a look; whatever else there is goes by the rules. */
function createAppend({ sql, appendSql = sql, clock, onAppended, ...options }: LogOptions) {
  const appendNew = options.appendNew ?? byStatements(appendSql)

  const tryNew = async (drafts: readonly Draft[], at: string): Promise<Outcome[] | null> => {
    if (!drafts.every(isPlain)) return null
    const rows = appends.numberedRows(drafts, at)
    const before = await appendNew(rows)
    return (
      before &&
      rows.map((row, index) => {
        const seq = row.seq + (before.get(row.room) ?? 0)
        const entry = toEntry({ ...row, seq }, drafts[index]!.author)
        return { entry, repeat: false }
      })
    )
  }

  return async (drafts: readonly Draft[]): Promise<Outcome[]> => {
    if (drafts.length === 0) return []
    const at = clock.date().toISOString()
    const outcomes =
      (await tryNew(drafts, at)) ??
      (await appendSql.transaction(() => appends.append(appendSql, drafts, at)))
    onAppended?.(new Set(drafts.map(({ room }) => room)))
    return outcomes
  }
}

function isPlain(draft: Draft) {
  return draft.kind === 'message' && draft.replyTo === undefined
}

function byStatements(sql: Sql): appends.AppendNew {
  return (rows) =>
    sql
      .transaction(() => appends.appendNew(sql, rows))
      .catch((error: unknown) => {
        if (error instanceof ConstraintViolation) return null
        throw error
      })
}

type Asynchronous<A extends unknown[], T> = (...asked: A) => Promise<T>

/** As `withRests`, one after the other: what comes together must not hold up the loop together. */
function inTurn<A extends unknown[], T>(work: Asynchronous<A, T>, clock: Clock) {
  const rested = withRests(work, clock)
  let last: Promise<unknown> = Promise.resolve()
  return (...asked: A): Promise<T> => {
    const done = last.then(() => rested(...asked))
    last = done.catch(() => {})
    return done
  }
}

/** Work that took d ms is followed by a rest of d ms, for all else that there is to do. */
function withRests<A extends unknown[], T>(work: Asynchronous<A, T>, clock: Clock) {
  let notBefore = 0
  return async (...asked: A): Promise<T> => {
    const wait = notBefore - clock.now()
    if (wait > 0) await sleep(clock, wait)
    const started = clock.now()
    try {
      return await work(...asked)
    } finally {
      const ended = clock.now()
      notBefore = ended + (ended - started)
    }
  }
}
