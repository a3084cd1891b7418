/** Where the page starts: who is signed in, which room the address names, what is drawn when. */

import * as v from 'valibot'
import { createApi } from './api.js'
import { Client } from './client.js'
import { createComposer } from './composer.js'
import { find } from './dom.js'
import { CLOSE, Room } from './protocol.js'
import { renderPeople, renderRooms, setLine, setText } from './sidebar.js'
import { createSignIn } from './sign-in.js'
import { Talk } from './talk.js'
import { shutLine, typingLine } from './text.js'

/** @typedef {import('./connection.js').State} State */

const LOBBY = 'lobby'
/** The server could not be asked who is signed in: ask again after this. */
const ASK_AGAIN_MS = 3_000
const KEPT = 'What you write is kept, and sent when the connection is back.'

/** @type {{ client?: Client, isDrawDue?: boolean, wasOpen?: boolean }} */
const page = {}
const api = createApi()
const signIn = createSignIn(api, enter)
const text = find('text', HTMLTextAreaElement)
const notice = find('notice', HTMLElement)
const news = find('news', HTMLElement)
const talk = new Talk({
  onMove: draw,
  retry: (id) => {
    page.client?.outbox.retry(id)
    text.focus()
  },
  discard: (id) => {
    page.client?.outbox.remove(id)
    text.focus()
  },
})

void start()

async function start() {
  const link = new URLSearchParams(location.hash.slice(1)).get('link')
  if (link) history.replaceState(null, '', location.pathname)
  const linked = link ? await api.signIn({ link }) : undefined
  const { value, failure } = linked?.value ? linked : await api.session()
  setText(notice, '')
  if (value) return enter(value)
  show('welcome')
  if (failure?.status === 401) {
    return signIn.show(link ? 'That link was used, or is too old.' : '', failure.needs)
  }
  setText(notice, 'The server cannot be reached. Trying again…')
  setTimeout(() => void start(), ASK_AGAIN_MS)
}

/** @param {import('./api.js').Session} session */
function enter({ user }) {
  if (page.client) return
  page.client = new Client({
    user,
    api,
    url: `${location.origin.replace(/^http/, 'ws')}/ws`,
    ...(hasStorage() && { storage: localStorage }),
    onChange: draw,
    onState,
  })
  setText(find('me', HTMLElement), user.name)
  const isComingIn = signIn.hide()
  show('chat')
  if (isComingIn) text.focus()
  go(roomInAddress(), { replace: true })
  page.client.start()
}

/** @param {State} state @param {number} [code] */
function onState(state, code) {
  if (state === 'open') page.wasOpen = true
  if (code === CLOSE.BANNED) return turnOut('You were banned from this chat.')
  if (state !== 'signed-out') return
  exit(code ? 'You were signed out.' : 'Your session is over. Come in again.')
}

/** Back to the door. @param {string} [message] */
function exit(message) {
  leaveChat()
  signIn.show(message)
}

/** Out of the door, for good. @param {string} message */
function turnOut(message) {
  leaveChat()
  setText(notice, message)
}

function leaveChat() {
  page.client?.stop()
  page.client = undefined
  talk.clear()
  renderRooms([], '')
  renderPeople({ members: [], count: 0, live: false }, '')
  page.wasOpen = false
  show('welcome')
}

/** @param {'welcome' | 'chat'} view */
function show(view) {
  closeDrawers()
  document.body.dataset.view = view
  find('welcome', HTMLElement).hidden = view !== 'welcome'
  find('talk', HTMLElement).hidden = view !== 'chat'
}

/** Draws once, before the next frame, however much has changed. */
function draw() {
  if (page.isDrawDue) return
  page.isDrawDue = true
  requestAnimationFrame(() => {
    page.isDrawDue = false
    if (page.client) drawNow(page.client)
  })
}

/** @param {Client} client */
function drawNow({ rooms, current, user, outbox, connection }) {
  const room = rooms.get(current)
  if (!room) return go(LOBBY, { replace: true })
  if (room.shut && turnBack(rooms, room.name, room.shut)) return
  const [status, hint] = describe(connection.state)
  setText(find('room-title', HTMLElement), room.name)
  setText(find('status', HTMLElement), status)
  setLine(find('typing', HTMLElement), hint ? [hint] : typingLine(room.typing))
  find('composer', HTMLElement).hidden = room.shut !== undefined
  talk.render(room, outbox.of(room.name), user)
  if (talk.isAtEnd && document.visibilityState === 'visible') room.markRead()
  renderRooms(rooms.values(), room.name)
  renderPeople(room, user.id)
  find('leave', HTMLElement).hidden = rooms.size === 1
}

/**
 * From a room that is closed to us to another one, with a word.
 * @param {Client['rooms']} rooms @param {string} name @param {import('./room.js').Shut} why
 * @returns {boolean} false when there is no other
 */
function turnBack(rooms, name, why) {
  const open = [...rooms.values()].filter((room) => !room.shut && !room.refused)
  const names = open.map((room) => room.name).sort()
  const next = names.includes(LOBBY) ? LOBBY : (names[0] ?? LOBBY)
  if (next === name) return false
  rooms.delete(name)
  go(next, { replace: true })
  setText(news, shutLine(name, why))
  return true
}

/** @param {State} state  @returns {[status: string, hint: string]} */
function describe(state) {
  if (state === 'open') return ['', '']
  if (state === 'stopped')
    return ['Disconnected', 'The server closed the door. Reload to try again.']
  if (!navigator.onLine) return ['Offline', KEPT]
  return page.wasOpen ? ['Reconnecting…', KEPT] : ['Connecting…', '']
}

/** @param {string} name @param {{ replace?: boolean }} [how] */
function go(name, { replace = false } = {}) {
  const address = `/r/${name}`
  if (replace) history.replaceState(null, '', address)
  else if (location.pathname !== address) history.pushState(null, '', address)
  setText(news, '')
  page.client?.open(name)
  closeDrawers()
}

function roomInAddress() {
  const name = /^\/r\/([^/]+)$/.exec(location.pathname)?.[1]
  return v.is(Room, name) ? name : LOBBY
}

function hasStorage() {
  try {
    return localStorage.length >= 0
  } catch {
    return false
  }
}

function closeDrawers() {
  for (const id of ['rooms', 'people']) find(id, HTMLElement).hidePopover()
}

createComposer({
  send(text) {
    const fault = page.client?.say(page.client.current, text)
    if (fault === undefined) talk.toEnd()
    return fault && `This cannot be sent: ${fault}.`
  },
  onTyping: () => page.client?.rooms.get(page.client.current)?.sendTyping(),
})

document.addEventListener('click', (event) => {
  const link = event.target instanceof Element && event.target.closest('a[href^="/r/"]')
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return
  event.preventDefault()
  go(link.getAttribute('href')?.slice('/r/'.length) ?? LOBBY)
})

find('enter', HTMLFormElement).onsubmit = (event) => {
  event.preventDefault()
  const field = find('room-name', HTMLInputElement)
  const name = field.value.trim().toLowerCase().replace(/^#/, '').replace(/\s+/g, '-')
  const isRoom = v.is(Room, name)
  const fault = isRoom || name === '' ? '' : 'Letters a to z, digits and -, at most 32.'
  setText(find('enter-error', HTMLElement), fault)
  if (!isRoom) return
  field.value = ''
  go(name)
}

find('leave', HTMLButtonElement).onclick = () => {
  if (!page.client) return
  page.client.leave(page.client.current)
  const [next = LOBBY] = [...page.client.rooms.keys()].sort()
  go(next)
}

find('sign-out', HTMLButtonElement).onclick = async () => {
  const { failure } = await api.signOut()
  if (!failure || failure.status === 401) exit()
}

const address = find('link-address', HTMLInputElement)
const copy = find('copy', HTMLButtonElement)
find('make-link', HTMLButtonElement).onclick = async () => {
  const { value } = await api.link()
  if (!value) return
  address.value = `${location.origin}/#link=${value.link}`
  copy.textContent = 'Copy'
  find('link', HTMLDialogElement).showModal()
  address.select()
}
copy.onclick = async () => {
  address.select()
  // Pages on plain http have no clipboard; the address stands selected then.
  if (!('clipboard' in navigator)) return
  await navigator.clipboard.writeText(address.value)
  copy.textContent = 'Copied'
}

const wake = () => {
  if (document.visibilityState === 'visible') page.client?.wake()
  draw()
}
document.addEventListener('visibilitychange', wake)
window.addEventListener('online', wake)
window.addEventListener('offline', draw)
window.addEventListener('popstate', () => page.client?.open(roomInAddress()))
window.addEventListener('storage', () => page.client?.outbox.reload())
