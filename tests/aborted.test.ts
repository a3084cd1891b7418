/** Ten thousand handshakes that lead nowhere: the server is afterwards as it was before. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { handshake } from './conformance/raw.ts'
import { newcomer } from './helpers.ts'
import { startProcess } from './process.ts'

const HANDSHAKES = 10_000
const AT_A_TIME = 200
/**
 * Before memory is counted: what a runtime allocates once for all connections, and how large it
 * lets its heap become; on Deno 70 MiB in the first ten thousand, and 0.5 MiB in each of the next.
 */
const WARM_UP = 4_000
const FILES_MORE = 10
const RSS_MORE_KIB = 64 * 1_024
/** Longest wait for an answer, and for the descriptors. ms */
const PATIENCE_MS = 10_000

const BAD = handshake('x'.repeat(43))

/** Each writes, and ends the connection in its own way. */
const WAYS: readonly ((socket: Socket) => void)[] = [
  (socket) => socket.write(BAD.slice(0, 50), () => socket.resetAndDestroy()),
  (socket) => socket.write(BAD, () => socket.resetAndDestroy()),
  (socket) => socket.write(BAD),
  (socket) => {
    socket.write(handshake('x', { Upgrade: 'h2c' }))
    socket.once('data', () => socket.end())
  },
  (socket) => socket.end(BAD.slice(0, 50)),
  (socket) => socket.end(BAD),
  (socket) => socket.write(handshake('x', {}, { target: 'http://[' })),
  (socket) => socket.write(Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 13, 10])),
  (socket) => socket.resetAndDestroy(),
]

function abort(port: number, way: (socket: Socket) => void) {
  return new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => way(socket))
    socket.setTimeout(PATIENCE_MS, () => reject(new Error(`it hangs: ${way}`)))
    socket.on('data', () => {})
    socket.on('error', () => {})
    socket.on('close', () => resolve())
  })
}

async function abortMany(port: number, count: number) {
  let left = count
  const one = async () => {
    while (left > 0) await abort(port, WAYS[(left -= 1) % WAYS.length]!)
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, one))
}

const openFiles = (pid: number) => readdirSync(`/proc/${pid}/fd`).length

function rssKib(pid: number) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

test('10,000 aborted handshakes leave no descriptor and no memory behind', async (t) => {
  if (!existsSync('/proc/self/fd')) {
    console.log('SKIPPED: descriptors and memory are counted in /proc, which only Linux has.')
    return t.skip('no /proc')
  }
  const server = startProcess(t, { PORT: '0', DATA_FILE: ':memory:', LOG_LEVEL: 'off' })
  const url = await server.url()
  const pid = server.pid!
  const port = Number(new URL(url).port)
  await abort(port, WAYS[0]!)
  const files = openFiles(pid)
  await abortMany(port, WARM_UP)
  const rss = rssKib(pid)
  await abortMany(port, HANDSHAKES)
  await settled(pid, files + FILES_MORE)
  const more = rssKib(pid) - rss
  assert.ok(more < RSS_MORE_KIB, `${more} KiB more than before`)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  assert.equal(server.output.stderr, '')
})

/** Waits until no more than `most` files are open: the last ones close a moment after the peer. */
async function settled(pid: number, most: number) {
  const end = performance.now() + PATIENCE_MS
  while (openFiles(pid) > most) {
    assert.ok(performance.now() < end, `${openFiles(pid)} open files, at most ${most} expected`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
