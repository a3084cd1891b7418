/** What a message says, as nodes. */

import { el } from './dom.js'
import { parse } from './markdown.js'

/** @typedef {import('./markdown.js').Piece} Piece */

/**
 * @param {string} body
 * @param {{ mentions?: import('./names.js').Person[], me?: string }} [names]  mentions: whom it
 * names; me: the reader's id
 * @returns {(Node | string)[]}
 */
export function renderText(body, { mentions = [], me = '' } = {}) {
  return parse(body, mentions).flatMap((piece) => renderPiece(piece, me))
}

/** @param {Piece} piece @param {string} me  @returns {(Node | string)[]} */
function renderPiece(piece, me) {
  if (typeof piece === 'string') return [piece]
  if (piece.type === 'mention') return [renderMention(piece, me)]
  if (piece.type === 'code') return [el('code', { dir: 'ltr' }, piece.text)]
  if (piece.type === 'pre') return [renderBlock(piece.text)]
  const children = piece.children.flatMap((child) => renderPiece(child, me))
  return piece.type === 'link' ? renderLink(piece, children) : [el(piece.type, {}, ...children)]
}

/** Its lines scroll, so keys must get to it. @param {string} text */
function renderBlock(text) {
  const props = { dir: 'ltr', tabIndex: 0, role: 'group', ariaLabel: 'Code' }
  return el('pre', props, el('code', {}, text))
}

/** @param {{ href: string, host?: string }} link @param {(Node | string)[]} children */
function renderLink({ href, host }, children) {
  const props = { href, target: '_blank', rel: 'noopener noreferrer' }
  // An address reads from left to right, whatever the text around it says.
  if (host === undefined) return [el('a', { ...props, dir: 'ltr' }, ...children)]
  const label = el('a', { ...props, dir: 'auto' }, ...children)
  return [label, ' ', el('span', { className: 'host', dir: 'ltr' }, `(${host})`)]
}

/** @param {{ id: string, name: string }} person @param {string} me */
function renderMention({ id, name }, me) {
  const className = id === me ? 'mention me' : 'mention'
  return el('span', { className }, el('bdi', {}, `@${name}`))
}
