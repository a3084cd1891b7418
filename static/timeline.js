/**
 * One room's conversation, folded from pages and entries: stretches of messages, with holes between
 * them that nobody has looked into yet. Pure: no DOM, no clock, no socket.
 */

/** @typedef {import('./protocol.js').Entry} Entry */
/** @typedef {import('./protocol.js').Message & { asOf: number }} Item  asOf: all up to here is in it */
/** @typedef {Exclude<Entry, { kind: 'message' }>} Change */
/**
 * @typedef {object} Stretch
 * @property {readonly Item[]} items  ascending by seq. An item that changes is replaced, so a view
 *   can compare by identity
 * @property {number} start  every message from here on is in it; 0: there are none before …
 * @property {number} end  … up to here, exclusive; Infinity: also those yet to come
 */

/** So many changes are remembered; a page that was read before them all is no use. */
const RECENT = 1_000

/** Before the first `joined`. @type {Stretch} */
const NONE = { items: [], start: Infinity, end: Infinity }

export class Timeline {
  /** Ascending; the last is the newest. @type {readonly Stretch[]} */
  stretches = [NONE]
  /** The last seq held. */
  position = 0
  /** The id of the entry at `position`, where it is known. @type {string | undefined} */
  last
  /** Which log this is; undefined before the first `joined`. @type {string | undefined} */
  epoch
  /** The newest changes: a page on its way may read as before them. @type {Change[]} */
  #recent = []
  /** None of those after this seq is missing. */
  #since = 0

  /** The one that goes on living. @returns {Stretch} */
  get newest() {
    return this.stretches[this.stretches.length - 1] ?? NONE
  }

  /** The newest messages. */
  get items() {
    return this.newest.items
  }

  /** @param {number} seq  @returns {Stretch | undefined} the one it would stand in */
  stretchAt(seq) {
    return this.stretches.find(({ start, end }) => start <= seq && seq < end)
  }

  /** @param {Stretch} stretch  @returns {Stretch | undefined} the next newer one */
  after(stretch) {
    return this.stretches[this.stretches.indexOf(stretch) + 1]
  }

  /** Starts afresh. @param {string} epoch @param {number} position  of the page that comes next */
  reset(epoch, position) {
    this.stretches = [{ items: [], start: position === 0 ? 0 : position + 1, end: Infinity }]
    this.position = position
    this.last = undefined
    this.epoch = epoch
    this.#recent = []
    this.#since = position
  }

  /** Forgets which log this was, so that the next join starts afresh. */
  forget() {
    this.epoch = undefined
  }

  /**
   * Joins what the page touches. One from before a reset is too old, and has to be asked for again.
   * @param {Omit<import('./protocol.js').HistoryPage, 'type' | 'room'>} page
   */
  addPage({ head, messages, more, before = Infinity }) {
    if (head < this.#since) return
    const start = more ? messages[0]?.seq : 0
    const items = messages.map((message) => ({ ...message, asOf: head }))
    if (start !== undefined) this.#add({ items, start, end: before })
    const newest = this.items.at(-1)
    if (newest?.seq === this.position) this.last = newest.id
    for (const change of this.#recent) if (change.seq > head) this.#change(change)
  }

  /**
   * @param {Entry | import('./protocol.js').Position} entry
   * @returns {'applied' | 'seen' | 'hole'}  hole: something before it is missing
   */
  apply(entry) {
    const isRepeat = entry.type === 'message' && entry.repeat
    if (entry.seq <= this.position) return 'seen'
    if (!isRepeat && entry.seq > this.position + 1) return 'hole'
    if (!isRepeat) this.position = entry.seq
    if (!isRepeat) this.last = entry.type === 'message' ? entry.id : undefined
    if (entry.type === 'position') return 'applied'
    if (entry.kind === 'message') this.#insert(entry)
    else if (!isRepeat) {
      this.#remember(entry)
      this.#change(entry)
    }
    return 'applied'
  }

  /** @param {number} seq  @returns {Item | undefined} */
  at(seq) {
    const items = this.stretchAt(seq)?.items ?? []
    const item = items[items.findLastIndex((one) => one.seq <= seq)]
    return item?.seq === seq ? item : undefined
  }

  /** Lets go of all but the newest items. @param {number} keep */
  trim(keep) {
    const items = this.items.slice(Math.max(0, this.items.length - keep))
    const isWhole = items.length === this.items.length
    const start = isWhole ? this.newest.start : (items[0]?.seq ?? this.position + 1)
    this.stretches = [{ items, start, end: Infinity }]
  }

  /** @param {Stretch} page */
  #add(page) {
    const touches = (/** @type {Stretch} */ one) => one.start <= page.end && page.start <= one.end
    const apart = this.stretches.filter((one) => !touches(one))
    const whole = this.stretches.filter(touches).reduce(union, page)
    this.stretches = [...apart, whole].sort((a, b) => a.start - b.start)
  }

  /** @param {Extract<Entry, { kind: 'message' }>} entry */
  #insert(entry) {
    if (entry.seq < this.newest.start || this.at(entry.seq)) return
    const { type: _type, kind: _kind, room: _room, repeat: _repeat, ...message } = entry
    const item = { ...message, reactions: [], asOf: entry.seq }
    const after = this.items.findLastIndex((other) => other.seq < entry.seq) + 1
    this.#replace(this.newest, this.items.toSpliced(after, 0, item))
  }

  /** @param {Change} entry */
  #remember(entry) {
    this.#recent.push(entry)
    if (this.#recent.length <= RECENT) return
    this.#since = this.#recent.splice(0, RECENT / 2).at(-1)?.seq ?? this.#since
  }

  /** @param {Change} entry */
  #change(entry) {
    const stretch = this.stretchAt(entry.target)
    const item = this.at(entry.target)
    if (!stretch || !item || item.deleted || entry.seq <= item.asOf) return
    const changed = { ...item, ...fold(item, entry), asOf: entry.seq }
    this.#replace(stretch, stretch.items.with(stretch.items.indexOf(item), changed))
  }

  /** @param {Stretch} stretch @param {readonly Item[]} items */
  #replace(stretch, items) {
    const index = this.stretches.indexOf(stretch)
    this.stretches = this.stretches.with(index, { ...stretch, items })
  }
}

/** @param {Stretch} page @param {Stretch} held  whose items have had every change since */
function union(page, held) {
  const known = new Set(held.items.map((item) => item.seq))
  const fresh = page.items.filter((item) => !known.has(item.seq))
  return {
    items: [...fresh, ...held.items].sort((a, b) => a.seq - b.seq),
    start: Math.min(page.start, held.start),
    end: Math.max(page.end, held.end),
  }
}

/** What an entry changes in a message. @param {Item} item @param {Change} entry */
function fold(item, entry) {
  if (entry.kind === 'delete') return { deleted: /** @type {const} */ (true), ...EMPTY }
  if (entry.kind === 'reaction') return { reactions: react(item.reactions, entry) }
  return entry.body === undefined ? {} : { body: entry.body, editedAt: entry.at }
}

const EMPTY = { body: undefined, editedAt: undefined, reactions: [] }

/**
 * @param {Item['reactions']} reactions
 * @param {Pick<Extract<Entry, { kind: 'reaction' }>, 'emoji' | 'on'> & { author: { id: string } }} entry
 * @returns {Item['reactions']}  `users` may be cut at 100, so `count` is kept beside it
 */
export function react(reactions, { emoji, on, author }) {
  const { count, users } = reactions.find((one) => one.emoji === emoji) ?? { count: 0, users: [] }
  const others = users.filter((id) => id !== author.id)
  const wasOn = others.length < users.length || (!on && count > users.length)
  const now = { emoji, count: count + Number(on) - Number(wasOn), users: others }
  if (on) now.users.push(author.id)
  if (count === 0) return on ? [...reactions, now] : reactions
  return reactions.map((one) => (one.emoji === emoji ? now : one)).filter((one) => one.count > 0)
}
