/** The limit of open files: read where the system shows it, and told when it is too low. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { descriptorLimit, descriptorShortage } from '../src/descriptors.ts'
import { RawSocket, request } from './conformance/raw.ts'
import { signIn, tempFolder } from './helpers.ts'
import { serverCommand, startProgram } from './process.ts'
import { openWire, takeTickets } from './wire.ts'

/** Longest wait for what should come soon. ms */
const PATIENCE_MS = 15_000

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max processes             7801                 7801                 processes
Max open files            1024                 524288               files
Max locked memory         8388608              8388608              bytes
`

test('the soft limit counts; where there is none to read, nothing is said', () => {
  assert.equal(descriptorLimit(LIMITS), 1_024)
  assert.equal(descriptorLimit(LIMITS.replace('1024  ', 'unlimited')), Infinity)
  for (const text of ['', 'Max open files', LIMITS.replace('open', 'closed')]) {
    assert.equal(descriptorLimit(text), null)
  }
})

test('a shortage names both numbers and the way out', () => {
  const { limit, needed, advice } = descriptorShortage(10_000, 1_024)!
  assert.deepEqual([limit, needed], [1_024, 10_256])
  assert.match(advice, /LimitNOFILE.*ulimit -n.*MAX_CONNECTIONS/)
  for (const enough of [10_256, Infinity, null]) {
    assert.equal(descriptorShortage(10_000, enough), null)
  }
})

test('a server that may open too little starts, and says so', async (t) => {
  if (!existsSync('/proc/self/limits')) return t.skip('there is no /proc')
  const command = ['sh', '-c', 'ulimit -n 256; exec "$0" "$@"', ...serverCommand()]
  // Deno shows /proc to those that may do all.
  if (process.versions.deno) command.splice(5, Infinity, '--allow-all', 'src/main.ts')
  const few = startProgram(t, command, { PORT: '0', DATA_FILE: ':memory:' })
  const line = JSON.parse(await few.says(/.*too few open files.*/)) as {
    level: string
    message: string
    properties: { limit: number; needed: number }
  }
  assert.equal(line.level, 'WARN')
  assert.equal(line.message, 'too few open files are allowed')
  assert.deepEqual([line.properties.limit, line.properties.needed], [256, 10_256])
  await few.says(/Hearth is at/)
})

test('silent connections that take all descriptors: who is in goes on, and newcomers are accepted again', async (t) => {
  const command = ['sh', '-c', 'ulimit -n 128; exec "$0" "$@"', ...serverCommand()]
  const server = startProgram(t, command, { PORT: '0', DATA_FILE: `${tempFolder(t)}/hearth.db` })
  const url = await server.says(/Hearth is at (http:\S+\d)/)
  const { token } = await signIn(url, 'Ann')
  const [ticket] = await takeTickets(url, token, 1)
  const ann = await openWire(t, url, ticket!)
  ann.send({ type: 'join', room: 'lobby', limit: 0 })
  await ann.until(() => ann.all('joined').length === 1)
  // A search, by a connection that is there before.
  const find = new RawSocket(t, url)
  const authorization = `Bearer ${token}`
  const search = request('/api/rooms/lobby/search?q=here', { Authorization: authorization })
  find.write(request('/livez'))
  await find.until(() => find.answers === 1)
  const silent = Array.from({ length: 200 }, () => new RawSocket(t, url))
  await server.says(/connection refused|no connection is accepted/)
  const id = crypto.randomUUID()
  ann.send({ type: 'say', room: 'lobby', id, body: 'still here' })
  await ann.until(() => ann.all('message').some((entry) => entry.id === id))
  find.write(search)
  await find.until(() => find.answers === 2)
  for (const { socket } of silent) socket.destroy()
  const end = performance.now() + PATIENCE_MS
  while (!(await isAccepted(t, url))) assert.ok(performance.now() < end, 'nobody is accepted')
  assert.equal(ann.isEnded, false)
  assert.equal(server.output.stdout.match(/connection refused/g)?.length ?? 1, 1)
  assert.ok(!/\n\s+at /.test(server.output.stderr), server.output.stderr)
})

async function isAccepted(t: TestContext, url: string) {
  const raw = new RawSocket(t, url)
  raw.write(request('/livez'))
  const status = await raw.head()
  raw.socket.destroy()
  // The system refuses at once where nobody listens.
  if (!status) await new Promise((resolve) => setTimeout(resolve, 50))
  return status === 200
}
