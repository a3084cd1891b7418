/** The lists beside the talk: rooms with what is unread, and people. */

import { addressOf } from './address.js'
import { arrange, el, find, setText } from './dom.js'
import { isPiled, renderDisc } from './message.js'
import { plural } from './text.js'

/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./protocol.js').User} User */

const roomList = find('room-list', HTMLElement)
const peopleList = find('people-list', HTMLElement)
/** @type {Map<string, { state: string, node: HTMLElement }>} */
const links = new Map()
/** @type {Map<string, { state: string, node: HTMLElement }>} */
const people = new Map()

/**
 * @param {Room[]} rooms  in their order @param {string} current
 * @param {(room: string) => boolean} [isMuted]
 */
export function renderRooms(rooms, current, isMuted = () => false) {
  arrange(
    roomList,
    rooms.map((room) => renderLink(room, room.name === current, isMuted(room.name))),
  )
  const elsewhere = rooms.filter(({ name, unread, mentions }) => {
    return name !== current && (mentions > 0 || (unread > 0 && !isMuted(name)))
  }).length
  const badge = find('all-unread', HTMLElement)
  badge.hidden = elsewhere === 0
  setText(badge, String(elsewhere))
  badge.ariaLabel = `${plural(elsewhere, 'room')} with unread messages`
}

/** @param {Room} room @param {boolean} isCurrent @param {boolean} isMuted */
function renderLink({ name, unread, mentions, isPrivate }, isCurrent, isMuted) {
  const state = JSON.stringify([unread, mentions, isPrivate, isCurrent, isMuted])
  const held = links.get(name)
  if (held?.state === state) return held.node
  const link = el('a', { href: addressOf(name) }, el('span', { className: 'name' }, name))
  if (isCurrent) link.ariaCurrent = 'page'
  if (isPrivate) link.append(el('span', { className: 'hint' }, 'private'))
  if (isMuted) link.append(el('span', { className: 'hint' }, 'muted'))
  if (mentions > 0) {
    const at = el('span', { ariaHidden: 'true' }, '@')
    link.append(renderBadge('badge mention', at, plural(mentions, 'mention')))
  }
  if (unread > 0) link.append(renderBadge('badge', unread >= 100 ? '99+' : `${unread}`, 'unread'))
  const node = held?.node ?? el('li')
  node.className = isMuted ? 'muted' : ''
  node.replaceChildren(link)
  links.set(name, { state, node })
  return node
}

/** @param {string} className @param {Node | string} shown @param {string} said  to screen readers */
function renderBadge(className, shown, said) {
  return el('span', { className }, shown, el('span', { className: 'sr' }, ` ${said}`))
}

/**
 * @param {Pick<Room, 'members' | 'count' | 'live' | 'isOwn'>} room @param {string} me  id
 * @param {(user: User) => void} remove
 */
export function renderPeople({ members, count, live, isOwn }, me, remove) {
  setText(find('here', HTMLElement), live ? String(count) : '')
  setText(find('count', HTMLElement), live ? String(count) : '')
  const isCrowd = live && members === undefined
  setText(find('crowd', HTMLElement), isCrowd ? 'Too many to list them all.' : '')
  const sorted = [...(members ?? [])].sort((a, b) => a.name.localeCompare(b.name))
  const ids = new Set(sorted.map((user) => user.id))
  for (const id of people.keys()) if (!ids.has(id)) people.delete(id)
  arrange(
    peopleList,
    sorted.map((user) => renderPerson(user, user.id === me, isOwn, remove)),
  )
}

/**
 * The same node for the same person, so that nobody loses the button he is about to press.
 * @param {User} user @param {boolean} isMe @param {boolean} isOwn  the room is mine
 * @param {(user: User) => void} remove
 */
function renderPerson(user, isMe, isOwn, remove) {
  const state = JSON.stringify([user.name, isMe, isOwn])
  const held = people.get(user.id)
  if (held?.state === state) return held.node
  const className = isPiled(user.name) ? 'piled' : ''
  const node = el('li', { className }, renderDisc(user), el('bdi', {}, user.name))
  if (isMe) node.append(el('span', { className: 'hint' }, 'you'))
  else if (isOwn) {
    const button = el('button', { type: 'button', onclick: () => remove(user) }, 'Remove')
    button.ariaLabel = `Remove ${user.name}`
    node.append(button)
  }
  people.set(user.id, { state, node })
  return node
}
