/** Server events: what a client makes of a frame, and that nothing leaves unchecked. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { events, parseEvents } from '../static/protocol.js'
import { encodeEntry, encodeEvent, type Entry, type ServerEvent } from '../src/protocol.ts'

const id = '0b5f3a52-6f0e-4f5c-9d54-0123456789ab'
const user = { id, name: 'Ann' }
const at = '2026-01-01T00:00:00.000Z'
const room = 'lobby'
const entry = { type: 'message', room, seq: 3, id, author: user, at } as const

/** One of each, and each kind of entry. */
const EVENTS: ServerEvent[] = [
  {
    type: 'welcome',
    user,
    protocol: 'hearth.v1',
    heartbeat: { interval: 25_000, timeout: 35_000 },
    limits: { frame: 16_384, body: 4_000, page: 100, rate: 2.5, burst: 20 },
    expiresAt: null,
    tokenEveryMessage: false,
  },
  {
    ...{ type: 'joined', room, epoch: 'e', head: 3, from: 4, reset: false, count: 1 },
    ...{ private: true, owner: id },
  },
  { ...entry, kind: 'message', body: 'hello', replyTo: 1, mentions: [id] },
  { ...entry, kind: 'message', deleted: true, repeat: true },
  { ...entry, kind: 'edit', target: 1, body: 'hello' },
  { ...entry, kind: 'delete', target: 1 },
  { ...entry, kind: 'reaction', target: 1, emoji: '👍', on: false },
  {
    type: 'history',
    room,
    head: 3,
    messages: [
      { seq: 1, id, author: user, at, body: 'hello', editedAt: at, reactions: [] },
      { seq: 2, id, author: user, at, deleted: true, reactions: [] },
      {
        ...{ seq: 3, id, author: user, at, body: 'hello' },
        reactions: [{ emoji: '👍', count: 1, users: [id] }],
      },
    ],
    more: true,
  },
  { type: 'presence', room, count: 2, joined: [user], left: [user] },
  { type: 'typing', room, user },
  { type: 'read', room, seq: 0 },
  { type: 'renewed', expiresAt: at },
  { type: 'removed', room },
  { type: 'admitted', room, user: { ...user, kind: 'foreign' }, at },
  { type: 'owner', room, owner: id },
  { type: 'device', id: 'x'.repeat(16), at, address: null, agent: 'Firefox' },
  { type: 'ping', heads: { lobby: 3 } },
  { type: 'error', code: 'rate_limited', message: 'no', of: 'say', id, room, retryAfterMs: 5 },
  { type: 'bye', code: 4000, retryAfterMs: 0 },
]

const parse = (values: unknown[]) => parseEvents(JSON.stringify(values))

test('every event goes through the schema both ways, unchanged', () => {
  const types = new Set(EVENTS.map(({ type }) => type))
  assert.deepEqual([...types].sort(), Object.keys(events).sort())
  for (const event of EVENTS) assert.deepEqual(parseEvents(`[${encodeEvent(event)}]`), [event])
  assert.deepEqual(parse(EVENTS), EVENTS)
})

test('every event of one frame stands for itself', () => {
  const [welcome, joined] = EVENTS
  const broken = { ...joined, head: -1 }
  const values = [welcome, { type: 'new' }, null, 7, [], { type: 'constructor' }, broken, joined]
  assert.deepEqual(parse(values), [welcome, { type: 'broken', room }, joined])
})

test('an entry of an unknown kind only moves the position', () => {
  assert.deepEqual(parse([{ ...entry, kind: 'poll', question: '?' }]), [
    { type: 'position', room, seq: 3 },
  ])
  assert.deepEqual(parse([{ ...entry, kind: 'poll', seq: 'x' }]), [{ type: 'broken', room }])
  assert.deepEqual(parse([{ ...entry, kind: 'message', body: 7 }]), [{ type: 'broken', room }])
  assert.deepEqual(parse([{ ...entry, kind: 7 }]), [{ type: 'broken', room }])
  assert.deepEqual(parse([{ type: 'joined', room: '?' }]), [{ type: 'broken' }])
})

test('a frame that is not an array is a fault', () => {
  for (const text of ['{}', 'null', '', '{"type":"bye"}', '[', '1', undefined, new Uint8Array()]) {
    assert.throws(() => parseEvents(text), TypeError)
  }
  assert.deepEqual(parseEvents('[]'), [])
})

test('keys that mean something to JavaScript do nothing', () => {
  const text = `[{"type":"__proto__"},{"type":"ping","heads":{"__proto__":7,"a":1}},
    {"__proto__":{"type":"bye","code":1,"retryAfterMs":1}}]`
  assert.deepEqual(parseEvents(text), [{ type: 'ping', heads: { a: 1 } }])
  assert.equal(Object.keys({}).length, 0)
})

test('an event that no client could read does not leave', () => {
  assert.throws(() => encodeEvent({ type: 'read', room: 'No Room', seq: 1 }))
  assert.throws(() => encodeEvent({ type: 'read', room, seq: -1 }))
  assert.throws(() => encodeEvent({ type: 'typing', room, user: { id: 'x', name: '' } }))
})

test('an entry that no client could read leaves as one of a kind that all skip', () => {
  const odd: Entry = { ...entry, kind: 'message', body: '' }
  assert.deepEqual(parseEvents(`[${encodeEntry(odd)}]`), [{ type: 'position', room, seq: 3 }])
})
