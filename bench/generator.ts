/**
 * The load, in a process of its own that shares no core with the server: told over IPC what to do,
 * it answers each order with what it saw.
 */

import { Buffer } from 'node:buffer'
import { DIALECTS, type Crowd, type Dialect, type Member } from './dialects.ts'

/** Members whose every delivery is timed; the others' are counted. */
const WITNESSES = 25
/** Before a body's time stamp: µs in so many digits. */
const STAMP = Buffer.from('@')
const DIGITS = 12
/**
 * The others are read this often: on other machines they would not take the server's time by
 * waking up at every packet. ms
 */
const READ_MS = 20
/** Members that come in at once. */
const AT_ONCE = 32
/** Messages that those miss who are cut off. */
const MISSED = 50
/** No delivery for so long: it is quiet. ms */
const QUIET_MS = 300

export type Order =
  | { do: 'enter'; dialect: keyof typeof DIALECTS; ports: number[]; members: number; rooms: number }
  /** `rate`: messages a second, of so many `bytes`. Times in ms. */
  | { do: 'talk'; rate: number; bytes: number; warmUp: number; time: number }
  /** Cuts all connections at once, but for one that goes on talking, and comes back. */
  | { do: 'return' }
  /** Asks for pages of history at random places, and comes back to random places, one by one. */
  | { do: 'read'; times: number }

/** ms */
export interface Percentiles {
  p50: number
  p99: number
  max: number
}

/** The times are from the wish to send until a witness had it. */
export interface Talked extends Percentiles {
  sent: number
  delivered: number
  /** Messages a second over members in the room each: what should have arrived. */
  expected: number
  refused: number
  closed: number
  /** Bytes received. */
  bytes: number
  /** The generator's own time on its core, 0 … 1. */
  busy: number
}

let dialect: Dialect
let crowd: Crowd
let members: Member[] = []

let delivered = 0
let refused = 0
let closed = 0
let heardAt = 0
let isMeasuring = false
let latencies: number[] = []

function onText(_wire: unknown, payload: Buffer, index: number) {
  heardAt = performance.now()
  const count = dialect.count(payload)
  if (count === 0) return void (refused += 1)
  delivered += count
  if (isMeasuring && isWitness(index)) time(payload)
}

function isWitness(index: number) {
  return index % Math.ceil(crowd.seqs.length / WITNESSES) === 0
}

function time(payload: Buffer) {
  const now = performance.now()
  for (let at = payload.indexOf(STAMP); at >= 0; at = payload.indexOf(STAMP, at + DIGITS)) {
    latencies.push(now - Number(payload.toString('latin1', at + 1, at + 1 + DIGITS)) / 1000)
  }
}

const HANDLERS = {
  enter: async (order: Order & { do: 'enter' }) => {
    dialect = DIALECTS[order.dialect]
    const onClose = () => void (closed += 1)
    const { ports, rooms } = order
    crowd = { ports, rooms, tokens: [], seqs: [], onText, onClose, onPage: () => {} }
    for (let index = 0; index < order.members; index += 1) crowd.seqs.push(-1)
    return { took: await enterAll() }
  },

  talk: async (order: Order & { do: 'talk' }): Promise<Talked> => {
    const filler = 'x'.repeat(order.bytes - STAMP.length - DIGITS)
    let sent = 0
    const start = performance.now()
    const talking = setInterval(() => {
      const now = performance.now()
      for (const due = ((now - start) / 1000) * order.rate; sent < due; sent += 1) {
        const stamp = String(Math.floor(now * 1000)).padStart(DIGITS, '0')
        const member = members[(sent * 7) % members.length]!
        member.wire.send(dialect.say(member, `@${stamp}${filler}`))
      }
    }, 1)
    await sleep(order.warmUp)
    const bytesBefore = bytes()
    const sentBefore = sent
    const cpu = process.cpuUsage()
    const began = performance.now()
    delivered = refused = closed = 0
    latencies = []
    isMeasuring = true
    await sleep(order.time)
    isMeasuring = false
    const seen = { delivered, refused, closed, bytes: bytes() - bytesBefore }
    const { user, system } = process.cpuUsage(cpu)
    const busy = (user + system) / 1000 / (performance.now() - began)
    const said = sent - sentBefore
    clearInterval(talking)
    await quiet()
    return {
      sent: said,
      expected: said * (members.length / crowd.rooms),
      ...seen,
      ...percentiles(latencies),
      busy,
    }
  },

  return: async () => {
    const [talker, ...others] = members as [Member, ...Member[]]
    const say = () => talker.wire.send(dialect.say(talker, 'while you were away'))
    for (const { wire } of others) wire.cut()
    for (let n = 0; n < MISSED; n += 1) say()
    await sleep(500)
    const talking = setInterval(say, 100)
    const took = await enterAll(1)
    clearInterval(talking)
    return { took }
  },

  read: async ({ times }: Order & { do: 'read' }) => {
    const [head] = crowd.seqs as [number]
    const pages = await timeEach(times, async () => {
      const page = new Promise<void>((resolve) => (crowd.onPage = resolve))
      const before = 1 + Math.ceil(Math.random() * head)
      members[0]!.wire.send(JSON.stringify({ type: 'history', room: members[0]!.room, before }))
      await page
    })
    const returns = await timeEach(times / 4, async () => {
      members[0]!.wire.cut()
      crowd.seqs[0] = head - Math.min(head, 500)
      members[0] = await dialect.enter(crowd, 0)
    })
    return { pages, returns }
  },
}

/** @returns how long it took until all were in and had everything. ms */
async function enterAll(from = 0) {
  const start = performance.now()
  let next = from
  const entered = members.slice(0, from)
  const enterSome = async () => {
    for (let index; (index = next++) < crowd.seqs.length;) {
      entered[index] = await dialect.enter(crowd, index)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, enterSome))
  members = entered
  for (const [index, { wire }] of members.entries()) if (!isWitness(index)) wire.pause()
  closed = 0
  return performance.now() - start
}

async function timeEach(times: number, work: () => Promise<void>): Promise<Percentiles> {
  const took: number[] = []
  for (let nth = 0; nth < times; nth += 1) {
    const start = performance.now()
    await work()
    took.push(performance.now() - start)
  }
  return percentiles(took)
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? NaN
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** Resolves when nothing comes any more. */
async function quiet() {
  for (let tries = 0; tries < 50; tries += 1) {
    if (performance.now() - heardAt > QUIET_MS) return
    await sleep(QUIET_MS / 3)
  }
}

function bytes() {
  return members.reduce((sum, { wire }) => sum + wire.bytes, 0)
}

function sleep(ms: number) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

setInterval(() => {
  const paused = members.filter((_, index) => !isWitness(index))
  for (const { wire } of paused) wire.resume()
  // What lies there is read in this turn of the event loop.
  setImmediate(() => {
    for (const { wire } of paused) wire.pause()
  })
}, READ_MS)

process.on('message', (order: Order) => {
  const handle = HANDLERS[order.do] as (order: Order) => Promise<unknown>
  handle(order).then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
