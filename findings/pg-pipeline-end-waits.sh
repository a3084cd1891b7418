#!/usr/bin/env bash
# Software: pg (node-postgres) 8.23.1, on Node 20.20.2.
#
# Behaviour: a client whose query has no answer yet is ended at once by `client.end()` in the usual
# mode, the socket is closed. With `pipeline: true` the same call waits for the answer first: while
# the server is silent, `end()` does not resolve and the socket stays open, for as long as the server
# likes. A pool that gives up such a client (`client.release(true)`) keeps it as well. What ends it is
# `query_timeout`: then the socket is destroyed and `end()` resolves.
#
# Output seen:
#   usual: end() resolved: true, socket closed: true
#   pipeline: end() resolved: false, socket closed: false
#   pipeline with query_timeout: end() resolved: true, socket closed: true
#
# Why it matters: a program that cuts off a database that froze, by a deadline of its own, leaks a
# connection each time once it switches pipelining on, and its process does not end.
#
# The server here is a stand-in of a few lines that lets everybody in and then says nothing: what a
# client sees of one that was stopped. Fails when any of these lines changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --save-exact pg@8.23.1 >/dev/null

cat >try.mjs <<'END'
import { createServer } from 'node:net'
import pg from 'pg'

/** AuthenticationOk and ReadyForQuery, as the protocol's version 3 has them; then silence. */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])
const server = createServer((socket) => {
  socket.once('data', () => socket.write(WELCOME))
  socket.on('error', () => {})
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function end(name, options) {
  const { port } = server.address()
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'x', ssl: false, ...options })
  client.on('error', () => {})
  await client.connect()
  client.query('SELECT 1').catch(() => {})
  await pause(100)
  const seen = { resolved: false, closed: false }
  client.connection.stream.once('close', () => (seen.closed = true))
  client.end().then(() => (seen.resolved = true))
  await pause(2_000)
  console.log(`${name}: end() resolved: ${seen.resolved}, socket closed: ${seen.closed}`)
  client.connection.stream.destroy()
}

await end('usual', {})
await end('pipeline', { pipeline: true })
await end('pipeline with query_timeout', { pipeline: true, query_timeout: 500 })
process.exit()
END

node try.mjs | tee seen.txt
diff seen.txt - <<'END'
usual: end() resolved: true, socket closed: true
pipeline: end() resolved: false, socket closed: false
pipeline with query_timeout: end() resolved: true, socket closed: true
END
echo "as it was"
