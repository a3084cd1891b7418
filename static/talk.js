/** The conversation of one room: the list of messages, and where the reader stands in it. */

import { arrange, el, find } from './dom.js'
import { renderRow } from './message.js'
import { dayOf, plural, shutLine } from './text.js'

/** @typedef {import('./message.js').Row} Row */
/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./outbox.js').Parcel} Parcel */
/**
 * @typedef {object} TalkOptions
 * @property {() => void} onMove  the reader left the end, or came back to it
 * @property {(id: string) => void} retry
 * @property {(id: string) => void} discard
 */

/** A run by one author ends after this pause. */
const RUN_MS = 5 * 60_000
/** So near the end (px) counts as at the end. */
const END_PX = 40
/** Older messages are asked for this far (px) before the top. */
const TOP_PX = 400
/** At the end, so many messages are kept in the page, and older ones are let go above that. */
const KEEP = 300

export class Talk {
  /** The reader stands at the end, and stays there when messages arrive. */
  isAtEnd = true
  #options
  #scroller = find('log', HTMLElement)
  #list = find('messages', HTMLElement)
  #intro = find('intro', HTMLElement)
  #button = find('to-end', HTMLButtonElement)
  /** @type {Room | undefined} */
  #room
  /** @type {Map<string, { row: Row, node: HTMLElement }>} */
  #rows = new Map()
  /** The newest message when the reader left the end. */
  #seen = 0
  #me = { id: '', name: '' }

  /** @param {TalkOptions} options */
  constructor(options) {
    this.#options = options
    this.#scroller.onscroll = () => this.#onScroll()
    this.#button.onclick = () => {
      this.toEnd()
      options.onMove()
    }
    new ResizeObserver(() => this.isAtEnd && this.toEnd()).observe(this.#scroller)
  }

  /**
   * @param {Room} room @param {Parcel[]} parcels  of this room
   * @param {import('./protocol.js').User} me
   */
  render(room, parcels, me) {
    this.#me = me
    if (room !== this.#room) this.clear(room)
    if (this.isAtEnd && room.timeline.items.length > KEEP * 2) room.timeline.trim(KEEP)
    const rows = this.#rowsOf(room, parcels)
    const inSight = this.isAtEnd ? [] : this.#rowsInSight()
    // Read out what is new, not a conversation that is opened or loaded.
    const isNews = this.isAtEnd && this.#list.children.length > 0
    this.#scroller.ariaLive = isNews ? 'polite' : 'off'
    this.#renderIntro(room, rows.length === 0)
    arrange(this.#list, this.#nodesOf(rows))
    if (this.isAtEnd) this.toEnd()
    else this.#keepInPlace(inSight)
    this.#renderButton(room)
    if (this.#scroller.scrollTop < TOP_PX) room.older()
  }

  toEnd() {
    this.isAtEnd = true
    this.#scroller.scrollTop = this.#scroller.scrollHeight
  }

  /** Nothing of the room stays in the page. @param {Room} [room]  the next one */
  clear(room) {
    this.#room = room
    this.#rows.clear()
    this.#list.replaceChildren()
    this.isAtEnd = true
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller
    const wasAtEnd = this.isAtEnd
    this.isAtEnd = scrollHeight - scrollTop - clientHeight < END_PX
    if (scrollTop < TOP_PX) this.#room?.older()
    if (wasAtEnd === this.isAtEnd) return
    if (wasAtEnd) this.#seen = this.#room?.timeline.position ?? 0
    this.#options.onMove()
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
   * @param {{ row: Element, place: DOMRect }[]} rows  of which some may be gone
   */
  #keepInPlace(rows) {
    const kept = rows.find(({ row }) => row.isConnected)
    if (kept) this.#scroller.scrollTop += kept.row.getBoundingClientRect().top - kept.place.top
  }

  /** @param {Room} room @param {Parcel[]} parcels  @returns {Row[]} */
  #rowsOf({ timeline }, parcels) {
    const me = this.#me
    const waiting = parcels.flatMap((parcel) => {
      const { frame, at } = parcel
      if (frame.type !== 'say') return []
      return [{ message: { ...frame, author: me, at: new Date(at).toISOString() }, parcel }]
    })
    const all = [...timeline.items.map((message) => ({ message })), ...waiting]
    return all.map((one, i) => {
      const { replyTo, author } = one.message
      const quoted = replyTo === undefined ? undefined : timeline.at(replyTo)
      const isFirst = startsRun(one.message, all[i - 1]?.message)
      return { ...one, isFirst, isOwn: author.id === me.id, ...(quoted && { quoted }) }
    })
  }

  /** @param {Row[]} rows  @returns {HTMLElement[]} with a line between days */
  #nodesOf(rows) {
    const held = this.#rows
    this.#rows = new Map()
    const now = new Date()
    const days = rows.map((row) => dayOf(row.message.at, now))
    return rows.flatMap((row, i) => {
      const key = `${row.message.author.id} ${row.message.id}`
      const old = held.get(key)
      const node = old && isSame(old.row, row) ? old.node : renderRow(row, this.#options)
      this.#rows.set(key, { row, node })
      return days[i] === days[i - 1] ? [node] : [this.#dayLine(days[i] ?? '', held), node]
    })
  }

  /** @param {string} day @param {Map<string, { row: Row, node: HTMLElement }>} held */
  #dayLine(day, held) {
    const key = `day ${day}`
    const line = held.get(key)?.node ?? el('li', { className: 'day' }, el('span', {}, day))
    const row = {
      message: { id: day, author: this.#me, at: '' },
      isFirst: true,
      isOwn: true,
    }
    this.#rows.set(key, { row, node: line })
    return line
  }

  /** @param {Room} room @param {boolean} isEmpty */
  #renderIntro({ name, live, refused, shut, timeline, isLoading }, isEmpty) {
    const isFetching = timeline.epoch === undefined || (isEmpty && timeline.more)
    const closed = shut ? shutLine(name, shut) : refused
    const [title, text] = closed
      ? ['This door is closed', closed]
      : isFetching
        ? ['', live || isLoading ? 'Fetching the conversation…' : 'Waiting for the server…']
        : isEmpty
          ? ['It is quiet here', 'Say the first word. Whoever comes later will find it.']
          : ['', timeline.more ? 'Fetching older messages…' : `This is where ${name} begins.`]
    this.#intro.classList.toggle('alone', isEmpty)
    if (this.#intro.textContent === title + text) return
    this.#intro.replaceChildren(...(title ? [el('h3', {}, title)] : []), el('p', {}, text))
  }

  /** @param {Room} room */
  #renderButton({ timeline }) {
    const count = this.isAtEnd ? 0 : timeline.countAfter(this.#seen, this.#me.id)
    this.#button.hidden = count === 0
    this.#button.textContent = `${plural(count, 'new message')} ↓`
  }
}

/** @param {Row['message']} message @param {Row['message'] | undefined} before */
function startsRun(message, before) {
  if (!before || before.author.id !== message.author.id || message.replyTo) return true
  const [from, to] = [new Date(before.at), new Date(message.at)]
  return Number(to) - Number(from) > RUN_MS || from.toDateString() !== to.toDateString()
}

/** @param {Row} a @param {Row} b */
function isSame(a, b) {
  const sameSource = a.parcel || b.parcel ? a.parcel === b.parcel : a.message === b.message
  return sameSource && a.isFirst === b.isFirst && a.quoted === b.quoted
}
