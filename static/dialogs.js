/** Two dialogs that much of the page opens: an address to hand on, and a question. */

import { find, setLine, setText } from './dom.js'

/** @typedef {import('./text.js').Line} Line */
/**
 * @typedef {object} Sharing
 * @property {string} title
 * @property {string} text
 * @property {string} href
 * @property {string} label  says what the address is
 * @property {() => Promise<{ isOver: boolean, words: string }>} [end]  ends what the address opens
 */

const sharing = find('share', HTMLDialogElement)
const address = find('share-address', HTMLInputElement)
const copy = find('copy', HTMLButtonElement)
const end = find('end-invites', HTMLButtonElement)
const note = find('share-note', HTMLElement)
const question = find('ask', HTMLDialogElement)

/** @param {Sharing} what */
export function share(what) {
  setText(find('share-title', HTMLElement), what.title)
  setText(find('share-text', HTMLElement), what.text)
  setText(note, '')
  address.value = what.href
  address.ariaLabel = what.label
  address.hidden = copy.hidden = false
  end.hidden = what.end === undefined
  end.onclick = async () => {
    const outcome = await what.end?.()
    address.hidden = copy.hidden = outcome?.isOver === true
    setText(note, outcome?.words ?? '')
  }
  sharing.showModal()
  address.select()
}

copy.onclick = async () => {
  address.select()
  const isCopied = await copyText(address.value)
  setText(note, isCopied ? 'Copied.' : 'Copy the selected address with your keyboard.')
}

/** @param {string} text  @returns {Promise<boolean>} false: pages on plain http have no clipboard */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}

/**
 * Asks before something that cannot be taken back.
 * @param {{ title: Line, text: Line, yes: string, no?: string }} what
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, yes, no = 'Cancel' }) {
  setLine(find('ask-title', HTMLElement), title)
  setLine(find('ask-text', HTMLElement), text)
  setText(find('ask-yes', HTMLButtonElement), yes)
  setText(find('ask-no', HTMLButtonElement), no)
  question.returnValue = ''
  question.showModal()
  return new Promise((resolve) => {
    question.onclose = () => resolve(question.returnValue === 'yes')
  })
}

// Whoever came from a drawer cannot be led back there: it closed when the dialog opened.
document.addEventListener('close', goOn, { capture: true })
function goOn() {
  const at = document.activeElement
  if (at === document.body || !at?.checkVisibility()) find('log', HTMLElement).focus()
}
