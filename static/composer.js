/** The place where one writes. */

import { find } from './dom.js'

/**
 * @param {object} options
 * @param {(text: string) => string | undefined} options.send  answers what is wrong with the text
 * @param {() => void} options.onTyping
 */
export function createComposer({ send, onTyping }) {
  const form = find('composer', HTMLFormElement)
  const text = find('text', HTMLTextAreaElement)
  const problem = find('text-problem', HTMLElement)

  form.onsubmit = (event) => {
    event.preventDefault()
    text.focus()
    if (text.value.trim() === '') return
    const fault = send(text.value.trim())
    problem.textContent = fault ?? ''
    if (fault === undefined) text.value = ''
    fit(text)
  }
  text.oninput = () => {
    problem.textContent = ''
    fit(text)
    if (text.value.trim() !== '') onTyping()
  }
  text.onkeydown = (event) => {
    // 229: Safari ends a composition before the Enter that ended it arrives.
    const isComposing = event.isComposing || event.keyCode === 229
    if (event.key !== 'Enter' || event.shiftKey || isComposing) return
    event.preventDefault()
    form.requestSubmit()
  }
}

/** As high as what is written, for browsers without `field-sizing`. @param {HTMLElement} text */
function fit(text) {
  if (CSS.supports('field-sizing', 'content')) return
  text.style.height = 'auto'
  text.style.height = `${text.scrollHeight}px`
}
