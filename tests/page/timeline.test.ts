import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Timeline } from '../../static/timeline.js'
import { entryOf, idOf, me, messageOf, other, said } from './fakes.ts'

/** Whose newest page is held, up to `position`. */
function timelineAt(position: number, ...messages: ReturnType<typeof messageOf>[]) {
  const timeline = new Timeline()
  timeline.reset('epoch', position)
  timeline.addPage({ head: position, messages, more: messages[0]?.seq !== 1 })
  return timeline
}

const bodies = (timeline: Timeline) => timeline.items.map((item) => item.body)

test('entries follow a page one by one; those before it are seen, a jump is a hole', () => {
  const timeline = timelineAt(2, messageOf(1), messageOf(2))
  assert.equal(timeline.last, idOf(2))
  assert.equal(timeline.apply(said(2)), 'seen')
  assert.equal(timeline.apply(said(4)), 'hole')
  assert.equal(timeline.apply(said(3)), 'applied')
  assert.deepEqual(bodies(timeline), ['message 1', 'message 2', 'message 3'])
  assert.equal(timeline.position, 3)
  assert.equal(timeline.last, idOf(3))
})

test('an entry of an unknown kind only moves the position', () => {
  const timeline = timelineAt(1, messageOf(1))
  assert.equal(timeline.apply({ type: 'position', room: 'lobby', seq: 2 }), 'applied')
  assert.equal(timeline.position, 2)
  assert.equal(timeline.last, undefined)
  assert.equal(timeline.items.length, 1)
})

test('the last edit wins, and a delete beats all', () => {
  const timeline = timelineAt(1, messageOf(1))
  timeline.apply(entryOf(2, 'edit', { target: 1, body: 'better' }))
  timeline.apply(entryOf(3, 'edit', { target: 1, body: 'best' }))
  assert.equal(timeline.items[0]?.body, 'best')
  assert.equal(timeline.items[0]?.editedAt, new Date(3000).toISOString())
  timeline.apply(entryOf(4, 'delete', { target: 1 }))
  timeline.apply(entryOf(5, 'edit', { target: 1, body: 'too late' }))
  timeline.apply(entryOf(6, 'reaction', { target: 1, emoji: '🔥', on: true }))
  assert.deepEqual(timeline.items[0]?.deleted, true)
  assert.equal(timeline.items[0]?.body, undefined)
  assert.deepEqual(timeline.items[0]?.reactions, [])
})

test('an erased edit, replayed, changes nothing', () => {
  const timeline = timelineAt(1, messageOf(1))
  timeline.apply(entryOf(2, 'edit', { target: 1, deleted: true }))
  assert.equal(timeline.items[0]?.body, 'message 1')
})

test('of a person and an emoji the last reaction counts', () => {
  const timeline = timelineAt(1, messageOf(1))
  const react = (seq: number, on: boolean, author = other) =>
    timeline.apply(entryOf(seq, 'reaction', { target: 1, emoji: '🔥', on, author }))
  react(2, true)
  react(3, true)
  react(4, true, me)
  assert.deepEqual(timeline.items[0]?.reactions, [
    { emoji: '🔥', count: 2, users: [other.id, me.id] },
  ])
  react(5, false)
  react(6, false)
  assert.deepEqual(timeline.items[0]?.reactions, [{ emoji: '🔥', count: 1, users: [me.id] }])
  react(7, false, me)
  assert.deepEqual(timeline.items[0]?.reactions, [])
})

test('what a page has folded in is not folded in again', () => {
  const timeline = timelineAt(5, messageOf(5))
  timeline.apply(entryOf(6, 'edit', { target: 1, body: 'first edit' }))
  timeline.apply(entryOf(7, 'reaction', { target: 1, emoji: '👍', on: true }))
  const folded = messageOf(1, { body: 'first edit' })
  timeline.addPage({ head: 6, messages: [folded], more: false, before: 5 })
  assert.deepEqual(timeline.items[0]?.reactions, [{ emoji: '👍', count: 1, users: [other.id] }])
  assert.equal(timeline.items[0]?.editedAt, undefined, 'entry 6 was in the page')
  assert.equal(timeline.stretches.length, 1)
  assert.equal(timeline.newest.start, 0)
})

test('an item that changes is replaced, the others are not', () => {
  const timeline = timelineAt(2, messageOf(1), messageOf(2))
  const [first, second] = timeline.items
  timeline.apply(entryOf(3, 'edit', { target: 1, body: 'new' }))
  assert.notEqual(timeline.items[0], first)
  assert.equal(timeline.items[1], second)
})

test('a repeat does not move the position, and is shown once', () => {
  const timeline = timelineAt(1, messageOf(1))
  timeline.apply(said(3, { repeat: true }))
  assert.equal(timeline.position, 1)
  timeline.apply(said(2))
  timeline.apply(said(3))
  assert.deepEqual(bodies(timeline), ['message 1', 'message 2', 'message 3'])
  assert.equal(timeline.position, 3)
  timeline.apply(said(1, { repeat: true }))
  assert.equal(timeline.items.length, 3)
})

test('older messages are let go, and count as more', () => {
  const timeline = timelineAt(3, messageOf(1), messageOf(2), messageOf(3))
  timeline.trim(2)
  assert.deepEqual(bodies(timeline), ['message 2', 'message 3'])
  assert.equal(timeline.newest.start, 2)
})

test('a reset drops everything', () => {
  const timeline = timelineAt(3, messageOf(3))
  timeline.reset('other', 900)
  assert.deepEqual([timeline.items.length, timeline.position, timeline.epoch], [0, 900, 'other'])
  assert.equal(timeline.newest.start, 901)
})

test('a page from before a reset is too old: what has changed since is not known', () => {
  const timeline = timelineAt(100, messageOf(100))
  timeline.reset('epoch', 150)
  const page = { messages: [messageOf(50)], more: true, before: 51 }
  timeline.addPage({ ...page, head: 149 })
  assert.equal(timeline.at(50), undefined)
  timeline.addPage({ ...page, head: 150 })
  assert.equal(timeline.at(50)?.body, 'message 50')
})

test('a page may be late by many changes, but not by more than are remembered', () => {
  const timeline = timelineAt(100, messageOf(100))
  const change = (seq: number) =>
    timeline.apply(entryOf(seq, 'edit', { target: 50, body: `edit ${seq}` }))
  for (let seq = 101; seq <= 1_101; seq++) change(seq)
  const page = { messages: [messageOf(50)], more: true, before: 51 }
  timeline.addPage({ ...page, head: 599 })
  assert.equal(timeline.at(50), undefined)
  timeline.addPage({ ...page, head: 600 })
  assert.equal(timeline.at(50)?.body, 'edit 1101')
})

/** The seqs of every stretch. */
const seqs = ({ stretches }: Timeline) => stretches.map(({ items }) => items.map(({ seq }) => seq))
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => messageOf(from + i))

test('a page from the middle stands apart until pages close the hole', () => {
  const timeline = timelineAt(100, ...range(91, 100))
  timeline.addPage({ head: 100, messages: range(40, 49), more: true, before: 50 })
  assert.deepEqual(
    timeline.stretches.map(({ start, end }) => [start, end]),
    [
      [40, 50],
      [91, Infinity],
    ],
  )
  assert.equal(timeline.at(45)?.body, 'message 45')
  assert.equal(timeline.at(60), undefined)
  assert.equal(timeline.stretchAt(60), undefined)
  // Cut short: it reaches the newest stretch, and not yet the one before.
  timeline.addPage({ head: 100, messages: range(70, 90), more: true, before: 91 })
  assert.equal(timeline.stretches.length, 2)
  timeline.addPage({ head: 100, messages: range(50, 69), more: true, before: 70 })
  assert.deepEqual(seqs(timeline), [range(40, 100).map(({ seq }) => seq)])
  assert.equal(timeline.newest.end, Infinity)
})

test('what happens to a message of any stretch is seen, and a new one joins the newest', () => {
  const timeline = timelineAt(10, ...range(9, 10))
  timeline.addPage({ head: 10, messages: range(2, 3), more: true, before: 4 })
  timeline.apply(entryOf(11, 'edit', { target: 3, body: 'mended' }))
  timeline.apply(said(12))
  assert.equal(timeline.at(3)?.body, 'mended')
  assert.deepEqual(seqs(timeline), [
    [2, 3],
    [9, 10, 12],
  ])
  timeline.trim(2)
  assert.deepEqual(seqs(timeline), [[10, 12]])
})

test('a page with nothing in it says only whether there is more', () => {
  const timeline = new Timeline()
  timeline.reset('epoch', 5)
  timeline.addPage({ head: 5, messages: [], more: true })
  assert.equal(timeline.newest.start, 6)
  timeline.addPage({ head: 5, messages: [], more: false })
  assert.equal(timeline.newest.start, 0)
})
