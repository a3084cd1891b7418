/** The record of a run, put in order once for all the checks. */

import { erasedBy, type Fact, type FactOf, type FaultKind, type Seen } from './record.ts'

/** What was violated, and the facts that show it. */
export interface Finding {
  what: string
  facts: Fact[]
}

/** A time in which something was taken away. */
export interface Window {
  name: string
  kind: FaultKind
  from: number
  to: number
}

/** Everything that is known of one message: (room, author, id). */
export interface Story {
  room: string
  author: string
  id: string
  invokes: FactOf<'invoke'>[]
  oks: FactOf<'ok'>[]
  fails: FactOf<'fail'>[]
  infos: FactOf<'info'>[]
  /**
   * When anybody first knew that it is committed, by where: what was dropped and is said again is
   * taken for new.
   */
  knownAt: Map<number, number>
}

export interface Book {
  facts: readonly Fact[]
  /** Rooms as the database itself gave them out at the end. */
  rooms: ReadonlyMap<string, Required<FactOf<'final'>>>
  /** The same, and before it what was dropped from their beginnings, as it was first seen. */
  logs: ReadonlyMap<string, Log>
  /** Where the log has a message; its first place, should it be there twice. */
  places: ReadonlyMap<string, Seen>
  stories: ReadonlyMap<string, Story>
  opens: ReadonlyMap<number, FactOf<'open'>>
  windows: readonly Window[]
  /** What became of each user who asked to be forgotten. */
  forgotten: ReadonlyMap<string, 'start' | 'stop'>
}

/** A room from its first entry on, with holes only where nobody saw what was dropped. */
export interface Log {
  entries: readonly Seen[]
  head: number
  at: ReadonlyMap<number, Seen>
  /** What was erased, and by which entry, as far as anybody saw that. */
  erased: ReadonlyMap<number, number>
  /** Whether an entry may stand there that is erased. */
  mayBeErased(seq: number): boolean
  /** The floor, as it was at some time: at least, and at most. */
  floorAt(t: number): { least: number; most: number }
}

/** The source whose final read is the truth. */
export const TRUTH = 'database'

export const keyOf = (room: string, { author, id }: { author: string; id: string }) =>
  `${room} ${author} ${id}`

export function openBook(facts: readonly Fact[]): Book {
  const rooms = new Map<string, Required<FactOf<'final'>>>()
  const logs = new Map<string, Log>()
  const seen = new Map<string, Map<number, Seen>>()
  const floors: FactOf<'retain'>[] = []
  const forgotten = new Map<string, 'start' | 'stop'>()
  const places = new Map<string, Seen>()
  const stories = new Map<string, Story>()
  const opens = new Map<number, FactOf<'open'>>()
  const storyOf = (room: string, { author, id }: { author: string; id: string }) => {
    const key = keyOf(room, { author, id })
    const known = stories.get(key)
    if (known) return known
    const empty = { invokes: [], oks: [], fails: [], infos: [] }
    const story: Story = { room, author, id, ...empty, knownAt: new Map() }
    stories.set(key, story)
    return story
  }
  const known = ({ knownAt }: Story, { seq, t }: { seq: number; t: number }) =>
    knownAt.set(seq, Math.min(knownAt.get(seq) ?? Infinity, t))
  for (const fact of facts) {
    if (fact.type === 'open') opens.set(fact.conn, fact)
    if (fact.type === 'invoke') storyOf(fact.room, fact).invokes.push(fact)
    if (fact.type === 'fail') storyOf(fact.room, fact).fails.push(fact)
    if (fact.type === 'info') storyOf(fact.room, fact).infos.push(fact)
    if (fact.type === 'recv') {
      known(storyOf(fact.room, fact), fact)
      const { room, seq, id, author, hash } = fact
      const before = seen.get(room) ?? new Map<number, Seen>()
      if (!before.has(seq)) before.set(seq, { seq, id, author, hash })
      seen.set(room, before)
    }
    if (fact.type === 'ok') {
      storyOf(fact.room, fact).oks.push(fact)
      known(storyOf(fact.room, fact), fact)
    }
    if (fact.type === 'retain') floors.push(fact)
    if (fact.type === 'forget') forgotten.set(fact.user, fact.phase)
    if (fact.type === 'final' && fact.source === TRUTH) {
      const head = fact.entries.at(-1)?.seq ?? 0
      rooms.set(fact.room, { floor: 0, head, ...fact })
    }
  }
  for (const [name, room] of rooms) {
    const log = wholeLog(room, seen.get(name) ?? new Map(), floors)
    logs.set(name, log)
    for (const one of log.entries) {
      const key = keyOf(name, one)
      if (!places.has(key)) places.set(key, one)
    }
  }
  const windows = windowsOf(facts)
  return { facts, rooms, logs, places, stories, opens, windows, forgotten }
}

/** @param seen  what anybody saw of the room, by its seq */
function wholeLog(
  { room, floor, head, entries: kept }: Required<FactOf<'final'>>,
  seen: ReadonlyMap<number, Seen>,
  retained: readonly FactOf<'retain'>[],
): Log {
  const end = Math.min(floor, (kept[0]?.seq ?? Infinity) - 1)
  const dropped = [...seen.values()].filter(({ seq }) => seq <= end)
  const entries = [...dropped.sort((a, b) => a.seq - b.seq), ...kept]
  const at = new Map<number, Seen>()
  const erased = new Map<number, number>()
  for (const one of entries) {
    if (!at.has(one.seq)) at.set(one.seq, one)
    const target = erasedBy(one)
    if (target !== null) erased.set(target, one.seq)
  }
  const known = retained.filter((fact) => fact.room === room && fact.floor !== null)
  const floorAt = (t: number) => ({
    least: known.findLast((fact) => fact.t <= t)?.floor ?? 0,
    most: known.find(({ asked }) => asked >= t)?.floor ?? floor,
  })
  const mayBeErased = (seq: number) => erased.has(seq) || seq <= floor
  return { entries, head, at, erased, mayBeErased, floorAt }
}

function windowsOf(facts: readonly Fact[]): Window[] {
  const open: Window[] = []
  const windows: Window[] = []
  for (const fact of facts) {
    if (fact.type !== 'fault') continue
    const { name, kind, t } = fact
    if (fact.phase === 'start') open.push({ name, kind, from: t, to: Infinity })
    const index = open.findIndex((window) => window.name === name)
    if (fact.phase === 'stop' && index >= 0) windows.push({ ...open.splice(index, 1)[0]!, to: t })
  }
  return [...windows, ...open].sort((a, b) => a.from - b.from)
}

export const overlaps = (window: Window, from: number, to: number) =>
  window.from <= to && window.to >= from
