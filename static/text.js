/** Words for people: links in a text, times, numbers, initials. */

/** What turns the direction of the text around it; for a class of a regular expression. */
export const TURNS = String.raw`\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069`
/**
 * Up to white space or what cannot be part of an address, such as a character that turns the
 * direction and would make it read as another one; the tail is looked at below.
 */
export const ADDRESS = new RegExp(String.raw`\bhttps?:\/\/[^\s<>"${TURNS}]+`, 'giu')
// Markers too, as in GFM: `**https://a.example**`.
const TAIL = ".,:;!?'…*_)"

/**
 * A text cut where links begin and end.
 * @param {string} text  @returns {{ text: string, href?: string }[]}
 */
export function splitLinks(text) {
  const found = [...text.matchAll(ADDRESS)].flatMap((match) => {
    const address = trimTail(match[0])
    return isLink(address) ? [{ start: match.index, end: match.index + address.length }] : []
  })
  const parts = found.flatMap(({ start, end }, i) => [
    { text: text.slice(found[i - 1]?.end ?? 0, start) },
    { text: text.slice(start, end), href: text.slice(start, end) },
  ])
  const rest = { text: text.slice(found.at(-1)?.end ?? 0) }
  return [...parts, rest].filter((part) => part.text !== '')
}

/** `(see https://a.example/b_(c)).` ends at `(c)`. @param {string} address  @returns {string} */
function trimTail(address) {
  const end = 1 + address.split('').findLastIndex((char) => !TAIL.includes(char))
  const core = address.slice(0, end)
  const open = core.split('(').length - core.split(')').length
  const [closing] = [...address.slice(end).matchAll(/\)/g)].slice(0, Math.max(open, 0)).slice(-1)
  return closing ? address.slice(0, end + closing.index + 1) : core
}

/** @param {string} address */
export function isLink(address) {
  const protocol = URL.canParse(address) && new URL(address).protocol
  return protocol === 'http:' || protocol === 'https:'
}

const clockTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' })
const thisYear = new Intl.DateTimeFormat(undefined, {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
})
const otherYear = new Intl.DateTimeFormat(undefined, { dateStyle: 'long' })

/** @param {string} at */
export const timeOf = (at) => clockTime.format(new Date(at))
/** For a narrow margin: without AM or PM. @param {string} at */
export const briefTimeOf = (at) =>
  clockTime
    .formatToParts(new Date(at))
    .map(({ type, value }) => (type === 'dayPeriod' ? '' : value))
    .join('')
    .trim()
/** @param {string} at */
export const fullTimeOf = (at) => fullTime.format(new Date(at))

/** @param {string} at @param {Date} [now]  @returns {string} Today, Yesterday, or the date */
export function dayOf(at, now = new Date()) {
  const date = new Date(at)
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1)
  if (date.toDateString() === now.toDateString()) return 'Today'
  if (date.toDateString() === yesterday.toDateString()) return 'Yesterday'
  return (date.getFullYear() === now.getFullYear() ? thisYear : otherYear).format(date)
}

/** @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`

/** Words, and names in between. @typedef {(string | { name: string })[]} Line */

/** @param {{ name: string }[]} users  @returns {Line} who is typing; empty when nobody */
export function typingLine(users) {
  const [first, second] = users
  if (first === undefined) return []
  if (second === undefined) return [first, ' is typing…']
  return users.length === 2
    ? [first, ' and ', second, ' are typing…']
    : ['Several people are typing…']
}

const KEPT = 'Kept here, and sent once you are back.'

/**
 * What is going on, in a word, and what that means for who writes.
 * @param {import('./connection.js').State} state @param {import('./room.js').Room} room
 * @param {boolean} [wasOpen]  before
 * @returns {[status: string, hint: string]}
 */
export function statusLine(state, { live, timeline, refused, shut }, wasOpen = false) {
  const isBehind = !live && timeline.epoch !== undefined && !refused && !shut
  if (state === 'open') return [isBehind ? 'Catching up…' : '', '']
  if (state === 'stopped')
    return ['Disconnected', 'The server closed the door. Reload to try again.']
  if (!navigator.onLine) return ['Offline', KEPT]
  return wasOpen ? ['Reconnecting…', KEPT] : ['Connecting…', '']
}

/** Why one does not get into a room. @param {string} room @param {import('./room.js').Shut} why */
export function shutLine(room, why) {
  if (why === 'removed') return `You are no longer in ${room}.`
  return `${room} is a private room. You come in by invitation.`
}

/** Why a request brought nothing. @param {import('./api.js').Failure} failure */
export function failureLine({ code, detail, retryAfterMs = 0 }) {
  if (code === 'offline') return 'The server cannot be reached. Try again in a moment.'
  if (code !== 'rate_limited')
    return detail ? `That did not work: ${detail}.` : 'That did not work.'
  return `Too many tries. Try again in ${Math.ceil(retryAfterMs / 1000)} s.`
}

/** The first letter of a name, as a reader sees letters. @param {string} name */
export function initialOf(name) {
  const [first] = new Intl.Segmenter().segment(name)
  return (first?.segment ?? '').toUpperCase()
}

/** One of `count` tints, always the same for a user. @param {string} id @param {number} count */
export const tintOf = (id, count) => parseInt(id.slice(0, 8), 16) % count

const WORD = /[\p{L}\p{N}\p{M}]+/gu
/** Of a text that was found, so much stands before the first match, and in all. */
const LEAD = 40
const EXCERPT = 160

/** Without case, accents and width. @param {string} text */
export const fold = (text) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()

/**
 * The part of a text around what was looked for, cut where that begins and ends.
 * @param {string} text @param {string} query
 * @returns {{ text: string, isMatch: boolean }[]}
 */
export function highlight(text, query) {
  const wanted = (query.match(WORD) ?? []).map(fold)
  const words = [...text.matchAll(WORD)].map((match) => ({ at: match.index, text: match[0] }))
  const found = words.flatMap(({ at, text }) => {
    const folded = fold(text)
    const part = wanted.find((one) => folded.includes(one))
    return part === undefined ? [] : [{ at, end: at + text.length }]
  })
  const start = Math.max(0, (found[0]?.at ?? 0) - LEAD)
  const shown = text.slice(0, start + EXCERPT)
  const parts = found.flatMap(({ at, end }, i) => [
    { text: shown.slice(found[i - 1]?.end ?? start, at), isMatch: false },
    { text: shown.slice(at, end), isMatch: true },
  ])
  const rest = { text: shown.slice(found.at(-1)?.end ?? start), isMatch: false }
  const cut = { text: '…', isMatch: false }
  const before = start > 0 ? [cut] : []
  const after = shown.length < text.length ? [cut] : []
  return [...before, ...parts, rest, ...after].filter((part) => part.text !== '')
}
