/** Every number that Hearth keeps, in one place; tests and config replace single ones. */

export interface Limits {
  /** Between two pings to one connection; each is drawn within ± 10 %. ms */
  heartbeatMs: number
  /** Silence after which a connection is dead. ms */
  silenceMs: number
  /** A sweep later than this was held up itself, and judges nobody. ms */
  lateSweepMs: number
  /** Between two looks at every connection. ms */
  sweepMs: number
  /** Between two flushes of a busy room: one frame of a 60 Hz screen. ms */
  flushMs: number
  /** How long a hole may stay before it is read from the log. ms */
  repairMs: number
  /** Handshake, head of a request. ms */
  handshakeMs: number
  /** From our close to the end of the socket. ms */
  closeMs: number
  /** Longest way from SIGTERM to the end. ms */
  drainMs: number

  /** `say`, `edit`, `delete`, `react`: per user and second, and at once. */
  messageRate: number
  messageBurst: number
  /** All frames but `pong`. */
  frameRate: number
  frameBurst: number
  /** Pages of `join`, `history` and HTTP. */
  readRate: number
  readBurst: number
  /** `rate_limited` answers per second and connection; the rest is dropped. */
  refusalRate: number
  /** Refused or invalid frames on one connection that end it, and the time they count for. */
  refusalsToClose: number
  refusalWindowMs: number
  invalidToClose: number
  invalidWindowMs: number

  sessionsPerMinute: number
  connectionsPerUser: number
  connectionsPerIp: number
  connections: number
  roomsPerConnection: number

  ticketMs: number
  linkMs: number
  /** A guest's session unused this long is over. ms */
  idleSessionMs: number
  /** An admin's session ends after this. ms */
  adminSessionMs: number

  /** Reads queued and appends not committed, per connection. Above: stop reading. */
  pauseAt: number
  /** Above: close 4029. */
  waitingToClose: number
  waitingBytesToClose: number
  /** Appends waiting on this node; above: `unavailable`. */
  waitingAppends: number
  batchEntries: number
  batchBytes: number

  /** Bytes queued to one socket: above, a catching-up reader waits. */
  catchUpBytes: number
  /** Above, typing and presence are dropped. bytes */
  shedBytes: number
  /** Above, the reader is too slow: close 4008. bytes */
  slowBytes: number
  /** No byte taken for this long: close 4008. ms */
  stallMs: number

  /** One page or step of a replay. */
  stepEntries: number
  stepBytes: number
  /** Messages of a page when the client names no number. */
  pageEntries: number
  /** The newest entries of a room that stay in memory. */
  tailEntries: number
  tailBytes: number
  /** All tails together. bytes */
  tailsBytes: number

  /** Up to this many users a room names its members and tells who types. */
  membersNamed: number
  /** Between two presence events of one room: named, counted. ms */
  presenceMs: number
  countMs: number
  /** A shorter absence is not shown. ms */
  absenceMs: number
  /** Between two typing events of one user and room. ms */
  typingMs: number
}

const KIB = 1024
const MIB = 1024 * KIB
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

export const DEFAULT_LIMITS: Limits = {
  heartbeatMs: 25_000,
  silenceMs: 35_000,
  lateSweepMs: 5_000,
  sweepMs: 1_000,
  flushMs: 16,
  repairMs: 100,
  handshakeMs: 10_000,
  closeMs: 2_000,
  drainMs: 25_000,

  messageRate: 2,
  messageBurst: 20,
  frameRate: 20,
  frameBurst: 60,
  readRate: 5,
  readBurst: 40,
  refusalRate: 20,
  refusalsToClose: 100,
  refusalWindowMs: 10_000,
  invalidToClose: 10,
  invalidWindowMs: MINUTE,

  sessionsPerMinute: 30,
  connectionsPerUser: 8,
  connectionsPerIp: 64,
  connections: 10_000,
  roomsPerConnection: 32,

  ticketMs: 30_000,
  linkMs: 10 * MINUTE,
  idleSessionMs: 30 * DAY,
  adminSessionMs: DAY / 2,

  pauseAt: 256,
  waitingToClose: 1_024,
  waitingBytesToClose: MIB,
  waitingAppends: 10_000,
  batchEntries: 500,
  batchBytes: MIB,

  catchUpBytes: 64 * KIB,
  shedBytes: 256 * KIB,
  slowBytes: MIB,
  stallMs: 10_000,

  stepEntries: 100,
  stepBytes: 64 * KIB,
  pageEntries: 50,
  tailEntries: 1_024,
  tailBytes: 512 * KIB,
  tailsBytes: 64 * MIB,

  membersNamed: 200,
  presenceMs: 1_000,
  countMs: 5_000,
  absenceMs: 8_000,
  typingMs: 3_000,
}

/** Refills by `rate` a second up to `burst`. */
export class TokenBucket {
  #tokens: number
  #at: number
  readonly #rate: number
  readonly #burst: number

  constructor(rate: number, burst: number, now: number) {
    this.#rate = rate
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** Takes one token; else says in how many ms there will be one. 0: taken. */
  take(now: number): number {
    this.#refill(now)
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return 0
    }
    return Math.ceil(((1 - this.#tokens) / this.#rate) * 1000)
  }

  isFull(now: number): boolean {
    this.#refill(now)
    return this.#tokens >= this.#burst
  }

  #refill(now: number) {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate)
    this.#at = now
  }
}

/** Counts what happened within the last `windowMs`, coarsely: a window starts with its first. */
export class Strikes {
  #count = 0
  #since = -Infinity
  readonly #limit: number
  readonly #windowMs: number

  constructor(limit: number, windowMs: number) {
    this.#limit = limit
    this.#windowMs = windowMs
  }

  /** @returns whether the limit is reached */
  add(now: number): boolean {
    if (now - this.#since > this.#windowMs) {
      this.#since = now
      this.#count = 0
    }
    this.#count += 1
    return this.#count >= this.#limit
  }
}
