/** The door: a name, an access code where one is asked for, and what can go wrong. */

import { find } from './dom.js'
import { failureLine } from './text.js'

/** @typedef {import('./api.js').Failure} Failure */

const LOGIN = 'You come in through your own application: sign in there, then open the chat from it.'

/**
 * @param {import('./api.js').Api} api
 * @param {(session: import('./api.js').Session) => void} onSession
 * @param {(who: { name: string, code?: string }) => void} onConflict  another tab came in meanwhile
 * @returns {{ show(message?: string, needs?: Failure['needs']): void, hide(): boolean }}
 */
export function createSignIn(api, onSession, onConflict) {
  const form = find('sign-in', HTMLFormElement)
  const name = find('name', HTMLInputElement)
  const code = find('code', HTMLInputElement)
  const codeField = find('code-field', HTMLElement)
  const problem = find('sign-in-error', HTMLElement)
  const notice = find('notice', HTMLElement)
  const button = form.querySelector('button')

  form.onsubmit = async (event) => {
    event.preventDefault()
    if (button?.ariaDisabled === 'true') return
    if (button) button.ariaDisabled = 'true'
    const who = { name: name.value, ...(code.value && { code: code.value }) }
    const { value, failure } = await api.signIn(who)
    if (button) button.ariaDisabled = 'false'
    if (failure?.code === 'conflict') return onConflict(who)
    if (failure?.needs === 'login') return turnAway()
    problem.textContent = failure ? explain(failure, code.value !== '') : ''
    if (value) return onSession(value)
    const isCode = failure?.needs === 'code'
    if (isCode) codeField.hidden = false
    const field = isCode ? code : name
    field.ariaInvalid = 'true'
    field.focus()
  }
  name.oninput = code.oninput = () => {
    name.ariaInvalid = code.ariaInvalid = null
    problem.textContent = ''
  }

  /** No form can help here. */
  function turnAway(message = '') {
    form.hidden = true
    notice.textContent = `${message} ${LOGIN}`.trim()
  }

  return {
    show(message = '', needs = undefined) {
      if (needs === 'login') return turnAway(message)
      notice.textContent = ''
      problem.textContent = message
      if (needs === 'code') codeField.hidden = false
      if (!form.hidden) return
      form.hidden = false
      name.focus()
    },
    /** @returns {boolean} whether it was shown until now */
    hide() {
      const wasShown = !form.hidden
      form.hidden = true
      return wasShown
    },
  }
}

/** @param {Failure} failure @param {boolean} [hadCode]  @returns {string} */
export function explain(failure, hadCode = false) {
  const { code, needs, detail } = failure
  if (code === 'name_taken')
    return 'Somebody goes by that name, or one that looks like it. Try another.'
  if (needs === 'code') return hadCode ? 'That code is not right.' : 'A code is needed here.'
  return code === 'invalid' ? `That name will not do: ${detail}.` : failureLine(failure)
}
