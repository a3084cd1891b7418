#!/usr/bin/env bash
# Software: Deno 2.9.6, `Deno.serve`, HTTP/1.1 without TLS.
#
# Behaviour: `completed`, which a handler is given for its request, tells nothing of whether the answer
# arrived. Of a body of bytes it resolves at once, though its reader has taken no more than the
# system's buffers hold, and the rest waits in memory. Of the same body as a stream it waits; and when
# the reader goes in the middle of it, it resolves as well, as if all had been sent.
#
# Output seen (2026-11-28, Debian 12): 32 MiB to two readers that read nothing, then go.
#   bytes: completed
#   stream: waits
#   bytes, when its reader has gone: completed
#   stream, when its reader has gone: completed
#
# Why it matters: whoever counts answers that are under way by `completed`, to bound what waits for
# slow readers, counts none that has its body at once; and a log of transfers that were cut off stays
# empty.
#
# Fails when any of these lines changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit \
  "@deno/linux-$(uname -m | sed 's/x86_64/x64/;s/aarch64/arm64/')-glibc@2.9.6"

cat >try.mjs <<'JS'
const SIZE = 32 * 1024 * 1024
const PIECE = new Uint8Array(16 * 1024)
function inPieces() {
  let left = SIZE
  const pull = (controller) => {
    controller.enqueue(PIECE)
    left -= PIECE.length
    if (left === 0) controller.close()
  }
  return new ReadableStream({ pull }, { highWaterMark: 0 })
}
const bodies = { bytes: () => new Uint8Array(SIZE), stream: inPieces }
const states = {}
const answer = (request, { completed }) => {
  const name = new URL(request.url).pathname.slice(1)
  states[name] = 'waits'
  completed.then(
    () => (states[name] = 'completed'),
    () => (states[name] = 'failed'),
  )
  return new Response(bodies[name]())
}
const server = Deno.serve({ hostname: '127.0.0.1', port: 0, onListen() {} }, answer)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const readers = []
for (const name of Object.keys(bodies)) {
  const reader = await Deno.connect({ hostname: '127.0.0.1', port: server.addr.port })
  const head = `GET /${name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`
  await reader.write(new TextEncoder().encode(head))
  readers.push(reader)
}
await pause(3_000)
for (const name of Object.keys(bodies)) console.log(`${name}: ${states[name]}`)
for (const reader of readers) reader.close()
await pause(2_000)
for (const name of Object.keys(bodies)) console.log(`${name}, when its reader has gone: ${states[name]}`)
Deno.exit()
JS

node_modules/@deno/*/deno run --quiet --allow-net try.mjs | tee seen
diff - seen <<'SEEN' && echo 'as seen on 2026-11-28'
bytes: completed
stream: waits
bytes, when its reader has gone: completed
stream, when its reader has gone: completed
SEEN
