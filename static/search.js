/** Finding an old message of a room: what is looked for, what was found, one step to each. */

import { el, find, setText } from './dom.js'
import { plainText } from './markdown.js'
import { dayOf, failureLine, highlight, timeOf } from './text.js'

/** @typedef {import('./api.js').Found} Found */
/** @typedef {import('./protocol.js').Message} Message */
/**
 * @typedef {object} SearchOptions
 * @property {(q: string, before?: number) => Promise<import('./api.js').Answer<Found>>} ask
 * @property {(seq: number) => string} linkTo  the address of a message
 * @property {(messages: Message[]) => void} meet  before they are shown
 * @property {(author: Message['author']) => HTMLElement[]} marksOf  what stands beside the name
 */

/** So long after the last key the search begins. */
const PAUSE_MS = 300

/** @param {SearchOptions} options */
export function createSearch({ ask, linkTo, meet, marksOf }) {
  const panel = find('search', HTMLElement)
  const field = find('q', HTMLInputElement)
  const list = find('hits', HTMLElement)
  const older = find('older-hits', HTMLButtonElement)
  const status = find('search-note', HTMLElement)
  /** asked: counts, since only the newest question's answer is wanted.
   * @type {{ q: string, asked: number, found: Message[], timer?: ReturnType<typeof setTimeout> }} */
  const state = { q: '', asked: 0, found: [] }

  /** @param {string} q @param {number} [before] */
  async function search(q, before) {
    clearTimeout(state.timer)
    state.q = q
    const asked = ++state.asked
    if (before === undefined) show([], false)
    if (q === '') return setText(status, '')
    setText(status, 'Searching…')
    const { value, failure } = await ask(q, before)
    if (asked !== state.asked) return
    if (failure) return setText(status, failureLine(failure))
    show(value.messages, value.more, before !== undefined)
    const count = list.children.length
    setText(
      status,
      count === 0 ? 'Nothing was found.' : `${count}${value.more ? ' or more' : ''} found`,
    )
  }

  /** Newest first. @param {Message[]} messages @param {boolean} more @param {boolean} [isAdded] */
  function show(messages, more, isAdded = false) {
    const shown = isAdded ? state.found : []
    state.found = [...messages, ...shown]
    meet(messages)
    // All anew: older ones may bring somebody of a name before those of the newer.
    list.replaceChildren(...state.found.toReversed().map(renderFound))
    older.hidden = !more
    if (isAdded) list.children[shown.length]?.querySelector('a')?.focus()
  }

  /** @param {Message} message */
  function renderFound({ seq, author, at, body = '' }) {
    const parts = highlight(plainText(body), state.q)
    const text = parts.map(({ text, isMatch }) => (isMatch ? el('mark', {}, text) : text))
    const when = el('time', { dateTime: at }, `${dayOf(at)}, ${timeOf(at)}`)
    const name = el('bdi', {}, author.name)
    const by = el('span', { className: 'by' }, name, ' ', ...marksOf(author), ' ', when)
    const link = el('a', { href: linkTo(seq) }, by, el('span', { dir: 'auto' }, ...text))
    return el('li', {}, link)
  }

  field.oninput = () => {
    clearTimeout(state.timer)
    state.timer = setTimeout(() => void search(field.value.trim()), PAUSE_MS)
  }
  find('search-form', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault()
    void search(field.value.trim())
  }
  // Where the panel covers the conversation, the message would stay behind it.
  list.onclick = ({ target }) => {
    const isHit = target instanceof Element && target.closest('a')
    if (isHit && matchMedia('(width < 60rem)').matches) panel.hidePopover()
  }
  older.onclick = () => void search(state.q, state.found[0]?.seq)

  return {
    open() {
      if (!panel.matches(':popover-open')) panel.showPopover()
      field.select()
    },
    /** What was found belongs to another room, or to somebody else. */
    clear() {
      field.value = ''
      void search('')
    },
  }
}
