/**
 * Guests who do their worst behind the door, all of one address that is not that of the others:
 * with what costs a server most, as often as it lets them and more.
 */

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { BODY_LENGTH, FRAME_BYTES } from '../static/protocol.js'
import { request } from './conformance/raw.ts'
import { askInHaste, keepComing, type StrangerReport } from './strangers.ts'
import { openWire, wire, type WireClient } from './wire.ts'

/**
 * Over HTTP `lists`: asks for the list of rooms. `searches`: looks for words of one letter. `posts`:
 * writes long messages, and bodies that are none. On a socket `joins`: rooms that are not there yet.
 * `pongs`: bare ones, and some of 16 KiB. `edits`: a long message of its own.
 */
export const GUEST_MANNERS = ['lists', 'searches', 'posts', 'joins', 'pongs', 'edits'] as const
export type GuestManner = (typeof GUEST_MANNERS)[number]

export interface GuestFlood {
  url: string
  /** A token of each. */
  guests: string[]
  manners: readonly GuestManner[]
  /** Where the others talk. */
  room: string
  /** Where there is much to find. */
  library: string
  lastsMs: number
}

interface Guest {
  flood: GuestFlood
  headers: { Authorization: string; 'X-Forwarded-For': string }
  report: StrangerReport
  end: number
}

/** What a proxy says of them, TEST-NET-1 (RFC 5737). */
const THEIR_ADDRESS = '192.0.2.1'
export const LETTERS = [...'abcdefghijklmnop']
const LONG = 'long '.repeat(BODY_LENGTH / 5)
/** As many arrays as a frame holds take longest to parse. */
const LARGE_PONG = JSON.stringify({
  type: 'pong',
  of: Array(Math.floor(FRAME_BYTES / 3) - 10).fill([]),
})
/** And a body of 64 KiB. */
const LARGE_BODY = JSON.stringify({ body: Array(21_000).fill([]) })
/** No name of a room is longer. */
const ROOM_LENGTH = 32
/** Frames that are written together. */
const FRAMES_AT_ONCE = 100
/** Who is not let in tries again. ms */
const AGAIN_MS = 50

/** The manners go round among the guests, until each has one and each is somebody's. */
export async function plague(flood: GuestFlood): Promise<StrangerReport> {
  const { guests, manners, lastsMs } = flood
  const report: StrangerReport = { opened: 0, ended: 0, answers: {} }
  const end = performance.now() + lastsMs
  const parts = Array.from({ length: Math.max(guests.length, manners.length) }, (_, nth) => {
    const token = guests[nth % guests.length]!
    const headers = { Authorization: `Bearer ${token}`, 'X-Forwarded-For': THEIR_ADDRESS }
    return act({ flood, headers, report, end }, manners[nth % manners.length]!)
  })
  await Promise.all(parts)
  return report
}

function act(guest: Guest, manner: GuestManner): Promise<void> {
  const { room, library } = guest.flood
  switch (manner) {
    case 'lists':
      return ask(guest, request('/api/rooms', guest.headers))
    case 'searches': {
      const words = LETTERS.join('+')
      return ask(guest, request(`/api/rooms/${library}/search?q=${words}`, guest.headers))
    }
    case 'posts':
      return ask(
        guest,
        ...[JSON.stringify({ body: LONG }), LARGE_BODY].map((body) => posting(guest, body)),
      )
    case 'joins':
      return storm(guest, () => ({ type: 'join', room: randomUUID().slice(0, ROOM_LENGTH) }))
    case 'pongs': {
      const [large, bare] = [wire(LARGE_PONG), wire('{"type":"pong"}')]
      let count = 0
      return storm(guest, () => ((count += 1) % 10 ? bare : large))
    }
    case 'edits':
      return storm(guest, ({ target }) => ({
        ...{ type: 'edit', room, id: randomUUID(), target, body: LONG },
      }))
  }
}

function posting({ flood: { room }, headers }: Guest, body: string) {
  const more = { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }
  return request(`/api/rooms/${room}/messages`, { ...headers, ...more }, { method: 'POST' }) + body
}

/** On one connection that comes back. */
function ask({ flood, report }: Guest, ...requests: string[]) {
  return keepComing(flood, 1, report, (socket) => askInHaste(socket, requests, report.answers))
}

/** On one socket that comes back, as far as there are tickets. */
async function storm(guest: Guest, frame: (said: { target: number }) => object | Buffer) {
  const { report, end } = guest
  while (performance.now() < end) {
    const client = await enter(guest)
    if (!client) {
      await pause(AGAIN_MS)
      continue
    }
    report.opened += 1
    const target = await sayOne(guest, client)
    const next = () => {
      const frames = Array.from({ length: FRAMES_AT_ONCE }, () => frame({ target }))
      return Buffer.concat(
        frames.map((one) => (one instanceof Buffer ? one : wire(JSON.stringify(one)))),
      )
    }
    const isGone = () => client.isEnded || client.closeCode !== null
    await client.pour(next, () => performance.now() >= end || isGone())
    const { answers } = report
    const code = client.all('bye')[0]?.code ?? client.closeCode ?? 1006
    if (isGone()) {
      report.ended += 1
      answers[code] = (answers[code] ?? 0) + 1
    }
    client.socket.destroy()
  }
}

/** A socket in the room where the others talk; null when there is none for this guest now. */
async function enter({ flood: { url, room }, headers, report }: Guest): Promise<WireClient | null> {
  const json = { ...headers, 'Content-Type': 'application/json' }
  const response = await fetch(`${url}/api/ticket`, { method: 'POST', headers: json, body: '{}' })
  if (response.status !== 201) {
    report.answers[response.status] = (report.answers[response.status] ?? 0) + 1
    await response.body?.cancel()
    return null
  }
  const { ticket } = (await response.json()) as { ticket: string }
  try {
    const client = await openWire({ after: () => {} }, url, ticket, headers)
    client.send({ type: 'join', room, limit: 0 })
    return client
  } catch {
    return null
  }
}

/** @returns the `seq` of a message that the guest said; 1 when it was refused, or too late */
async function sayOne({ flood: { room }, end }: Guest, client: WireClient): Promise<number> {
  const id = randomUUID()
  client.send({ type: 'say', room, id, body: 'mine' })
  const said = () => client.all('message').find((message) => message.id === id)
  const isAnswered = () => !!said() || client.all('error').length > 0 || client.isEnded
  await client.until(isAnswered, 'an answer', end - performance.now()).catch(() => {})
  return said()?.seq ?? 1
}
