// Deno's own sockets: each message checked and sent to each client.

import { parse } from './parse.mjs'

const sockets = new Set()

const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: () => {} }, (request) => {
  if (request.headers.get('upgrade') !== 'websocket') return new Response(null, { status: 426 })
  const { socket, response } = Deno.upgradeWebSocket(request)
  socket.onopen = () => sockets.add(socket)
  socket.onclose = () => sockets.delete(socket)
  socket.onerror = () => {}
  socket.onmessage = ({ data }) => {
    const message = parse(data)
    if (!message) return
    const text = JSON.stringify(message)
    for (const each of sockets) if (each.readyState === WebSocket.OPEN) each.send(text)
  }
  return response
})
console.log(server.addr.port)
