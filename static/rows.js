/** What the list shows: messages, with what waits in the outbox laid over them. Pure: no DOM. */

import { dayOf } from './text.js'
import { react } from './timeline.js'

/** @typedef {import('./timeline.js').Item} Item */
/** @typedef {import('./timeline.js').Timeline} Timeline */
/** @typedef {import('./outbox.js').Parcel} Parcel */
/** @typedef {import('./protocol.js').User} User */
/**
 * @typedef {object} Row
 * @property {Pick<Item, 'id' | 'author' | 'at'> & Partial<Item>} message  as it will be
 * @property {Item} [item]  as it is; undefined: it is still in the outbox
 * @property {Parcel[]} parcels  what waits in the outbox, the message itself or changes of it
 * @property {Item | 'missing'} [quoted]  what it answers
 * @property {User[]} mentions  whom it names
 * @property {Reaction[]} reactions
 * @property {string} me  id
 * @property {boolean} isFirst  of a run by one author: it shows name and time
 * @property {boolean} isOwn
 * @property {boolean} isOwner  its author owns the room
 * @property {number} order  of its author among those of the name
 * @property {number} quotedOrder  likewise, of what it answers
 * @property {boolean} isTarget  somebody came here for it
 * @property {string} [day]  which begins with it
 * @property {boolean} isNews  the first that is new to the reader
 */
/**
 * @typedef {object} Reaction
 * @property {string} emoji
 * @property {number} count
 * @property {boolean} isOn  this user's own
 * @property {string} names  of those who reacted, for a person to read
 */
/**
 * @typedef {object} View
 * @property {Timeline} timeline
 * @property {readonly Item[]} items  those to show
 * @property {Parcel[]} parcels  of the room
 * @property {boolean} isEnd  what waits in the outbox comes after the items
 * @property {User} me
 * @property {string | undefined} [owner]  of the room, by id
 * @property {import('./namesakes.js').Namesakes} namesakes
 * @property {Map<string, string>} people  names by id, as far as known
 * @property {number | undefined} [target]  seq of the message that was asked for
 * @property {number | undefined} [readUpTo]  the line above what is new goes after this seq
 */

/** A run by one author ends after this pause. */
const RUN_MS = 5 * 60_000

/** @param {View} view @param {Date} [now]  @returns {Row[]} */
export function rowsOf(view, now = new Date()) {
  const { items, parcels, me, isEnd } = view
  const changes = changesByTarget(parcels)
  const kept = items.map((item) => {
    const own = changes.get(item.seq) ?? NONE
    return { item, parcels: own, message: overlay(item, own, me) }
  })
  const waiting = isEnd ? parcels.flatMap((parcel) => toRow(parcel, me)) : []
  /** @type {Pick<Row, 'item' | 'parcels' | 'message'>[]} */
  const rows = [...kept, ...waiting]
  const days = rows.map(({ message }) => dayOf(message.at, now))
  const news = rows.findIndex(({ message }) => isNew(message, view))
  return rows.map((row, i) => ({
    ...row,
    ...quote(row.message.replyTo, view),
    ...(days[i] !== days[i - 1] && { day: days[i] ?? '' }),
    mentions: namesOf(row.message.mentions, view.people),
    reactions: (row.message.reactions ?? []).map((reaction) => toReaction(reaction, view)),
    me: me.id,
    isFirst: i === news || isTarget(row, view) || startsRun(row.message, rows[i - 1]?.message),
    isOwn: row.message.author.id === me.id,
    isOwner: row.message.author.id === view.owner,
    order: view.namesakes.orderOf(row.message.author),
    isTarget: isTarget(row, view),
    isNews: i === news,
  }))
}

/** @type {never[]} */
const NONE = []

/** Whether a row would look the same. @param {Row} a @param {Row} b */
export function isSame(a, b) {
  return (
    a.item === b.item &&
    a.parcels.length === b.parcels.length &&
    a.parcels.every((parcel, i) => parcel === b.parcels[i]) &&
    a.isFirst === b.isFirst &&
    a.isOwner === b.isOwner &&
    a.order === b.order &&
    a.quotedOrder === b.quotedOrder &&
    a.isTarget === b.isTarget &&
    a.quoted === b.quoted &&
    a.mentions.length === b.mentions.length &&
    a.reactions.every(({ names }, i) => names === b.reactions[i]?.names)
  )
}

/** @param {Parcel[]} parcels  @returns {Map<number, Parcel[]>} */
function changesByTarget(parcels) {
  /** @type {Map<number, Parcel[]>} */
  const map = new Map()
  for (const parcel of parcels) {
    const { frame } = parcel
    if ('target' in frame) map.set(frame.target, [...(map.get(frame.target) ?? []), parcel])
  }
  return map
}

/** A message as it will be. @param {Item} item @param {Parcel[]} parcels @param {User} me */
function overlay(item, parcels, me) {
  return parcels.reduce((message, { frame, at, failed }) => {
    if (failed !== undefined || message.deleted) return message
    if (frame.type === 'edit') {
      return { ...message, body: frame.body, editedAt: new Date(at).toISOString() }
    }
    if (frame.type === 'delete') return { ...message, deleted: /** @type {const} */ (true) }
    if (frame.type !== 'react') return message
    return { ...message, reactions: react(message.reactions, { ...frame, author: me }) }
  }, item)
}

/** What was said and is not known to be kept. @param {Parcel} parcel @param {User} me */
function toRow(parcel, me) {
  const { frame, at } = parcel
  if (frame.type !== 'say') return []
  const message = { ...frame, author: me, at: new Date(at).toISOString() }
  return [{ message, parcels: [parcel] }]
}

/** @param {number | undefined} seq @param {View} view */
function quote(seq, { timeline, namesakes }) {
  const quoted = seq === undefined ? undefined : timeline.at(seq)
  if (quoted) return { quoted, quotedOrder: namesakes.orderOf(quoted.author) }
  const missing = seq !== undefined && { quoted: /** @type {const} */ ('missing') }
  return { ...missing, quotedOrder: 1 }
}

/** @param {Item['reactions'][number]} reaction @param {View} view  @returns {Reaction} */
function toReaction({ emoji, count, users }, { people, me }) {
  const known = users.flatMap((id) => (id === me.id ? 'you' : (people.get(id) ?? [])))
  const rest = count - known.length
  const names = [...known, ...(rest > 0 ? [`${rest} more`] : [])].join(', ')
  return { emoji, count, isOn: users.includes(me.id), names }
}

/** @param {string[] | undefined} ids @param {Map<string, string>} people  @returns {User[]} */
function namesOf(ids = NONE, people) {
  return ids.flatMap((id) => {
    const name = people.get(id)
    return name === undefined ? [] : [{ id, name }]
  })
}

/** @param {{ item?: Item }} row @param {View} view */
const isTarget = ({ item }, { target }) => item !== undefined && item.seq === target

/** @param {Row['message']} message @param {View} view */
function isNew({ seq, author }, { readUpTo, me }) {
  return readUpTo !== undefined && seq !== undefined && seq > readUpTo && author.id !== me.id
}

/** @param {Row['message']} message @param {Row['message'] | undefined} before */
function startsRun(message, before) {
  if (!before || before.author.id !== message.author.id || message.replyTo) return true
  const [from, to] = [new Date(before.at), new Date(message.at)]
  return Number(to) - Number(from) > RUN_MS || from.toDateString() !== to.toDateString()
}
