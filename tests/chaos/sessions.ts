/** I9 to I12: what each client heard, over all its connections. */

import { RESUME_LIMIT } from '../../static/protocol.js'
import { overlaps, type Book, type Finding, type Log } from './book.ts'
import type { Fact, FactOf } from './record.ts'

/** After a user left on one connection, until the others hear nothing any more. ms */
const ELSEWHERE_MS = 5_000

export interface SessionFinding extends Finding {
  invariant: 'I9' | 'I10' | 'I11' | 'I12'
}

interface Seat {
  next: number
  joined: FactOf<'joined'>
  isFirst: boolean
}

/**
 * I9: within a connection, one after the other. I10: a resume goes on where the device was, and a
 * reset has its reason. I11: who stays has everything. I12: who is not in a room hears nothing of
 * it; from the moment on that the server confirmed the leave.
 */
export function* sessions({ facts, opens, logs, windows }: Book): Generator<SessionFinding> {
  const seats = new Map<string, Seat>()
  const positions = new Map<string, number>()
  const asked = new Map<string, { after: number | undefined; isSeated: boolean }>()
  const left = new Map<string, Fact>()

  const isElsewhereTooLong = (since: Fact, { t }: Fact) =>
    t - since.t > ELSEWHERE_MS && !windows.some((window) => overlaps(window, since.t, t))

  for (const fact of facts) {
    if (!('conn' in fact) || !('room' in fact)) continue
    const { room, conn } = fact
    const place = `${conn} ${room}`
    const open = opens.get(conn)
    const device = `${open?.device} ${room}`
    const user = `${open?.user} ${room}`
    const seat = seats.get(place)

    if (fact.type === 'join') asked.set(place, { after: fact.after, isSeated: seat !== undefined })
    if (fact.type === 'joined') {
      const { after, isSeated = false } = asked.get(place) ?? {}
      const isAgain = isSeated || seat !== undefined
      const what = wrongStart(fact, logs.get(room), { held: positions.get(device), after, isAgain })
      if (what) yield { invariant: 'I10', what, facts: [fact] }
      seats.set(place, { next: fact.from, joined: fact, isFirst: true })
      positions.set(device, fact.from - 1)
      left.delete(user)
    }
    if (fact.type === 'left') {
      seats.delete(place)
      left.set(user, fact)
    }
    if (fact.type === 'stay') {
      const head = logs.get(room)?.head ?? 0
      const held = (seat?.next ?? 1) - 1
      const what = `${open?.device} stayed in ${room} and has ${held} of ${head}`
      if (held !== head) yield { invariant: 'I11', what, facts: seat ? [seat.joined] : [] }
    }

    const isHearing = fact.type === 'recv' || fact.type === 'heard' || fact.type === 'page'
    // Answers to what one said oneself come whether one is in the room or not, and out of its order.
    const isAnswer = fact.type === 'recv' && (fact.via === 'repeat' || fact.via === 'answer')
    if (!isHearing || isAnswer) continue
    const leaving = left.get(user)
    if (!seat) {
      yield { invariant: 'I12', what: `heard of ${room} without being in it`, facts: [fact] }
    } else if (leaving && seat.joined.t < leaving.t && isElsewhereTooLong(leaving, fact)) {
      yield { invariant: 'I12', what: `still hears of ${room}`, facts: [leaving, fact] }
    }
    if (!seat || (fact.type === 'recv' && fact.via === 'page')) continue
    if (fact.type === 'heard' && fact.seq !== undefined && fact.seq !== seat.next - 1) {
      const what = `the ping says ${fact.seq}, and ${seat.next} is next`
      yield { invariant: 'I9', what, facts: [seat.joined, fact] }
    }
    if (fact.type !== 'recv') continue
    if (fact.seq !== seat.next) {
      const invariant = seat.isFirst ? 'I10' : 'I9'
      const what = `${open?.device} got ${fact.seq} of ${room} where ${seat.next} is next`
      yield { invariant, what, facts: [seat.joined, fact] }
    }
    seat.isFirst = false
    seat.next = fact.seq + 1
    positions.set(device, fact.seq)
  }
}

interface Start {
  /** The last entry the device has. */
  held: number | undefined
  after: number | undefined
  /**
   * Whether it had a seat when it asked, or was answered: what came there meanwhile is given again.
   * It may have left in between, and changed its mind before that was confirmed.
   */
  isAgain: boolean
}

/** @returns what is wrong with the answer to a join, or null */
function wrongStart(
  { from, head, reset, asked, t }: FactOf<'joined'>,
  log: Log | undefined,
  { held, after, isAgain }: Start,
) {
  if (!reset && after !== undefined) {
    const position = isAgain ? after : (held ?? after)
    if (from !== position + 1) return `resumes at ${from}, after ${position}`
    const floor = log?.floorAt(asked).least ?? 0
    return position < floor ? `resumes at ${from}, below the floor ${floor}` : null
  }
  if (from !== head + 1) return `starts afresh at ${from}, and the head is ${head}`
  const position = held ?? after ?? 0
  if (!reset || head - position > RESUME_LIMIT) return null
  // The id of an entry that was dropped cannot be compared any more.
  const floor = log?.floorAt(t).most ?? 0
  if (floor > 0 && position <= floor) return null
  return `reset without a reason: it held ${position} of ${head}`
}
