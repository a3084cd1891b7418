/** What a SQLite file has, against what its server acknowledged. */

import { runtime } from '#runtime'
import type { Stored, Talker } from './talker.ts'

interface Row {
  room: string
  seq: number
  id: string
  kind: string
  author_id: string
  body: string | null
  target: number | null
  deleted: number
}

interface RoomRow {
  room: string
  head: number
  floor: number
}

/** A file as of one moment. */
export interface Contents {
  rooms: ReadonlyMap<string, RoomRow>
  rows: readonly Row[]
  /** What SQLite itself has to say; `ok` when nothing is wrong. */
  integrity: string
}

/** What the frames are in the log. */
const KINDS = { say: 'message', edit: 'edit', delete: 'delete', react: 'reaction' } as const
/** More of one kind have one cause. */
const MOST_TOLD = 5

/** Reads all of it, beside a server or behind it; nothing is written. */
export function readContents(file: string): Contents {
  const db = runtime.openSqlite(file)
  try {
    db.exec('PRAGMA busy_timeout = 10000; BEGIN')
    const check = db.prepare('PRAGMA integrity_check(3)').all() as { integrity_check: string }[]
    const rooms = db.prepare('SELECT room, head, floor FROM rooms').all() as RoomRow[]
    const rows = db.prepare(
      'SELECT room, seq, id, kind, author_id, body, target, deleted FROM messages ORDER BY room, seq',
    )
    return {
      rooms: new Map(rooms.map((row) => [row.room, row])),
      rows: rows.all() as Row[],
      integrity: check.map((row) => row.integrity_check).join('; '),
    }
  } finally {
    db.close()
  }
}

/** Entries that are below the floors. */
export function countDropped(file: string): number {
  const db = runtime.openSqlite(file)
  try {
    db.exec('PRAGMA busy_timeout = 10000')
    const found = db.prepare('SELECT sum(floor) AS dropped FROM rooms').get()
    return (found as { dropped: number | null }).dropped ?? 0
  } finally {
    db.close()
  }
}

/**
 * @param talkers  whose answers had come before the file was read
 * @param users  those for whom a tool speaks, and those whose words it has all erased
 * @returns what is wrong, one sentence for each
 */
export function judge(
  { rooms, rows, integrity }: Contents,
  talkers: readonly Pick<Talker, 'user' | 'stored' | 'sent'>[],
  { leaving, forgotten }: Record<'leaving' | 'forgotten', ReadonlySet<string>>,
): string[] {
  const wrongs = integrity === 'ok' ? [] : [`integrity_check: ${integrity}`]
  const tell = (kind: readonly string[]) => wrongs.push(...kind.slice(0, MOST_TOLD))
  const at = new Map(rows.map((row) => [`${row.room} ${row.seq}`, row]))
  const floorOf = (room: string) => rooms.get(room)?.floor ?? 0
  for (const { user, stored, sent } of talkers) {
    const kept = stored.filter(({ room, seq }) => seq > floorOf(room))
    const isThere = (one: Stored) => isIt(at.get(`${one.room} ${one.seq}`), one, user)
    const lost = kept.filter((one) => !isThere(one))
    tell(lost.map(({ type, room, seq }) => `the ${type} acknowledged at ${room} ${seq} is lost`))
    const strange = rows.filter((row) => row.author_id === user && !sent.has(row.id))
    if (leaving.has(user)) continue
    tell(strange.map(({ room, seq }) => `${room} ${seq}: its author never said that`))
  }
  tell(doubles(rows))
  tell(holes(rooms, rows))
  const left = rows.filter((row) => forgotten.has(row.author_id) && row.body !== null)
  tell(left.map(({ room, seq }) => `${room} ${seq} is of one who is forgotten`))
  return wrongs
}

/** Whether the row is what was asked for; its body may have been erased since. */
function isIt(row: Row | undefined, { type, id, body, target }: Stored, user: string) {
  if (!row || row.id !== id || row.author_id !== user || row.kind !== KINDS[type]) return false
  return row.target === (target ?? null) && (row.deleted === 1 || row.body === (body ?? null))
}

function doubles(rows: readonly Row[]) {
  const seen = new Map<string, number>()
  return rows.flatMap(({ room, author_id: author, id, seq }) => {
    const key = `${room} ${author} ${id}`
    const before = seen.get(key)
    seen.set(key, seq)
    return before === undefined ? [] : [`${room}: ${id} is there at ${before} and at ${seq}`]
  })
}

/** Each room goes from its floor to its head. */
function holes(rooms: Contents['rooms'], rows: readonly Row[]) {
  const last = new Map([...rooms.values()].map(({ room, floor }) => [room, floor]))
  const wrongs: string[] = []
  for (const { room, seq } of rows) {
    const before = last.get(room) ?? 0
    if (seq !== before + 1) wrongs.push(`${room}: ${seq} comes after ${before}`)
    last.set(room, seq)
  }
  for (const { room, head } of rooms.values()) {
    if (last.get(room) !== head) wrongs.push(`${room}: the head is ${head}, not ${last.get(room)}`)
  }
  return wrongs
}
