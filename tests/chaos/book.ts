/** The record of a run, put in order once for all the checks. */

import type { Fact, FactOf, FaultKind, Seen } from './record.ts'

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
  /** When anybody first knew that it is committed. */
  knownAt: number
}

export interface Book {
  facts: readonly Fact[]
  /** Rooms as the database itself gave them out at the end. */
  logs: ReadonlyMap<string, readonly Seen[]>
  /** Where the log has a message; its first place, should it be there twice. */
  places: ReadonlyMap<string, Seen>
  stories: ReadonlyMap<string, Story>
  opens: ReadonlyMap<number, FactOf<'open'>>
  windows: readonly Window[]
}

/** The source whose final read is the truth. */
export const TRUTH = 'database'

export const keyOf = (room: string, { author, id }: { author: string; id: string }) =>
  `${room} ${author} ${id}`

export function openBook(facts: readonly Fact[]): Book {
  const logs = new Map<string, readonly Seen[]>()
  const places = new Map<string, Seen>()
  const stories = new Map<string, Story>()
  const opens = new Map<number, FactOf<'open'>>()
  const storyOf = (room: string, { author, id }: { author: string; id: string }) => {
    const key = keyOf(room, { author, id })
    const known = stories.get(key)
    if (known) return known
    const empty = { invokes: [], oks: [], fails: [], infos: [], knownAt: Infinity }
    const story: Story = { room, author, id, ...empty }
    stories.set(key, story)
    return story
  }
  const known = (story: Story, t: number) => (story.knownAt = Math.min(story.knownAt, t))
  for (const fact of facts) {
    if (fact.type === 'open') opens.set(fact.conn, fact)
    if (fact.type === 'invoke') storyOf(fact.room, fact).invokes.push(fact)
    if (fact.type === 'fail') storyOf(fact.room, fact).fails.push(fact)
    if (fact.type === 'info') storyOf(fact.room, fact).infos.push(fact)
    if (fact.type === 'recv') known(storyOf(fact.room, fact), fact.t)
    if (fact.type === 'ok') {
      storyOf(fact.room, fact).oks.push(fact)
      known(storyOf(fact.room, fact), fact.t)
    }
    if (fact.type === 'final' && fact.source === TRUTH) {
      logs.set(fact.room, fact.entries)
      for (const seen of fact.entries) {
        const key = keyOf(fact.room, seen)
        if (!places.has(key)) places.set(key, seen)
      }
    }
  }
  return { facts, logs, places, stories, opens, windows: windowsOf(facts) }
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
