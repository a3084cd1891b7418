/** Strangers who do their worst: with connections and requests, and without any session. */

import { connect, type Socket } from 'node:net'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { request } from './conformance/raw.ts'

/**
 * `pile`: writes 2,400 requests at once, reads nothing, and comes back. `silence`: opens many connections and
 * says nothing. `haste`: asks as fast as it is answered. Who is cut off comes back at once.
 */
export type StrangerManner = 'pile' | 'silence' | 'haste'

export interface StrangerFlood {
  url: string
  strangers: number
  lastsMs: number
  manner: StrangerManner
}

/** What all of them saw. */
export interface StrangerReport {
  /** Connections that were open at some time, and of these ended by the server. */
  opened: number
  ended: number
  /** Answers, by status or code, where they are read. */
  answers: Record<string, number>
}

/** Linux has all of 127.0.0.0/8; elsewhere they share the address of everybody else. */
const THEIR_ADDRESS = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1'
const PILE = request('/').repeat(2_400)
const SILENT_EACH = 20
/** How long who has written all of it stays. ms */
const PILE_MS = 100
/** Requests under way on one connection: fewer than what ends it. */
const HASTY_AT_ONCE = 8
/** The page, a file of it, and what is not there or not for them. */
const HASTY = ['/', '/main.js', '/no.file', '/api/session', '/api/none'].map((path) =>
  request(path),
)

export async function harass({ strangers, manner, ...flood }: StrangerFlood) {
  const report: StrangerReport = { opened: 0, ended: 0, answers: {} }
  const count = manner === 'silence' ? strangers * SILENT_EACH : strangers
  await keepComing(flood, count, report, (socket) => begin(socket, manner, report))
  return report
}

/** Keeps so many connections until it is over: who is cut off comes back. */
export async function keepComing(
  { url, lastsMs }: Pick<StrangerFlood, 'url' | 'lastsMs'>,
  count: number,
  report: StrangerReport,
  begin: (socket: Socket) => void,
) {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  let isOver = false
  const come = () => {
    const socket = connect({ host: hostname, port: Number(port), localAddress: THEIR_ADDRESS })
    sockets.add(socket)
    socket.on('connect', () => {
      report.opened += 1
      begin(socket)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      if (isOver) return
      report.ended += 1
      setTimeout(come, 1)
    })
  }
  for (let n = 0; n < count; n += 1) come()
  await pause(lastsMs)
  isOver = true
  for (const socket of sockets) socket.resetAndDestroy()
}

function begin(socket: Socket, manner: StrangerManner, { answers }: StrangerReport) {
  if (manner === 'silence') return void socket.resume()
  if (manner === 'pile') {
    socket.pause()
    return void socket.write(PILE, () => setTimeout(() => socket.destroy(), PILE_MS))
  }
  askInHaste(socket, HASTY, answers)
}

/** Asks one after the other, and again, as fast as it is answered. */
export function askInHaste(
  socket: Socket,
  requests: readonly string[],
  answers: Record<string, number>,
) {
  let asked = 0
  const ask = (count: number) => {
    for (let n = 0; n < count; n += 1) socket.write(requests[(asked += 1) % requests.length]!)
  }
  socket.on('data', (bytes) => {
    const statuses = bytes.toString('latin1').match(/(?<=HTTP\/1\.1 )\d+/g) ?? []
    for (const status of statuses) answers[status] = (answers[status] ?? 0) + 1
    ask(statuses.length)
  })
  ask(HASTY_AT_ONCE)
}
