/** Light Markdown: a text as a small tree, in a time that grows only with its length. Pure. */

import { secretsIn } from './address.js'
import { isAt, nameAt, namesOf, WORD } from './names.js'
import { ADDRESS, isLink, splitLinks, TURNS } from './text.js'

/**
 * @typedef {string
 *   | { type: 'strong' | 'em', children: Piece[] }
 *   | { type: 'code', text: string }
 *   | { type: 'pre', text: string }
 *   | { type: 'link', href: string, host?: string, children: Piece[] }
 *   | { type: 'mention', id: string, name: string }} Piece  host: to be shown beside the label
 */
/** @typedef {{ type: 'mark', text: string, opens: boolean, closes: boolean, role?: 'open' | 'close' }} Mark */
/**
 * In a label there are neither links nor names.
 * @typedef {{ names?: import('./names.js').Letter, isLabel?: boolean, origin?: string | undefined }} Context
 */

/** A mark reaches back over so many open ones, which also bounds the depth of the tree. */
const REACH = 16
/** From the inside out. @type {Record<string, ('strong' | 'em')[]>} */
const KINDS = { '*': ['em'], _: ['em'], '**': ['strong'], '***': ['em', 'strong'] }

// A fence opens at the start of a line, or where nothing but a language follows; it is closed by
// what begins or ends a line, and by the end of the text: people send code in a hurry. The empty
// lines around it go, since it stands by itself anyway.
const OPENING = /(?:(?<!\n)\n+)?(?<!\S)`{3,}(?:[\w+#.-]*[ \t]*\n|(?=[^`\n]+$)(?<=^`+))/m
const CLOSING = /(?:\n[ \t]*`{3,}|(?<!`)`{3,}[ \t]*$|(?![^]))[ \t]*\n*/m
const FENCE = new RegExp(`${OPENING.source}(?<block>[^]*?)${CLOSING.source}`, 'gmu')

// A face is no emphasis, and a shrug keeps its arm; nor is the star of a keycap emoji.
const FACE = /¯\\_|>_<|(?<eye>[^\w\s`\\])_\k<eye>/u
const MARK = /(?<mark>\*+(?!\ufe0f|\u20e3)|_+)/u
const ESCAPE = /\\(?<escaped>[*_`[\]@])/u
const CODE = /(?<!`)(?<ticks>`+)(?!`)(?<code>[^\n]*?[^`\n])\k<ticks>(?!`)/u
const LABEL = String.raw`(?<label>(?:\\[[\]]|\\(?![[\]])|[^\\[\]\n${TURNS}])+)`
const PLACE = String.raw`[^\s<>"()${TURNS}]`
const LINK = String.raw`\[${LABEL}\]\((?<href>https?:\/\/(?:${PLACE}|\(${PLACE}*\))+)\)`
const TOKEN = new RegExp(
  [FACE.source, ESCAPE.source, CODE.source, LINK, `(?<address>${ADDRESS.source})`]
    .concat('(?<at>@)', MARK.source)
    .join('|'),
  'giu',
)
const OPENS = new RegExp(String.raw`(?<!${WORD})(?:\*+(?![\s*]|$)|_+(?![\s_]|$))`, 'uy')
const CLOSES = new RegExp(String.raw`(?<=\S)(?:\*+|_+(?!${WORD}))`, 'uy')

/**
 * @param {string} body
 * @param {import('./names.js').Person[]} [people]  whom `@name` can mean
 * @param {string} [origin]  of the page: an address there that would sign in or invite is no link
 * @returns {Piece[]}
 */
export function parse(body, people = [], origin = globalThis.location?.origin) {
  const context = { origin, ...(people.length > 0 && { names: namesOf(people) }) }
  const fences = [...body.matchAll(FENCE)].filter((match) => match.groups?.block?.trim())
  const ends = [0, ...fences.map((match) => match.index + match[0].length)]
  const blocks = fences.flatMap(({ index, groups }, i) => [
    ...inline(body.slice(ends[i], index), context),
    { type: /** @type {const} */ ('pre'), text: groups?.block ?? '' },
  ])
  return [...blocks, ...inline(body.slice(ends.at(-1)), context)]
}

/** One line without its markers: for quotes, notifications, results. @param {string} body */
export const plainText = (body) => textOf(parse(body)).replace(/\s+/gu, ' ').trim()

/** @param {Piece[]} pieces  @returns {string} */
function textOf(pieces) {
  const texts = pieces.map((piece) => {
    if (typeof piece === 'string') return piece
    if (piece.type === 'mention') return `@${piece.name}`
    if (piece.type === 'pre') return `\n${piece.text}\n`
    return piece.type === 'code' ? piece.text : textOf(piece.children)
  })
  return texts.join('')
}

/** @param {string} text @param {Context} context  @returns {Piece[]} */
function inline(text, context) {
  const tokens = tokenize(text, context)
  pairUp(tokens.filter(isMark))
  return nest(tokens.values())
}

/** @param {string} text @param {Context} context  @returns {(Piece | Mark)[]} */
function tokenize(text, context) {
  const tokens = []
  // Of its own, since a label is read in between.
  const pattern = new RegExp(TOKEN)
  while (pattern.lastIndex < text.length) {
    const from = pattern.lastIndex
    const match = pattern.exec(text)
    tokens.push(text.slice(from, match?.index))
    if (!match) break
    const [token, length = match[0].length] = read(match, context)
    tokens.push(token)
    pattern.lastIndex = match.index + length
  }
  return tokens
}

/**
 * @param {RegExpExecArray} match @param {Context} context
 * @returns {[token: Piece | Mark, length?: number]} length: when it takes less or more of the text
 */
function read({ 0: whole, groups = {}, index, input }, { names, isLabel, origin }) {
  const { escaped, code, label, href, address, at, mark } = groups
  if (escaped) return [escaped]
  if (code) return [{ type: 'code', text: code }]
  if (mark) return [readMark(mark, index, input)]
  if (isLabel) return [whole]
  if (label && href) {
    const isGood = label.trim() && isLink(href) && !isSecret(href, origin)
    return isGood ? [linkOf(label, href)] : ['[', 1]
  }
  if (address) {
    const [{ text, href } = { text: whole }] = splitLinks(whole)
    if (href && isSecret(href, origin)) return [whole]
    return href ? [{ type: 'link', href, children: [text] }, text.length] : [whole]
  }
  const found = at && names && nameAt(input, index, names)
  return found ? [{ type: 'mention', ...found }, 1 + found.name.length] : [whole]
}

/** One click must not lead to the question whether to become another. @param {string} href @param {string} [origin] */
function isSecret(href, origin) {
  const url = new URL(href)
  const { link, invite } = secretsIn(url.hash)
  return url.origin === origin && (link !== null || invite !== null)
}

/** @param {string} text @param {number} index @param {string} input  @returns {Piece | Mark} */
function readMark(text, index, input) {
  if (!Object.hasOwn(KINDS, text)) return text
  const [opens, closes] = [isAt(OPENS, input, index), isAt(CLOSES, input, index)]
  return { type: 'mark', text, opens, closes }
}

/** @param {string} label @param {string} href  @returns {Piece} */
function linkOf(label, href) {
  const children = inline(label, { isLabel: true })
  const { host } = new URL(href)
  const isPlain = [href, host].includes(textOf(children))
  return { type: 'link', href, children, ...(!isPlain && { host }) }
}

/** Each closes the nearest of its kind; those left open in between stay text. @param {Mark[]} marks */
function pairUp(marks) {
  /** @type {Mark[]} */
  const open = []
  for (const mark of marks) {
    const place = mark.closes ? open.findLastIndex(({ text }) => text === mark.text) : -1
    if (place >= 0) {
      for (const opener of open.splice(place).slice(0, 1)) opener.role = 'open'
      mark.role = 'close'
    } else if (mark.opens && open.push(mark) > REACH) open.shift()
  }
}

/**
 * @param {Iterator<Piece | Mark> & Iterable<Piece | Mark>} tokens  read up to the mark that closes
 * @returns {Piece[]}
 */
function nest(tokens) {
  /** @type {Piece[]} */
  const pieces = []
  for (const token of tokens) {
    if (!isMark(token)) add(pieces, token)
    else if (token.role === 'close') break
    else if (token.role === 'open') pieces.push(...wrap(token.text, nest(tokens)))
    else add(pieces, token.text)
  }
  return pieces
}

/** @param {string} mark @param {Piece[]} pieces  @returns {Piece[]} */
const wrap = (mark, pieces) =>
  (KINDS[mark] ?? []).reduce((children, type) => [{ type, children }], pieces)

/** @param {Piece[]} pieces @param {Piece} piece  texts beside each other become one */
function add(pieces, piece) {
  const last = pieces.at(-1)
  if (typeof piece !== 'string' || typeof last !== 'string') {
    if (piece !== '') pieces.push(piece)
  } else pieces.splice(-1, 1, last + piece)
}

/** @param {Piece | Mark} token  @returns {token is Mark} */
const isMark = (token) => typeof token === 'object' && token.type === 'mark'
