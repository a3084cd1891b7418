/** Where the page starts: who is signed in, which room the address names, what is drawn when. */

import * as v from 'valibot'
import { createActions } from './actions.js'
import { createApi } from './api.js'
import { Attention } from './attention.js'
import { Client } from './client.js'
import { createComposer } from './composer.js'
import { ask, share } from './dialogs.js'
import { find } from './dom.js'
import { createDoors, LOBBY } from './doors.js'
import { listenToKeys } from './keys.js'
import { createMemoryStore } from './outbox.js'
import { CLOSE, Room } from './protocol.js'
import { Settings } from './settings.js'
import { renderPeople, renderRooms, setLine, setText } from './sidebar.js'
import { createSearch } from './search.js'
import { createSignIn } from './sign-in.js'
import { Talk } from './talk.js'
import { failureLine, plural, typingLine } from './text.js'

/** @typedef {import('./connection.js').State} State */

/** The server could not be asked who is signed in: ask again after this. */
const ASK_AGAIN_MS = 3_000
const KEPT = 'What you write is kept, and sent when the connection is back.'

/** A word in passing stands so long. */
const WORD_MS = 4_000

/**
 * @type {{ client?: Client, settings?: Settings, isDrawDue?: boolean, wasOpen?: boolean,
 *   word?: string }}
 */
const page = {}
const secrets = takeSecrets()
const api = createApi()
const signIn = createSignIn(api, (session) => void enter(session))
const text = find('text', HTMLTextAreaElement)
const notice = find('notice', HTMLElement)
const news = find('news', HTMLElement)
const talk = new Talk(
  {
    retry: (id) => {
      page.client?.outbox.retry(id)
      text.focus()
    },
    discard: (id) => {
      page.client?.outbox.remove(id)
      text.focus()
    },
    linkTo: (seq) => addressOf(page.client?.current ?? LOBBY, seq),
    react,
  },
  draw,
)
const composer = createComposer({
  send(text, mode, mentions) {
    const { client } = page
    if (!client) return undefined
    const fault = write(client, text, mode, mentions)
    if (fault === undefined && mode?.kind !== 'edit') {
      talk.eraseLine()
      talk.toEnd()
    }
    return fault && `This cannot be sent: ${fault}.`
  },
  people: others,
  onTyping: () => room()?.sendTyping(),
  lastOwn: () => talk.findLast(({ item, isOwn }) => isOwn && item?.body !== undefined)?.item,
  onEscape: () => talk.toEnd(),
  draftOf: (room) => page.settings?.get('draft', room) ?? '',
  keepDraft: (room, text) => page.settings?.set('draft', text, room),
})
const actions = createActions({
  rowOf: (node) => talk.rowOf(node),
  moderates: () => room()?.isOwn === true,
  deeds: {
    reply: composer.reply,
    edit: composer.edit,
    remove: ({ seq }) => page.client?.delete(page.client.current, seq),
    react,
    copyLink: ({ seq }) => void copyLink(seq),
    leave: composer.focus,
  },
})

const search = createSearch({
  ask: (q, before) => api.search(page.client?.current ?? LOBBY, q, before),
  linkTo: (seq) => addressOf(page.client?.current ?? LOBBY, seq),
})

const tell = (/** @type {import('./text.js').Line} */ line) => setLine(news, line)
const doors = createDoors({ api, client: () => page.client, go, tell, redraw: draw })
const attention = new Attention({
  client: () => page.client,
  settings: () => page.settings,
  go,
})
/** So that the other tabs of this browser forget as well. */
const tabs = new BroadcastChannel('hearth')

void start()

async function start() {
  const { link } = secrets
  const linked = link ? await api.signIn({ link }) : undefined
  const { value, failure } = linked?.value ? linked : await api.session()
  if (failure?.code !== 'offline') secrets.link = null
  setText(notice, '')
  if (value) return enter(value)
  show('welcome')
  if (failure?.status === 401) {
    return signIn.show(link ? 'That link was used, or is too old.' : '', failure.needs)
  }
  setText(notice, 'The server cannot be reached. Trying again…')
  setTimeout(() => void start(), ASK_AGAIN_MS)
}

/** What a link brings along goes out of the address at once, and into no history. */
function takeSecrets() {
  const params = new URLSearchParams(location.hash.slice(1))
  const [link, invite] = [params.get('link'), params.get('invite')]
  if (link || invite) history.replaceState(history.state, '', location.pathname)
  return { link, invite }
}

/** @param {import('./api.js').Session} session */
async function enter({ user }) {
  if (page.client) return
  const storage = hasStorage() ? localStorage : createMemoryStore()
  page.settings = new Settings(user.id, storage)
  page.client = new Client({
    user,
    api,
    url: `${location.origin.replace(/^http/, 'ws')}/ws`,
    storage,
    onChange: draw,
    onMention: (room, entry) => attention.mention(room, entry),
    onState,
  })
  setText(find('me', HTMLElement), user.name)
  const isComingIn = signIn.hide()
  show('chat')
  if (isComingIn) text.focus()
  const { name, seq } = readAddress()
  go(name, { seq, replace: true })
  await acceptInvite(secrets.invite)
  page.client?.start()
}

/** @param {string | null} invite  into the room that the address names */
async function acceptInvite(invite) {
  secrets.invite = null
  if (invite) await doors.accept(readAddress().name, invite)
}

/** @param {State} state @param {number} [code] */
function onState(state, code) {
  if (state === 'open') page.wasOpen = true
  if (code === CLOSE.BANNED) return turnOut('You were banned from this chat.')
  if (state !== 'signed-out') return
  const isGuest = page.client?.connection.welcome?.expiresAt === null
  const message = code ? 'You were signed out.' : 'Your session is over. Come in again.'
  // A guest never comes back under the same id; whoever signs in elsewhere does, and goes on.
  exit(message, { forget: isGuest })
}

/** Back to the door. @param {string} [message] @param {{ forget?: boolean }} [how] */
function exit(message, { forget = false } = {}) {
  leaveChat()
  if (forget) page.settings?.forget()
  signIn.show(message)
}

/** Out of the door, for good. @param {string} message */
function turnOut(message) {
  leaveChat()
  page.settings?.forget()
  setText(notice, message)
}

function leaveChat() {
  page.client?.stop()
  page.client = undefined
  actions.hide()
  search.clear()
  talk.clear()
  composer.close()
  renderRooms([], '')
  renderPeople({ members: [], count: 0, live: false, isOwn: false }, '', () => {})
  attention.changed()
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
  attention.changed()
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
  const [status, hint] = describe(connection.state, room)
  if (find('room-title', HTMLElement).textContent !== room.name) search.clear()
  for (const id of ['room-title', 'search-room']) setText(find(id, HTMLElement), room.name)
  setText(find('status', HTMLElement), status || (page.word ?? ''))
  setLine(find('typing', HTMLElement), hint ? [hint] : typingLine(room.typing))
  find('composer', HTMLElement).hidden = room.shut !== undefined
  composer.open(room.name)
  talk.render(room, outbox.of(room.name), user)
  if (talk.hasSeenAll && document.visibilityState === 'visible') room.markRead()
  renderRooms(rooms.values(), room.name, isMuted)
  const { count, live, isOwn } = room
  renderPeople({ members: doors.present(room), count, live, isOwn }, user.id, doors.remove)
  doors.render(room)
  find('mute', HTMLInputElement).checked = isMuted(room.name)
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
  setText(news, doors.whyShut(name, why))
  return true
}

/**
 * @param {State} state @param {import('./room.js').Room} room
 * @returns {[status: string, hint: string]}
 */
function describe(state, { live, timeline, refused, shut }) {
  const isBehind = !live && timeline.epoch !== undefined && !refused && !shut
  if (state === 'open') return [isBehind ? 'Catching up…' : '', '']
  if (state === 'stopped')
    return ['Disconnected', 'The server closed the door. Reload to try again.']
  if (!navigator.onLine) return ['Offline', KEPT]
  return page.wasOpen ? ['Reconnecting…', KEPT] : ['Connecting…', '']
}

/** @param {string} name @param {{ seq?: number | undefined, replace?: boolean }} [how] */
function go(name, { seq, replace = false } = {}) {
  const address = addressOf(name, seq)
  if (replace) history.replaceState(null, '', address)
  else if (location.pathname !== address) history.pushState(null, '', address)
  setText(news, '')
  page.settings?.set('last-room', name === LOBBY ? '' : name)
  closeDrawers()
  const room = page.client?.open(name)
  if (room && seq !== undefined) talk.goTo(room, seq)
}

/** @param {string} name  of a room @param {number} [seq]  of a message in it */
const addressOf = (name, seq) => (seq === undefined ? `/r/${name}` : `/r/${name}/${seq}`)

/**
 * It wins over the room that one was in last.
 * @returns {{ name: string, seq?: number | undefined }}
 */
function readAddress(path = location.pathname) {
  const [, inPath, seq] = /^\/r\/([^/]+)(?:\/(\d{1,15}))?$/.exec(path) ?? []
  const name = path === '/' ? page.settings?.get('last-room') : inPath
  return v.is(Room, name) ? { name, seq: seq ? Number(seq) : undefined } : { name: LOBBY }
}

/** The room that is looked at. */
function room() {
  return page.client?.rooms.get(page.client.current)
}

/**
 * @param {Client} client @param {string} text @param {import('./composer.js').Mode | undefined} mode
 * @param {string[]} mentions  ids of whom it names
 * @returns {string | undefined} what is wrong with the text
 */
function write(client, text, mode, mentions) {
  const { kind, item } = mode ?? {}
  if (kind === 'edit' && item) return client.edit(client.current, item.seq, text)
  return client.say(client.current, text, { replyTo: item?.seq, mentions })
}

/** Who is here, or has said something that is in sight. */
function others() {
  const all = [...talk.people].map(([id, name]) => ({ id, name }))
  return all.filter(({ id }) => id !== page.client?.user.id)
}

/** @param {{ seq?: number | undefined }} message @param {string} emoji @param {boolean} on */
function react({ seq }, emoji, on) {
  if (seq !== undefined) page.client?.react(page.client.current, seq, emoji, on)
}

/** @param {number} seq  of a message in this room */
async function copyLink(seq) {
  const address = location.origin + addressOf(page.client?.current ?? LOBBY, seq)
  await navigator.clipboard.writeText(address)
  speak('Link copied.')
}

/** Says a word in passing. @param {string} word */
function speak(word) {
  page.word = word
  draw()
  setTimeout(() => {
    if (page.word === word) page.word = undefined
    draw()
  }, WORD_MS)
}

/** @param {string} room */
function isMuted(room) {
  return page.settings?.get('muted', room) === 'yes'
}

function hasStorage() {
  try {
    return localStorage.length >= 0
  } catch {
    return false
  }
}

/** Where it is wide enough it stands there already. @param {string} id */
function openDrawer(id) {
  const drawer = find(id, HTMLElement)
  if (!drawer.checkVisibility()) drawer.showPopover()
}

function closeDrawers() {
  for (const id of ['rooms', 'people']) find(id, HTMLElement).hidePopover()
}

document.addEventListener('click', (event) => {
  const link = event.target instanceof Element && event.target.closest('a[href^="/r/"]')
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return
  event.preventDefault()
  const { name, seq } = readAddress(link.getAttribute('href') ?? '')
  go(name, { seq })
})

listenToKeys({
  step(by, isUnread) {
    const { client } = page
    if (!client) return
    const isCurrent = (/** @type {string} */ name) => name === client.current
    const rooms = [...client.rooms.values()].filter((room) => !room.shut)
    const open = rooms.filter(({ name, unread }) => !isUnread || unread > 0 || isCurrent(name))
    const names = open.map((room) => room.name).sort()
    const next = names.at((names.findIndex(isCurrent) + by) % names.length)
    if (next !== undefined && !isCurrent(next)) go(next)
  },
  enter() {
    openDrawer('rooms')
    find('room-name', HTMLInputElement).focus()
  },
  search: search.open,
})

find('open-search', HTMLButtonElement).onclick = search.open

find('mute', HTMLInputElement).onchange = ({ target }) => {
  const isOn = target instanceof HTMLInputElement && target.checked
  page.settings?.set('muted', isOn ? 'yes' : '', page.client?.current)
  draw()
}

find('sign-out', HTMLButtonElement).onclick = async () => {
  const unsent = page.client?.unsent ?? 0
  const text = `${plural(unsent, 'message was', 'messages were')} not sent yet, and would be lost.`
  const question = { title: ['Sign out?'], text: [text], yes: 'Sign out', no: 'Stay' }
  if (unsent > 0 && !(await ask(question))) return
  const { failure } = await api.signOut()
  if (failure && failure.status !== 401) return tell([failureLine(failure)])
  exit('', { forget: true })
  tabs.postMessage('signed out')
}
tabs.onmessage = () => {
  if (page.client) return exit('You were signed out.', { forget: true })
  page.settings?.forget()
}

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

const wake = () => {
  if (document.visibilityState === 'visible') page.client?.wake()
  else talk.drawLine()
  draw()
}
document.addEventListener('visibilitychange', wake)
window.addEventListener('online', wake)
window.addEventListener('offline', draw)
window.addEventListener('popstate', () => {
  const { name, seq } = readAddress()
  go(name, { seq, replace: true })
})
window.addEventListener('storage', () => page.client?.outbox.reload())
// A link to the address that is open already does not load the page anew.
window.addEventListener('hashchange', async () => {
  if (!/^#(link|invite)=/.test(location.hash)) return
  if (!page.client) return location.reload()
  await acceptInvite(takeSecrets().invite)
  page.client?.open(readAddress().name)
})
