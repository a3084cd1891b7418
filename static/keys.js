/** Keys that work wherever one is; the sheet in index.html lists them, and those of a message. */

import { find } from './dom.js'

/**
 * @param {object} deeds
 * @param {(by: 1 | -1, isUnread: boolean) => void} deeds.step  to the next room of the list
 * @param {() => void} deeds.enter  to the field for a room's name
 * @param {() => void} deeds.search
 */
export function listenToKeys({ step, enter, search }) {
  const sheet = find('shortcuts', HTMLDialogElement)
  /** Ctrl, or ⌘, and … @type {Record<string, () => void>} */
  const withControl = { k: enter, '/': () => sheet.showModal(), F: search }
  /** Alt, or ⌥, and … @type {Record<string, 1 | -1>} */
  const withAlt = { ArrowUp: -1, ArrowDown: 1 }

  find('show-shortcuts', HTMLButtonElement).onclick = () => sheet.showModal()
  document.addEventListener('keydown', (event) => {
    const { key, altKey, shiftKey } = event
    const isControl = event.ctrlKey || event.metaKey
    if (document.body.dataset.view !== 'chat' || document.querySelector('dialog[open]')) return
    const by = altKey && !isControl ? withAlt[key] : undefined
    const deed = isControl && !altKey ? withControl[key] : undefined
    if (!by && !deed) return
    event.preventDefault()
    if (by) step(by, shiftKey)
    deed?.()
  })
}
