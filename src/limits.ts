/** Every number that Hearth keeps, in one place; tests and config replace single ones. */

const KIB = 1024
const MIB = 1024 * KIB
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

export const DEFAULT_LIMITS = {
  /** Between two pings to one connection; each is drawn within ± 10 %. ms */
  heartbeatMs: 25_000,
  /** Silence after which a connection is dead. ms */
  silenceMs: 35_000,
  /** A sweep later than this was held up itself, and judges nobody. ms */
  lateSweepMs: 5_000,
  /** Between two looks at every connection. ms */
  sweepMs: 1_000,
  /** Between two flushes of a busy room: one frame of a 60 Hz screen. ms */
  flushMs: 16,
  /** Between the starts of two commits of a busy node: as long as a room waits with what they bring. ms */
  commitMs: 20,
  /** How long a hole may stay before it is read from the log. ms */
  repairMs: 100,
  /** After a log that did not answer, the next try: ours, and what clients are told. ms */
  logRetryMs: 1_000,
  /** Between two questions whether the log answers, and for the answer of each. ms */
  probeMs: 1_000,
  probeDeadlineMs: 2_000,
  /** One piece of work in Postgres, from the wish to the answer: connection and query. ms */
  databaseMs: 4_500,
  /** Postgres itself gives up a statement after this. ms */
  statementMs: 4_000,
  /** Between two comparisons of heads with the log; while the bus is down. ms */
  compareMs: 10_000,
  compareDownMs: 1_000,
  /** Between two probes of the bus, and for the answer of each. ms */
  busProbeMs: 1_000,
  /** Between two NOTIFY of one node. ms; and what fits one (Postgres takes 8,000). bytes */
  notifyMs: 10,
  notifyBytes: 7_500,
  /** A NATS message larger than this carries only the head. bytes */
  natsBytes: 256 * KIB,
  /** Between two looks at what ended on any node, and who is mute. ms */
  newsMs: 2_000,
  /** It is asked from so long before the last answer on, for what was committed late. ms */
  newsOverlapMs: MINUTE,
  /** What ended is kept so long; a node that heard nothing for longer sends its people away. ms */
  newsKeptMs: 10 * MINUTE,
  /** Between two signs of life of a node; older ones are of the dead. ms */
  renewMs: 15_000,
  aliveMs: 45_000,
  /** The people of a node that ended are here for so long, as they come back elsewhere. ms */
  retiredMs: 15_000,
  /** Handshake, head of a request. ms */
  handshakeMs: 10_000,
  /** A whole request, with its body. ms */
  requestMs: 20_000,
  /** From our close to the end of the socket. ms */
  closeMs: 2_000,
  /** Longest way from SIGTERM to the end. ms */
  drainMs: 25_000,

  /** `say`, `edit`, `delete`, `react`: per user and second, and at once. */
  messageRate: 2,
  messageBurst: 20,
  /** All frames, but for a few `pong`; and, in a bucket of their own, requests over HTTP. */
  frameRate: 20,
  frameBurst: 60,
  /** `pong` without anything beside it that are free, per second and connection. */
  pongRate: 2,
  pongBurst: 4,
  /** Pages of `join`, `history` and HTTP. */
  readRate: 5,
  readBurst: 40,
  /** Searches that run at a time, and wait for each user; how long one waits for its turn. ms */
  searchesAtOnce: 2,
  searchesWaiting: 4,
  searchWaitMs: 4_000,
  /** A search costs one more read for each of these beyond the first, ms; and as many at most. */
  searchMsPerRead: 50,
  readsPerSearch: 10,
  /** Memberships for which the list of rooms costs one more. */
  roomsPerRead: 100,
  /** Of a list of rooms so many are read in one turn, within which SQLite holds up the event loop. */
  roomsAtOnce: 25,
  /** Lists of rooms that have their turn at a time, and wait for each user; how long for one. ms */
  listsAtOnce: 2,
  listsWaiting: 16,
  listMs: 8_000,
  /** `rate_limited` answers per second and connection; the rest is dropped. */
  refusalRate: 20,
  /** Refused or invalid frames on one connection that end it, and the time they count for. */
  refusalsToClose: 100,
  refusalWindowMs: 10_000,
  invalidToClose: 10,
  invalidWindowMs: MINUTE,

  /**
   * Requests over HTTP of an address, per second and at once, for each connection that it may hold:
   * to load the page takes about fifty.
   */
  requestRate: 4,
  requestBurst: 64,
  /** Requests of one connection without an answer yet; one more ends it. Browsers never do that. */
  unansweredRequests: 16,
  /**
   * Answers that wait for their readers, on Deno, which cannot end them: of an address, for each
   * connection that it may hold; and of all. bytes
   */
  unreadBytes: 512 * KIB,
  unreadBytesInAll: 512 * MIB,
  /** Head of a request, on Node. bytes */
  headBytes: 16 * KIB,
  sessionsPerMinute: 30,
  connectionsPerUser: 8,
  connectionsPerIp: 64,
  /** How many /64 networks of one IPv6 site (/48) may do all that an address may, at the same time. */
  networksPerSite: 4,
  connections: 10_000,
  /** TCP connections of an address, for each that it may hold open: a page loads over six more. */
  peersPerConnection: 8,
  /** TCP connections of all, beside `connections`. */
  sparePeers: 2_048,
  roomsPerConnection: 32,
  /** Rooms that a user is a member of, and private ones that one owns. Who has more keeps them. */
  membershipsPerUser: 1_000,
  ownedPerUser: 100,

  ticketMs: 30_000,
  linkMs: 10 * MINUTE,
  /** A guest's session unused this long is over. ms */
  idleSessionMs: 30 * DAY,
  /** That a session is in use is written down this often, not at every request. ms */
  touchMs: 60 * MINUTE,
  /** Sessions of one user: a link to another device costs nothing. */
  sessionsPerUser: 100,
  /** Requests about one's devices, per device and minute. */
  devicesPerMinute: 60,
  /** The session of an admin, or of who came with a foreign token, ends after this at most. ms */
  longestSessionMs: DAY / 2,
  /** An invitation into a private room that names no time. ms */
  inviteMs: 7 * DAY,
  /** Requests about private rooms, and names that become a public room, per user and minute. */
  roomChangesPerMinute: 30,

  /** Reads queued and appends not committed, per connection. Above: stop reading. */
  pauseAt: 256,
  /** Above: close 4029. */
  waitingToClose: 1_024,
  waitingBytesToClose: MIB,
  /** Appends waiting on this node; above: `unavailable`. */
  waitingAppends: 10_000,
  batchEntries: 500,
  batchBytes: MIB,

  /** Bytes queued to one socket: above, a catching-up reader waits. */
  catchUpBytes: 64 * KIB,
  /** Above, typing and presence are dropped. bytes */
  shedBytes: 256 * KIB,
  /** Above, the reader is too slow: close 4008. bytes */
  slowBytes: MIB,
  /** No byte taken for this long: close 4008. ms */
  stallMs: 10_000,

  /** One page or step of a replay. */
  stepEntries: 100,
  stepBytes: 64 * KIB,
  /** Messages of a page when the client names no number. */
  pageEntries: 50,
  /** The newest entries of a room that stay in memory. */
  tailEntries: 1_024,
  tailBytes: 512 * KIB,
  /** All tails together. bytes */
  tailsBytes: 64 * MIB,

  /** Up to this many users a room names its members and tells who types. */
  membersNamed: 200,
  /** Between two presence events of one room: named, counted. ms */
  presenceMs: 1_000,
  countMs: 5_000,
  /** A shorter absence is not shown. ms */
  absenceMs: 8_000,
  /** Between two typing events of one user and room. ms */
  typingMs: 3_000,
}

export type Limits = typeof DEFAULT_LIMITS

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

  /**
   * Takes tokens; else says in how many ms there will be enough. 0: taken. What costs more than the
   * bucket holds is let through when it is full, and the next ones wait for it.
   */
  take(now: number, tokens = 1): number {
    this.#refill(now)
    const needed = Math.min(tokens, this.#burst)
    if (this.#tokens >= needed) {
      this.#tokens -= tokens
      return 0
    }
    return Math.ceil(((needed - this.#tokens) / this.#rate) * 1000)
  }

  /** Takes what a piece of work turned out to cost, though it is not there: the next ones wait for it. */
  pay(tokens: number, now: number) {
    this.#refill(now)
    this.#tokens -= tokens
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

/** A bucket for each key; those that are full again are forgotten. */
export class Buckets {
  readonly #buckets = new Map<string, TokenBucket>()
  readonly #rate: number
  readonly #burst: number
  #sweptAt = -Infinity

  constructor(rate: number, burst: number) {
    this.#rate = rate
    this.#burst = burst
  }

  /** As a bucket's. */
  take(key: string, now: number, tokens = 1): number {
    this.#sweep(now)
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#rate, this.#burst, now)
    this.#buckets.set(key, bucket)
    return bucket.take(now, tokens)
  }

  /** As a bucket's; one that is full and forgotten stays so. */
  pay(key: string, tokens: number, now: number) {
    this.#buckets.get(key)?.pay(tokens, now)
  }

  #sweep(now: number) {
    if (now - this.#sweptAt < MINUTE) return
    this.#sweptAt = now
    for (const [key, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(key)
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
