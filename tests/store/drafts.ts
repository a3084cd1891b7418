/** Drafts as a connection would make them. */

import type { Draft, Outcome } from '../../src/store/log.ts'
import type { User } from '../../src/protocol.ts'

export const ann: User = { id: userId(1), name: 'Ann' }
export const bob: User = { id: userId(2), name: 'Bob' }

export function userId(n: number) {
  return `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
}

export function nthUser(n: number): User {
  return { id: userId(n), name: `User ${n}` }
}

interface More {
  room?: string
  id?: string
  moderates?: boolean
}

const common = (author: User, { room = 'lobby', id, moderates = false }: More) => ({
  ...{ room, author, moderates },
  id: id ?? crypto.randomUUID(),
})

export function say(
  author: User,
  body = 'hello',
  more: More & { replyTo?: number; mentions?: string[] } = {},
): Draft {
  const { replyTo, mentions } = more
  return { ...common(author, more), kind: 'message', body, replyTo, mentions }
}

export function edit(author: User, target: number, body = 'edited', more: More = {}): Draft {
  return { ...common(author, more), kind: 'edit', target, body }
}

export function erase(author: User, target: number, more: More = {}): Draft {
  return { ...common(author, more), kind: 'delete', target }
}

export function react(
  author: User,
  target: number,
  emoji = '👍',
  { on = true, ...more }: More & { on?: boolean } = {},
): Draft {
  return { ...common(author, more), kind: 'reaction', target, emoji, on }
}

/** One word or number per outcome: the `seq`, `repeat <seq>`, or the code. */
export function tell(outcomes: readonly Outcome[]) {
  return outcomes.map(({ entry, code, ...rest }) => {
    if (!entry) return code
    return 'repeat' in rest && rest.repeat ? `repeat ${entry.seq}` : entry.seq
  })
}
