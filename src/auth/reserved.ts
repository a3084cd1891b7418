/** Names that speak for the chat itself, so that only an admin may have them. */

import { lookOf, skeleton } from './confusables.ts'

/** Those who run a chat, as people call them in the language of the page; and what speaks for it. */
const ROLES = `admin administrator moderator mod operator owner staff support helpdesk
  root superuser sysadmin system hearth`.split(/\s+/)
/** Words that make none of them another. */
const BESIDE = ['the', 'team', 'official', 'chat', 'real']
/** A number, whichever letters it is written with. */
const NUMBER = /^(?:\p{Nd}+|[lIio|O]+)$/u

let reserved: RegExp | undefined

/** Whether a name reads like one of these, in the plural, several together, or with a number behind. */
export function isReserved(name: string): boolean {
  reserved ??= toExpression()
  const words = name.normalize('NFKC').match(/[\p{L}\p{M}\p{Nd}]+/gu) ?? []
  while (words.length > 1 && NUMBER.test(words.at(-1)!)) words.pop()
  const rest = words.join('').replace(/\p{Nd}+$/u, '')
  return reserved.test(skeleton(rest)) || reserved.test(lookOf(rest))
}

function toExpression() {
  const any = (words: readonly string[]) => `(?:${words.map(skeleton).join('|')})${skeleton('s')}?`
  return new RegExp(`^(?:${any(BESIDE)})*(?:${any(ROLES)})(?:${any([...ROLES, ...BESIDE])})*$`, 'u')
}
