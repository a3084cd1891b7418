/** Becoming somebody: never because an address was opened, only by an answer to a question. */

import { choose, holdBack } from './dialogs.js'
import { find, setLine } from './dom.js'
import { Settings } from './settings.js'
import { explain } from './sign-in.js'
import { plural } from './text.js'

/** @typedef {import('./api.js').Session} Session */
/** @typedef {import('./text.js').Line} Line */
/**
 * Whom to go on as, if anybody; null: this was decided elsewhere, and said.
 * @typedef {{ session?: Session | undefined, word?: string } | null} Outcome
 */

const OLD = 'That link was used, or is too old.'
const OWN = 'This link is for who you are here already. It was not used.'

/**
 * @param {object} options
 * @param {import('./api.js').Api} options.api
 * @param {import('./outbox.js').Store} options.storage
 * @param {() => void} options.leave  before the session ends, so that its end is no news
 */
export function createBecome({ api, storage, leave }) {
  const form = find('linked', HTMLFormElement)
  const text = find('linked-text', HTMLElement)
  const yes = find('linked-yes', HTMLButtonElement)
  const no = find('linked-no', HTMLButtonElement)

  /**
   * A link for another device was opened: whose it is is said first.
   * @param {string} link @param {Session} [session]  of who is signed in
   * @returns {Promise<Outcome>}
   */
  async function follow(link, session) {
    const { value, failure } = await api.whose(link)
    if (failure) return { session, word: explainLink(failure) }
    const { user } = value
    if (!session) return offer(user, link)
    if (user.id === session.user.id) return { session, word: OWN }
    /** @type {Line} */
    const warning = [' Whoever made this link is ', user, ', too, and sees all that you do.']
    return replace(session, user, { link }, warning)
  }

  /** At the door: by a button that says who. @param {Session['user']} user @param {string} link */
  async function offer(user, link) {
    setLine(text, ['This link signs you in as ', user, '.'])
    setLine(yes, ['Continue as ', user])
    form.hidden = false
    text.focus()
    holdBack(yes)
    const isWanted = await new Promise((resolve) => {
      form.onsubmit = (event) => {
        event.preventDefault()
        resolve(true)
      }
      no.onclick = () => resolve(false)
    })
    form.hidden = true
    if (!isWanted) return {}
    const { value, failure } = await api.signIn({ link })
    if (value) return { session: value }
    if (failure.code !== 'conflict') return { word: explainLink(failure) }
    // In another tab somebody came in meanwhile.
    return askAgain({ link })
  }

  /**
   * @param {Session} session  that is given up @param {{ name: string }} user
   * @param {import('./api.js').Who} who @param {Line} warning
   * @returns {Promise<Outcome>}
   */
  async function replace(session, user, who, warning) {
    const settings = new Settings(session.user.id, storage)
    const question = {
      title: ['You are ', session.user, ' here. Become ', user, '?'],
      text: [...lossOf(session, settings.unsent), ...warning],
      yes: ['Become ', user],
      no: ['No, stay ', session.user],
      isWary: true,
    }
    const answer = await choose(question)
    if (answer !== 'yes') return answer === null ? null : stay(session)
    leave()
    const { value, failure } = await api.signIn({ ...who, replace: session.user.id })
    // In another tab one became somebody else, whom this question did not name.
    if (failure?.code === 'conflict') return askAgain(who)
    if (failure) return stay(session, 'link' in who ? explainLink(failure) : explain(failure))
    settings.forget()
    return { session: value }
  }

  /**
   * As whoever one is by now: another tab may have gone on meanwhile.
   * @param {Session} session  of before @param {string} [word]  @returns {Promise<Outcome>}
   */
  async function stay(session, word = '') {
    const { value = session } = await api.session()
    return { session: value, word }
  }

  /** @param {import('./api.js').Who} who  @returns {Promise<Outcome>} */
  async function askAgain(who) {
    if ('name' in who) return insteadOf(who)
    return follow(who.link, (await api.session()).value)
  }

  /**
   * The door's form was filled in while another tab came in.
   * @param {{ name: string, code?: string }} who  @returns {Promise<Outcome>}
   */
  async function insteadOf(who) {
    const { value: session } = await api.session()
    if (session) return replace(session, who, who, [])
    const { value, failure } = await api.signIn(who)
    return value ? { session: value } : { word: explain(failure) }
  }

  return { follow, insteadOf }
}

/** @param {Session} session @param {number} unsent  @returns {Line} */
function lossOf({ user, frees }, unsent) {
  const lost = plural(unsent, 'message was', 'messages were')
  const note = unsent > 0 ? ` ${lost} not sent yet, and would be lost.` : ''
  if (!frees) return [user, ` will be signed out here.${note}`]
  return [
    user,
    ' will be signed out, and is signed in nowhere else: the name, its private rooms and its ',
    `messages cannot be got back.${note}`,
  ]
}

/** @param {import('./api.js').Failure} failure */
const explainLink = (failure) =>
  ['unauthorized', 'invalid'].includes(failure.code) ? OLD : explain(failure)
