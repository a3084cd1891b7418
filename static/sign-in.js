/** The door: a name, an access code where one is asked for, and what can go wrong. */

import { find } from './dom.js'

/** @typedef {import('./api.js').Failure} Failure */

/**
 * @param {import('./api.js').Api} api
 * @param {(session: import('./api.js').Session) => void} onSession
 * @returns {{ show(message?: string): void, hide(): boolean }}
 */
export function createSignIn(api, onSession) {
  const form = find('sign-in', HTMLFormElement)
  const name = find('name', HTMLInputElement)
  const code = find('code', HTMLInputElement)
  const codeField = find('code-field', HTMLElement)
  const problem = find('sign-in-error', HTMLElement)
  const button = form.querySelector('button')

  form.onsubmit = async (event) => {
    event.preventDefault()
    if (button?.ariaDisabled === 'true') return
    if (button) button.ariaDisabled = 'true'
    const extra = code.value ? { code: code.value } : {}
    const { value, failure } = await api.signIn({ name: name.value, ...extra })
    if (button) button.ariaDisabled = 'false'
    problem.textContent = failure ? explain(failure, code.value !== '') : ''
    if (value) return onSession(value)
    if (failure?.code === 'forbidden') codeField.hidden = false
    const field = failure?.code === 'forbidden' ? code : name
    field.ariaInvalid = 'true'
    field.focus()
  }
  name.oninput = code.oninput = () => {
    name.ariaInvalid = code.ariaInvalid = null
    problem.textContent = ''
  }

  return {
    show(message = '') {
      problem.textContent = message
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

/** @param {Failure} failure @param {boolean} hadCode  @returns {string} */
function explain({ code, detail, retryAfterMs = 0 }, hadCode) {
  if (code === 'name_taken') return 'Somebody goes by that name already. Try another.'
  if (code === 'offline') return 'The server cannot be reached. Try again in a moment.'
  if (code === 'forbidden') return hadCode ? 'That code is not right.' : 'A code is needed here.'
  if (code === 'rate_limited') {
    return `Too many tries. Try again in ${Math.ceil(retryAfterMs / 1000)} s.`
  }
  return code === 'invalid' ? `That name will not do: ${detail}.` : (detail ?? 'That did not work.')
}
