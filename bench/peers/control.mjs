// The limit: no protocol, no schema, no order, no log. What came in within a frame of a screen goes
// out as ready-made WebSocket frames, in one write to each raw TCP socket.

import { createHash } from 'node:crypto'
import { createServer } from 'node:net'

const FLUSH_MS = 16
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const sockets = new Set()
let waiting = []
let timer

const server = createServer({ noDelay: true }, (socket) => {
  let rest = Buffer.alloc(0)
  let isOpen = false
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
  socket.on('data', (chunk) => {
    const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    if (isOpen) return void (rest = takeFrames(data))
    const key = /^sec-websocket-key: (.*)\r$/im.exec(data.toString())[1]
    const accept = createHash('sha1')
      .update(key + MAGIC)
      .digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    isOpen = true
    sockets.add(socket)
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))

/** Short masked text frames only. @returns what is left */
function takeFrames(data) {
  let at = 0
  while (at + 6 <= data.length) {
    const length = data[at + 1] & 0x7f
    if (at + 6 + length > data.length) break
    waiting.push(
      Buffer.concat([Buffer.from([0x81, length]), data.subarray(at + 6, at + 6 + length)]),
    )
    at += 6 + length
  }
  if (waiting.length > 0) timer ??= setTimeout(flush, FLUSH_MS)
  return data.subarray(at)
}

function flush() {
  timer = undefined
  const frames = Buffer.concat(waiting)
  waiting = []
  for (const socket of sockets) socket.write(frames)
}
