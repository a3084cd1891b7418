import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Parcel } from '../../static/outbox.js'
import { Namesakes } from '../../static/namesakes.js'
import { isSame, rowsOf, type View } from '../../static/rows.js'
import { Timeline } from '../../static/timeline.js'
import { entryOf, idOf, me, messageOf, other } from './fakes.ts'

const NOW = new Date(0)

function viewOf(messages: ReturnType<typeof messageOf>[], rest: Partial<View> = {}): View {
  const timeline = new Timeline()
  timeline.reset('epoch', 100)
  timeline.addPage({ head: 100, messages, more: false })
  const people = new Map([
    [me.id, me.name],
    [other.id, other.name],
  ])
  const namesakes = new Namesakes()
  const { items } = timeline
  return { timeline, items, parcels: [], isEnd: true, me, people, namesakes, ...rest }
}

const parcel = (frame: object, rest: Partial<Parcel> = {}) =>
  ({
    frame: { room: 'lobby', id: idOf(500), ...frame },
    at: 200_000,
    strikes: 0,
    ...rest,
  }) as Parcel

test('a run has one head; a pause, a day, another author, an answer begin a new one', () => {
  const at = (time: string) => ({ at: `2026-01-0${time}:00.000Z` })
  const messages = [
    messageOf(1, at('1T12:00')),
    messageOf(2, at('1T12:04')),
    messageOf(3, at('1T12:10')),
    messageOf(4, { ...at('1T12:11'), author: me }),
    messageOf(5, { ...at('1T12:12'), author: me, replyTo: 1 }),
    messageOf(6, { ...at('3T12:12'), author: me }),
  ]
  const rows = rowsOf(viewOf(messages), NOW)
  assert.deepEqual(
    rows.map(({ isFirst }) => isFirst),
    [true, false, true, true, true, true],
  )
  assert.deepEqual(
    rows.map(({ day }) => day !== undefined),
    [true, false, false, false, false, true],
  )
  assert.deepEqual(
    rows.map(({ isOwn }) => isOwn),
    [false, false, false, true, true, true],
  )
})

test('what waits in the outbox lies over what is there; what failed does not', () => {
  const messages = [messageOf(1), messageOf(2), messageOf(3)]
  const parcels = [
    parcel({ type: 'edit', target: 1, body: 'better' }),
    parcel({ type: 'delete', target: 2 }),
    parcel({ type: 'react', target: 3, emoji: '🔥', on: true }),
    parcel({ type: 'edit', target: 3, body: 'refused' }, { failed: 'no' }),
    parcel({ type: 'say', body: 'not sent yet' }),
  ]
  const rows = rowsOf(viewOf(messages, { parcels }), NOW)
  assert.deepEqual(
    rows.map(({ message }) => message.body),
    ['better', 'message 2', 'message 3', 'not sent yet'],
  )
  assert.equal(rows[0]?.message.editedAt, new Date(200_000).toISOString())
  assert.equal(rows[1]?.message.deleted, true)
  assert.deepEqual(rows[2]?.reactions, [{ emoji: '🔥', count: 1, isOn: true, names: 'you' }])
  assert.deepEqual(
    rows.map(({ parcels }) => parcels.length),
    [1, 1, 2, 1],
  )
  const elsewhere = rowsOf(viewOf(messages, { parcels, isEnd: false }), NOW)
  assert.equal(elsewhere.length, 3, 'what is not sent stands at the end alone')
})

test('the line stands above the first message of others that was not read', () => {
  const messages = [messageOf(1), messageOf(2, { author: me }), messageOf(3), messageOf(4)]
  const news = (readUpTo: number) =>
    rowsOf(viewOf(messages, { readUpTo }), NOW).map(({ isNews }) => isNews)
  assert.deepEqual(news(1), [false, false, true, false])
  assert.deepEqual(news(4), [false, false, false, false])
  assert.deepEqual(
    rowsOf(viewOf(messages), NOW).filter(({ isNews }) => isNews),
    [],
  )
})

test('answers know what they answer, mentions and reactions have names as far as known', () => {
  const reactions = [{ emoji: '👍', count: 4, users: [me.id, other.id, idOf(1)] }]
  const messages = [
    messageOf(1),
    messageOf(2, { replyTo: 1, mentions: [other.id, idOf(7)], reactions }),
    messageOf(9, { replyTo: 50 }),
  ]
  const view = viewOf(messages)
  const [first, second, third] = rowsOf(view, NOW)
  assert.equal(second?.quoted, first?.item)
  assert.equal(third?.quoted, 'missing')
  assert.deepEqual(second?.mentions, [other])
  assert.equal(second?.reactions[0]?.names, 'you, Grace, 2 more')
})

test('a row that would look the same is told from one that changed', () => {
  const view = viewOf([messageOf(1), messageOf(2)])
  const before = rowsOf(view, NOW)
  const again = rowsOf(view, NOW)
  assert.ok(before.every((row, i) => isSame(row, again[i]!)))
  view.timeline.apply(entryOf(101, 'edit', { target: 2, body: 'other' }))
  const after = rowsOf({ ...view, items: view.timeline.items, target: 1 }, NOW)
  assert.deepEqual(
    before.map((row, i) => isSame(row, after[i]!)),
    [false, false],
  )
  view.namesakes.meet({ id: idOf(3), name: other.name }, 1)
  view.namesakes.meet(other, 2)
  assert.equal(isSame(after[1]!, rowsOf({ ...view, items: view.timeline.items }, NOW)[1]!), false)
  view.people.set(other.id, 'Grace H.')
  const waiting = rowsOf(
    viewOf([messageOf(1)], { parcels: [parcel({ type: 'delete', target: 1 })] }),
  )
  assert.equal(isSame(before[0]!, waiting[0]!), false)
})
