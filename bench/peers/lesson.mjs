// The lesson's server: `ws`, each message checked and sent to each client.

import { WebSocket, WebSocketServer } from 'ws'
import { parse } from './parse.mjs'

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })

server.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data) => {
    const message = parse(data)
    if (!message) return
    const text = JSON.stringify(message)
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(text)
    }
  })
})
server.on('listening', () => console.log(server.address().port))
