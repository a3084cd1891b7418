/** The checker is checked: a good history passes, and each kind of lie is caught. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check, type History } from './checker.ts'
import { ann, bob, say } from './log/drafts.ts'
import { MemoryLog } from './log/model.ts'

/** Two people say four things; one looks on from the start, one from the middle. */
function goodHistory(): History {
  const memory = new MemoryLog()
  const drafts = [say(ann, 'a'), say(bob, 'b'), say(ann, 'c'), say(bob, 'd')]
  for (const draft of drafts) memory.appendNow(draft)
  const room = 'lobby'
  const entries = structuredClone(memory.entries(room))
  const said = entries.map(({ author, id, seq }) => ({ author: author.id, id, room, seq }))
  return {
    sent: said.map((one, index) => ({ ...one, body: 'abcd'[index]! })),
    acks: said.slice(0, 3),
    views: [
      { name: 'first', room, after: 0, seen: said, isComplete: true },
      { name: 'later', room, after: 2, seen: said.slice(2, 3), isComplete: false },
    ],
    log: new Map([[room, entries]]),
  }
}

/** The good history with one lie in it must come with a fault that says so. */
function assertCaught(change: (history: History) => Partial<History>, fault: RegExp) {
  const history = goodHistory()
  const faults = check({ ...history, ...change(history) })
  assert.ok(
    faults.some((line) => fault.test(line)),
    faults.join('\n') || 'nothing was found',
  )
}

const entriesOf = ({ log }: History) => log.get('lobby')!
const withLog = (entries: ReturnType<typeof entriesOf>) => ({ log: new Map([['lobby', entries]]) })
const withView = (
  history: History,
  change: (seen: History['views'][0]['seen']) => History['views'][0]['seen'],
) => {
  const [first, ...rest] = history.views
  return { views: [{ ...first!, seen: change([...first!.seen]) }, ...rest] }
}

test('a good history is good, and so is an empty one', () => {
  assert.deepEqual(check(goodHistory()), [])
  assert.deepEqual(check({ sent: [], acks: [], views: [], log: new Map() }), [])
})

test('an acknowledged entry that is not there', () => {
  assertCaught((history) => withLog(entriesOf(history).slice(0, 2)), /acknowledged at 3, lost/)
})

test('an acknowledged entry that is elsewhere', () => {
  const moved = (history: History) => ({
    acks: history.acks.map((ack) => ({ ...ack, seq: ack.seq + 1 })),
  })
  assertCaught(moved, /acknowledged at 2, stored at 1/)
})

test('an entry that was acknowledged twice, at two places', () => {
  const twice = ({ acks }: History) => ({ acks: [...acks, { ...acks[0]!, seq: 4 }] })
  assertCaught(twice, /acknowledged at 4, stored at 1/)
})

test('an entry that nobody sent, or not so', () => {
  assertCaught(({ sent }) => ({ sent: sent.slice(1) }), /1: phantom/)
  const other = ({ sent }: History) => ({ sent: sent.map((one) => ({ ...one, body: 'x' })) })
  assertCaught(other, /4: phantom/)
})

test('an entry that is stored twice', () => {
  const twice = (history: History) => {
    const entries = entriesOf(history)
    return withLog([...entries, { ...entries[0]!, seq: 5 }])
  }
  assertCaught(twice, /stored twice/)
})

test('a hole in the log, and a number that comes twice', () => {
  const without = (index: number) => (history: History) =>
    withLog(entriesOf(history).filter((_, other) => other !== index))
  assertCaught(without(1), /entry 2 of the log has seq 3/)
  const same = (history: History) =>
    withLog(entriesOf(history).map((entry) => ({ ...entry, seq: 1 })))
  assertCaught(same, /entry 2 of the log has seq 1/)
})

test('a client that saw a hole, something twice, or another order', () => {
  assertCaught((history) => withView(history, (seen) => seen.toSpliced(1, 1)), /saw 3 .* where 2/)
  assertCaught(
    (history) => withView(history, (seen) => seen.toSpliced(1, 0, seen[0]!)),
    /saw 1 .* where 2/,
  )
  assertCaught((history) => withView(history, (seen) => seen.toReversed()), /saw 4 .* where 1/)
})

test('a client that saw another entry than the log has', () => {
  const other = (history: History) =>
    withView(history, (seen) => seen.with(1, { seq: 2, id: seen[0]!.id }))
  assertCaught(other, /another entry at 2/)
})

test('a client that stayed and missed the end', () => {
  assertCaught((history) => withView(history, (seen) => seen.slice(0, 3)), /missed the last 1/)
})
