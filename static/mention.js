/** A list of people above the composer while one writes `@` and the beginning of a name. */

import { el } from './dom.js'
import { parse } from './markdown.js'
import { renderDisc } from './message.js'
import { queryAt, rank } from './names.js'

/** @typedef {import('./names.js').Person} Person */
/** @typedef {{ start: number, query: string, people: Person[], chosen: number }} Offer */

/** As many as a message may name. */
const MOST = 50

/**
 * @param {object} options
 * @param {HTMLTextAreaElement} options.field
 * @param {HTMLElement} options.list  `<ul role="listbox" id="…" aria-label="…" hidden>`
 * @param {() => Person[]} options.people  who can be named now, without oneself
 */
export function createMentions({ field, list, people }) {
  /** `dismissed`: the `@` for which nothing more is offered. */
  const state = { offer: /** @type {Offer | null} */ (null), dismissed: -1 }

  /** @param {Offer | null} offer */
  const show = (offer) => {
    state.offer = offer
    list.hidden = offer === null
    list.replaceChildren(...(offer ? optionsOf(offer, list.id) : []))
    describe(field, list)
  }

  const update = () => {
    const { selectionStart: caret, selectionEnd: end, value } = field
    const found = caret === end ? queryAt(value, caret) : null
    if (found?.start !== state.dismissed) state.dismissed = -1
    if (!found || state.dismissed >= 0) return close()
    const { start, query } = found
    if (state.offer?.start === start && state.offer.query === query) return
    const first = rank(people(), query)
    show(first.length > 0 ? { start, query, people: first, chosen: 0 } : null)
  }
  const close = () => {
    if (state.offer) show(null)
  }

  /** @param {Offer} offer @param {number} chosen */
  const take = ({ start, people }, chosen) => {
    const person = people[chosen]
    if (!person) return
    const end = field.selectionEnd + (field.value[field.selectionEnd] === ' ' ? 1 : 0)
    field.setRangeText(`@${person.name} `, start, end, 'end')
    close()
    field.dispatchEvent(new InputEvent('input', { bubbles: true }))
  }
  /** @param {Offer} offer @param {number} by */
  const move = (offer, by) => {
    const count = offer.people.length
    show({ ...offer, chosen: (offer.chosen + by + count) % count })
  }

  /** @type {Record<string, (offer: Offer) => void>} */
  const keys = {
    ArrowDown: (offer) => move(offer, 1),
    ArrowUp: (offer) => move(offer, -1),
    Enter: (offer) => take(offer, offer.chosen),
    Tab: (offer) => take(offer, offer.chosen),
    Escape: ({ start }) => {
      state.dismissed = start
      close()
    },
  }
  /** Before anything else looks at the key. @param {KeyboardEvent} event  @returns whether it is done with */
  const onKey = (event) => {
    // 229: Safari ends a composition before the Enter that ended it arrives.
    const isOther = event.isComposing || event.keyCode === 229 || withModifier(event)
    const act = Object.hasOwn(keys, event.key) && keys[event.key]
    if (!state.offer || !act || isOther) return false
    event.preventDefault()
    act(state.offer)
    return true
  }

  field.setAttribute('aria-autocomplete', 'list')
  field.addEventListener('input', update)
  field.addEventListener('blur', close)
  document.addEventListener('selectionchange', () => document.activeElement === field && update())
  // The field keeps the focus.
  for (const type of ['pointerdown', 'mousedown']) {
    list.addEventListener(type, (event) => event.preventDefault())
  }
  list.addEventListener('click', ({ target }) => {
    const option = target instanceof Element && target.closest('[role=option]')
    if (option && state.offer) take(state.offer, [...list.children].indexOf(option))
  })

  return {
    onKey,
    close,
    mentionsIn: (/** @type {string} */ text) => mentionsIn(text, people()),
  }
}

/**
 * The ids of those whom a text names, each once, at most 50.
 * @param {string} text @param {Person[]} people
 */
export function mentionsIn(text, people) {
  return [...new Set(idsOf(parse(text.normalize('NFC'), people)))].slice(0, MOST)
}

/** @param {import('./markdown.js').Piece[]} pieces  @returns {string[]} */
function idsOf(pieces) {
  return pieces.flatMap((piece) => {
    if (typeof piece === 'string') return []
    if (piece.type === 'mention') return [piece.id]
    return 'children' in piece ? idsOf(piece.children) : []
  })
}

/** @param {Offer} offer @param {string} id */
function optionsOf({ people, chosen }, id) {
  return people.map((person, i) => {
    const props = { id: `${id}-${i}`, role: 'option', ariaSelected: String(i === chosen) }
    return el('li', props, renderDisc(person), el('bdi', {}, person.name))
  })
}

/**
 * A textarea is no combobox and has no `aria-expanded` (ARIA in HTML): that there is a list, and
 * what is chosen in it, is told by these two.
 * @param {HTMLElement} field @param {HTMLElement} list
 */
function describe(field, list) {
  const chosen = list.querySelector('[aria-selected=true]')
  /** @param {string} name @param {string | undefined} id */
  const set = (name, id) => (id ? field.setAttribute(name, id) : field.removeAttribute(name))
  set('aria-controls', chosen ? list.id : undefined)
  set('aria-activedescendant', chosen?.id)
}

/** @param {KeyboardEvent} event */
const withModifier = (event) => event.shiftKey || event.ctrlKey || event.altKey || event.metaKey
