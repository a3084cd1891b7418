/** One message as a row of the list. */

import { renderText } from './body.js'
import { el, refill } from './dom.js'
import { plainText } from './markdown.js'
import { briefTimeOf, fullTimeOf, initialOf, plural, timeOf, tintOf } from './text.js'

/** @typedef {import('./timeline.js').Item} Item */
/** @typedef {import('./outbox.js').Parcel} Parcel */
/** @typedef {import('./rows.js').Row} Row */
/**
 * @typedef {object} Actions  what a row can ask for
 * @property {(id: string) => void} retry
 * @property {(id: string) => void} discard
 * @property {(seq: number) => string} linkTo  the address of a message
 * @property {(message: Row['message'], emoji: string, on: boolean) => void} react
 */

const TINTS = 4
const QUOTE_LENGTH = 120

/**
 * @param {Row} row @param {Actions} actions
 * @param {HTMLElement} [node]  that of the row before it changed
 */
export function renderRow(row, actions, node = el('li', { tabIndex: -1 })) {
  const { message, parcels } = row
  /** @type {HTMLElement[]} */
  const parts = [renderBy(row, actions)]
  if (row.isFirst) parts.unshift(renderDisc(message.author))
  if (row.quoted && message.replyTo) {
    parts.push(renderQuote(row, row.quoted, actions.linkTo(message.replyTo)))
  }
  parts.push(renderBody(row))
  if (row.reactions.length > 0) parts.push(renderReactions(row, actions))
  const failed = parcels.filter((parcel) => parcel.failed !== undefined)
  for (const parcel of failed) parts.push(renderFailure(parcel, actions))
  node.className = classesOf(row)
  refill(node, parts)
  return node
}

/** A person as a disc with an initial. @param {{ id: string, name: string }} user */
export function renderDisc({ id, name }) {
  const className = `disc tint-${tintOf(id, TINTS)}`
  return el('span', { className, ariaHidden: 'true' }, initialOf(name))
}

const OF_OWN_LOGIN = 'signed in by this chat’s own login'
const IS_ANOTHER = 'another person than the one who had this name before'

/**
 * What somebody is, beside the name: an admin, known to the chat's own sign-in, the room's owner,
 * not the first of this name; of most guests nothing.
 * @param {import('./protocol.js').User} user @param {{ isOwner: boolean, order: number }} here
 */
export function renderMarks({ kind }, { isOwner, order }) {
  return [
    ...(kind === 'admin' ? [renderMark('admin')] : []),
    ...(kind === 'foreign' ? [renderMark('✓', OF_OWN_LOGIN)] : []),
    ...(isOwner ? [renderMark('owner')] : []),
    ...renderOrder(order),
  ]
}

/** @param {number} order  of several persons of one name */
const renderOrder = (order) =>
  order > 1 ? [renderMark(order > 2 ? `another (${order})` : 'another', IS_ANOTHER)] : []

/** @param {string} text @param {string} [title]  what it means, also read out in its place */
export function renderMark(text, title) {
  const className = 'hint mark'
  if (!title) return el('span', { className }, text)
  const shown = el('span', { ariaHidden: 'true' }, text)
  return el('span', { className, title }, shown, el('span', { className: 'sr' }, title))
}

/** @param {Row} row */
function classesOf({ isFirst, isOwn, isTarget, parcels, message }) {
  const isFailed = parcels.some(({ failed }) => failed !== undefined)
  const state = isFailed ? 'failed' : parcels.length > 0 && 'pending'
  const isHigh = isPiled(message.author.name + message.body)
  const classes = ['message', isFirst && 'first', isOwn && 'own', state]
  const rest = [message.deleted && 'deleted', isTarget && 'target', isHigh && 'piled']
  return [...classes, ...rest].filter(Boolean).join(' ')
}

/** Whether a letter has so many marks that it may stand out of its line. @param {string} text */
export const isPiled = (text) => /\p{M}{4}/u.test(text)

/** Who and when; the time is the message's address. @param {Row} row @param {Actions} actions */
function renderBy(row, { linkTo }) {
  const { author, at, seq } = row.message
  const text = row.isFirst ? timeOf(at) : briefTimeOf(at)
  const time = el('time', { dateTime: at, title: fullTimeOf(at) }, text)
  const link = seq === undefined ? time : el('a', { href: linkTo(seq), tabIndex: -1 }, time)
  const marks = row.isFirst ? renderMarks(author, row) : []
  return el('p', { className: 'by' }, el('bdi', {}, author.name), ' ', ...marks, ' ', link)
}

/** @param {Row} row */
function renderBody({ message: { body, deleted, editedAt }, mentions, me }) {
  if (deleted || body === undefined)
    return el('div', { className: 'body' }, 'This message was deleted.')
  const text = renderText(body, { mentions, me })
  if (!editedAt) return el('div', { className: 'body', dir: 'auto' }, ...text)
  // An override in the text ends with its box, and does not turn what is beside it.
  const box = el('div', { className: 'text' }, ...text)
  const mark = el('span', { className: 'edited', title: fullTimeOf(editedAt) }, 'edited')
  return el('div', { className: 'body', dir: 'auto' }, box, ' ', mark)
}

/** What it answers, one step away. @param {Row} row @param {Item | 'missing'} quoted @param {string} href */
function renderQuote({ quotedOrder }, quoted, href) {
  if (quoted === 'missing') return el('blockquote', {}, el('a', { href }, 'An earlier message'))
  const { author, body = 'deleted message' } = quoted
  const line = [...plainText(body)].slice(0, QUOTE_LENGTH).join('')
  const text = el('span', { dir: 'auto' }, line)
  const by = [el('bdi', {}, author.name), ' ', ...renderOrder(quotedOrder), ' ']
  return el('blockquote', {}, el('a', { href }, ...by, text))
}

/** @param {Row} row @param {Actions} actions */
function renderReactions({ message, reactions }, { react }) {
  const chips = reactions.map(({ emoji, count, isOn, names }) => {
    const chip = el(
      'button',
      { type: 'button', ariaPressed: String(isOn), title: names },
      ...[emoji, ' ', el('span', { ariaHidden: 'true' }, String(count))],
      el('span', { className: 'sr' }, `${plural(count, 'person', 'people')}: ${names}`),
    )
    chip.dataset.key = emoji
    chip.onclick = () => react(message, emoji, !isOn)
    return el('li', {}, chip)
  })
  return el('ul', { className: 'reactions', ariaLabel: 'Reactions' }, ...chips)
}

/** @param {Parcel} parcel @param {Actions} actions */
function renderFailure({ frame: { id, type }, failed }, { retry, discard }) {
  const again = el('button', { type: 'button', onclick: () => retry(id) }, 'Try again')
  const drop = el('button', { type: 'button', onclick: () => discard(id) }, 'Discard')
  const what = { say: 'Not sent', edit: 'Not changed', delete: 'Not deleted', react: 'Not sent' }
  return el('p', { className: 'problem' }, `${what[type]}: ${failed} `, again, ' ', drop)
}
