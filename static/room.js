/** One room as this client has it: joining, gaps, who is here, who types, what is read. No DOM. */

import { PAGE_LENGTH } from './protocol.js'
import { Timeline } from './timeline.js'

/** @typedef {import('./protocol.js').User} User */
/** @typedef {import('./protocol.js').Entry} Entry */
/** @typedef {import('./protocol.js').ServerEvent} ServerEvent */
/** @typedef {'forbidden' | 'removed'} Shut */
/** @template {ServerEvent['type']} T @typedef {Extract<ServerEvent, { type: T }>} Event */
/**
 * @typedef {object} RoomOptions
 * @property {string} me  this user's id
 * @property {import('./clock.js').Clock} clock
 * @property {(frame: import('./protocol.js').ClientFrame) => boolean} send
 * @property {() => void} onChange
 * @property {number | undefined} [keep]  so many messages are held, and nothing is counted of what
 *   is unread; without it, all that came are held
 */

/** A join or a page without an answer for this long may be asked for again. */
const ANSWER_MS = 10_000
/** After a join that brought nothing, the next one waits: this, doubled each time. */
const REPAIR_MS = 500
/** So many joins that bring nothing, and the room starts afresh. */
const REPAIRS = 3
const REFUSAL_RETRY_MS = 1_000
const READ_MS = 2_000
/** Of the page around a message that is looked for, so many seqs are after it. */
const AROUND = 25
/** As far as the server counts what is unread. */
const COUNTED = 100
const TYPING_EVERY_MS = 3_000
const TYPING_SHOWN_MS = 6_000
/** What is `forbidden` of these is the room, not the frame. */
const FOR_MEMBERS = new Set(['join', 'history', 'read', 'typing'])
/** Least time between two joins that only fetch the list of members anew. */
const MEMBERS_MS = 5_000

export class Room {
  timeline = new Timeline()
  /** Whether the server sends us this room now. */
  live = false
  /** Why the server does not let us in. @type {string | undefined} */
  refused
  /** It is closed to us: we are not let in, or not in it any more. @type {Shut | undefined} */
  shut
  count = 0
  /** Everybody here; undefined when they are too many to list. @type {User[] | undefined} */
  members
  isPrivate = false
  /** Whose the private room is, by id, as far as known. @type {string | undefined} */
  owner
  /** Whether this user owns it, and may invite and remove. */
  isOwn = false
  /** How often it was joined. */
  visits = 0
  /** Read up to here, on whichever device. */
  read = 0
  /** Whether the server has said what was read. */
  isReadKnown = false
  /** The message that is looked at; undefined: the newest. @type {number | undefined} */
  place
  /** What the server counted last; nothing of it is known before. */
  #base = { head: 0, read: 0, unread: 0, mentions: 0 }
  #isCounted = false
  #readSent = 0
  #readAt = -Infinity
  #typingAt = -Infinity
  #joinAt = -Infinity
  #pageAt = -Infinity
  #membersAt = -Infinity
  #repairs = { position: -1, count: 0 }
  #joinsSoon = false
  /** A fresh join has been answered, and its page has yet to come. */
  #awaitsPage = false
  #readsSoon = false
  /** @type {Map<string, { user: User, until: number }>} */
  #typing = new Map()
  #options

  /** @param {string} name @param {RoomOptions} options */
  constructor(name, options) {
    this.name = name
    this.#options = options
  }

  /** Messages of others not yet read, counted to 100. */
  get unread() {
    return this.#count('unread', () => true)
  }

  /** Those of them that name this user. */
  get mentions() {
    return this.#count('mentions', (item) => item.mentions?.includes(this.#options.me) === true)
  }

  /** What the server counted no longer fits what is known here: it has to be asked again. */
  get isMiscounted() {
    if (this.shut || !this.live || this.#options.keep !== undefined) return false
    const { read, head } = this.#base
    const isFit = read === this.read && head + 1 >= this.timeline.newest.start
    return !this.#isCounted || !(isFit || this.#holdsUnread)
  }

  /** Whether there is something to go on from: a page, and every entry since. */
  get isHeld() {
    return this.timeline.epoch !== undefined && !this.#awaitsPage
  }

  /** @returns {User[]} */
  get typing() {
    const now = this.#options.clock.now()
    return [...this.#typing.values()].filter((one) => one.until > now).map((one) => one.user)
  }

  /** Whether an older page is on its way. */
  get isLoading() {
    return this.#options.clock.now() - this.#pageAt < ANSWER_MS
  }

  /** The messages around what is looked at. */
  get stretch() {
    const { place, timeline } = this
    return (place !== undefined && timeline.stretchAt(place)) || timeline.newest
  }

  /**
   * Enters, or comes back to where it was; does nothing while a join waits for its answer.
   * @param {{ limit?: number }} [options]  messages of the first page; 0: none yet
   */
  join(options = {}) {
    if (this.#isJoining) return false
    const { clock, send } = this.#options
    const { position, last, epoch } = this.timeline
    const resume = this.isHeld ? { after: position, epoch, ...(last && { last }) } : options
    const isSent = send({ type: 'join', room: this.name, ...resume })
    if (isSent) this.#joinAt = clock.now()
    return isSent
  }

  /** The socket is gone; the next one joins again. */
  disconnected() {
    this.live = false
    this.refused = undefined
    this.#joinAt = this.#pageAt = -Infinity
    // What was sent since the server counted last may have gone nowhere.
    this.#readSent = Math.min(this.#readSent, this.#base.read)
    this.#typing.clear()
  }

  /** @param {import('./api.js').RoomSummary} summary */
  summary({ head, read, unread, mentions, private: isPrivate, owner }) {
    this.#base = { head, read, unread, mentions }
    this.#isCounted = true
    this.isPrivate = isPrivate
    this.isOwn = owner === true
    this.read = Math.max(this.read, read)
    this.#readSent = Math.max(this.#readSent, read)
  }

  /** @param {Event<'joined'>} event */
  joined(event) {
    const { timeline } = this
    this.#joinAt = -Infinity
    this.live = true
    this.refused = this.shut = undefined
    this.count = event.count
    this.members = event.members
    this.isPrivate = event.private
    this.visits += 1
    if (event.owner !== undefined) this.owned(event.owner)
    // One cannot have read more than there is: this is another log, restored or new.
    if (event.head < this.read) this.#forgetRead()
    if (event.reset || !this.isHeld) {
      this.#awaitsPage = true
      timeline.reset(event.epoch, event.from - 1)
      this.#pageAt = this.#options.clock.now()
    }
    this.#sendRead()
  }

  /** @param {string} user  id of its owner from now on */
  owned(user) {
    this.owner = user
    this.isOwn = user === this.#options.me
  }

  /** The door is closed, and nothing of what was behind it stays. @param {Shut} why */
  close(why) {
    this.disconnected()
    this.timeline = new Timeline()
    this.#awaitsPage = false
    this.members = this.owner = undefined
    this.isOwn = false
    this.shut = why
    this.#forgetRead()
  }

  /**
   * @param {Entry | import('./protocol.js').Position} entry
   * @returns {boolean} whether it is news: the next entry of the room, which nobody has seen here
   */
  entry(entry) {
    if (!this.live) return false
    if (entry.type === 'message') this.#typing.delete(entry.author.id)
    const outcome = this.timeline.apply(entry)
    if (outcome === 'hole') this.repair()
    if (outcome !== 'applied' || entry.type === 'position' || entry.repeat) return false
    // One that is not held may be among those that the server counted.
    const isHeld = entry.kind !== 'delete' || this.timeline.at(entry.target) !== undefined
    if (!isHeld && entry.target > this.read) this.#isCounted = false
    this.#trim()
    return true
  }

  /** Whether an entry is an unread message that names this user. @param {Entry} entry */
  isMention(entry) {
    if (entry.kind !== 'message' || entry.deleted || entry.seq <= this.read) return false
    const { me } = this.#options
    return entry.author.id !== me && entry.mentions?.includes(me) === true
  }

  /**
   * @param {Event<'history'>} page
   * @returns {boolean} whether the room starts afresh with it
   */
  page(page) {
    const isFirst = this.#awaitsPage && page.before === undefined
    this.#awaitsPage &&= !isFirst
    this.#pageAt = -Infinity
    this.timeline.addPage(page)
    this.#trim()
    return isFirst
  }

  /** What a heartbeat says of this room. @param {number | undefined} head */
  checkHead(head) {
    if (this.live && (head === undefined || head > this.timeline.position)) this.repair()
  }

  /** Joins again, at once the first time, later and afresh when that brings nothing. */
  repair() {
    if (this.#isJoining) return
    const { position } = this.timeline
    const count = position === this.#repairs.position ? this.#repairs.count + 1 : 0
    this.#repairs = { position, count }
    if (count === REPAIRS) this.timeline.forget()
    this.#joinIn(count === 0 ? 0 : REPAIR_MS * 2 ** Math.min(count, 5))
  }

  /** @param {Event<'presence'>} event */
  presence({ count, joined = [], left = [] }) {
    const { clock } = this.#options
    this.count = count
    const gone = new Set([...joined, ...left].map((user) => user.id))
    this.members = this.members?.filter((user) => !gone.has(user.id)).concat(joined)
    const isOff = this.members !== undefined && this.members.length !== count
    if (!isOff || clock.now() - this.#membersAt < MEMBERS_MS) return
    this.#membersAt = clock.now()
    this.join()
  }

  /** @param {User} user */
  types(user) {
    const { clock, onChange } = this.#options
    const until = clock.now() + TYPING_SHOWN_MS
    this.#typing.set(user.id, { user, until })
    clock.after(TYPING_SHOWN_MS, () => {
      if (this.#typing.get(user.id)?.until === until) this.#typing.delete(user.id)
      onChange()
    })
  }

  /** Another device of this user has read. @param {number} seq */
  readElsewhere(seq) {
    this.read = Math.max(this.read, seq)
    this.#readSent = Math.max(this.#readSent, seq)
  }

  /** A refused `join`, `history` or the like. @param {Event<'error'>} error */
  error({ of, code, message, retryAfterMs }) {
    const { clock } = this.#options
    const wait = retryAfterMs ?? REFUSAL_RETRY_MS
    if (code === 'not_joined') return this.repair()
    if (code === 'forbidden' && of && FOR_MEMBERS.has(of)) return this.close('forbidden')
    if (of === 'history') clock.after(wait, () => this.#retryPage())
    if (of === 'read') clock.after(wait, () => this.#retryRead())
    if (of !== 'join') return
    this.#joinAt = -Infinity
    if (retryAfterMs !== undefined || code === 'unavailable') this.#joinIn(wait)
    else this.refused = message
  }

  /** Looks at a message, held or not; without one, at the newest. @param {number} [seq] */
  look(seq) {
    this.place = seq
    this.seek()
  }

  /** Asks for the messages around the place that is looked at, if they are not held. */
  seek() {
    const { place, timeline } = this
    if (place === undefined || timeline.epoch === undefined || timeline.stretchAt(place)) return
    // Long messages fill a page before it gets there: the next one goes on from it.
    const next = timeline.stretches.find(({ start }) => start > place)
    this.#ask(Math.min(place + AROUND, next?.start ?? Infinity))
  }

  /** Asks for the page before the oldest message of the stretch. */
  older() {
    if (this.stretch.start > 0) this.#ask(this.stretch.start)
  }

  /** Asks for the page after the last message of the stretch, towards the newest. */
  newer() {
    const { end } = this.stretch
    const next = this.timeline.after(this.stretch)
    if (next) this.#ask(Math.min(next.start, end + PAGE_LENGTH), PAGE_LENGTH)
  }

  /** All that is held has been seen. */
  markRead() {
    if (!this.live || this.timeline.position <= this.read) return
    this.read = this.timeline.position
    this.#sendRead()
  }

  /** This user is typing. */
  sendTyping() {
    const { clock, send } = this.#options
    if (!this.live || !this.members || clock.now() - this.#typingAt < TYPING_EVERY_MS) return
    this.#typingAt = clock.now()
    send({ type: 'typing', room: this.name })
  }

  /** Asks for one message, for its own sake. @param {number} seq */
  peek(seq) {
    this.#ask(seq + 1, 1)
  }

  /** Unless a page is on its way. @param {number} before @param {number} [limit] */
  #ask(before, limit) {
    if (!this.live || this.isLoading) return
    const size = limit ? { limit } : {}
    const isSent = this.#options.send({ type: 'history', room: this.name, before, ...size })
    if (isSent) this.#pageAt = this.#options.clock.now()
  }

  /**
   * What is held of it, and what the server counted before that.
   * @param {'unread' | 'mentions'} kind @param {(item: import('./timeline.js').Item) => boolean} isIt
   */
  #count(kind, isIt) {
    const { timeline, read } = this
    const base = this.#base
    const from = this.#holdsUnread ? read : Math.max(read, base.head)
    const start = timeline.items.findLastIndex((item) => item.seq <= from) + 1
    const isOthers = (/** @type {import('./timeline.js').Item} */ { author, deleted }) =>
      author.id !== this.#options.me && !deleted
    const held = timeline.items.slice(start).filter((item) => isOthers(item) && isIt(item))
    // Until the server has counted anew: not more than there can be.
    const rest = read === base.read ? base[kind] : Math.min(base[kind], base.head - read)
    return Math.min(COUNTED, held.length + (this.#holdsUnread ? 0 : Math.max(0, rest)))
  }

  /** Whether all that is unread, as far as anybody here knows, is held. */
  get #holdsUnread() {
    const { epoch, position, newest } = this.timeline
    if (epoch === undefined || position < this.#base.head) return false
    return this.read + 1 >= newest.start
  }

  #trim() {
    const { keep } = this.#options
    if (keep !== undefined && this.timeline.items.length > keep) this.timeline.trim(keep)
  }

  #forgetRead() {
    this.read = this.#readSent = 0
    this.#base = { head: 0, read: 0, unread: 0, mentions: 0 }
    this.#isCounted = false
  }

  #retryPage() {
    this.#pageAt = -Infinity
    this.#options.onChange()
  }

  #retryRead() {
    this.#readSent = 0
    this.#sendRead()
  }

  get #isJoining() {
    return this.#joinsSoon || this.#options.clock.now() - this.#joinAt < ANSWER_MS
  }

  /** @param {number} ms */
  #joinIn(ms) {
    if (this.#joinsSoon) return
    this.#joinsSoon = ms > 0
    if (ms === 0) return void this.join()
    this.#options.clock.after(ms, () => {
      this.#joinsSoon = false
      this.join()
    })
  }

  #sendRead() {
    const { clock, send } = this.#options
    if (!this.live || this.#readsSoon || this.#readSent >= this.read) return
    const wait = this.#readAt + READ_MS - clock.now()
    if (wait > 0) {
      this.#readsSoon = true
      clock.after(wait, () => {
        this.#readsSoon = false
        this.#sendRead()
      })
    } else if (send({ type: 'read', room: this.name, seq: this.read })) {
      this.#readAt = clock.now()
      this.#readSent = this.read
    }
  }
}
