/** What calls for attention: the page's title, and notifications for whoever wants them. */

import { el, find, setLine, setText } from './dom.js'
import { plainText } from './markdown.js'
import { attempt } from './settings.js'

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Said} Said */
/** @typedef {import('./settings.js').Settings} Settings */
/** @typedef {import('./room.js').Room} Room */
/**
 * @typedef {object} AttentionOptions
 * @property {() => Client | undefined} client
 * @property {() => Settings | undefined} settings
 * @property {(room: string) => void} go
 * @property {() => void} redraw
 */

const TITLE = document.title
const RENDER_MS = 100
/** Mentions in a room that arrive so close together, as after sleep, are one notification. */
const TOGETHER_MS = 300
const BODY_LENGTH = 120
const SPEAKER = 'hearth.speaker'
const OFFER = ' mentioned you. Tell me next time even when this page is hidden?'
const BLOCKED = 'Your browser blocks notifications of this page. Its settings can allow them.'

const field = find('notify-field', HTMLElement)
const box = find('notify', HTMLInputElement)
const mute = find('mute', HTMLInputElement)
const problem = find('notify-problem', HTMLElement)
const words = el('p')
const yes = el('button', { type: 'button' }, 'Turn on')
const no = el('button', { type: 'button' }, 'Not now')
const offer = el('div', { className: 'offer', hidden: true }, words, yes, no)
/** Read out when it comes: so it is there before. */
const place = el('div', { role: 'status' }, offer)
find('composer', HTMLElement).before(place)

export class Attention {
  #options
  #isDue = false
  /** Of all tabs only the one last used notifies. */
  #isSpeaker = false
  #queue = new AbortController()
  /** @type {Map<string, { entry: Said, count: number }>} */
  #waiting = new Map()
  /** @type {Map<string, Notification>} */
  #shown = new Map()

  /** @param {AttentionOptions} options */
  constructor(options) {
    this.#options = options
    mute.onchange = () => {
      this.#settings?.set('muted', mute.checked ? 'yes' : '', options.client()?.current)
      options.redraw()
    }
    if (!isPossible()) return
    box.onchange = () => void (box.checked ? this.#turnOn() : this.#decide('off'))
    yes.onclick = () => void this.#turnOn()
    no.onclick = () => this.#decide('off')
    window.addEventListener('focus', () => void this.#speak(true))
    void this.#speak(document.hasFocus())
  }

  /** @param {string} room */
  isMuted = (room) => this.#settings?.get('muted', room) === 'yes'

  /** Something has changed. Not drawn with the page, which stands still while it is hidden. */
  changed() {
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => {
      this.#isDue = false
      this.#render()
    }, RENDER_MS)
  }

  /** @param {Room} room @param {Said} entry */
  mention({ name }, entry) {
    if (this.isMuted(name)) return
    const isUndecided = this.#settings?.get('notify') === ''
    if (isUndecided && isPossible() && Notification.permission !== 'denied') {
      setLine(words, [entry.author, OFFER])
      offer.hidden = false
    }
    const waiting = this.#waiting.get(name)
    this.#waiting.set(name, { entry, count: (waiting?.count ?? 0) + 1 })
    if (!waiting) setTimeout(() => this.#notify(name), TOGETHER_MS)
  }

  #render() {
    const client = this.#options.client()
    const heard = (client?.openRooms ?? []).filter(({ name }) => !this.isMuted(name))
    const unread = heard.reduce((sum, room) => sum + room.unread, 0)
    const count = unread > 99 ? '(99+)' : unread > 0 ? `(${unread})` : ''
    const mark = heard.some((room) => room.mentions > 0) ? '@' : ''
    const marks = [mark, count].filter(Boolean).join(' ')
    const title = marks && client ? `${marks} ${client.current} – ${TITLE}` : TITLE
    if (document.title !== title) document.title = title
    for (const [name, notification] of this.#shown) {
      if (client?.rooms.get(name)?.mentions) continue
      notification.close()
      this.#shown.delete(name)
    }
    field.hidden = !isPossible()
    box.checked = this.#isOn
    if (!client || this.#settings?.get('notify') !== '') this.#withdraw()
  }

  /** @param {string} name */
  #notify(name) {
    const { entry, count } = this.#waiting.get(name) ?? { count: 0 }
    this.#waiting.delete(name)
    const isSeen = document.visibilityState === 'visible' && document.hasFocus()
    if (!entry || isSeen || !this.#isSpeaker || !this.#isOn) return
    // Read on another device meanwhile.
    if (!this.#options.client()?.rooms.get(name)?.mentions) return
    const title = count > 1 ? `${count} mentions in ${name}` : `${entry.author.name} in ${name}`
    const text = plainText(entry.body ?? '')
    const body = [...text].length > BODY_LENGTH ? `${cut(text)}…` : text
    const notification = attempt(() => new Notification(title, { body, tag: `hearth.${name}` }))
    if (!notification) return
    this.#shown.set(name, notification)
    notification.onclick = () => {
      window.focus()
      notification.close()
      this.#options.go(name)
    }
  }

  async #turnOn() {
    const permission = await Notification.requestPermission()
    setText(problem, permission === 'denied' ? BLOCKED : '')
    if (permission === 'granted') this.#decide('on')
    else this.#withdraw()
    box.checked = this.#isOn
  }

  /** @param {'on' | 'off'} choice */
  #decide(choice) {
    this.#settings?.set('notify', choice)
    setText(problem, '')
    this.#withdraw()
    this.changed()
  }

  #withdraw() {
    if (offer.contains(document.activeElement)) find('text', HTMLElement).focus()
    offer.hidden = true
  }

  /** Becomes the speaker: at once, or when the tab that is it goes. @param {boolean} isUsed */
  async #speak(isUsed) {
    if (this.#isSpeaker) return
    this.#queue.abort()
    this.#queue = new AbortController()
    const how = isUsed ? { steal: true } : { signal: this.#queue.signal }
    // Held until another tab steals it; to wait in vain ends the same way.
    await navigator.locks
      .request(SPEAKER, how, () => {
        this.#isSpeaker = true
        return new Promise(() => {})
      })
      .catch(() => {})
    if (!this.#isSpeaker) return
    this.#isSpeaker = false
    void this.#speak(false)
  }

  get #settings() {
    return this.#options.settings()
  }

  get #isOn() {
    // The permission comes last: to ask for it waits for the browser's process.
    if (this.#settings?.get('notify') !== 'on') return false
    return isPossible() && Notification.permission === 'granted'
  }
}

/** Plain http has neither; a phone has the class, and only a service worker may use it there. */
function isPossible() {
  const isThere = 'Notification' in window && 'locks' in navigator && window.isSecureContext
  return isThere && !/Android|iPhone|iPad/.test(navigator.userAgent)
}

/** @param {string} text */
const cut = (text) => [...text].slice(0, BODY_LENGTH - 1).join('')
