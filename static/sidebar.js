/** The lists beside the talk: rooms with what is unread, and people. */

import { addressOf } from './address.js'
import { arrange, el, find, refill, setText } from './dom.js'
import { isPiled, renderDisc, renderMark, renderMarks } from './message.js'
import { dayOf, plural } from './text.js'

/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./protocol.js').User} User */

const roomList = find('room-list', HTMLElement)
const peopleList = find('people-list', HTMLElement)
const awayList = find('away-list', HTMLElement)
const pastList = find('past-list', HTMLElement)
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

/** @typedef {((user: User) => void) | undefined} Deed */
/** @typedef {{ user: User, isMe: boolean, isOwner: boolean, order: number, since: string | undefined, until?: string | undefined, remove: Deed, handOver: Deed }} Person */

/**
 * @param {{ here: Person[] | undefined, away: Person[], past: Person[], count: number, live: boolean }} room
 *   here: undefined when they are too many to list; away: members of a private room; past: those
 *   who were
 */
export function renderPeople({ here, away, past, count, live }) {
  setText(find('here', HTMLElement), live ? String(count) : '')
  setText(find('count', HTMLElement), live ? String(count) : '')
  setText(find('crowd', HTMLElement), live && !here ? 'Too many to list them all.' : '')
  find('away-title', HTMLElement).hidden = away.length === 0
  setText(find('away-count', HTMLElement), String(away.length))
  find('past-title', HTMLElement).hidden = past.length === 0
  setText(find('past-count', HTMLElement), String(past.length))
  const ids = new Set([...(here ?? []), ...away, ...past].map(({ user }) => user.id))
  for (const id of people.keys()) if (!ids.has(id)) people.delete(id)
  arrange(peopleList, byName(here ?? []).map(renderPerson))
  arrange(awayList, byName(away).map(renderPerson))
  arrange(pastList, byName(past).map(renderPerson))
}

/** @param {Person[]} persons */
function byName(persons) {
  return [...persons].sort((a, b) => a.user.name.localeCompare(b.user.name))
}

/**
 * The same node for the same person, so that nobody loses the button he is about to press.
 * @param {Person} person
 */
function renderPerson(person) {
  const { user, isMe, since, until, remove, handOver } = person
  const state = JSON.stringify({ ...person, remove: !remove, handOver: !handOver })
  const held = people.get(user.id)
  if (held?.state === state) return held.node
  const node = held?.node ?? el('li')
  node.className = isPiled(user.name) ? 'piled' : ''
  /** @param {string} text @param {string} label @param {Deed} onPress */
  const button = (text, label, onPress) => {
    if (!onPress) return []
    const made = el('button', { type: 'button', onclick: () => onPress(user) }, text)
    made.ariaLabel = label
    made.dataset.key = text
    return [made]
  }
  const marks = [...(isMe ? [renderMark('you')] : []), ...renderMarks(user, person)]
  const buttons = [
    ...button('Make owner', `Make owner: ${user.name}`, handOver),
    ...button('Remove', `Remove ${user.name}`, remove),
  ]
  const time = until ? `until ${dayOf(until)}` : since && `since ${dayOf(since)}`
  const when = time ? [el('span', { className: 'hint since' }, time)] : []
  const about =
    when.length + buttons.length > 0 ? [el('div', { className: 'about' }, ...when, ...buttons)] : []
  refill(node, [renderDisc(user), el('bdi', {}, user.name), ...marks, ...about])
  people.set(user.id, { state, node })
  return node
}
