// `ws` that does nothing: what a connection costs at least.

import { WebSocketServer } from 'ws'

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
server.on('connection', (socket) => socket.on('error', () => {}))
server.on('listening', () => console.log(server.address().port))
