/** Random frames and entries for the property tests; fast-check prints the seed of a failure. */

import fc from 'fast-check'
import type { ClientFrame, Entry } from '../src/protocol.ts'

const BAD_IN_BODY = /[^\P{Cc}\n\t]|\p{Cs}/u

export const uuids = fc.uuid()
export const rooms = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/)
export const seqs = fc.maxSafeNat()
export const targets = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
export const emoji = fc.constantFrom('👍', '❤️', '🎉', '🇩🇪', '1️⃣', '👩🏽‍💻', '🏳️‍🌈')
export const tokens = fc.stringMatching(/^[A-Za-z0-9_-]{16,128}$/)
export const bodies = fc
  .oneof(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'binary', minLength: 1 }))
  .filter((text) => !BAD_IN_BODY.test(text))
  .map((text) => text.normalize('NFC'))

const maybe = <T>(arb: fc.Arbitrary<T>) => fc.option(arb, { nil: undefined })
const mentions = fc.array(uuids, { maxLength: 5 })
const append = { room: rooms, id: uuids, token: maybe(tokens) }
const limit = fc.integer({ min: 1, max: 100 })

/** Frames that pass, with any choice of their optional fields. */
export const frames: fc.Arbitrary<ClientFrame> = fc
  .oneof(
    fc.record({
      type: fc.constant('join' as const),
      room: rooms,
      after: maybe(seqs),
      last: maybe(uuids),
      epoch: maybe(fc.string({ maxLength: 64 })),
      limit: maybe(limit),
    }),
    fc.record({ type: fc.constant('leave' as const), room: rooms }),
    fc.record({
      type: fc.constant('say' as const),
      ...append,
      body: bodies,
      replyTo: maybe(targets),
      mentions: maybe(mentions),
    }),
    fc.record({ type: fc.constant('edit' as const), ...append, target: targets, body: bodies }),
    fc.record({ type: fc.constant('delete' as const), ...append, target: targets }),
    fc.record({
      type: fc.constant('react' as const),
      ...append,
      target: targets,
      emoji,
      on: fc.boolean(),
    }),
    fc.record({
      type: fc.constant('history' as const),
      room: rooms,
      before: maybe(seqs),
      limit: maybe(limit),
    }),
    fc.record({ type: fc.constant('read' as const), room: rooms, seq: seqs }),
    fc.record({ type: fc.constant('typing' as const), room: rooms }),
    fc.record({ type: fc.constant('pong' as const) }),
    fc.record({ type: fc.constant('renew' as const), ticket: tokens }),
  )
  .map(withoutUndefined)

const entry = {
  type: fc.constant('message' as const),
  room: rooms,
  seq: targets,
  id: uuids,
  author: fc.record({ id: uuids, name: bodies }, { noNullPrototype: true }),
  at: fc
    .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
    .map((date) => date.toISOString()),
}

/** Entries as a log would hand them out. */
export const entries: fc.Arbitrary<Entry> = fc
  .oneof(
    fc.record({
      ...entry,
      kind: fc.constant('message' as const),
      body: bodies,
      replyTo: maybe(targets),
      mentions: maybe(mentions),
    }),
    fc.record({
      ...entry,
      kind: fc.constant('message' as const),
      deleted: fc.constant(true as const),
    }),
    fc.record({ ...entry, kind: fc.constant('edit' as const), target: targets, body: bodies }),
    fc.record({ ...entry, kind: fc.constant('delete' as const), target: targets }),
    fc.record({
      ...entry,
      kind: fc.constant('reaction' as const),
      target: targets,
      emoji,
      on: fc.boolean(),
    }),
  )
  .map(withoutUndefined)

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T
}
