/**
 * Clients that send as fast as they can, in a process of their own. Reads a `Flood` as one line of
 * JSON, connects, prints `ready`; floods at the next line, and prints all `Report`s as one. For a
 * `StrangerFlood` or a `GuestFlood` it is one `StrangerReport`.
 */

import { createInterface } from 'node:readline'
import process from 'node:process'
import { plague, type GuestFlood } from './guests.ts'
import { harass, type StrangerFlood } from './strangers.ts'
import { openWire, takeTickets, wire, type WireClient } from './wire.ts'

export interface Flood {
  url: string
  /** A token for each client. */
  tokens: string[]
  room: string
  /** How long it floods. ms */
  lastsMs: number
  /**
   * `once`: is closed, and that is that. `again`: comes back with a new ticket. `deaf`: goes on
   * sending on the closed socket, and answers no close.
   */
  manner: 'once' | 'again' | 'deaf'
}

export type AnyFlood = Flood | StrangerFlood | GuestFlood

/** What one connection saw. A flooder who is cut off while it sends may see nothing at all. */
export interface Report {
  /** As `bye` or the close frame said, else 1006; null when it was open until we went. */
  closeCode: number | null
  /** From the first frame of the flood to `bye`, or the end where there was none. ms */
  closedAfterMs: number
  /** From then to the end of the TCP connection; null when it did not end in time. ms */
  endedAfterMs: number | null
  /** Ids of messages that came back, and of those refused for the rate. */
  accepted: string[]
  refused: string[]
  /** How many refusals named a time. */
  timed: number
  sentBytes: number
}

/** Frames that are made beforehand, and written together. */
const FRAMES_AT_ONCE = 200

const now = () => performance.now()

if (process.argv[1] === new URL(import.meta.url).pathname) await main()

async function main() {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const flood = JSON.parse((await lines.next()).value) as AnyFlood
  if (!('tokens' in flood)) {
    console.log('ready')
    await lines.next()
    return report(await ('strangers' in flood ? harass(flood) : plague(flood)))
  }
  const clients = await Promise.all(flood.tokens.map((token) => enter(flood, token)))
  console.log('ready')
  await lines.next()
  const reports = await Promise.all(clients.map((client, index) => floodAs(flood, client, index)))
  report(reports.flat())
}

/** The last word: who ends before a line longer than the buffer of a pipe is out cuts it off. */
function report(seen: unknown) {
  process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0))
}

/** A new socket in the room; who has no frames left comes without. */
async function enter({ url, room, manner }: Flood, token: string): Promise<WireClient> {
  const [ticket] = await takeTickets(url, token, 1)
  const client = await openWire({ after: () => {} }, url, ticket!)
  client.answersClose = manner !== 'deaf'
  client.send({ type: 'join', room, limit: 0 })
  await client.until(() => client.events.length > 1 || client.isEnded)
  return client
}

async function floodAs(flood: Flood, first: WireClient, index: number): Promise<Report[]> {
  const end = now() + flood.lastsMs
  const reports = [await pour(first, flood, end)]
  while (flood.manner === 'again' && now() < end) {
    reports.push(await pour(await enter(flood, flood.tokens[index]!), flood, end))
  }
  return reports
}

/** Says something as fast as it can, until it is over. */
async function pour(client: WireClient, { room, manner }: Flood, end: number): Promise<Report> {
  const ids: string[] = Array.from({ length: FRAMES_AT_ONCE }, () => crypto.randomUUID())
  const says = ids.map((id: string) =>
    wire(JSON.stringify({ type: 'say', room, id, body: 'flood' })),
  )
  const buffer = Buffer.concat(says)
  const start = now()
  let closedAt = Infinity
  let endedAt: number | null = null
  const look = () => {
    if (client.all('bye').length > 0 || client.isEnded) closedAt = Math.min(closedAt, now())
    if (client.isEnded) endedAt ??= now()
  }
  client.socket.on('data', look)
  client.socket.on('close', look)
  const isDone = () => client.isEnded || (manner !== 'deaf' && client.closeCode !== null)
  const sentBytes = await client.pour(
    () => buffer,
    () => now() >= end || isDone(),
  )
  if (manner === 'once') await client.closed().catch(() => {})
  const isOpen = client.closeCode === null && !client.isEnded
  client.socket.destroy()
  const errors = client.all('error')
  const limited = errors.filter(({ code }) => code === 'rate_limited')
  return {
    closeCode: client.all('bye')[0]?.code ?? client.closeCode ?? (isOpen ? null : 1006),
    closedAfterMs: closedAt - start,
    endedAfterMs: endedAt && endedAt - closedAt,
    accepted: client.all('message').flatMap(({ id }) => (ids.includes(id) ? id : [])),
    refused: limited.flatMap(({ of, id }) => (of === 'say' && id ? id : [])),
    timed: limited.filter(({ retryAfterMs = 0 }) => retryAfterMs > 0).length,
    sentBytes,
  }
}
