/** The lists beside the talk: rooms with what is unread, and people. */

import { arrange, el, find } from './dom.js'
import { renderDisc } from './message.js'
import { plural } from './text.js'

/** @typedef {import('./room.js').Room} Room */

const roomList = find('room-list', HTMLElement)
const peopleList = find('people-list', HTMLElement)
/** @type {Map<string, { state: string, node: HTMLElement }>} */
const links = new Map()
/** @type {{ members?: Room['members'] }} */
const shown = {}

/** @param {Iterable<Room>} rooms @param {string} current */
export function renderRooms(rooms, current) {
  const open = [...rooms].filter((room) => !room.shut)
  const all = open.sort((a, b) => (a.name < b.name ? -1 : 1))
  arrange(
    roomList,
    all.map((room) => renderLink(room, room.name === current)),
  )
  const elsewhere = all.filter((room) => room.name !== current && room.unread > 0).length
  const badge = find('all-unread', HTMLElement)
  badge.hidden = elsewhere === 0
  setText(badge, String(elsewhere))
  badge.ariaLabel = `${plural(elsewhere, 'room')} with unread messages`
}

/** @param {Room} room @param {boolean} isCurrent */
function renderLink({ name, unread, isPrivate }, isCurrent) {
  const state = JSON.stringify([unread, isPrivate, isCurrent])
  const held = links.get(name)
  if (held?.state === state) return held.node
  const link = el('a', { href: `/r/${name}` }, el('span', { className: 'name' }, name))
  if (isCurrent) link.ariaCurrent = 'page'
  if (isPrivate) link.append(el('span', { className: 'hint' }, 'private'))
  if (unread > 0) {
    const count = unread >= 100 ? '99+' : String(unread)
    link.append(
      el('span', { className: 'badge' }, count, el('span', { className: 'sr' }, ' unread')),
    )
  }
  const node = held?.node ?? el('li')
  node.replaceChildren(link)
  links.set(name, { state, node })
  return node
}

/** @param {Pick<Room, 'members' | 'count' | 'live'>} room @param {string} me  id */
export function renderPeople({ members, count, live }, me) {
  setText(find('here', HTMLElement), live ? String(count) : '')
  setText(find('count', HTMLElement), live ? String(count) : '')
  const isCrowd = live && members === undefined
  setText(find('crowd', HTMLElement), isCrowd ? 'Too many to list them all.' : '')
  if (shown.members === members) return
  shown.members = members
  const sorted = [...(members ?? [])].sort((a, b) => a.name.localeCompare(b.name))
  const items = sorted.map((user) => {
    const you = user.id === me ? [el('span', { className: 'hint' }, 'you')] : []
    return el('li', {}, renderDisc(user), el('bdi', {}, user.name), ...you)
  })
  peopleList.replaceChildren(...items)
}

/** Leaves a text alone that says the same already. @param {HTMLElement} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** A line with names in it, none of which turns the words around it. @param {HTMLElement} node
 * @param {import('./text.js').Line} line */
export function setLine(node, line) {
  const text = line.map((part) => (typeof part === 'string' ? part : part.name)).join('')
  if (node.textContent === text) return
  const parts = line.map((part) => (typeof part === 'string' ? part : el('bdi', {}, part.name)))
  node.replaceChildren(...parts)
}
