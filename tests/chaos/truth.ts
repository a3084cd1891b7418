/** I1 to I6: what the log has, against what was said, acknowledged, refused and seen. */

import { keyOf, type Book, type Finding } from './book.ts'
import type { Seen } from './record.ts'

/** I1: what was acknowledged is there. */
export function* durability({ facts, places, logs }: Book): Generator<Finding> {
  for (const fact of facts) {
    if (fact.type !== 'ok' || places.has(keyOf(fact.room, fact))) continue
    const head = logs.get(fact.room)?.length ?? 0
    const where = fact.seq > head ? 'the end' : 'the middle'
    yield { what: `acknowledged at ${fact.seq}, lost from ${where} (head ${head})`, facts: [fact] }
  }
}

/** I2: each message is there once, and all its acknowledgements name one place. */
export function* uniqueness({ logs, stories }: Book): Generator<Finding> {
  for (const [room, log] of logs) {
    const seqs = new Map<string, number>()
    for (const seen of log) {
      const before = seqs.get(keyOf(room, seen))
      if (before !== undefined) {
        const { invokes = [] } = stories.get(keyOf(room, seen)) ?? {}
        yield { what: `${seen.id} is stored at ${before} and at ${seen.seq}`, facts: invokes }
      }
      seqs.set(keyOf(room, seen), seen.seq)
    }
  }
  for (const { oks } of stories.values()) {
    const other = oks.find(({ seq }) => seq !== oks[0]!.seq)
    if (other) yield { what: 'acknowledged at two places', facts: [oks[0]!, other] }
  }
}

/** I3: nothing is in the log that its author did not say, so. */
export function* noPhantom({ logs, stories }: Book): Generator<Finding> {
  for (const [room, log] of logs) {
    for (const seen of log) {
      const { invokes = [] } = stories.get(keyOf(room, seen)) ?? {}
      if (invokes.some(({ hash }) => hash === seen.hash)) continue
      yield { what: `${room} ${seen.seq}: nobody said ${JSON.stringify(seen)}`, facts: invokes }
    }
  }
}

/** I4: what was refused for good, every time it was said, is not there. */
export function* noRefused({ logs, stories }: Book): Generator<Finding> {
  for (const [room, log] of logs) {
    for (const seen of log) {
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

/** I5: 1, 2, 3 …, no hole. */
export function* noGap({ logs }: Book): Generator<Finding> {
  for (const [room, log] of logs) {
    const index = log.findIndex(({ seq }, at) => seq !== at + 1)
    if (index < 0) continue
    yield { what: `${room}: entry ${index + 1} of the log has seq ${log[index]!.seq}`, facts: [] }
  }
}

/** I6: whoever saw a place of a room saw there what the log has, and so did every final read. */
export function* agreement({ facts, logs }: Book): Generator<Finding> {
  const entryAt = (room: string, seq: number) => {
    const log = logs.get(room)
    return log?.[seq - 1]?.seq === seq ? log[seq - 1] : log?.find((seen) => seen.seq === seq)
  }
  for (const fact of facts) {
    if (fact.type === 'final') {
      const log = logs.get(fact.room) ?? []
      const length = Math.max(log.length, fact.entries.length)
      for (let index = 0; index < length; index += 1) {
        if (isSame(log[index], fact.entries[index])) continue
        const texts = [log[index], fact.entries[index]].map((seen) => JSON.stringify(seen))
        const where = `${fact.room} ${index + 1}: ${fact.source}`
        yield { what: `${where} reads ${texts[1]}, the log has ${texts[0]}`, facts: [] }
        break
      }
    }
    if (fact.type !== 'recv' && fact.type !== 'ok') continue
    const seen = entryAt(fact.room, fact.seq)
    if (isSame(seen, fact)) continue
    const what = `${fact.room} ${fact.seq} is ${JSON.stringify(seen)} in the log`
    yield { what, facts: [fact] }
  }
}

function isSame(a: Seen | undefined, b: Seen | undefined) {
  if (!a || !b) return a === b
  return a.seq === b.seq && a.id === b.id && a.author === b.author && a.hash === b.hash
}
