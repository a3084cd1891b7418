/** The checker is checked: clean records pass, and each kind of lie is caught as what it is. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TRUTH } from './book.ts'
import { check } from './checker.ts'
import { fabricate } from './model.ts'
import type { Fact, FactOf, FaultKind, Seen } from './record.ts'

const SEED = 7

/* ------------------------------------------------------------------ clean ones */

test('nothing at all is clean, and so is whatever a Hearth without faults leaves', () => {
  assert.deepEqual(check([]), [])
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 150 }), fc.boolean(), (seed, steps, care) => {
      assert.deepEqual(check(fabricate(seed, steps, care)), [])
    }),
  )
})

test('the records made up for this have everything in them', () => {
  const facts = fabricate(SEED)
  const types = new Set(facts.map(({ type }) => type))
  for (const type of ['invoke', 'ok', 'info', 'fail', 'recv', 'joined', 'left', 'page', 'close']) {
    assert.ok(types.has(type as Fact['type']), type)
  }
  const ways = new Set(all(facts, 'recv').map(({ via }) => via))
  assert.deepEqual([...ways].sort(), ['answer', 'live', 'page', 'repeat', 'resume'])
})

test('a reset is right when more is missed than a resume gives', () => {
  assert.deepEqual(check(withReset(1_001)), [])
  assertCaught('I10', withReset(1_000), /reset without a reason/)
})

/** Somebody who holds the first entry comes back, is told to start afresh, and stays. */
function withReset(missed: number): Fact[] {
  const room = 'attic'
  const head = missed + 1
  const entries = Array.from({ length: head }, (_, index) => seenOf(index + 1))
  const said = (seen: Seen) => ({ conn: 9, room, ...seen })
  const join = (conn: number, t: number, after: number, more: object) => [
    { t, type: 'open', conn, device: 'a', user: 'a', node: '1' },
    { t: t + 1, type: 'join', conn, room, after },
    { t: t + 2, type: 'joined', conn, room, reset: false, asked: t + 1, head: 1, from: 1, ...more },
  ]
  return [
    ...entries.map((seen) => ({ ...said(seen), t: seen.seq === 1 ? -1 : 7, type: 'invoke' })),
    ...entries.map((seen) => ({
      ...said(seen),
      t: seen.seq === 1 ? 0 : 8,
      type: 'ok',
      via: 'live',
    })),
    ...join(1, 1, 0, { head: 1, from: 1 }),
    { t: 5, type: 'recv', conn: 1, room, via: 'resume', ...entries[0]! },
    ...join(2, 10, 1, { head, from: head + 1, reset: true }),
    { t: 20, type: 'stay', conn: 2, room },
    { t: 30, type: 'final', source: TRUTH, room, entries },
  ].sort((a, b) => a.t - b.t) as Fact[]
}

const seenOf = (seq: number): Seen => ({ seq, id: `id-${seq}`, author: 'z', hash: `hash-${seq}` })

/* ------------------------------------------------------------------ one lie each */

const all = <T extends Fact['type']>(facts: readonly Fact[], type: T) =>
  facts.filter((fact): fact is Extract<Fact, { type: T }> => fact.type === type)

function assertCaught(invariant: string, facts: readonly Fact[], what = /./) {
  const violations = check(facts)
  assert.ok(
    violations.some((one) => one.invariant === invariant && what.test(one.what)),
    `${invariant} is not among ${JSON.stringify(violations)}`,
  )
}

/** The final reads of a room, which the change may alter. */
function withLogs(facts: Fact[], change: (entries: Seen[]) => Seen[], sources = [TRUTH, 'node 1']) {
  return facts.map((fact) =>
    fact.type === 'final' && fact.room === 'attic' && sources.includes(fact.source)
      ? { ...fact, entries: change([...fact.entries]) }
      : fact,
  )
}

/** A record with one fact replaced by others. */
function replace(facts: readonly Fact[], fact: Fact | undefined, ...others: Fact[]) {
  assert.ok(fact)
  return facts.flatMap((one) => (one === fact ? others : [one]))
}

/** Numbers them anew, as a log would. */
const renumber = (entries: Seen[]) => entries.map((seen, index) => ({ ...seen, seq: index + 1 }))

test('I1: an acknowledged message that is not there', () => {
  assertCaught(
    'I1',
    withLogs(fabricate(SEED), (entries) => entries.slice(0, -1)),
    /the end/,
  )
  assertCaught(
    'I1',
    withLogs(fabricate(SEED), (entries) => renumber(entries.slice(1))),
    /middle/,
  )
})

test('I2: a message that is there twice, or was acknowledged at two places', () => {
  const twice = withLogs(fabricate(SEED), (entries) => renumber([...entries, entries[0]!]))
  assertCaught('I2', twice, /is stored at 1 and at/)
  const facts = fabricate(SEED)
  const ok = all(facts, 'ok')[0]!
  assertCaught('I2', replace(facts, ok, ok, { ...ok, seq: ok.seq + 1 }), /at two places/)
})

test('I3: an entry that nobody said, or not so', () => {
  const stranger = { id: 'id', author: 'nobody', hash: 'hash', seq: 0 }
  assertCaught(
    'I3',
    withLogs(fabricate(SEED), (entries) => renumber([...entries, stranger])),
  )
  const other = withLogs(fabricate(SEED), ([first, ...rest]) => [{ ...first!, hash: 'x' }, ...rest])
  assertCaught('I3', other, /nobody said/)
})

test('I4: a message that was refused and is there', () => {
  const facts = fabricate(SEED)
  const { id, author, hash, room } = all(facts, 'fail')[0]!
  const stored = facts.map((fact) =>
    fact.type === 'final' && fact.room === room
      ? { ...fact, entries: renumber([...fact.entries, { id, author, hash, seq: 0 }]) }
      : fact,
  )
  assertCaught('I4', stored)
})

test('I5: a hole in the log, and a number that comes twice', () => {
  assertCaught(
    'I5',
    withLogs(fabricate(SEED), (entries) => entries.toSpliced(1, 1)),
  )
  const same = withLogs(fabricate(SEED), (entries) => entries.map((seen) => ({ ...seen, seq: 1 })))
  assertCaught('I5', same, /entry 2 of the log has seq 1/)
})

test('I6: somebody saw something else, or a node reads something else', () => {
  const facts = fabricate(SEED)
  const recv = all(facts, 'recv')[0]!
  assertCaught('I6', replace(facts, recv, { ...recv, hash: 'corrupt' }))
  const ok = all(facts, 'ok')[0]!
  assertCaught('I6', replace(facts, ok, { ...ok, seq: ok.seq + 1 }))
  assertCaught(
    'I6',
    withLogs(facts, (entries) => entries.slice(0, -1), ['node 1']),
    /node 1 reads/,
  )
})

test('I7: what was known before another was said stands after it', () => {
  assertCaught(
    'I7',
    withLogs(fabricate(SEED), (entries) => renumber(entries.reverse())),
  )
})

/** Two messages sent in a row on one socket, and stored where `seqs` says. */
function pipelined(seqs: [number, number], answer: 'ok' | 'info' = 'ok'): Fact[] {
  const [room, author] = ['attic', 'a']
  const seen = seqs.map((seq, n) => ({ seq, id: `id-${n}`, author, hash: `hash-${n}` }))
  const [first, second] = seen.map((one) => ({ conn: 1, room, ...one }))
  const code = 'unavailable'
  return [
    { t: 1, type: 'invoke', ...first! },
    { t: 2, type: 'invoke', ...second! },
    answer === 'ok'
      ? { t: 3, type: 'ok', via: 'live', ...first! }
      : { t: 3, type: 'info', code, ...first! },
    { t: 4, type: 'ok', via: 'live', ...second! },
    { t: 5, type: 'ok', via: 'live', ...first! },
    { t: 6, type: 'final', source: TRUTH, room, entries: seen.sort((a, b) => a.seq - b.seq) },
  ]
}

test('I8: what one socket sent in a row stands in another order', () => {
  assert.deepEqual(check(pipelined([1, 2])), [])
  assertCaught('I8', pipelined([2, 1]), /sent after 2, stored at 1/)
  assert.deepEqual(check(pipelined([2, 1], 'info')), [], 'an unknown one may come later')
})

/** A live entry in the middle of a session: another follows it there. */
function liveOf(facts: readonly Fact[]) {
  const live = all(facts, 'recv').filter(({ via }) => via === 'live')
  const isFollowed = (one: FactOf<'recv'>) =>
    [one.seq - 1, one.seq + 1].every((seq) =>
      live.some(({ conn, room, seq: at }) => conn === one.conn && room === one.room && at === seq),
    )
  return live.find(isFollowed)!
}

/* Over HTTP: a post is answered on a connection of its own, a stream joins once. */

const isPosted = ({ via }: { via: string }) => via === 'answer'

test('I1, I2, I6: the answer to a post that is lost, is another place, is another entry', () => {
  const facts = fabricate(SEED)
  const ok = all(facts, 'ok').find(isPosted)!
  const lost = facts.map((fact) =>
    fact.type === 'final' && fact.room === ok.room
      ? { ...fact, entries: renumber(fact.entries.filter(({ id }) => id !== ok.id)) }
      : fact,
  )
  assertCaught('I1', lost, /acknowledged at/)
  assertCaught('I6', replace(facts, ok, { ...ok, seq: ok.seq + 1 }))
  const repeat = { ...ok, conn: 99, via: 'repeat', seq: ok.seq + 1 } as const
  assertCaught('I2', replace(facts, ok, ok, repeat), /at two places/)
  const recv = all(facts, 'recv').find(isPosted)!
  assertCaught('I6', replace(facts, recv, { ...recv, id: 'made up by the server' }))
})

test('I8: posts that were under way at the same time have no order', () => {
  const [first, second, ...rest] = pipelined([2, 1])
  const apart = [first, second, ...rest].map((fact) =>
    fact && 'id' in fact && fact.id === 'id-1' ? { ...fact, conn: 2 } : fact!,
  )
  assert.deepEqual(check(apart), [])
})

test('I9, I10: a stream is a connection like others', () => {
  const facts = fabricate(SEED).map((fact) =>
    fact.type === 'open' && !fact.over ? { ...fact, over: 'stream' as const } : fact,
  )
  assert.deepEqual(check(facts), [])
  const recv = liveOf(facts)
  assertCaught('I9', replace(facts, recv), /is next/)
  const resume = all(facts, 'joined').find(({ from, head }) => from > 1 && from < head)!
  const late = { ...resume, from: resume.from + 1 }
  assertCaught('I10', replace(facts, resume, late), /resumes at/)
  assertCaught('I10', replace(facts, resume, { ...resume, reset: true }), /starts afresh at/)
})

test('I12: the answer to a post needs nobody in the room, a page does', () => {
  const seen = seenOf(1)
  const [room, conn] = ['attic', 1]
  const [asked, before, count] = [3, null, 1]
  const facts: Fact[] = [
    { t: 1, type: 'invoke', conn, room, ...seen },
    { t: 2, type: 'recv', conn, room, via: 'answer', ...seen },
    { t: 2, type: 'ok', conn, room, via: 'answer', ...seen },
    { t: 9, type: 'final', source: TRUTH, room, entries: [seen] },
  ]
  assert.deepEqual(check(facts), [])
  const page: Fact = { t: 4, type: 'page', conn, room, head: 1, before, count, first: 1, asked }
  assertCaught('I12', replace(facts, facts[2], facts[2]!, page))
})

test('I9: a session with a hole, with something twice, in another order, past a ping', () => {
  const facts = fabricate(SEED)
  const recv = liveOf(facts)
  assertCaught('I9', replace(facts, recv), /is next/)
  assertCaught('I9', replace(facts, recv, recv, recv))
  const { t, conn, room, seq } = recv
  const ping = { t, type: 'heard', conn, room, what: 'ping', seq: seq + 1 } as const
  assertCaught('I9', replace(facts, recv, recv, ping), /the ping says/)
})

test('I10: a resume that overlaps, or leaves something out', () => {
  const facts = fabricate(SEED)
  const resume = all(facts, 'joined').find(({ from, head }) => from > 1 && from < head)!
  for (const by of [-1, 1]) {
    assertCaught('I10', replace(facts, resume, { ...resume, from: resume.from + by }), /resumes at/)
  }
  const first = facts[facts.indexOf(resume) + 1]
  assertCaught('I10', replace(facts, first), /is next/)
})

test('I10: who changes its mind about leaving is given again what came before that was confirmed', () => {
  const room = 'attic'
  const entries = [1, 2, 3].map(seenOf)
  const at = (t: number, conn = 1) => ({ t, conn, room })
  const back = (from: number): Fact[] => [
    { t: 0, type: 'open', conn: 1, device: 'a', user: 'a', node: '1' },
    { ...at(1), type: 'join', after: 0 },
    { ...at(2), type: 'joined', reset: false, asked: 1, head: 0, from: 1 },
    ...entries.map((seen): Fact => ({ ...at(3, 9), type: 'invoke', ...seen })),
    ...entries.map((seen): Fact => ({ ...at(4, 9), type: 'ok', via: 'answer', ...seen })),
    { ...at(5), type: 'recv', via: 'live', ...entries[0]! },
    { ...at(6), type: 'join', after: 1 },
    { ...at(7), type: 'recv', via: 'live', ...entries[1]! },
    { ...at(8), type: 'left' },
    { ...at(9), type: 'joined', reset: false, asked: 6, head: 3, from },
    ...entries
      .filter(({ seq }) => seq >= from)
      .map((seen): Fact => ({ ...at(10), type: 'recv', via: 'resume', ...seen })),
    { t: 99, type: 'final', source: TRUTH, room, entries },
  ]
  assert.deepEqual(check(back(2)), [])
  for (const from of [1, 3]) assertCaught('I10', back(from), /resumes at/)
})

test('I11: who stayed has not got the end', () => {
  const facts = fabricate(SEED)
  const stays = new Set(all(facts, 'stay').map(({ conn }) => conn))
  const last = all(facts, 'recv').findLast(
    ({ conn, via, room }) =>
      stays.has(conn) && (via === 'live' || via === 'resume') && room === 'attic',
  )
  assertCaught('I11', replace(facts, last), /stayed in attic/)
})

test('I12: who left hears of the room, and so does who never came', () => {
  const facts = fabricate(SEED)
  const left = all(facts, 'left')[0]!
  const { conn, room, t } = left
  const leak = { t, type: 'recv', conn, room, via: 'live', ...seenOf(1) } as const
  assertCaught('I12', replace(facts, left, left, leak), /without being in it/)
  const whisper = { t, type: 'heard', conn, room: 'loft', what: 'presence' } as const
  assertCaught('I12', replace(facts, left, left, whisper))
})

test('I12: the other device of who left still hears of the room', () => {
  const room = 'attic'
  const entry = { conn: 2, room, via: 'live', ...seenOf(1) } as const
  const leak = (t: number): Fact[] => [
    ...[1, 2].flatMap((conn): Fact[] => [
      { t: 1, type: 'open', conn, device: `a-${conn}`, user: 'a', node: '1' },
      { t: 1, type: 'joined', conn, room, head: 0, from: 1, reset: false, asked: 1 },
    ]),
    { t: 2, type: 'left', conn: 1, room },
    { t: 3, type: 'invoke', ...entry },
    { t, type: 'recv', ...entry },
    { t, type: 'ok', ...entry },
    { t, type: 'final', source: TRUTH, room, entries: [seenOf(1)] },
  ]
  assert.deepEqual(check(leak(4_000)), [])
  assertCaught('I12', leak(6_000), /still hears/)
})

test('I13: a read that does not show what was known, or has a hole', () => {
  const facts = fabricate(SEED)
  const page = all(facts, 'page').findLast(({ count }) => count > 2)!
  const older = { ...page, head: page.head - 1, count: page.count - 1 }
  assertCaught('I13', replace(facts, page, older), /was known before/)
  assertCaught('I13', replace(facts, page, { ...page, count: page.count - 1 }), /not whole/)
})

test('I14: a process that ended by itself', () => {
  assertCaught('I14', [{ t: 1, type: 'exit', node: '1', by: 'self', how: '1: out of memory' }])
  assert.deepEqual(check([{ t: 1, type: 'exit', node: '1', by: 'harness', how: 'SIGKILL' }]), [])
})

test('I15: a message without an answer, a client that never came back', () => {
  const facts = fabricate(SEED)
  const { t, ...attempt } = all(facts, 'invoke')[0]!
  assertCaught('I15', [...facts, { t: t + 0.5, ...attempt, id: 'new' }], /never answered/)
  assertCaught('I15', [{ t: 1, type: 'astray', device: 'a', what: 'closed with 4501' }])
  const silence: Fact = { t: 11_000, type: 'silence', conn: 1, id: 'id', since: 1_000 }
  assertCaught('I15', [silence], /no answer for 10000 ms/)
  assert.deepEqual(check([...window('bus frozen', 'bus', 5_000, 6_000), silence]), [])
})

function window(name: string, kind: FaultKind, from: number, to: number): Fact[] {
  return [
    { t: from, type: 'fault', name, kind, phase: 'start', what: '' },
    { t: to, type: 'fault', name, kind, phase: 'stop', what: '' },
  ]
}

/** Somebody says one thing at each of these times and has the answer at the other. */
function talk(times: [said: number, answered: number][], ...more: Fact[]): Fact[] {
  const room = 'attic'
  const seen = times.map((_, index) => seenOf(index + 1))
  const facts = times.flatMap(([said, answered], index): Fact[] => [
    { t: said, type: 'invoke', conn: 1, room, ...seen[index]! },
    { t: answered, type: 'ok', conn: 1, room, via: 'live', ...seen[index]! },
  ])
  const final: Fact = { t: 1e6, type: 'final', source: TRUTH, room, entries: seen }
  return [...facts, ...more, final].sort((a, b) => a.t - b.t)
}

test('I15: outages of the database: no acknowledgement, an answer in time, a quick return', () => {
  const outage = window('database stopped', 'database', 10_000, 18_000)
  const patient: [number, number][] = [
    [1, 2],
    [14_000, 18_100],
    [19_000, 19_100],
  ]
  assert.deepEqual(check(talk(patient, ...outage)), [])
  assertCaught('I15', talk([[12_000, 13_000]], ...outage), /while there was no database/)
  assertCaught('I15', talk([[10_500, 18_100]], ...outage), /no answer for 7500 ms/)
  assertCaught('I15', talk([[19_000, 24_000]], ...outage), /again after 6000 ms/)
})

test('I15: outages of the bus: acknowledgements go on, deliveries are not late', () => {
  const outage = window('bus stopped', 'bus', 10_000, 13_000)
  const chatter = [10_100, 11_000, 12_000, 12_900].map((t): [number, number] => [t, t + 1])
  assert.deepEqual(check(talk(chatter, ...outage)), [])
  assertCaught('I15', talk(chatter.slice(0, 1), ...outage), /nothing acknowledged for/)
  const late = { t: 12_950, type: 'recv', conn: 2, room: 'attic', via: 'live' } as const
  const joined = { conn: 2, room: 'attic', head: 0, from: 1, reset: false, asked: 1 } as const
  const other: Fact[] = [
    { t: 1, type: 'open', conn: 2, device: 'b', user: 'b', node: '1' },
    { t: 2, type: 'joined', ...joined },
  ]
  assertCaught('I15', talk(chatter, ...other, { ...late, ...seenOf(1) }, ...outage), /late/)
})

/* ------------------------------------------------------------------ any lie */

/** Changes of one fact, each of which makes any clean record a lie. */
const LIES: ((facts: Fact[], pick: <T>(values: readonly T[]) => T | undefined) => Fact[] | null)[] =
  [
    (facts, pick) => change(facts, pick(all(facts, 'ok')), (ok) => ({ ...ok, seq: ok.seq + 1 })),
    (facts, pick) => change(facts, pick(all(facts, 'recv')), (recv) => ({ ...recv, id: 'other' })),
    (facts, pick) =>
      change(facts, pick(all(facts, 'recv')), (recv) => ({ ...recv, hash: 'other' })),
    (facts, pick) => {
      const ordered = all(facts, 'recv').filter(({ via }) => via === 'live' || via === 'resume')
      return change(facts, pick(ordered), () => null)
    },
    (facts, pick) =>
      change(facts, pick(all(facts, 'joined')), (joined) => ({ ...joined, from: joined.from + 1 })),
    (facts, pick) => change(facts, pick(all(facts, 'final')), lastDropped),
    (facts, pick) => change(facts, pick(all(facts, 'final')), firstDoubled),
  ]

/** From here on they are about what is left at the end. */
const ABOUT_THE_END = 5

function change<F extends Fact>(facts: Fact[], fact: F | undefined, by: (fact: F) => F | null) {
  if (!fact) return null
  const changed = by(fact)
  return replace(facts, fact, ...(changed ? [changed] : []))
}

const lastDropped = (final: FactOf<'final'>) =>
  final.entries.length > 0 ? { ...final, entries: final.entries.slice(0, -1) } : final
const firstDoubled = (final: FactOf<'final'>) => ({
  ...final,
  entries: renumber([...final.entries.slice(0, 1), ...final.entries, seenOf(0)]),
})

test('one fact of a clean record changed is caught', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(),
      fc.nat(LIES.length - 1),
      fc.boolean(),
      (seed, place, lie, care) => {
        // Of what one client alone has seen and retention has dropped since, any lie may be true.
        const facts = fabricate(seed, 80, care && lie >= ABOUT_THE_END)
        const lying = LIES[lie]!(facts, (values) => values[place % values.length])
        fc.pre(lying !== null && JSON.stringify(lying) !== JSON.stringify(facts))
        assert.notDeepEqual(check(lying!), [])
      },
    ),
    { numRuns: 500 },
  )
})
