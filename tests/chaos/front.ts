/** One address for all servers: each new connection goes to the next one that takes it. */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Scope } from '../process.ts'

export interface Front {
  readonly url: string
  /** Which target a connection from this local port came to. */
  targetOf(localPort: number): number | undefined
}

/** @param ports  of 127.0.0.1 */
export async function startFront(scope: Scope, ports: readonly number[]): Promise<Front> {
  const targets = new Map<number, number>()
  const sockets = new Set<Socket>()
  let turn = 0
  const server = createServer((client) => {
    const { remotePort = 0 } = client
    sockets.add(client)
    client.on('error', () => {})
    client.on('close', () => {
      sockets.delete(client)
      targets.delete(remotePort)
    })
    turn += 1
    pass(client, ports, turn, ports.length, (port) => targets.set(remotePort, port))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scope.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    targetOf: (localPort) => targets.get(localPort),
  }
}

/** Connects a client with the next target, or the one after it where nobody listens. */
function pass(
  client: Socket,
  ports: readonly number[],
  turn: number,
  tries: number,
  onTaken: (port: number) => void,
) {
  if (tries === 0) return client.destroy()
  const port = ports[turn % ports.length]!
  const server = connect(port, '127.0.0.1')
  let isTaken = false
  server.on('connect', () => {
    isTaken = true
    onTaken(port)
    client.setNoDelay(true)
    server.setNoDelay(true)
    client.pipe(server).pipe(client)
  })
  server.on('error', () => {
    if (!isTaken) pass(client, ports, turn + 1, tries - 1, onTaken)
  })
  // A killed server's connections end for its clients at once.
  server.on('close', () => isTaken && client.destroy())
  client.on('close', () => server.destroy())
}
