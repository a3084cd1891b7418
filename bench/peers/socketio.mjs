// Socket.IO: a room, and an event to all in it.

import { createServer } from 'node:http'
import { Server } from 'socket.io'

const server = createServer()
const io = new Server(server, { transports: ['websocket'], perMessageDeflate: false })

io.on('connection', (socket) => {
  void socket.join('lobby')
  socket.on('say', (message) => {
    const { user, text } = message ?? {}
    if (typeof user === 'string' && typeof text === 'string') {
      io.to('lobby').emit('message', { user, text })
    }
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
