/** Where the page starts: its parts, who is signed in, which room is looked at, what is drawn when. */

import { createAccount } from './account.js'
import { createActions } from './actions.js'
import { addressOf, LOBBY, readAddress, takeSecrets } from './address.js'
import { createApi } from './api.js'
import { Attention } from './attention.js'
import { createBecome } from './become.js'
import { Client } from './client.js'
import { createComposer } from './composer.js'
import { copyText, share, withdraw } from './dialogs.js'
import { find, setLine, setText } from './dom.js'
import { createDevices } from './devices.js'
import { createDoors } from './doors.js'
import { listenToKeys } from './keys.js'
import { createMembers } from './members.js'
import { renderMarks } from './message.js'
import { createMemoryStore } from './outbox.js'
import { CLOSE } from './protocol.js'
import { createSearch } from './search.js'
import { attempt, Settings } from './settings.js'
import { renderPeople, renderRooms } from './sidebar.js'
import { createSignIn } from './sign-in.js'
import { Talk } from './talk.js'
import { statusLine, typingLine } from './text.js'

/** @typedef {import('./connection.js').State} State */
/** @typedef {import('./text.js').Line} Line */

/** The server could not be asked who is signed in: ask again after this. */
const ASK_AGAIN_MS = 3_000
/** A word in passing stands so long. */
const WORD_MS = 4_000

/**
 * @type {{ client?: Client, settings?: Settings, isDrawDue?: boolean, wasOpen?: boolean,
 *   word?: string, isAdmin?: boolean }}
 */
const page = {}
const secrets = takeSecrets()
const storage = attempt(() => localStorage) ?? createMemoryStore()
const notice = find('notice', HTMLElement)
const news = find('news', HTMLElement)

const client = () => page.client
const current = () => page.client?.current ?? LOBBY
/** The room that is looked at. */
const room = () => page.client?.rooms.get(current())
const linkTo = (/** @type {number} */ seq) => addressOf(current(), seq)
const tell = (/** @type {Line} */ line) => setLine(news, line)

const api = createApi()
const become = createBecome({ api, storage, leave: leaveChat })
const signIn = createSignIn(
  api,
  (session) => void enter(session),
  async (who) => goOn(await become.insteadOf(who)),
)
const talk = new Talk({ retry, discard, linkTo, react }, draw)
const composer = createComposer({
  send,
  people: () => [...talk.people].flatMap(([id, name]) => (isMe(id) ? [] : { id, name })),
  onTyping: () => room()?.sendTyping(),
  lastOwn() {
    const row = talk.findLast(({ isOwn, message }) => isOwn && !message.deleted)
    return row?.item && { ...row.item, body: row.message.body }
  },
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
    remove: ({ seq }) => page.client?.delete(current(), seq),
    react,
    copyLink: ({ seq }) => void copyLink(seq),
    leave: composer.focus,
  },
})
const search = createSearch({
  ask: (q, before) => api.search(current(), q, before),
  linkTo,
  meet(messages) {
    for (const { author, seq } of messages) talk.namesakes.meet(author, seq)
  },
  marksOf(author) {
    const isOwner = author.id === room()?.owner
    return renderMarks(author, { isOwner, order: talk.namesakes.orderOf(author) })
  },
})
const members = createMembers({
  ...{ api, tell, redraw: draw },
  settings: () => page.settings,
  me: () => page.client?.user.id,
})
const onRemoved = () => void members.load()
const doors = createDoors({ api, client, go, tell, redraw: draw, onRemoved })
const attention = new Attention({ client, settings: () => page.settings, go, redraw: draw })
const devices = createDevices({ api, settings: () => page.settings })
const account = createAccount({ api, client, tell, leave: exit })
listenToKeys({ client, go, search: search.open })

void start()

async function start() {
  const { value: session, failure } = await api.session()
  if (failure && failure.status !== 401) {
    setText(notice, 'The server cannot be reached. Trying again…')
    if (!page.client) show('welcome')
    return void setTimeout(() => void start(), ASK_AGAIN_MS)
  }
  setText(notice, '')
  const { link } = secrets
  secrets.link = null
  if (!link) return goOn({ session }, failure?.needs)
  if (!session) {
    leaveChat()
    signIn.hide()
  }
  await goOn(await become.follow(link, session), failure?.needs)
}

/**
 * As whoever one is now, or to the door.
 * @param {import('./become.js').Outcome} outcome @param {import('./api.js').Failure['needs']} [needs]
 */
async function goOn(outcome, needs) {
  if (!outcome) return
  const { session, word = '' } = outcome
  if (session) {
    await enter(session)
    return word ? tell([word]) : undefined
  }
  leaveChat()
  signIn.show(word, needs)
  const { name } = readAddress(location.pathname)
  if (secrets.invite && needs !== 'login') setText(notice, `You are invited to ${name}.`)
}

/** @param {import('./api.js').Session} session */
async function enter({ user, role }) {
  page.isAdmin = role === 'admin'
  // Asked before one is anywhere: a stranger's room would see who looks in.
  const { invite } = secrets
  secrets.invite = null
  const { name } = readAddress(location.pathname)
  const goesThere = !invite || (await doors.invited(name, invite))
  const isNew = page.client?.user.id !== user.id
  if (isNew) begin(user)
  if (goesThere) goToAddress()
  else if (isNew) go(page.settings?.get('last-room') || LOBBY, { replace: true })
  page.client?.start()
  void devices.check()
}

/** @param {import('./protocol.js').User} user */
function begin(user) {
  if (page.client) leaveChat()
  account.came(user.id)
  page.settings = new Settings(user.id, storage)
  page.client = new Client({
    user,
    api,
    url: `${location.origin.replace(/^http/, 'ws')}/ws`,
    storage,
    onChange: draw,
    onMention: (room, entry) => attention.mention(room, entry),
    onNews(news) {
      members.hear(news)
      if (news.type === 'device') devices.heard(news)
    },
    onState,
  })
  setText(find('me', HTMLElement), user.name)
  const isComingIn = signIn.hide()
  show('chat')
  if (isComingIn) composer.focus()
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

/** Back to the door. @param {string} message @param {{ forget?: boolean }} [how] */
function exit(message, { forget = false } = {}) {
  const wasIn = page.client !== undefined
  leaveChat()
  if (forget) page.settings?.forget()
  if (wasIn) signIn.show(message)
}

/** Out of the door, for good. @param {string} message */
function turnOut(message) {
  leaveChat()
  page.settings?.forget()
  setText(notice, message)
}

function leaveChat() {
  // What is asked speaks of who was here; without a chat, of who is about to come.
  if (page.client) withdraw()
  devices.clear()
  page.client?.stop()
  page.client = undefined
  actions.hide()
  search.clear()
  talk.clear()
  composer.close()
  renderRooms([], '')
  members.clear()
  renderPeople({ here: [], away: [], past: [], count: 0, live: false })
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
function drawNow(client) {
  const { rooms, current, user, outbox, connection } = client
  const room = rooms.get(current)
  if (!room) return go(LOBBY, { replace: true })
  if (room.shut && turnBack(client, room.name, room.shut)) return
  const [status, hint] = statusLine(connection.state, room, page.wasOpen)
  if (find('room-title', HTMLElement).textContent !== room.name) search.clear()
  for (const id of ['room-title', 'search-room']) setText(find(id, HTMLElement), room.name)
  setText(find('status', HTMLElement), status || (page.word ?? ''))
  setLine(find('typing', HTMLElement), hint ? [hint] : typingLine(room.typing))
  find('composer', HTMLElement).hidden = room.shut !== undefined
  setText(find('me', HTMLElement), user.name)
  composer.open(room.name)
  talk.render(room, outbox.of(room.name), user)
  if (talk.hasSeenAll && document.visibilityState === 'visible') room.markRead()
  renderRooms(client.openRooms, room.name, attention.isMuted)
  members.show(room)
  renderPeople(peopleOf(room, user.id))
  doors.render(room)
  find('mute', HTMLInputElement).checked = attention.isMuted(room.name)
  find('leave', HTMLElement).hidden = rooms.size === 1
}

/** @param {import('./room.js').Room} room @param {string} me  id */
function peopleOf(room, me) {
  const { count, live, isOwn } = room
  const list = members.of(room).filter(({ user }) => !doors.isRemoved(user.id))
  const known = new Map(list.map((member) => [member.user.id, member]))
  const present = room.members?.filter(({ id }) => !doors.isRemoved(id))
  const here =
    present ?? (list.length > 0 ? list.flatMap(({ user, here }) => (here ? user : [])) : undefined)
  const ids = new Set(here?.map(({ id }) => id))
  /** @param {import('./protocol.js').User} user */
  const toPerson = (user) => {
    const member = known.get(user.id)
    const isMe = user.id === me
    const isOwner = user.id === room.owner
    const since = member && (member.since ?? '')
    const rules = room.isPrivate && !isMe && !isOwner && (isOwn || page.isAdmin)
    return {
      ...{ user, isMe, isOwner, since, order: talk.namesakes.orderOf(user) },
      remove: rules ? doors.remove : undefined,
      handOver: rules && member ? members.handOver : undefined,
    }
  }
  const away = list.flatMap(({ user }) => (ids.has(user.id) ? [] : user))
  for (const { id } of away) ids.add(id)
  const past = members.past(room).flatMap(({ user, until }) => {
    return ids.has(user.id) ? [] : { ...toPerson(user), until, remove: undefined }
  })
  return { count, live, here: here?.map(toPerson), away: away.map(toPerson), past }
}

/**
 * From a room that is closed to us to another one, with a word.
 * @param {Client} client @param {string} name @param {import('./room.js').Shut} why
 * @returns {boolean} false when there is no other
 */
function turnBack({ rooms, openRooms }, name, why) {
  const names = openRooms.filter(({ refused }) => !refused).map((room) => room.name)
  const next = names.includes(LOBBY) ? LOBBY : (names[0] ?? LOBBY)
  if (next === name) return false
  rooms.delete(name)
  go(next, { replace: true })
  setText(news, doors.whyShut(name, why))
  return true
}

/** @param {string} name @param {{ seq?: number | undefined, replace?: boolean }} [how] */
function go(name, { seq, replace = false } = {}) {
  const address = addressOf(name, seq)
  if (replace) history.replaceState(null, '', address)
  else if (location.pathname !== address) history.pushState(null, '', address)
  setText(news, '')
  page.settings?.set('last-room', name === LOBBY ? '' : name)
  closeDrawers()
  const wasHere = page.client?.current === name
  const room = page.client?.open(name)
  if (room && seq !== undefined) talk.goTo(room, seq)
  else if (room && wasHere) talk.toEnd()
}

function goToAddress() {
  const { name, seq } = readAddress(location.pathname, page.settings?.get('last-room'))
  go(name, { seq, replace: true })
}

/** @param {string} id  of a user */
const isMe = (id) => id === page.client?.user.id

/** @type {import('./composer.js').ComposerOptions['send']} */
function send(text, mode, mentions) {
  if (!page.client) return undefined
  const { kind, item } = mode ?? {}
  const isEdit = kind === 'edit' && item !== undefined
  const fault = isEdit
    ? page.client.edit(current(), item.seq, text)
    : page.client.say(current(), text, { replyTo: item?.seq, mentions })
  if (fault !== undefined) return `This cannot be sent: ${fault}.`
  if (isEdit) return undefined
  talk.eraseLine()
  talk.toEnd()
  return undefined
}

/** @param {string} id  of what failed */
function retry(id) {
  page.client?.outbox.retry(id)
  composer.focus()
}

/** @param {string} id  of what failed */
function discard(id) {
  page.client?.outbox.remove(id)
  composer.focus()
}

/** @param {{ seq?: number | undefined }} message @param {string} emoji @param {boolean} on */
function react({ seq }, emoji, on) {
  if (seq !== undefined) page.client?.react(current(), seq, emoji, on)
}

/** @param {number} seq  of a message in this room */
async function copyLink(seq) {
  const href = location.origin + linkTo(seq)
  if (await copyText(href)) return speak('Link copied.')
  const text = 'It opens the room at this message.'
  share({ title: 'Link to a message', text, href, label: 'Address of the message' })
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

function closeDrawers() {
  for (const id of ['rooms', 'people']) find(id, HTMLElement).hidePopover()
}

document.addEventListener('click', (event) => {
  const link = event.target instanceof Element && event.target.closest('a[href^="/r/"]')
  if (
    !(link instanceof HTMLAnchorElement) ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey ||
    event.button !== 0
  )
    return
  event.preventDefault()
  const { name, seq } = readAddress(link.pathname)
  go(name, { seq })
})

find('open-search', HTMLButtonElement).onclick = search.open

const wake = () => {
  if (document.visibilityState === 'visible') page.client?.wake()
  else talk.drawLine()
  draw()
}
document.addEventListener('visibilitychange', wake)
window.addEventListener('online', wake)
window.addEventListener('offline', draw)
window.addEventListener('popstate', () => void (followSecrets() || goToAddress()))
window.addEventListener('storage', () => page.client?.outbox.reload())
// A link to the address that is open already does not load the page anew.
window.addEventListener('hashchange', followSecrets)

/** @returns {boolean} whether the address brought any */
function followSecrets() {
  const { link, invite } = takeSecrets()
  if (!link && !invite) return false
  Object.assign(secrets, { link, invite })
  void start()
  return true
}
