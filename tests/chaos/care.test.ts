/** The checker knows what the data tools may do, and catches what they may not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TRUTH } from './book.ts'
import { check } from './checker.ts'
import { CARE } from './liveness.ts'
import { ERASED, type Fact, type Seen } from './record.ts'

const room = 'attic'
const AGE_MS = 1_000

const seenOf = (seq: number, more: Partial<Seen> = {}): Seen => {
  return { seq, id: `id-${seq}`, author: 'z', hash: `hash-${seq}`, ...more }
}

/** Three messages, posted and answered a second apart; all that anybody saw of the room. */
function talk(): Fact[] {
  return [1, 2, 3].flatMap((seq) => say(seq, seq * 1_000))
}

function say(seq: number, t: number, more: Partial<Seen> = {}): Fact[] {
  const said = { conn: seq, room, ...seenOf(seq, more) }
  return [
    { t, type: 'invoke', ...said },
    { t: t + 1, type: 'open', conn: seq, device: 'a', user: said.author, node: '1', over: 'post' },
    { t: t + 2, type: 'recv', via: 'answer', ...said },
    { t: t + 3, type: 'ok', via: 'answer', ...said },
  ]
}

const retain = (t: number, floor: number | null): Fact => {
  return { t, type: 'retain', room, ageMs: AGE_MS, floor, asked: t - 1 }
}

const forget = (t: number, phase: 'start' | 'stop', user = 'z'): Fact => {
  return { t, type: 'forget', user, phase }
}

const final = (entries: Seen[], floor = 0, head = entries.at(-1)?.seq ?? 0): Fact => {
  return { t: 90_000, type: 'final', source: TRUTH, room, entries, floor, head }
}

const wrongs = (facts: readonly Fact[]) => {
  const sorted = [...facts].sort((a, b) => a.t - b.t)
  return check(sorted).map(({ invariant, what }) => `${invariant}: ${what}`)
}

function assertCaught(invariant: string, facts: readonly Fact[], what: RegExp) {
  const found = wrongs(facts)
  assert.ok(
    found.some((text) => text.startsWith(`${invariant}:`) && what.test(text)),
    `${invariant} ${what} is not among ${JSON.stringify(found)}`,
  )
}

test('I1: what is dropped was old enough, and somebody ran the tool', () => {
  const kept = [seenOf(3)]
  assert.deepEqual(wrongs([...talk(), retain(3_100, 2), final(kept, 2)]), [])
  assertCaught('I1', [...talk(), retain(2_900, 2), final(kept, 2)], /900 ms after it was said/)
  assertCaught('I1', [...talk(), retain(2_900, null), final(kept, 2)], /900 ms after it was said/)
  assertCaught('I1', [...talk(), final(kept, 2)], /has lost all up to 2/)
  assertCaught('I1', [...talk(), retain(3_100, 1), final([seenOf(2)], 1)], /lost from the end/)
})

test('I2: said again, it is new only when it may have been dropped', () => {
  const again = say(4, 4_000, { id: 'id-1', hash: 'hash-1' })
  const entries = [seenOf(3), seenOf(4, { id: 'id-1', hash: 'hash-1' })]
  const facts = [...talk(), ...again]
  assert.deepEqual(wrongs([...facts, retain(3_900, 2), final(entries, 2)]), [])
  assertCaught(
    'I2',
    [...facts, retain(4_500, 0), retain(5_500, 2), final(entries, 2)],
    /at two places/,
  )
  assertCaught('I2', [...facts, final([seenOf(1), seenOf(2), ...entries])], /at two places/)
})

test('I3: what is erased is so by an entry, of one who asked for it', () => {
  const gone = seenOf(1, { hash: ERASED })
  const erasure = seenOf(4, { id: 'e', hash: 'delete 1' })
  const [, ...others] = [1, 2, 3].map((seq) => seenOf(seq, { author: seq === 1 ? 'z' : 'y' }))
  const said = [
    ...say(1, 1_000),
    ...[2, 3].flatMap((seq) => say(seq, seq * 1_000, { author: 'y' })),
  ]
  const facts = [...said, forget(4_000, 'start'), forget(5_000, 'stop')]
  assert.deepEqual(wrongs([...facts, final([gone, ...others, erasure])]), [])
  assertCaught('I3', [...said, final([gone, ...others, erasure])], /nobody said .*delete 1/)
  assertCaught('I3', [...facts, final([gone, ...others])], /nobody said .*no body/)
  assertCaught('I3', [...facts, final([seenOf(1), ...others])], /is of one who is forgotten/)
  const foreign = { ...erasure, hash: 'delete 2' }
  assertCaught('I3', [...facts, final([gone, ...others, foreign])], /nobody said .*delete 2/)
  // Cut off, it may have erased some of it, or none.
  assert.deepEqual(wrongs([...said, forget(4_000, 'start'), final([seenOf(1), ...others])]), [])
})

test('I5: the floor says where the log begins, and the head where it ends', () => {
  const facts = [...talk(), retain(3_100, 1)]
  const entries = [seenOf(2), seenOf(3)]
  assert.deepEqual(wrongs([...facts, final(entries, 1)]), [])
  assertCaught('I5', [...facts, final([seenOf(3)], 1)], /entry 2 of the log has seq 3/)
  assertCaught('I5', [...facts, final([seenOf(1), ...entries], 1)], /entry 2 of the log has seq 1/)
  assertCaught('I5', [...facts, final(entries, 1, 4)], /the head is 4, and the last entry 3/)
})

test('I6: nobody saw anything else below the floor, or where something was erased', () => {
  const other = (hash: string): Fact => {
    return { t: 3_500, type: 'recv', conn: 9, room, via: 'answer', ...seenOf(1, { hash }) }
  }
  const facts = [...talk(), retain(3_600, 2), final([seenOf(3)], 2)]
  assert.deepEqual(wrongs([...facts, other('hash-1')]), [])
  assertCaught('I6', [...facts, other('else')], /attic 1 is/)
  assertCaught(
    'I6',
    [...talk(), other(ERASED), final([1, 2, 3].map((n) => seenOf(n)))],
    /attic 1 is/,
  )
})

test('I10: below the floor nobody goes on, and only there all start afresh', () => {
  const back = (t: number, after: number, joined: object): Fact[] => [
    { t, type: 'open', conn: 9, device: 'b', user: 'b', node: '1' },
    { t: t + 1, type: 'join', conn: 9, room, after },
    {
      ...{ t: t + 2, type: 'joined', conn: 9, room, head: 3, asked: t + 1 },
      ...{ from: after + 1, reset: false, ...joined },
    },
  ]
  const afresh = { reset: true, from: 4 }
  const facts = [...talk(), retain(3_100, 2), final([seenOf(3)], 2)]
  assert.deepEqual(wrongs([...facts, ...back(4_000, 1, afresh)]), [])
  assertCaught('I10', [...facts, ...back(4_000, 1, {})], /resumes at 2, below the floor 2/)
  assertCaught('I10', [...facts, ...back(4_000, 3, afresh)], /without a reason/)
  const early = [...talk(), retain(3_090, 0), retain(3_500, 2), final([seenOf(3)], 2)]
  assertCaught('I10', [...early, ...back(3_010, 1, afresh)], /without a reason/)
})

test('I13: a page has no word of what was erased by then', () => {
  const entries = [seenOf(1, { hash: ERASED }), seenOf(2, { hash: 'delete 1', id: 'e' })]
  const page = (head: number, hash: string): Fact[] => [
    { t: 4_000, type: 'open', conn: 9, device: 'b', user: 'b', node: '1' },
    { t: 4_001, type: 'joined', conn: 9, room, head: 2, from: 3, reset: false, asked: 4_000 },
    { t: 4_002, type: 'page', conn: 9, room, head, before: null, count: 1, first: 1, asked: 4_001 },
    { t: 4_003, type: 'recv', conn: 9, room, via: 'page', ...seenOf(1, { hash }) },
  ]
  const facts = [...say(1, 1_000), forget(2_000, 'start'), forget(3_000, 'stop'), final(entries)]
  assert.deepEqual(wrongs([...facts, ...page(2, ERASED)]), [])
  assertCaught('I13', [...facts, ...page(2, 'hash-1')], /erased by 2/)
})

test('I14: a tool that fails while nothing else is broken', () => {
  const tool = (since: number): Fact => {
    return { t: since + 500, type: 'tool', command: 'retain', since, code: 1, output: 'no' }
  }
  const fault = (name: string, from: number, to: number): Fact[] => [
    { t: from, type: 'fault', name, kind: 'data', phase: 'start', what: '' },
    { t: to, type: 'fault', name, kind: 'data', phase: 'stop', what: '' },
  ]
  const facts = [...fault(CARE, 1_000, 20_000), ...fault('database stopped', 10_000, 12_000)]
  assert.deepEqual(wrongs([...facts, tool(11_000)]), [])
  assertCaught('I14', [...facts, tool(5_000)], /retain failed: 1: no/)
})

test('I15: while one node is frozen, the others answer nearly as ever', () => {
  const answered = (t: number, node: string, ms: number, conn: number): Fact[] => {
    const said = { conn, room, ...seenOf(conn) }
    return [
      { t: 1, type: 'open', conn, device: node, user: 'z', node, over: 'post' },
      { t, type: 'invoke', ...said },
      { t: t + ms, type: 'recv', via: 'answer', ...said },
      { t: t + ms, type: 'ok', via: 'answer', ...said },
    ]
  }
  const run = (ms: number, node: string) => [
    ...answered(1_000, '1', 300, 1),
    { t: 9_990, type: 'fault', name: 'SIGSTOP', kind: 'node', phase: 'start', what: '' } as const,
    { t: 10_050, type: 'freeze', node: '2', since: 10_000, isInside: true } as const,
    ...answered(10_020, node, ms, 2),
    { t: 15_000, type: 'fault', name: 'SIGSTOP', kind: 'node', phase: 'stop', what: '' } as const,
    final([seenOf(1), seenOf(2)]),
  ]
  assert.deepEqual(wrongs(run(1_200, '1')), [])
  assertCaught(
    'I15',
    run(1_400, '1'),
    /the other nodes answered after 1400 ms, in peace after 300 ms/,
  )
  assert.deepEqual(wrongs(run(4_000, '2')), [])
})
