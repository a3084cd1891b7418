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
 * @property {(once: boolean) => Promise<{ text: string, href: string } | undefined>} [remake]  another
 *   address, for one person or for anybody
 */

const sharing = find('share', HTMLDialogElement)
const address = find('share-address', HTMLInputElement)
const copy = find('copy', HTMLButtonElement)
const end = find('end-invites', HTMLButtonElement)
const note = find('share-note', HTMLElement)
const kinds = find('share-kinds', HTMLFieldSetElement)
const once = find('share-once', HTMLInputElement)
const question = find('ask', HTMLDialogElement)
const accept = find('ask-yes', HTMLButtonElement)
const refuse = find('ask-no', HTMLButtonElement)
/** Buttons that wait before they can be pressed. @type {Map<HTMLButtonElement, ReturnType<typeof setTimeout>>} */
const wary = new Map()
const WITHDRAWN = 'withdrawn'
/** So long nothing must have been pressed: a click meant for what was here before answers nothing. ms */
const HELD_MS = 800

/** @param {Sharing} what */
export function share(what) {
  setText(find('share-title', HTMLElement), what.title)
  setText(find('share-text', HTMLElement), what.text)
  setText(note, '')
  address.value = what.href
  address.ariaLabel = what.label
  address.hidden = copy.hidden = false
  kinds.hidden = what.remake === undefined
  once.checked = true
  kinds.onchange = async () => {
    const isOnce = once.checked
    address.value = ''
    copy.disabled = true
    const made = await what.remake?.(isOnce)
    if (isOnce !== once.checked) return
    copy.disabled = made === undefined
    if (!made) return setText(note, 'That did not work. Try again.')
    setText(find('share-text', HTMLElement), made.text)
    setText(note, '')
    address.value = made.href
  }
  copy.disabled = false
  end.hidden = what.end === undefined
  end.onclick = async () => {
    const outcome = await what.end?.()
    address.hidden = copy.hidden = outcome?.isOver === true
    kinds.hidden ||= outcome?.isOver === true
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
 * @typedef {object} Question
 * @property {Line} title
 * @property {Line} text
 * @property {string | Line} yes
 * @property {string} [also]  another way to say yes
 * @property {string | Line} [no]
 * @property {boolean} [isWary]  nobody here asked for it, so that *no* is what one should say
 */

/** Asks before something that cannot be taken back. @param {Question} question */
export const ask = async (question) => (await choose(question)) === 'yes'

/**
 * As `ask`.
 * @param {Question} what
 * @returns {Promise<string | null>} `yes`, `also`, or ''; null when it was withdrawn
 */
export function choose({ title, text, yes, also, no = 'Cancel', isWary = false }) {
  setLine(find('ask-title', HTMLElement), title)
  setLine(find('ask-text', HTMLElement), text)
  setLine(accept, [yes].flat())
  setLine(refuse, [no].flat())
  const other = find('ask-also', HTMLButtonElement)
  other.hidden = also === undefined
  setText(other, also ?? '')
  accept.classList.toggle('primary', !isWary)
  refuse.classList.toggle('primary', isWary)
  if (isWary) holdBack(accept)
  else letGo(accept)
  question.returnValue = ''
  if (!question.open) question.showModal()
  refuse.focus()
  return new Promise((resolve) => {
    question.onclose = () => {
      const { returnValue } = question
      resolve(returnValue === WITHDRAWN ? null : returnValue)
    }
  })
}

/** Takes back what is asked, as whom it is about is gone. */
export function withdraw() {
  if (question.open) question.close(WITHDRAWN)
}

/** For whatever another page could bring before somebody's eyes. @param {HTMLButtonElement} button */
export function holdBack(button) {
  clearTimeout(wary.get(button))
  button.disabled = true
  const timer = setTimeout(() => (button.disabled = false), HELD_MS)
  wary.set(button, timer)
}

/** @param {HTMLButtonElement} button */
function letGo(button) {
  clearTimeout(wary.get(button))
  wary.delete(button)
  button.disabled = false
}

// The window in front of this one, which took the first click, is gone.
window.addEventListener('focus', () => {
  for (const button of wary.keys()) if (button.checkVisibility()) holdBack(button)
})

// Whoever clicks on and on, in a game that another site began, has not read what stands here now.
for (const type of ['pointerdown', 'mousedown', 'click', 'keydown']) {
  window.addEventListener(type, holdOn, { capture: true })
}
function holdOn() {
  for (const button of wary.keys()) {
    if (button.disabled && button.checkVisibility()) holdBack(button)
  }
}

// Whoever came from a drawer cannot be led back there: it closed when the dialog opened.
document.addEventListener('close', goOn, { capture: true })
function goOn() {
  const at = document.activeElement
  if (at === document.body || !at?.checkVisibility()) find('log', HTMLElement).focus()
}
