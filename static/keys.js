/** Keys that work wherever one is; the sheet in index.html lists them, and those of a message. */

import { find } from './dom.js'

/** @typedef {import('./client.js').Client} Client */

/**
 * @param {object} options
 * @param {() => Client | undefined} options.client
 * @param {(room: string) => void} options.go
 * @param {() => void} options.search
 */
export function listenToKeys({ client, go, search }) {
  const sheet = find('shortcuts', HTMLDialogElement)
  /** Ctrl, or ⌘, and … @type {Record<string, () => void>} */
  const withControl = { k: nameRoom, '/': () => sheet.showModal(), F: search }
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
    const next = by && nextRoom(client(), by, shiftKey)
    if (next) go(next)
    deed?.()
  })
}

/** To the field for a room's name, which may be in a drawer. */
function nameRoom() {
  const rooms = find('rooms', HTMLElement)
  if (!rooms.checkVisibility()) rooms.showPopover()
  find('room-name', HTMLInputElement).focus()
}

/**
 * The next of the list, and from its end on from the start.
 * @param {Client | undefined} client @param {1 | -1} by @param {boolean} isUnread  only such
 */
function nextRoom(client, by, isUnread) {
  const isCurrent = (/** @type {string} */ name) => name === client?.current
  const open = (client?.openRooms ?? []).filter(
    ({ name, unread }) => !isUnread || unread > 0 || isCurrent(name),
  )
  const names = open.map(({ name }) => name)
  const next = names.at((names.findIndex(isCurrent) + by) % names.length)
  return next !== undefined && !isCurrent(next) ? next : undefined
}
