/** Judges what clients saw against what the log kept: the promises, each as one check. */

import type { Entry } from '../src/protocol.ts'

/** Something a client meant to say; it was sent at least once. */
export interface Sent {
  author: string
  id: string
  room: string
  body: string
}

/** An answer that said: committed. */
export interface Ack {
  author: string
  id: string
  room: string
  seq: number
}

/** What one client was shown of one room, in the order in which it came, over all connections. */
export interface View {
  name: string
  room: string
  /** `seq` before the first one it should see: where it came in. */
  after: number
  seen: { seq: number; id: string }[]
  /** Whether it stayed to the end, and so must have seen everything. */
  isComplete: boolean
}

export interface History {
  sent: readonly Sent[]
  acks: readonly Ack[]
  views: readonly View[]
  /** The log at the end, per room, as it gives them out. */
  log: ReadonlyMap<string, readonly Entry[]>
}

/** @returns every broken promise, each as one line; empty: all were kept */
export function check(history: History): string[] {
  return [
    ...checkOrder(history),
    ...checkPhantoms(history),
    ...checkDoubles(history),
    ...checkAcks(history),
    ...history.views.flatMap((view) => checkView(history, view)),
  ]
}

const keyOf = ({ author, id, room }: { author: string; id: string; room: string }) =>
  `${room} ${author} ${id}`
const keyOfEntry = ({ room, author, id }: Entry) => keyOf({ room, id, author: author.id })

/** 1, 2, 3 …, no hole ever. */
function checkOrder({ log }: History) {
  return [...log].flatMap(([room, entries]) =>
    entries.flatMap(({ seq }, index) =>
      seq === index + 1 ? [] : [`${room}: entry ${index + 1} of the log has seq ${seq}`],
    ),
  )
}

/** Nothing is in the log that nobody sent. */
function checkPhantoms({ log, sent }: History) {
  const bodies = new Map(sent.map((one) => [keyOf(one), one.body]))
  return [...log.values()].flat().flatMap((entry) => {
    const body = 'body' in entry ? entry.body : undefined
    const isKnown = bodies.has(keyOfEntry(entry)) && bodies.get(keyOfEntry(entry)) === body
    return isKnown ? [] : [`${entry.room} ${entry.seq}: phantom: nobody sent this`]
  })
}

/** Nothing is in the log twice. */
function checkDoubles({ log }: History) {
  const keys = [...log.values()].flat().map(keyOfEntry)
  return repeated(keys).map((key) => `${key}: stored twice`)
}

/** What was acknowledged is there, where the acknowledgement said. */
function checkAcks({ log, acks }: History) {
  const places = new Map([...log.values()].flat().map((entry) => [keyOfEntry(entry), entry.seq]))
  return acks.flatMap((ack) => {
    const seq = places.get(keyOf(ack))
    if (seq === ack.seq) return []
    return [`${keyOf(ack)}: acknowledged at ${ack.seq}, ${seq ? `stored at ${seq}` : 'lost'}`]
  })
}

/** Every client saw the one order, each entry once, without a hole. */
function checkView({ log }: History, { name, room, after, seen, isComplete }: View) {
  const entries = log.get(room) ?? []
  const faults = seen.flatMap(({ seq, id }, index) => {
    const expected = after + index + 1
    if (seq !== expected) return [`${name}: saw ${seq} of ${room} where ${expected} is next`]
    return entries[seq - 1]?.id === id ? [] : [`${name}: saw another entry at ${seq} of ${room}`]
  })
  const missed = entries.length - after - seen.length
  if (isComplete && missed > 0) faults.push(`${name}: missed the last ${missed} of ${room}`)
  return faults.slice(0, 5)
}

function repeated(keys: readonly string[]) {
  const seen = new Set<string>()
  return keys.filter((key) => seen.size === seen.add(key).size)
}
