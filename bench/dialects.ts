/** How one comes in, speaks and counts with each kind of server. */

import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { PROTOCOL } from '../static/protocol.js'
import { Wire, type WireOptions } from './wire.ts'

/** A person of a crowd. */
export interface Member {
  wire: Wire
  /** The room that a message goes to. */
  room: string
}

export interface Dialect {
  /** Lets one in; resolves when it hears everything, and has what it missed. */
  enter(crowd: Crowd, index: number): Promise<Member>
  /** One message. */
  say(member: Member, body: string): string
  /** How many messages are in a frame; 0 for anything else. */
  count(payload: Buffer): number
}

/** Those who are in, and where. */
export interface Crowd {
  /** Member `index` goes to one of these servers, in turns. */
  ports: readonly number[]
  /** Member `index` sits in room `index % rooms`. */
  rooms: number
  /** Tokens by index: who comes back is the same user. */
  tokens: string[]
  /** The last `seq` each has; -1 before it has any. */
  seqs: number[]
  onText: (wire: Wire, payload: Buffer, index: number) => void
  onClose: (index: number) => void
  /** A page of history came. */
  onPage: () => void
}

const SEQ = Buffer.from('"seq":')
const ENTRIES = Buffer.from('[{"type":"message"')

const hearth: Dialect = {
  enter: async (crowd, index) => {
    const port = portOf(crowd, index)
    const origin = `http://127.0.0.1:${port}`
    crowd.tokens[index] ??= (
      await post<{ token: string }>(`${origin}/api/session`, { name: `user ${index}` })
    ).token
    const { ticket } = await post<{ ticket: string }>(
      `${origin}/api/ticket`,
      {},
      crowd.tokens[index],
    )
    const room = `room-${index % crowd.rooms}`
    const after = crowd.seqs[index]! < 0 ? undefined : crowd.seqs[index]
    let entered = () => {}
    const isIn = new Promise<void>((resolve) => (entered = resolve))
    let head = Infinity
    const arrive = () => {
      if (crowd.seqs[index]! >= head) entered()
    }
    const wire = await Wire.open({
      port,
      path: '/ws',
      headers: { 'Sec-WebSocket-Protocol': `${PROTOCOL}, ticket.${ticket}` },
      onText: (self, payload) => {
        if (isEntries(payload)) {
          crowd.seqs[index] = lastSeq(payload)
          crowd.onText(self, payload, index)
          return arrive()
        }
        for (const event of JSON.parse(payload.toString()) as Event[]) {
          if (event.type === 'ping') self.send('{"type":"pong"}')
          if (event.type === 'history') crowd.onPage()
          if (event.type === 'error') crowd.onText(self, payload, index)
          if (event.type !== 'joined') continue
          head = event.head
          if (event.reset || after === undefined) crowd.seqs[index] = head
          arrive()
        }
      },
      onClose: () => crowd.onClose(index),
    })
    wire.send(JSON.stringify({ type: 'join', room, limit: 0, after }))
    await isIn
    return { wire, room }
  },
  say: ({ room }, body) => JSON.stringify({ type: 'say', room, id: randomUUID(), body }),
  // The room's order has no hole, so the first and the last say how many.
  count: (payload) => (isEntries(payload) ? lastSeq(payload) - firstSeq(payload) + 1 : 0),
}

interface Event {
  type: string
  head: number
  reset: boolean
}

/** A server that says every message to everybody, in a frame of its own. */
function broadcast(path: string, say: Dialect['say'], count: Dialect['count']): Dialect {
  return {
    enter: async (crowd, index) => {
      const options: WireOptions = {
        port: portOf(crowd, index),
        path,
        onText: (wire, payload) => crowd.onText(wire, payload, index),
        onClose: () => crowd.onClose(index),
      }
      return { wire: await Wire.open(options), room: '' }
    },
    say,
    count,
  }
}

const lesson = broadcast(
  '/',
  (_member, text) => JSON.stringify({ user: 'user', text }),
  () => 1,
)

/** Engine.IO 4: `0` opens, `40` enters, `2` pings and wants `3`, `42` is an event. */
const socketio: Dialect = {
  ...broadcast(
    '/',
    (_member, text) => `42${JSON.stringify(['say', { user: 'user', text }])}`,
    (payload) => (payload[0] === 0x34 && payload[1] === 0x32 ? 1 : 0),
  ),
  enter: async (crowd, index) => {
    let entered = () => {}
    const isIn = new Promise<void>((resolve) => (entered = resolve))
    const wire = await Wire.open({
      port: portOf(crowd, index),
      path: '/socket.io/?EIO=4&transport=websocket',
      onText: (self, payload) => {
        const type = payload.toString('latin1', 0, 2)
        if (type === '42') return crowd.onText(self, payload, index)
        if (type[0] === '0') self.send('40')
        if (type[0] === '2') self.send('3')
        if (type === '40') entered()
      },
      onClose: () => crowd.onClose(index),
    })
    await isIn
    return { wire, room: '' }
  },
}

export const DIALECTS = { hearth, lesson, socketio }

function portOf({ ports }: Crowd, index: number) {
  return ports[index % ports.length]!
}

function isEntries(payload: Buffer) {
  return (
    payload.length > 100 && payload.compare(ENTRIES, 0, ENTRIES.length, 0, ENTRIES.length) === 0
  )
}

function firstSeq(payload: Buffer) {
  return numberAt(payload, payload.indexOf(SEQ) + SEQ.length)
}

function lastSeq(payload: Buffer) {
  return numberAt(payload, payload.lastIndexOf(SEQ) + SEQ.length)
}

function numberAt(payload: Buffer, from: number) {
  let value = 0
  for (let at = from, digit; (digit = payload[at]! - 0x30) >= 0 && digit <= 9; at += 1) {
    value = value * 10 + digit
  }
  return value
}

async function post<T>(url: string, body: unknown, token?: string): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}
