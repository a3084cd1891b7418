/** One message as a row of the list. */

import { el } from './dom.js'
import { fullTimeOf, initialOf, plural, splitLinks, timeOf, tintOf } from './text.js'

/** @typedef {import('./timeline.js').Item} Item */
/** @typedef {import('./outbox.js').Parcel} Parcel */
/**
 * @typedef {object} Row
 * @property {Pick<Item, 'id' | 'author' | 'at'> & Partial<Item>} message
 * @property {Parcel} [parcel]  it is still in the outbox
 * @property {Item} [quoted]  what it answers, when that is loaded
 * @property {boolean} isFirst  of a run by one author: it shows name and time
 * @property {boolean} isOwn
 */

const TINTS = 4
const QUOTE_LENGTH = 120

/**
 * @param {Row} row
 * @param {{ retry: (id: string) => void, discard: (id: string) => void }} actions
 */
export function renderRow(row, actions) {
  const { message, parcel } = row
  const { author, at } = message
  const time = el('time', { dateTime: at, title: fullTimeOf(at) }, timeOf(at))
  const by = el('p', { className: 'by' }, el('bdi', {}, author.name), ' ', time)
  const node = el('li', { className: classesOf(row) }, by)
  if (row.isFirst) node.prepend(renderDisc(author))
  if (row.quoted) node.append(renderQuote(row.quoted))
  node.append(renderBody(message))
  if (message.reactions?.length) node.append(renderReactions(message.reactions))
  if (parcel?.failed) node.append(renderFailure(parcel, actions))
  return node
}

/** A person as a disc with an initial. @param {{ id: string, name: string }} user */
export function renderDisc({ id, name }) {
  const className = `disc tint-${tintOf(id, TINTS)}`
  return el('span', { className, ariaHidden: 'true' }, initialOf(name))
}

/** @param {Row} row */
function classesOf({ isFirst, isOwn, parcel, message }) {
  const state = parcel && (parcel.failed ? 'failed' : 'pending')
  const classes = ['message', isFirst && 'first', isOwn && 'own', state]
  return [...classes, message.deleted && 'deleted'].filter(Boolean).join(' ')
}

/** @param {Row['message']} message */
function renderBody({ body, deleted, editedAt }) {
  if (deleted || body === undefined)
    return el('p', { className: 'body' }, 'This message was deleted.')
  const text = renderText(body)
  if (!editedAt) return el('p', { className: 'body', dir: 'auto' }, ...text)
  // An override in the text ends with its box, and does not turn what is beside it.
  const box = el('span', { className: 'text' }, ...text)
  const mark = el('span', { className: 'edited', title: fullTimeOf(editedAt) }, 'edited')
  return el('p', { className: 'body', dir: 'auto' }, box, ' ', mark)
}

/** @param {string} body */
function renderText(body) {
  return splitLinks(body).map(({ text, href }) => {
    if (href === undefined) return text
    // An address reads from left to right, whatever the text around it says.
    return el('a', { href, dir: 'ltr', target: '_blank', rel: 'noopener noreferrer' }, text)
  })
}

/** @param {Item} item */
function renderQuote({ author, body = 'deleted message' }) {
  const line = [...body.replaceAll('\n', ' ')].slice(0, QUOTE_LENGTH).join('')
  const text = el('span', { dir: 'auto' }, line)
  return el('blockquote', {}, el('bdi', {}, author.name), ' ', text)
}

/** @param {Item['reactions']} reactions */
function renderReactions(reactions) {
  const chips = reactions.map(({ emoji, count }) => {
    const people = el('span', { className: 'sr' }, plural(count, 'person', 'people'))
    return el('li', {}, emoji, ' ', el('span', { ariaHidden: 'true' }, String(count)), people)
  })
  return el('ul', { className: 'reactions', ariaLabel: 'Reactions' }, ...chips)
}

/** @param {Parcel} parcel @param {Parameters<typeof renderRow>[1]} actions */
function renderFailure({ frame: { id }, failed }, { retry, discard }) {
  const again = el('button', { type: 'button', onclick: () => retry(id) }, 'Try again')
  const drop = el('button', { type: 'button', onclick: () => discard(id) }, 'Discard')
  return el('p', { className: 'problem' }, `Not sent: ${failed} `, again, ' ', drop)
}
