/** What one can do with a message: its buttons, which go to the row that is pointed at, and its keys. */

import * as v from 'valibot'
import { find } from './dom.js'
import { Emoji } from './protocol.js'

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./timeline.js').Item} Item */
/**
 * @typedef {object} Deeds
 * @property {(item: Item) => void} reply
 * @property {(item: Item) => void} edit
 * @property {(item: Item) => void} remove
 * @property {(item: Item) => void} copyLink
 * @property {(item: Item, emoji: string, on: boolean) => void} react
 * @property {() => void} leave  back to where one writes
 */

/**
 * @param {object} options
 * @param {(node: Element | null) => Row | undefined} options.rowOf
 * @param {() => boolean} options.moderates  whether one may delete what others wrote here
 * @param {Deeds} options.deeds
 */
export function createActions({ rowOf, moderates, deeds }) {
  const scroller = find('log', HTMLElement)
  const list = find('messages', HTMLElement)
  const bar = find('actions', HTMLElement)
  const home = bar.parentElement
  const picker = find('picker', HTMLFormElement)
  const emoji = find('emoji', HTMLInputElement)
  const sure = find('sure', HTMLElement)
  const buttons = {
    react: find('do-react', HTMLButtonElement),
    reply: find('do-reply', HTMLButtonElement),
    edit: find('do-edit', HTMLButtonElement),
    remove: find('do-delete', HTMLButtonElement),
    link: find('do-link', HTMLButtonElement),
  }

  /** @param {Event} event  @returns {HTMLElement | null} */
  const rowNode = ({ target }) => (target instanceof Element ? target.closest('.message') : null)
  /** As it will be, with a change of it that is on its way; none once it is deleted. */
  const current = () => {
    const { item, message } = rowOf(bar.closest('.message')) ?? {}
    return item && !item.deleted ? { ...item, body: message?.body } : undefined
  }

  /** @param {HTMLElement | null} node */
  function show(node) {
    if (!node || node === bar.parentElement) return
    const row = rowOf(node)
    if (!row?.item || row.item.deleted) return hide()
    open(undefined)
    buttons.edit.hidden = !row.isOwn
    buttons.remove.hidden = !row.isOwn && !moderates()
    node.append(bar)
    bar.hidden = false
  }

  function hide() {
    bar.hidden = true
    home?.append(bar)
  }

  /** Shows one of the two that ask for more, or none. @param {HTMLElement | undefined} part */
  function open(part) {
    for (const one of [picker, sure]) one.hidden = one !== part
    buttons.react.ariaExpanded = String(part === picker)
    emoji.value = ''
    emoji.ariaInvalid = null
  }

  /** @param {(item: Item) => void} deed */
  const act = (deed) => () => {
    const item = current()
    if (item) deed(item)
  }

  /** @param {string} text */
  function pick(text) {
    const item = current()
    if (!item) return
    bar.closest('li')?.focus()
    open(undefined)
    deeds.react(item, text, true)
  }

  for (const kind of /** @type {const} */ (['reply', 'edit'])) {
    buttons[kind].onclick = act((item) => {
      deeds[kind](item)
      hide()
    })
  }
  buttons.link.onclick = act(deeds.copyLink)
  buttons.react.onclick = () => {
    open(picker.hidden ? picker : undefined)
    if (!picker.hidden) picker.querySelector('button')?.focus()
  }
  buttons.remove.onclick = () => {
    open(sure)
    find('keep', HTMLButtonElement).focus()
  }
  find('keep', HTMLButtonElement).onclick = () => {
    open(undefined)
    buttons.remove.focus()
  }
  find('really-delete', HTMLButtonElement).onclick = act((item) => {
    bar.closest('li')?.focus()
    deeds.remove(item)
    hide()
  })
  picker.onclick = ({ target }) => {
    if (target instanceof HTMLButtonElement) pick(target.value)
  }
  picker.onsubmit = (event) => {
    event.preventDefault()
    if (v.is(Emoji, emoji.value.trim())) pick(emoji.value.trim())
    else emoji.ariaInvalid = 'true'
  }

  // A phone has no mouse, yet may tell of one where something has moved; and a finger leaves as soon
  // as it is lifted, before its click.
  const isMouse = (/** @type {PointerEvent} */ { pointerType }) =>
    pointerType === 'mouse' && matchMedia('(any-hover: hover)').matches
  const mouse = { x: -1, y: -1 }
  list.onpointermove = (event) => {
    const { clientX: x, clientY: y } = event
    // A row that comes to lie under a resting mouse is not pointed at.
    const isResting = x === mouse.x && y === mouse.y
    Object.assign(mouse, { x, y })
    if (isMouse(event) && !isResting && !bar.contains(document.activeElement)) show(rowNode(event))
  }
  list.onpointerleave = (event) => {
    Object.assign(mouse, { x: -1, y: -1 })
    if (isMouse(event) && !bar.parentElement?.contains(document.activeElement)) hide()
  }
  list.addEventListener('focusin', (event) => show(rowNode(event)))
  list.addEventListener('focusout', ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && list.contains(relatedTarget))) open(undefined)
  })
  list.onclick = (event) => {
    const isControl = event.target instanceof Element && event.target.closest('a, button, input')
    if (!isControl && document.getSelection()?.isCollapsed) {
      rowNode(event)?.focus({ preventScroll: true })
    }
  }

  /** Keys of a message that has the focus. @type {Record<string, () => void>} */
  const keys = {
    r: () => buttons.reply.click(),
    e: () => !buttons.edit.hidden && buttons.edit.click(),
    c: () => buttons.link.click(),
    '+': () => buttons.react.click(),
    Delete: () => !buttons.remove.hidden && buttons.remove.click(),
    ArrowUp: () => step(-1),
    ArrowDown: () => step(1),
  }

  scroller.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === 'Escape') return leave(event)
    const isRow = event.target === scroller || event.target === rowNode(event)
    const isMove = event.key.startsWith('Arrow')
    // They may have gone to a message that came to rest under the mouse.
    if (isRow) show(rowNode(event))
    if (!isRow || !(event.key in keys) || (!isMove && !current())) return
    event.preventDefault()
    keys[event.key]?.()
  }

  /** First from what was opened to its message, then from there. @param {Event} event */
  function leave(event) {
    const row = rowNode(event)
    if (!row || event.target === row) return deeds.leave()
    open(undefined)
    row.focus()
  }

  /** To the next message, up or down; at first to the last one in sight. @param {1 | -1} by */
  function step(by) {
    const rows = [...list.querySelectorAll('li.message')]
    const at = rows.indexOf(document.activeElement ?? list)
    const { bottom } = scroller.getBoundingClientRect()
    const inSight = rows.findLastIndex((row) => row.getBoundingClientRect().top < bottom)
    const next = rows[at < 0 ? inSight : Math.min(at + by, rows.length - 1)]
    if (next instanceof HTMLElement) next.focus()
    next?.scrollIntoView({ block: 'nearest' })
  }

  return { hide }
}
