// uWebSockets.js: bytes in, `publish` of the same bytes, nothing looked at.

import { App, us_socket_local_port } from '@uwsjs/core'

const app = App()
app.ws('/*', {
  maxBackpressure: 64 * 1024 * 1024,
  open: (socket) => void socket.subscribe('lobby'),
  message: (_socket, message) => void app.publish('lobby', message, false),
})
app.listen('127.0.0.1', 0, (socket) => console.log(us_socket_local_port(socket)))
