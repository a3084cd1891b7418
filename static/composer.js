/** The place where one writes: a message, an answer, or a better wording of what was said. */

import { find, setLine } from './dom.js'
import { createMentions } from './mention.js'

/** @typedef {import('./timeline.js').Item} Item */
/** @typedef {{ kind: 'reply' | 'edit', item: Item, text?: string }} Mode  text: an edit set aside */
/**
 * @typedef {object} ComposerOptions
 * @property {(text: string, mode: Mode | undefined, mentions: string[]) => string | undefined} send
 *   answers what is wrong with the text
 * @property {() => import('./protocol.js').User[]} people  who can be named
 * @property {() => void} onTyping
 * @property {() => Item | undefined} lastOwn  what the arrow up would mend
 * @property {() => void} onEscape  and there was nothing to cancel
 * @property {(room: string) => string} draftOf
 * @property {(room: string, text: string) => void} keepDraft
 */

/** @param {ComposerOptions} options */
export function createComposer(options) {
  const { send, people, onTyping, lastOwn, onEscape, draftOf, keepDraft } = options
  const form = find('composer', HTMLFormElement)
  const text = find('text', HTMLTextAreaElement)
  const problem = find('text-problem', HTMLElement)
  const banner = find('mode', HTMLElement)
  const names = createMentions({ field: text, list: find('names', HTMLElement), people })
  /** By room. @type {Map<string, Mode>} */
  const modes = new Map()
  const at = { room: '' }

  /** @param {Mode | undefined} mode */
  function become(mode) {
    if (mode) modes.set(at.room, mode)
    else modes.delete(at.room)
    text.value = mode?.kind === 'edit' ? (mode.text ?? mode.item.body ?? '') : draftOf(at.room)
    showMode()
    names.close()
    fit(text)
  }

  function showMode() {
    const mode = modes.get(at.room)
    banner.hidden = mode === undefined
    problem.textContent = ''
    if (!mode) return
    const line = mode.kind === 'edit' ? ['Changing your message'] : ['Answering ', mode.item.author]
    setLine(find('mode-text', HTMLElement), line)
  }

  /** @param {Mode['kind']} kind @param {Item} item */
  function begin(kind, item) {
    become({ kind, item })
    text.focus()
    text.setSelectionRange(text.value.length, text.value.length)
  }

  /** @returns {boolean} false when there is nothing to cancel */
  function cancel() {
    const isOn = modes.has(at.room)
    if (isOn) become(undefined)
    return isOn
  }

  /** What is written stays, for when one comes back. */
  function keep() {
    const mode = modes.get(at.room)
    if (mode?.kind === 'edit') mode.text = text.value
    else if (at.room !== '') keepDraft(at.room, text.value)
  }

  form.onsubmit = (event) => {
    event.preventDefault()
    text.focus()
    const mode = modes.get(at.room)
    const wanted = text.value.trim()
    if (wanted === '') return
    const isNew = mode?.kind !== 'edit' || wanted !== mode.item.body
    const fault = isNew ? send(wanted, mode, names.mentionsIn(wanted)) : undefined
    problem.textContent = fault ?? ''
    if (fault !== undefined) return
    if (mode?.kind !== 'edit') keepDraft(at.room, '')
    become(undefined)
  }
  text.oninput = () => {
    problem.textContent = ''
    fit(text)
    keep()
    if (text.value.trim() !== '') onTyping()
  }
  text.onkeydown = (event) => {
    if (names.onKey(event)) return
    // 229: Safari ends a composition before the Enter that ended it arrives.
    if (event.isComposing || event.keyCode === 229) return
    if (event.key === 'Escape') return cancel() ? undefined : onEscape()
    const last = event.key === 'ArrowUp' && text.value === '' ? lastOwn() : undefined
    const isSend = event.key === 'Enter' && !event.shiftKey
    if (!isSend && !last) return
    event.preventDefault()
    if (last) begin('edit', last)
    else form.requestSubmit()
  }
  find('cancel', HTMLButtonElement).onclick = () => {
    cancel()
    text.focus()
  }

  return {
    /** Another room, with what was begun there. @param {string} room */
    open(room) {
      if (room === at.room) return
      // What was written is kept already; another tab may have kept something newer.
      at.room = room
      become(modes.get(room))
    },
    /** Nothing stays of who wrote here. */
    close() {
      modes.clear()
      at.room = text.value = ''
      showMode()
    },
    /** @param {Item} item */
    reply: (item) => begin('reply', item),
    /** @param {Item} item */
    edit: (item) => begin('edit', item),
    focus: () => text.focus(),
  }
}

/** As high as what is written, for browsers without `field-sizing`. @param {HTMLElement} text */
function fit(text) {
  if (CSS.supports('field-sizing', 'content')) return
  text.style.height = 'auto'
  text.style.height = `${text.scrollHeight}px`
}
