/** One's own corner: another device, and the way out, which leaves nothing behind. */

import { choose, share } from './dialogs.js'
import { partingQuestion } from './devices.js'
import { find } from './dom.js'
import { failureLine } from './text.js'

/** To the other tabs of this browser: nobody is signed in any more, and all of them forget. */
const NOBODY = 'nobody'

/**
 * @param {object} options
 * @param {import('./api.js').Api} options.api
 * @param {() => import('./client.js').Client | undefined} options.client
 * @param {(line: import('./text.js').Line) => void} options.tell
 * @param {(message: string, how?: { forget?: boolean }) => void} options.leave
 */
export function createAccount({ api, client, tell, leave }) {
  const tabs = new BroadcastChannel('hearth')

  find('make-link', HTMLButtonElement).onclick = async () => {
    const { value, failure } = await api.link()
    if (failure) return tell([failureLine(failure)])
    share({
      title: 'Use on another device',
      text: 'Open this address there. It works once, within ten minutes.',
      href: `${location.origin}/#link=${value.link}`,
      label: 'Address for the other device',
    })
  }

  find('sign-out', HTMLButtonElement).onclick = async () => {
    const answer = await askToPart()
    if (!answer) return
    const { failure } = await api.signOut(answer === 'also')
    if (failure && failure.status !== 401) return tell([failureLine(failure)])
    leave('', { forget: true })
    tabs.postMessage(NOBODY)
  }

  async function askToPart() {
    const { value: devices = [] } = await api.sessions()
    const { user, outbox, rooms, connection } = client() ?? {}
    const question = partingQuestion({
      name: user?.name ?? '',
      isGuest: connection?.welcome?.expiresAt === null,
      unsent: outbox?.size ?? 0,
      others: devices.filter(({ current }) => !current).length,
      owned: [...(rooms?.values() ?? [])].filter(({ isOwn }) => isOwn).map(({ name }) => name),
    })
    return question ? choose(question) : 'yes'
  }

  // The cookie is all tabs': this one would go on in the name of whoever came.
  tabs.onmessage = ({ data }) => {
    if (data !== client()?.user.id) leave('You were signed out.', { forget: data === NOBODY })
  }

  return {
    /** Tells the other tabs. @param {string} user  id */
    came: (user) => tabs.postMessage(user),
  }
}
