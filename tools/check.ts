/** `check`: reads the whole log and says what is not as the log promises. */

import { digestOf, type AnyContent } from '../src/store/digest.ts'
import type { Row } from '../src/store/rows.ts'
import type { Query } from '../src/store/sql.ts'
import { readArgs, UsageError, type Command } from './command.ts'
import { OF_ALL, OF_ENTRIES } from './faults.ts'
import { useStore } from './place.ts'
import { NO_PROGRESS } from './progress.ts'
import { pages, snapshot, type Key, type Store } from './store.ts'

export const check: Command = {
  usage: '',
  about: 'reads the whole log and says what is wrong with it',
  run: async (args, context) => {
    if (readArgs(args, {}).positionals.length > 0) throw new UsageError('check takes no argument')
    return useStore(context, 'read', async (store) => {
      let count = 0
      for await (const fault of faultsOf(store, context.progress)) {
        await context.write(`${fault}\n`)
        count += 1
      }
      if (count === 0) await context.write(`${store.place}: all is as it should be\n`)
      return count === 0 ? 0 : 1
    })
  },
}

/** What is wrong as of one moment, a line each: with the files of the database, and in the log. */
export async function* faultsOf(store: Store, progress = NO_PROGRESS): AsyncGenerator<string> {
  const damage = await store.damage(progress)
  yield* damage
  try {
    yield* snapshot(store, (query) => violations(query, progress))
  } catch (error) {
    // Of a file that is broken not all can be read, and that it is broken has been told.
    if (damage.length === 0) throw error
  }
}

/** Of one kind, more are not told: they have one cause. */
const MOST = 100
/** Entries of one read, and of one question about them. */
const AT_ONCE = 2_000

interface Room {
  room: string
  floor: number
  head: number
}

const ROOMS = 'SELECT room, floor, head FROM rooms ORDER BY room'

/** What is needed of an entry to see that it is itself. */
type Said = Pick<Row, (typeof SAID)[number]>
const SAID = [
  ...(['room', 'seq', 'kind', 'body', 'target', 'reply_to', 'mentions', 'emoji'] as const),
  ...(['is_on', 'deleted', 'digest'] as const),
] as const
const ENTRIES = `SELECT ${SAID.join(', ')} FROM messages
  WHERE (room, seq) > ($1, $2) ORDER BY room, seq LIMIT $3`

/**
 * What is wrong with the log, one sentence for each; within one transaction. The entries are gone
 * through once, in their order, and what they are about is found by an index, one by one: the time
 * grows as the log does.
 */
export async function* violations(query: Query, progress = NO_PROGRESS): AsyncGenerator<string> {
  const isNew = createLimit()
  const tell = (what: string, { room, seq }: Place) =>
    isNew(what, `${room} ${seq}`) ? [`${room}: ${seq} ${what}`] : []
  const ask = async (what: string, text: string, values: Key = []) =>
    (await query<Place>(text, values)).flatMap((place) => tell(what, place))
  const rooms = (await query<Room>(ROOMS)).map((room) => ({ ...room, last: room.floor }))
  const total = rooms.reduce((sum, { floor, head }) => sum + head - floor, 0)
  progress.begin('checking', 'entries', total)
  const byName = new Map(rooms.map((room) => [room.room, room]))
  const keyOf = ({ room, seq }: Place): Key => [room, seq]
  let start: Key = ['', 0]
  for await (const found of pages<Said>(query, ENTRIES, keyOf, start, [], AT_ONCE)) {
    for (const [what, text] of OF_ENTRIES) yield* await ask(what, text, [...start, AT_ONCE])
    start = keyOf(found.at(-1)!)
    for (const entry of found) {
      const what = wrongNumber(entry, byName.get(entry.room)) ?? wrongWithin(entry)
      if (what) yield* tell(what, entry)
    }
    progress.add(found.length)
  }
  for (const { room, head, last } of rooms) {
    if (last !== head) yield `${room}: its head is ${head}, and the last entry ${last}`
  }
  progress.begin('checking reactions and read positions')
  for (const [what, text] of OF_ALL) yield* await ask(what, `${text} LIMIT ${MOST}`)
}

type Place = Pick<Row, 'room' | 'seq'>

/** Lets each thing through once, and so many of a kind. */
function createLimit() {
  const told = new Map<string, Set<string>>()
  return (kind: string, which: string) => {
    const known = told.get(kind) ?? new Set()
    told.set(kind, known)
    return known.size < MOST && known.size < known.add(which).size
  }
}

/** Which number an entry should not have. @param room  with the entry before it, which becomes this one */
function wrongNumber({ seq }: Place, room: (Room & { last: number }) | undefined) {
  if (!room) return 'is in a room that is not there'
  const isNext = seq === room.last + 1
  room.last = seq
  return isNext ? null : `is a hole or below the floor ${room.floor}`
}

/** What is wrong with an entry by itself. One that was erased keeps the digest of what it was. */
function wrongWithin(entry: Said) {
  const { kind, body, deleted, digest } = entry
  const isText = kind === 'message' || kind === 'edit'
  if (isText && (body === null) !== Boolean(deleted))
    return 'has no body and is not deleted, or both'
  return deleted || digestOf(contentOf(entry)) === digest ? null : 'is not what its digest says'
}

function contentOf({ kind, body, target, reply_to, mentions, emoji, is_on }: Said): AnyContent {
  return {
    kind,
    body: body ?? undefined,
    target: target ?? undefined,
    replyTo: reply_to ?? undefined,
    mentions: typeof mentions === 'string' ? parse(mentions) : undefined,
    emoji: emoji ?? undefined,
    on: is_on === null ? undefined : Boolean(is_on),
  }
}

/** What is no JSON has no digest either. */
function parse(text: string) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
