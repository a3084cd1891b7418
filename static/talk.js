/** The conversation of one room: the list of messages, and where the reader stands in it. */

import { arrange, el, find, setText } from './dom.js'
import { renderRow } from './message.js'
import { Namesakes } from './namesakes.js'
import { isSame, rowsOf } from './rows.js'
import { plural, shutLine } from './text.js'

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./outbox.js').Parcel} Parcel */
/** @typedef {import('./protocol.js').User} User */
/** @typedef {{ row: Row, node: HTMLElement }} Held */

/** So near the end (px) counts as at the end. */
const END_PX = 40
/** More messages are shown, or asked for, this far (px) before the list ends. */
const MARGIN_PX = 600
/** So many rows stand in the page, however many messages are held. */
const ROWS = 200
/** By so many rows they move when the reader comes near their end. */
const STEP = 80
/** At the end, so many messages are kept in memory, and older ones are let go above twice that. */
const KEEP = 300

/** More at once, as after sleep, are not read out. */
const READ_OUT = 10

export class Talk {
  /** Names by id, as far as this room has shown them. @type {Map<string, string>} */
  people = new Map()
  /** Those whom this room has shown. */
  namesakes = new Namesakes()
  /** The reader stands at the end, and stays there when messages arrive. */
  #isAtEnd = true
  #actions
  #onMove
  #scroller = find('log', HTMLElement)
  #list = find('messages', HTMLElement)
  #intro = find('intro', HTMLElement)
  #button = find('to-end', HTMLButtonElement)
  /** @type {Room | undefined} */
  #room
  /** @type {Map<string, Held>} */
  #held = new Map()
  /** Rows that were drawn anew just now. @type {Set<Element>} */
  #changed = new Set()
  /** Seq of the first row; undefined: as many as there may be, up to the newest.
   * @type {number | undefined} */
  #first
  /** Where to go as soon as it is there. @type {'start' | number | undefined} */
  #goal = 'start'
  /** The message somebody came for. @type {number | undefined} */
  #target
  /** The line above what is new stands after this seq. @type {number | undefined} */
  #readUpTo
  /** Up to here the messages were there to be read out. */
  #heard = 0

  /**
   * @param {import('./message.js').Actions} actions
   * @param {() => void} onMove  something else is to be drawn
   */
  constructor(actions, onMove) {
    this.#actions = actions
    this.#onMove = onMove
    this.#scroller.onscroll = () => this.#onScroll()
    this.#button.onclick = () => this.toEnd()
    new ResizeObserver(() => this.#isAtEnd && this.#scrollToEnd()).observe(this.#scroller)
  }

  /** Whether nothing that is held of the room is below what is in sight. */
  get hasSeenAll() {
    return this.#isAtEnd && this.#goal === undefined
  }

  /** @param {Room} room @param {Parcel[]} parcels  of this room @param {User} me */
  render(room, parcels, me) {
    if (room !== this.#room) this.clear(room)
    this.#stayAfterReset(room)
    room.seek()
    if (this.#isAtEnd && room.timeline.items.length > KEEP * 2) room.timeline.trim(KEEP)
    const { items, isEnd } = this.#slice(room)
    this.#meet(room, items)
    const { timeline, owner } = room
    const { people, namesakes } = this
    const marks = { people, namesakes, owner, target: this.#target, readUpTo: this.#readUpTo }
    const rows = rowsOf({ timeline, items, parcels, isEnd, me, ...marks })
    const inSight = this.#isAtEnd ? [] : this.#rowsInSight()
    this.#scroller.ariaLive = this.#isNews(timeline, items, me.id) ? 'polite' : 'off'
    this.#renderIntro(room, rows.length === 0)
    arrange(this.#list, this.#nodesOf(rows))
    if (this.#goal !== undefined) this.#place(room)
    else if (this.#isAtEnd) this.#scrollToEnd()
    else this.#keepInPlace(inSight)
    this.#renderButton(room)
    this.#fill()
    const isUnknown = (/** @type {Row} */ { quoted, message: { replyTo = 0 } }) =>
      quoted === 'missing' && !timeline.stretchAt(replyTo)
    const missing = rows.find(isUnknown)
    if (missing?.message.replyTo) room.peek(missing.message.replyTo)
  }

  /** @param {Room} room @param {number} seq  of a message, which may have to be fetched */
  goTo(room, seq) {
    if (room !== this.#room) this.clear(room)
    this.#goal = this.#target = seq
    this.#isAtEnd = false
    room.look(seq)
    this.#onMove()
  }

  /** To the newest message, and stays there. */
  toEnd() {
    this.#room?.look()
    this.#first = this.#goal = this.#target = undefined
    this.#isAtEnd = true
    this.#onMove()
  }

  /** What comes from now on is new to the reader, until he writes himself. */
  drawLine() {
    this.#readUpTo = this.#isAtEnd ? this.#room?.read : this.#readUpTo
  }

  eraseLine() {
    this.#readUpTo = undefined
  }

  /** Nothing of the room stays in the page. @param {Room} [room]  the next one */
  clear(room) {
    this.#room?.look()
    this.#room = room
    this.#held.clear()
    this.people.clear()
    this.namesakes = new Namesakes()
    this.#list.replaceChildren()
    this.#first = this.#target = this.#readUpTo = undefined
    this.#goal = 'start'
    this.#isAtEnd = true
  }

  /** @param {Element | null} node  a row  @returns {Row | undefined} */
  rowOf(node) {
    return [...this.#held.values()].find((held) => held.node === node)?.row
  }

  /** @param {(row: Row) => boolean} isIt  @returns {Row | undefined} the newest such row */
  findLast(isIt) {
    return [...this.#held.values()].map(({ row }) => row).findLast(isIt)
  }

  /**
   * Whether what is drawn now is to be read out: what others say here while one is at the end, and
   * neither a page nor a change of what was read out before. What came by itself is as of its own seq.
   * @param {import('./timeline.js').Timeline} timeline
   * @param {readonly import('./timeline.js').Item[]} items @param {string} me
   */
  #isNews({ position }, items, me) {
    const news = items.filter(({ seq }) => seq > this.#heard)
    this.#heard = position
    const isLive = this.hasSeenAll && news.every(({ seq, asOf }) => seq === asOf)
    if (news.length > READ_OUT) return false
    return isLive && news.some(({ author }) => author.id !== me)
  }

  /** Those of the messages held that stand in the page. @param {Room} room */
  #slice({ stretch, timeline }) {
    const { items } = stretch
    const goal = this.#goal
    if (typeof goal === 'number' && timeline.stretchAt(goal) === stretch) {
      this.#first = items[Math.max(0, indexOf(items, goal) - ROWS / 2)]?.seq
    }
    // By steps: were the first row to go with each that comes, every row would be painted anew.
    const last = Math.max(0, Math.ceil((items.length - ROWS) / STEP) * STEP)
    const from = this.#first === undefined ? last : Math.min(last, indexOf(items, this.#first))
    const isEnd = stretch === timeline.newest && from + ROWS >= items.length
    return { from, items: items.slice(from, from + ROWS), isEnd }
  }

  /** @param {Room} room @param {readonly import('./timeline.js').Item[]} items */
  #meet({ members = [], timeline }, items) {
    const written = timeline.stretches.flatMap((stretch) => stretch.items)
    for (const { author, seq } of written) this.namesakes.meet(author, seq)
    for (const user of members) {
      this.people.set(user.id, user.name)
      this.namesakes.meet(user, timeline.position + 1)
    }
    for (const { author } of items) this.people.set(author.id, author.name)
  }

  #onScroll() {
    const room = this.#room
    if (!room || this.#goal !== undefined) return
    const wasAtEnd = this.#isAtEnd
    const { items, isEnd } = this.#slice(room)
    this.#isAtEnd = isEnd && this.#below() < END_PX
    this.#fill()
    if (this.#isAtEnd) this.#rest(room)
    else this.#first ??= items[0]?.seq
    if (wasAtEnd !== this.#isAtEnd) this.#onMove()
    else this.#renderButton(room)
  }

  /** Whoever came here from a place of long ago is not led back there. @param {Room} room */
  #rest(room) {
    this.#first = undefined
    room.look()
  }

  /** What was read is not held any more: it is fetched, and one stays there. @param {Room} room */
  #stayAfterReset(room) {
    const { timeline } = room
    const isHeld = this.#first === undefined || timeline.stretchAt(this.#first) !== undefined
    if (isHeld || this.#isAtEnd || this.#goal !== undefined || timeline.epoch === undefined) return
    const [inSight] = this.#rowsInSight()
    this.#goal = this.rowOf(inSight?.row ?? null)?.item?.seq ?? this.#first
    this.#target = undefined
    room.look(this.#goal)
  }

  /** Near the end of what stands in the page there must be more. */
  #fill() {
    const room = this.#room
    if (!room || this.#goal !== undefined) return
    const { from, items, isEnd } = this.#slice(room)
    const all = room.stretch.items
    if (this.#scroller.scrollTop < MARGIN_PX) {
      if (from > 0) return this.#shift(all[Math.max(0, from - STEP)])
      room.older()
    }
    if (this.#below() >= MARGIN_PX) return
    const end = from + items.length
    if (end < all.length) this.#shift(all[Math.min(from + STEP, all.length - ROWS)])
    else if (!isEnd) room.newer()
  }

  /** @param {import('./timeline.js').Item | undefined} item  the first to show */
  #shift(item) {
    this.#first = item?.seq
    this.#onMove()
  }

  #below() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller
    return scrollHeight - scrollTop - clientHeight
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight
  }

  /** Goes where the reader wants to be, once that is there. @param {Room} room */
  #place(room) {
    const seq = this.#goal
    if (typeof seq !== 'number') return this.#placeAtStart(room)
    if (room.timeline.stretchAt(seq) !== room.stretch) return
    const { row, node } = this.#nearest(seq) ?? {}
    if (!node && room.stretch !== room.timeline.newest) return room.newer()
    if (!node) return this.toEnd()
    this.#goal = undefined
    if (row?.isNews || this.#target === undefined) return this.#scrollTo(node, 'start')
    this.#scrollTo(node, 'center')
    node.focus({ preventScroll: true })
  }

  /** At the line above what is new, if there is something; else at the end. @param {Room} room */
  #placeAtStart(room) {
    this.#scrollToEnd()
    if (!room.isReadKnown || room.timeline.epoch === undefined || room.isLoading) return
    this.#goal = undefined
    if (room.unread === 0 || room.read === 0) return
    this.#readUpTo = room.read
    this.#goal = room.read + 1
    this.#isAtEnd = false
    room.look(this.#goal)
    this.#onMove()
  }

  /** @param {number} seq  @returns {Held | undefined} the row of that message, or the next one */
  #nearest(seq) {
    return [...this.#held.values()].find(({ row }) => (row.message.seq ?? 0) >= seq)
  }

  /** @param {HTMLElement} node @param {'start' | 'center'} block */
  #scrollTo(node, block) {
    const line = node.previousElementSibling
    const isBelowLine = block === 'start' && line?.classList.contains('line')
    ;(isBelowLine ? line : node)?.scrollIntoView({ block })
    this.#onScroll()
  }

  /** Rows from the first in sight on, and where they are. */
  #rowsInSight() {
    const { top } = this.#scroller.getBoundingClientRect()
    const rows = [...this.#list.querySelectorAll('.message')]
    const places = rows.map((row) => ({ row, place: row.getBoundingClientRect() }))
    return places.filter(({ place }) => place.bottom > top)
  }

  /**
   * Nothing moves under the reader's eyes when rows above come or change.
   * @param {{ row: Element, place: DOMRect }[]} rows  of which some may be gone, or look different
   */
  #keepInPlace(rows) {
    const there = rows.filter(({ row }) => row.isConnected)
    const kept = there.find(({ row }) => !this.#changed.has(row)) ?? there[0]
    if (kept) this.#scroller.scrollTop += kept.row.getBoundingClientRect().top - kept.place.top
  }

  /** @param {Row[]} rows  @returns {HTMLElement[]} with a line between days and above what is new */
  #nodesOf(rows) {
    const old = this.#held
    this.#held = new Map()
    this.#changed.clear()
    return rows.flatMap((row) => {
      const key = `${row.message.author.id} ${row.message.id}`
      const held = old.get(key)
      const isStale = !held || !isSame(held.row, row)
      const node = isStale ? renderRow(row, this.#actions, held?.node) : held.node
      this.#held.set(key, { row, node })
      if (isStale) this.#changed.add(node)
      const day = row.day === undefined ? [] : [lineOf('day', row.day)]
      const news = row.isNews ? [lineOf('line', 'New messages')] : []
      return [...day, ...news, node]
    })
  }

  /** @param {Room} room @param {boolean} isEmpty */
  #renderIntro({ name, live, refused, shut, timeline, stretch, isLoading }, isEmpty) {
    const hasMore = stretch.start > 0
    const isFetching = timeline.epoch === undefined || (isEmpty && hasMore)
    const closed = shut ? shutLine(name, shut) : refused
    const [title, text] = closed
      ? ['This door is closed', closed]
      : isFetching
        ? ['', live || isLoading ? 'Fetching the conversation…' : 'Waiting for the server…']
        : isEmpty
          ? ['It is quiet here', 'Say the first word. Whoever comes later will find it.']
          : ['', hasMore ? 'Fetching older messages…' : `This is where ${name} begins.`]
    this.#intro.classList.toggle('alone', isEmpty)
    if (this.#intro.textContent === title + text) return
    this.#intro.replaceChildren(...(title ? [el('h3', {}, title)] : []), el('p', {}, text))
  }

  /** @param {Room} room */
  #renderButton(room) {
    const isFar = this.#first !== undefined && this.#below() > this.#scroller.clientHeight
    const count = this.#isAtEnd || this.#goal === 'start' ? 0 : room.unread
    this.#button.hidden = count === 0 && !isFar && room.stretch === room.timeline.newest
    const number = count >= 100 ? '100 or more new messages' : plural(count, 'new message')
    const text = count > 0 ? `${number} ↓` : 'To the newest ↓'
    setText(this.#button, text)
  }
}

/** @type {Map<string, HTMLElement>} */
const lines = new Map()

/** @param {'day' | 'line'} className @param {string} text */
function lineOf(className, text) {
  const key = `${className} ${text}`
  const line = lines.get(key) ?? el('li', { className }, el('span', {}, text))
  lines.set(key, line)
  return line
}

/**
 * @param {readonly { seq: number }[]} items @param {number} seq
 * @returns {number} of the first with this seq or a higher one; else of the last
 */
function indexOf(items, seq) {
  const index = items.findIndex((item) => item.seq >= seq)
  return index < 0 ? items.length - 1 : index
}
