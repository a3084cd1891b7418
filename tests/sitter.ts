/**
 * Well-behaved clients in a process that can be stopped or killed: `sitter.ts url token count`.
 * Prints `here` when all are connected, and answers every ping.
 */

import process from 'node:process'
import { openWire, takeTickets } from './wire.ts'

const [url, token, count] = process.argv.slice(2)
for (const ticket of await takeTickets(url!, token!, Number(count))) {
  const client = await openWire({ after: () => {} }, url!, ticket)
  let answered = 0
  client.socket.on('data', () => {
    for (; answered < client.all('ping').length; answered += 1) client.send({ type: 'pong' })
  })
}
console.log('here')
