/** Names that speak for the chat itself, so that only an admin may have them. */

import { lookOf, skeleton } from './confusables.ts'

/** Those who run a chat, as people call them in the language of the page; and what speaks for it. */
const ROLES = `admin administrator moderator mod operator owner staff support helpdesk
  root superuser superadmin sysadmin system hearth`.split(/\s+/)
/** Those of them that no person is called: no name begins or ends with one, as in `Ann Admin`. */
const TITLES = 'admin administrator moderator operator owner superadmin sysadmin'.split(' ')
/** Words that make none of them another. */
const BESIDE = ['the', 'team', 'official', 'chat', 'real']
/** A number, whichever letters it is written with. */
const NUMBER = /^(?:\p{Nd}+|[lIio|O]+)$/u

let reserved: RegExp | undefined
let titled: RegExp | undefined

/**
 * Whether a name reads like one of these, in the plural, several together, or with a number behind;
 * or like somebody who is one, or something that belongs to the chat (`HearthBot`).
 */
export function isReserved(name: string): boolean {
  reserved ??= toExpression()
  const words = name.normalize('NFKC').match(/[\p{L}\p{M}\p{Nd}]+/gu) ?? []
  while (words.length > 1 && NUMBER.test(words.at(-1)!)) words.pop()
  const rest = words.join('').replace(/\p{Nd}+$/u, '')
  if (reserved.test(skeleton(rest)) || reserved.test(lookOf(rest))) return true
  titled ??= new RegExp(`^(?:${TITLES.map(skeleton).join('|')})$|^${skeleton('hearth')}`, 'u')
  return [words[0], words.at(-1)].some(
    (word = '') => titled!.test(skeleton(word)) || titled!.test(lookOf(word)),
  )
}

function toExpression() {
  const any = (words: readonly string[]) => `(?:${words.map(skeleton).join('|')})${skeleton('s')}?`
  return new RegExp(`^(?:${any(BESIDE)})*(?:${any(ROLES)})(?:${any([...ROLES, ...BESIDE])})*$`, 'u')
}
