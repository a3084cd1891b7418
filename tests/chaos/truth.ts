/** I1 to I6: what the log has, against what was said, acknowledged, refused and seen. */

import { keyOf, type Book, type Finding, type Log, type Story } from './book.ts'
import { ERASED, erasedBy, isMessage, type FactOf, type Seen } from './record.ts'

/** I1: what was acknowledged is there; below the floor it was, until it was old enough. */
export function* durability({ facts, places, rooms, stories, logs }: Book): Generator<Finding> {
  for (const fact of facts) {
    if (fact.type === 'retain') yield* tooYoung(fact, stories, logs.get(fact.room))
    if (fact.type !== 'ok' || places.has(keyOf(fact.room, fact))) continue
    const { floor = 0, entries = [] } = rooms.get(fact.room) ?? {}
    if (fact.seq <= floor) continue
    const last = entries.at(-1)?.seq ?? 0
    const where = fact.seq > last ? 'the end' : 'the middle'
    yield { what: `acknowledged at ${fact.seq}, lost from ${where} (last ${last})`, facts: [fact] }
  }
  for (const { room, floor } of rooms.values()) {
    const last = facts.findLast((fact) => fact.type === 'retain' && fact.room === room)
    if (last?.type === 'retain') yield* tooYoung({ ...last, floor }, stories, logs.get(room))
    else if (floor > 0) yield { what: `${room} has lost all up to ${floor}`, facts: [] }
  }
}

/** What was dropped, and had been said so short a time before that nobody asked for it. */
function* tooYoung(
  retain: FactOf<'retain'>,
  stories: Book['stories'],
  log: Log | undefined,
): Generator<Finding> {
  const { room, floor, t, ageMs } = retain
  const last = log?.at.get(floor ?? 0)
  const said = last && stories.get(keyOf(room, last))?.invokes[0]
  if (!said || said.t <= t - ageMs) return
  const what = `${room} ${floor} is dropped ${Math.round(t - said.t)} ms after it was said`
  yield { what, facts: [said, retain] }
}

/** I2: each message is there once, and all its acknowledgements name one place. */
export function* uniqueness({ rooms, logs, stories }: Book): Generator<Finding> {
  for (const [room, { entries }] of rooms) {
    const seqs = new Map<string, number>()
    for (const seen of entries) {
      const before = seqs.get(keyOf(room, seen))
      if (before !== undefined) {
        const { invokes = [] } = stories.get(keyOf(room, seen)) ?? {}
        yield { what: `${seen.id} is stored at ${before} and at ${seen.seq}`, facts: invokes }
      }
      seqs.set(keyOf(room, seen), seen.seq)
    }
  }
  for (const { room, oks } of stories.values()) {
    const [first] = oks
    const other = oks.find(
      (ok) => ok.seq !== first!.seq && !isForgotten(first!, ok, logs.get(room)),
    )
    if (other) yield { what: 'acknowledged at two places', facts: [first!, other] }
  }
}

/** Whether the earlier may have been dropped when the later came: it is not known any more then. */
function isForgotten(a: FactOf<'ok'>, b: FactOf<'ok'>, log: Log | undefined) {
  return Math.min(a.seq, b.seq) <= (log?.floorAt(Math.max(a.t, b.t)).most ?? 0)
}

/** I3: nothing is in the log that its author did not say, so; and not what is to be forgotten. */
export function* noPhantom({ logs, rooms, stories, forgotten }: Book): Generator<Finding> {
  for (const [room, log] of logs) {
    for (const seen of log.entries) {
      const { invokes = [] } = stories.get(keyOf(room, seen)) ?? {}
      if (isErasure(seen, log, forgotten)) continue
      if (isSaid(seen, invokes, log)) continue
      yield { what: `${room} ${seen.seq}: nobody said ${JSON.stringify(seen)}`, facts: invokes }
    }
  }
  for (const [room, { entries }] of rooms) {
    for (const seen of entries) {
      const story = stories.get(keyOf(room, seen))
      // What had no answer may have come in behind the tool: docs/data.md.
      if (forgotten.get(seen.author) !== 'stop' || !story || story.infos.length > 0) continue
      if (seen.hash === ERASED || !isMessage(seen)) continue
      yield { what: `${room} ${seen.seq} is of one who is forgotten`, facts: story.invokes }
    }
  }
}

function isSaid({ seq, hash }: Seen, invokes: Story['invokes'], log: Log) {
  const isGone = hash === ERASED && log.mayBeErased(seq)
  return isGone ? invokes.length > 0 : invokes.some((invoke) => invoke.hash === hash)
}

/** A tool says this for somebody who is to be forgotten, of that person's own messages. */
function isErasure(seen: Seen, { at, erased }: Log, forgotten: Book['forgotten']) {
  const target = erasedBy(seen)
  if (target === null || target >= seen.seq || !forgotten.has(seen.author)) return false
  const goal = at.get(target)
  return erased.get(target) === seen.seq && (!goal || goal.author === seen.author)
}

/** I4: what was refused for good, every time it was said, is not there. */
export function* noRefused({ logs, stories }: Book): Generator<Finding> {
  for (const [room, { entries }] of logs) {
    for (const seen of entries) {
      const story = stories.get(keyOf(room, seen))
      if (!story) continue
      const isIt = ({ hash }: { hash: string }) => hash === seen.hash
      const fails = story.fails.filter(isIt)
      const tries = story.invokes.filter(isIt).length
      if (tries === 0 || fails.length < tries || story.oks.some(isIt)) continue
      yield { what: `${room} ${seen.seq}: stored, though it was refused`, facts: fails }
    }
  }
}

/** I5: from the floor on 1, 2, 3 …, no hole, up to the head. */
export function* noGap({ rooms }: Book): Generator<Finding> {
  for (const [room, { entries, floor, head }] of rooms) {
    const index = entries.findIndex(({ seq }, at) => seq !== floor + at + 1)
    const last = entries.at(-1)?.seq ?? 0
    if (index < 0 && last === head) continue
    const what =
      index < 0
        ? `${room}: the head is ${head}, and the last entry ${last}`
        : `${room}: entry ${floor + index + 1} of the log has seq ${entries[index]!.seq}`
    yield { what, facts: [] }
  }
}

/** I6: whoever saw a place of a room saw there what the log has, and so did every final read. */
export function* agreement({ facts, logs, rooms, stories }: Book): Generator<Finding> {
  for (const fact of facts) {
    if (fact.type === 'final') {
      // Pages have messages only.
      const log = rooms.get(fact.room)?.entries.filter(isMessage) ?? []
      const read = fact.entries.filter(isMessage)
      const length = Math.max(log.length, read.length)
      for (let index = 0; index < length; index += 1) {
        if (isSame(log[index], read[index])) continue
        const texts = [log[index], read[index]].map((seen) => JSON.stringify(seen))
        const where = `${fact.room} ${index + 1}: ${fact.source}`
        yield { what: `${where} reads ${texts[1]}, the log has ${texts[0]}`, facts: [] }
        break
      }
    }
    if (fact.type !== 'recv' && fact.type !== 'ok') continue
    const log = logs.get(fact.room)
    const seen = log?.at.get(fact.seq)
    if (isSame(seen, fact) || (seen && isErased(seen, fact, stories, log!))) continue
    const what = `${fact.room} ${fact.seq} is ${JSON.stringify(seen)} in the log`
    yield { what, facts: [fact] }
  }
}

function isSame(a: Seen | undefined, b: Seen | undefined) {
  if (!a || !b) return a === b
  return isSamePlace(a, b) && a.hash === b.hash
}

const isSamePlace = (a: Seen, b: Seen) => a.seq === b.seq && a.id === b.id && a.author === b.author

/** Whether one is the other before, or after, it was erased. */
function isErased(a: Seen, b: FactOf<'recv' | 'ok'>, stories: Book['stories'], log: Log) {
  if (!isSamePlace(a, b) || !log.mayBeErased(a.seq)) return false
  const { invokes = [] } = stories.get(keyOf(b.room, b)) ?? {}
  return [a, b].every(({ hash }) => hash === ERASED || invokes.some((one) => one.hash === hash))
}
