/** A small Hearth that never fails: it makes up records that the checker has to find clean. */

import { createRandom } from '../random.ts'
import { TRUTH } from './book.ts'
import { ERASED, isMessage, type Fact, type Seen, type Untimed, type Via } from './record.ts'

const ROOMS = ['attic', 'cellar']
const USERS = ['ann', 'bob', 'cyd']

interface Device {
  user: string
  conn: number
  /** Room → the last entry held. */
  held: Map<string, number>
  seated: Set<string>
  /** Said and not answered. */
  waiting: { room: string; id: string; hash: string }[]
}

/**
 * @param isCaredFor  whether what is old is dropped meanwhile, and guests are forgotten
 * @returns what `steps` random things that may happen leave in a record
 */
export function fabricate(seed: number, steps = 60, isCaredFor = false): Fact[] {
  const random = createRandom(seed)
  const facts: Fact[] = []
  const logs = new Map<string, Seen[]>(ROOMS.map((room) => [room, []]))
  const floors = new Map<string, number>()
  const devices = USERS.map((user): Device => {
    return { user, conn: 0, held: new Map(), seated: new Set(), waiting: [] }
  })
  let conns = 0
  let ids = 0
  const note = (fact: Untimed<Fact>) => facts.push({ t: facts.length + 1, ...fact } as Fact)
  /** From its first entry on, whatever was dropped. */
  const logOf = (room: string) => logs.get(room)!
  const floorOf = (room: string) => floors.get(room) ?? 0
  const attemptOf = ({ conn, user }: Device, one: Device['waiting'][0]) => ({
    ...{ conn, author: user, room: one.room, id: one.id, hash: one.hash },
  })

  const hear = (device: Device, room: string, seen: Seen, via: Via) => {
    note({ type: 'recv', conn: device.conn, room, via, ...seen })
    if (via !== 'repeat') device.held.set(room, seen.seq)
    const index = device.waiting.findIndex(({ id }) => id === seen.id)
    if (index < 0) return
    const [one] = device.waiting.splice(index, 1)
    note({ type: 'ok', ...attemptOf(device, one!), seq: seen.seq, via })
  }
  const store = (author: string, { room, id, hash }: Device['waiting'][0]) => {
    const seen = { seq: logOf(room).length + 1, id, author, hash }
    logOf(room).push(seen)
    for (const device of devices) if (device.seated.has(room)) hear(device, room, seen, 'live')
  }
  /** To a post: the head of the answer, then the entry. */
  const answer = (post: Device, one: Device['waiting'][0], via: Via) => {
    const { conn, user } = post
    const seen = logOf(one.room).findLast(({ id }) => id === one.id)!
    note({ type: 'open', conn, device: `${user}'s`, user, node: '1', over: 'post' })
    note({ type: 'recv', conn, room: one.room, via, ...seen })
    note({ type: 'ok', ...attemptOf(post, one), seq: seen.seq, via })
  }
  const try_ = (device: Device, one: Device['waiting'][0]) =>
    note({ type: 'invoke', ...attemptOf(device, one) })
  const join = (device: Device, room: string) => {
    const { conn } = device
    const after = device.held.get(room)
    const asked = facts.length + 1
    const head = logOf(room).length
    note({ type: 'join', conn, room, after })
    const reset = after !== undefined && after < floorOf(room)
    const from = (reset ? head : (after ?? head)) + 1
    note({ type: 'joined', conn, room, head, from, reset, asked })
    device.seated.add(room)
    if (after === undefined || reset) read(device, room, asked)
    device.held.set(room, from - 1)
    for (const seen of logOf(room).slice(from - 1)) hear(device, room, seen, 'resume')
  }
  const read = (device: Device, room: string, asked = facts.length + 1) => {
    const kept = logOf(room).slice(floorOf(room)).filter(isMessage)
    const entries = kept.slice(-5)
    const at = { conn: device.conn, room }
    const [head, first, count] = [logOf(room).length, entries[0]?.seq ?? 0, entries.length]
    note({ type: 'page', ...at, head, before: null, count, first, asked })
    for (const seen of entries) note({ type: 'recv', ...at, via: 'page', ...seen })
  }
  const connect = (device: Device) => {
    if (device.conn > 0) return
    device.conn = conns += 1
    const { conn, user } = device
    note({ type: 'open', conn, device: `${user}'s`, user, node: '1' })
    for (const room of ROOMS) join(device, room)
    for (const one of [...device.waiting]) {
      try_(device, one)
      store(user, one)
    }
  }
  const cut = (device: Device) => {
    for (const one of device.waiting)
      note({ type: 'info', ...attemptOf(device, one), code: 'closed' })
    note({ type: 'close', conn: device.conn, code: 1006 })
    device.conn = 0
    device.seated.clear()
  }
  const compose = (room: string) => ({ room, id: `id-${(ids += 1)}`, hash: `hash-${ids}` })
  /** The newest that a user said in a room, and whether it is still known there. */
  const lastOf = (user: string, room: string) => {
    const seen = logOf(room).findLast(({ author }) => author === user)
    return (
      seen && {
        one: { room, id: seen.id, hash: seen.hash },
        seen,
        isKnown: seen.seq > floorOf(room),
      }
    )
  }
  const postNew = (post: Device, one: Device['waiting'][0]) => {
    try_(post, one)
    store(post.user, one)
    answer(post, one, 'answer')
  }
  /** Drops some of what is there, but never the newest. */
  const retain = (room: string) => {
    const least = floorOf(room)
    const floor = least + random.below(Math.max(1, logOf(room).length - least))
    floors.set(room, floor)
    note({ type: 'retain', room, ageMs: 0, floor, asked: facts.length + 1 })
  }
  /** A guest says something and is forgotten: what is left of it is erased. */
  const forget = (room: string) => {
    const user = `guest-${(ids += 1)}`
    for (let n = 0; n < 2; n += 1) {
      postNew({ ...devices[0]!, user, conn: (conns += 1), waiting: [] }, compose(room))
    }
    note({ type: 'forget', user, phase: 'start' })
    for (const { seq } of logOf(room).filter(({ author }) => author === user)) {
      const { hash: _, ...gone } = logOf(room)[seq - 1]!
      logOf(room)[seq - 1] = { ...gone, hash: ERASED }
      store(user, { ...compose(room), hash: `delete ${seq}` })
    }
    note({ type: 'forget', user, phase: 'stop' })
  }

  /** What may happen to a connected device that is in the room. */
  const happenings: ((device: Device, room: string) => void)[] = [
    // Said and heard; most of all.
    ...Array.from({ length: 5 }, () => (device: Device, room: string) => {
      const one = compose(room)
      device.waiting.push(one)
      try_(device, one)
      store(device.user, one)
    }),
    // Stored, and the answer is lost.
    (device, room) => {
      const one = compose(room)
      device.waiting.push(one)
      try_(device, one)
      device.seated.delete(room)
      store(device.user, one)
      cut(device)
    },
    // Lost on the way.
    (device, room) => {
      const one = compose(room)
      device.waiting.push(one)
      try_(device, one)
      cut(device)
    },
    (device, room) => {
      const one = compose(room)
      try_(device, one)
      note({ type: 'fail', ...attemptOf(device, one), code: 'not_found' })
    },
    // Said again: what was dropped is taken for new.
    (device, room) => {
      const last = lastOf(device.user, room)
      if (!last) return
      try_(device, last.one)
      device.waiting.push(last.one)
      if (last.isKnown) hear(device, room, last.seen, 'repeat')
      else store(device.user, last.one)
    },
    (device, room) => void read(device, room),
    // Posted, on a connection of its own: now and then twice.
    (device, room) => {
      postNew({ ...device, conn: (conns += 1) }, compose(room))
    },
    (device, room) => {
      const last = lastOf(device.user, room)
      if (!last) return
      const post = { ...device, conn: (conns += 1) }
      if (!last.isKnown) return postNew(post, last.one)
      try_(post, last.one)
      answer(post, last.one, 'repeat')
    },
    (device, room) => {
      note({ type: 'left', conn: device.conn, room })
      device.seated.delete(room)
    },
    cut,
  ]

  if (isCaredFor)
    happenings.push(
      (_, room) => retain(room),
      (_, room) => forget(room),
    )
  for (let step = 0; step < steps; step += 1) {
    const device = random.pick(devices)
    const room = random.pick(ROOMS)
    connect(device)
    if (device.seated.has(room)) random.pick(happenings)(device, room)
    else join(device, room)
  }
  for (const device of devices) {
    connect(device)
    for (const room of ROOMS) if (!device.seated.has(room)) join(device, room)
  }
  for (const { conn } of devices) for (const room of ROOMS) note({ type: 'stay', conn, room })
  for (const source of [TRUTH, 'node 1']) {
    for (const [room, whole] of logs) {
      const kept = whole.slice(floorOf(room))
      const isTruth = source === TRUTH
      const entries = isTruth ? kept : kept.filter(isMessage)
      const place = isTruth && { floor: floorOf(room), head: whole.length }
      note({ type: 'final', source, room, entries, ...place })
    }
  }
  return structuredClone(facts)
}
