/** One room's conversation, folded from pages and entries. Pure: no DOM, no clock, no socket. */

/** @typedef {import('./protocol.js').Entry} Entry */
/** @typedef {import('./protocol.js').Message & { asOf: number }} Item  asOf: all up to here is in it */
/** @typedef {Exclude<Entry, { kind: 'message' }>} Change */

export class Timeline {
  /** Ascending by seq. An item that changes is replaced, so a view can compare by identity.
   * @type {readonly Item[]} */
  items = []
  /** The last seq held. */
  position = 0
  /** The id of the entry at `position`, where it is known. @type {string | undefined} */
  last
  /** Which log this is; undefined before the first `joined`. @type {string | undefined} */
  epoch
  /** Whether there are messages older than the first item. */
  more = false
  /** Changes that arrived since an older page was asked for: it may read as before them.
   * @type {Change[] | undefined} */
  #late

  /** Everything before this seq is yet to be loaded, if there is more. */
  get oldest() {
    return Math.min(this.items[0]?.seq ?? Infinity, this.position + 1)
  }

  /** Starts afresh. @param {string} epoch @param {number} position  of the page that comes next */
  reset(epoch, position) {
    this.items = []
    this.position = position
    this.last = undefined
    this.epoch = epoch
    this.more = position > 0
    this.#late = undefined
  }

  /** Forgets which log this was, so that the next join starts afresh. */
  forget() {
    this.epoch = undefined
  }

  /** To be called when an older page is asked for. */
  expectPage() {
    this.#late ??= []
  }

  /** @param {Omit<import('./protocol.js').HistoryPage, 'type' | 'room'>} page */
  addPage(page) {
    const held = new Set(this.items.map((item) => item.seq))
    const isOlder = page.messages.every((message) => message.seq < this.oldest)
    const fresh = page.messages.filter((message) => !held.has(message.seq))
    const items = fresh.map((message) => ({ ...message, asOf: page.head }))
    this.items = [...items, ...this.items].sort((a, b) => a.seq - b.seq)
    if (isOlder || held.size === 0) this.more = page.more
    const newest = this.items.at(-1)
    if (newest?.seq === this.position) this.last = newest.id
    const late = this.#late ?? []
    this.#late = undefined
    for (const change of late) this.#change(change)
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
    else if (!isRepeat) this.#change(entry)
    return 'applied'
  }

  /** @param {number} seq  @returns {Item | undefined} */
  at(seq) {
    const start = this.items.findLastIndex((item) => item.seq <= seq)
    return this.items[start]?.seq === seq ? this.items[start] : undefined
  }

  /** How many messages of others are held above a seq. @param {number} seq @param {string} me */
  countAfter(seq, me) {
    const start = this.items.findLastIndex((item) => item.seq <= seq) + 1
    return this.items.slice(start).filter((item) => item.author.id !== me && !item.deleted).length
  }

  /** Lets go of the oldest items. @param {number} keep */
  trim(keep) {
    if (this.items.length <= keep) return
    this.items = this.items.slice(-keep)
    this.more = true
  }

  /** @param {Extract<Entry, { kind: 'message' }>} entry */
  #insert(entry) {
    if (this.at(entry.seq)) return
    const { type: _type, kind: _kind, room: _room, repeat: _repeat, ...message } = entry
    const item = { ...message, reactions: [], asOf: entry.seq }
    const after = this.items.findLastIndex((other) => other.seq < entry.seq) + 1
    this.items = this.items.toSpliced(after, 0, item)
  }

  /** @param {Change} entry */
  #change(entry) {
    this.#late?.push(entry)
    const item = this.at(entry.target)
    if (!item || item.deleted || entry.seq <= item.asOf) return
    const changed = { ...item, ...fold(item, entry), asOf: entry.seq }
    this.items = this.items.with(this.items.indexOf(item), changed)
  }
}

/** What an entry changes in a message. @param {Item} item @param {Change} entry */
function fold(item, entry) {
  if (entry.kind === 'delete') return { deleted: /** @type {const} */ (true), ...EMPTY }
  if (entry.kind === 'reaction') return { reactions: react(item.reactions, entry) }
  return entry.body === undefined ? {} : { body: entry.body, editedAt: entry.at }
}

const EMPTY = { body: undefined, reactions: [] }

/**
 * @param {Item['reactions']} reactions @param {Extract<Entry, { kind: 'reaction' }>} entry
 * @returns {Item['reactions']}  `users` may be cut at 100, so `count` is kept beside it
 */
function react(reactions, { emoji, on, author }) {
  const { count, users } = reactions.find((one) => one.emoji === emoji) ?? { count: 0, users: [] }
  const others = users.filter((id) => id !== author.id)
  const wasOn = others.length < users.length || (!on && count > users.length)
  const now = { emoji, count: count + Number(on) - Number(wasOn), users: others }
  if (on) now.users.push(author.id)
  if (count === 0) return on ? [...reactions, now] : reactions
  return reactions.map((one) => (one.emoji === emoji ? now : one)).filter((one) => one.count > 0)
}
