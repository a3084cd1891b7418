/** The last look: every room from every node as clients read it, and from the database itself. */

import { WebSocket } from 'ws'
import { PAGE_LENGTH, parseEvents, PROTOCOL } from '../../static/protocol.js'
import type { ServerEvent } from '../../src/protocol.ts'
import { TRUTH } from './book.ts'
import type { Cluster } from './cluster.ts'
import { requestTicket, signInAnywhere } from './http.ts'
import { hashOf, seenIn, type Recorder, type Seen } from './record.ts'

/** For one node to give out everything. ms */
const PATIENCE_MS = 30_000

export async function readEverything(cluster: Cluster, recorder: Recorder) {
  const logs = await cluster.readLog()
  for (const log of logs.values()) recorder.note({ type: 'final', source: TRUTH, ...log })
  await Promise.all(
    cluster.nodes.map(async (node) => {
      const { name, url } = node
      await node.started()
      for (const [room, entries] of await readNode(url, [...logs.keys()])) {
        recorder.note({ type: 'final', source: name, room, entries })
      }
    }),
  )
}

/** The messages of every room, in pages; of a short one that is whole as a resume from its start. */
async function readNode(url: string, rooms: readonly string[]) {
  const { token } = await signInAnywhere(url, `Reader ${crypto.randomUUID().slice(0, 8)}`)
  const ticket = await requestTicket(url, token)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, [PROTOCOL, `ticket.${ticket}`])
  const found = new Map<string, Seen[]>()
  const timer = setTimeout(() => socket.terminate(), PATIENCE_MS)
  const todo = [...rooms]
  let head = 0
  const seen: Seen[] = []
  const send = (frame: object) => socket.send(JSON.stringify(frame))
  const next = () => {
    const room = todo[0]
    if (room === undefined) return socket.close()
    seen.length = 0
    send({ type: 'join', room, after: 0 })
  }
  const settle = () => {
    found.set(
      todo.shift()!,
      seen.splice(0).sort((a, b) => a.seq - b.seq),
    )
    next()
  }
  const take = (event: ServerEvent) => {
    if (event.type === 'joined') {
      head = event.head
      if (head === 0) settle()
    }
    if (event.type === 'message') {
      seen.push(seenIn(event))
      if (event.seq === head) settle()
    }
    if (event.type === 'history') {
      const { room, messages, more } = event
      for (const { seq, id, author, body } of messages) {
        seen.push({ seq, id, author: author.id, hash: hashOf(body) })
      }
      if (!more) settle()
      else send({ type: 'history', room, before: messages[0]!.seq, limit: PAGE_LENGTH })
    }
    if (event.type === 'error') socket.terminate()
  }
  socket.on('open', next)
  socket.on('error', () => {})
  socket.on('message', (data) => {
    for (const event of parseEvents(String(data))) {
      if (event.type !== 'broken' && event.type !== 'position') take(event)
    }
  })
  await new Promise((resolve) => socket.on('close', resolve))
  clearTimeout(timer)
  for (const room of todo) found.set(room, seen.splice(0))
  return found
}
