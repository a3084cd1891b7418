/** What a client sees: a page, and the entries after it, folded as docs/protocol.md says. */

import assert from 'node:assert/strict'
import type { Entry, EventOf, Message } from '../../src/protocol.ts'
import type { Client } from '../helpers.ts'

/** The messages of a room as one client sees them, `seq` by `seq`. */
export function viewOf({ events }: Client, room: string): Message[] {
  const messages = new Map<number, Message>()
  let position = -1
  for (const event of events) {
    if (!('room' in event) || event.room !== room) continue
    if (event.type === 'history') {
      messages.clear()
      for (const message of event.messages) messages.set(message.seq, message)
    }
    if (event.type === 'joined') position = followJoin(event)
    if (event.type !== 'message' || event.repeat) continue
    assert.equal(event.seq, position + 1, 'the order has neither hole nor double')
    position = event.seq
    apply(messages, event)
  }
  return [...messages.values()].map(sorted)
}

function followJoin({ from, head, reset }: EventOf<'joined'>) {
  assert.ok(reset || from <= head + 1)
  return from - 1
}

function apply(messages: Map<number, Message>, entry: Entry) {
  const { seq, id, author, at } = entry
  if (entry.kind === 'message') {
    const { body, replyTo, mentions, deleted } = entry
    const links = { ...(replyTo && { replyTo }), ...(mentions && { mentions }) }
    const text = deleted ? { deleted } : { body }
    messages.set(seq, { seq, id, author, at, ...links, ...text, reactions: [] })
    return
  }
  const target = messages.get(entry.target)
  if (!target || target.deleted) return
  if (entry.kind === 'edit') {
    // The body of an edit leaves with that of its message: the delete is on its way.
    if (!entry.deleted) messages.set(target.seq, { ...target, body: entry.body, editedAt: at })
  } else if (entry.kind === 'delete') {
    const { body: _body, editedAt: _at, ...rest } = target
    messages.set(target.seq, { ...rest, deleted: true, reactions: [] })
  } else {
    messages.set(target.seq, { ...target, reactions: react(target.reactions, entry) })
  }
}

function react(reactions: Message['reactions'], entry: Entry & { kind: 'reaction' }) {
  const { emoji, on, author } = entry
  const users = reactions.find((reaction) => reaction.emoji === emoji)?.users ?? []
  const left = users.filter((user) => user !== author.id)
  const now = on ? [...left, author.id] : left
  const others = reactions.filter((reaction) => reaction.emoji !== emoji)
  return now.length > 0 ? [...others, { emoji, count: now.length, users: now }] : others
}

/** The order of reactions is for the eye only. */
function sorted(message: Message): Message {
  const reactions = message.reactions
    .map((reaction) => ({ ...reaction, users: reaction.users.toSorted() }))
    .sort((a, b) => (a.emoji < b.emoji ? -1 : 1))
  return { ...message, reactions }
}
