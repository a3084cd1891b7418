/** Starting and ending the real program: what it says, and with which code it goes. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { knock } from './conformance/raw.ts'
import { newcomer, newTicket, post, signIn, tempFolder } from './helpers.ts'
import { hasNats, startNats } from './nats.ts'
import { startPostgres } from './postgres.ts'
import {
  freePort,
  ON_SMALL_DISK,
  ROOT,
  serverCommand,
  startProcess,
  startProgram,
  type ServerProcess,
} from './process.ts'

/** Generous: CI starts two servers on two busy cores. ms */
const START_MS = 10_000

/** It ends by itself: one line on stderr, without a stack. */
async function assertRefused(server: ServerProcess, code: number, ...words: string[]) {
  assert.equal(await server.ended(), code)
  const { stdout, stderr } = server.output
  assert.equal(stdout, '')
  for (const word of words) assert.ok(stderr.includes(word), stderr)
  assert.doesNotMatch(stderr, /^\s+at |\.ts:\d|node_modules|UnhandledPromise/m)
  return stderr.trimEnd().split('\n')
}

const urlIn = (line: string) => /http:\/\/[\d.]+:\d+/.exec(line)?.[0] ?? assert.fail(line)

test('one line says where it is and where messages are kept', async (t) => {
  const file = `${tempFolder(t)}/deep/hearth.db`
  const before = performance.now()
  const server = startProcess(t, { PORT: '0', DATA_FILE: file })
  const line = await server.started()
  assert.ok(performance.now() - before < START_MS)
  assert.ok(line.includes(file), line)
  const response = await fetch(urlIn(line))
  assert.match(await response.text(), /Chat Application/)
  assert.equal(server.output.stdout.trimEnd().split('\n').length, 1)
  assert.equal(server.output.stderr, '')
})

test('what `npm start` runs does the same on every Node', async (t) => {
  const child = spawn(process.versions.deno ? 'node' : process.execPath, ['start.js'], {
    cwd: ROOT,
    env: { ...process.env, PORT: '0', DATA_FILE: ':memory:' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const ended = once(child, 'close')
  let output = ''
  for await (const text of child.stdout.setEncoding('utf8')) {
    output += text
    // Deno takes whatever `child.kill` was asked for as the end that came.
    if (output.includes('\n')) process.kill(child.pid!, 'SIGTERM')
  }
  assert.match(output, /^Hearth is at http:\S+, messages are kept in :memory:\n$/)
  assert.deepEqual(await ended, [0, null])
})

/** What a file loads at once, and what it loads when it comes to that. Types are not loaded. */
const AT_ONCE = /^(?:import|export) (?!type )(?:[^']* from )?'([^']+)'|\brequire\('([^']+)'\)/gm
const LATER = /await import\('([^']+)'\)/g
const ROOMS = ['cluster', 'search', 'watch', 'spec', 'login']

/** The files of ours, and the packages, that these load at once; with what they load later. */
function loadedBy(...names: string[]) {
  const packages = new Set<string>()
  const files = new Set(names)
  const later: string[] = []
  for (const file of files) {
    const text = readFileSync(join(ROOT, file), 'utf8')
    for (const [, name] of text.matchAll(LATER)) later.push(join(dirname(file), name!))
    for (const [, imported, name = imported!] of text.matchAll(AT_ONCE)) {
      if (name.startsWith('.')) files.add(join(dirname(file), name))
      else if (!/^(node:|#)/.test(name)) packages.add(name.replace(/^((?:@.+?\/)?[^/]+).*/, '$1'))
    }
  }
  return { files, packages, later }
}

const kernel = loadedBy('src/main.ts', 'src/runtime/node.ts')

test('a start loads what everybody needs, and nothing else', () => {
  assert.deepEqual([...kernel.packages].sort(), [
    '@hono/node-server',
    '@logtape/logtape',
    'hono',
    'ipaddr.js',
    // Its version; its table only when somebody signs in.
    'unhomoglyph',
    'valibot',
    'ws',
  ])
  const inRooms = [...kernel.files].filter((file) => ROOMS.includes(file.split('/')[1]!))
  assert.deepEqual(inRooms, [], 'of a room')
  assert.ok(kernel.later.length > 5)
})

test('each setting loads what docs/architecture.md says, and no room is left out', () => {
  const docs = readFileSync(`${ROOT}/docs/architecture.md`, 'utf8')
  const [table = ''] = docs.match(/^\| setting \|[^]*?\n\n/m) ?? []
  const namesIn = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)
  const told = new Set<string>()
  for (const row of table.trim().split('\n').slice(2)) {
    const [, setting, opens, files, packages] = row.split('|')
    const entrances = namesIn(opens).map((name) => `src/${name}`)
    const loaded = loadedBy(...entrances)
    const own = [...loaded.files].filter((file) => !kernel.files.has(file)).sort()
    const expected = [...entrances, ...namesIn(files).map((name) => `src/${name}`)].sort()
    assert.deepEqual(own, expected, setting)
    const more = [...loaded.packages].filter((name) => !kernel.packages.has(name)).sort()
    assert.deepEqual(more, namesIn(packages).sort(), setting)
    for (const file of own) told.add(file)
  }
  const all = ROOMS.flatMap((room) =>
    readdirSync(`${ROOT}/src/${room}`).map((name) => `src/${room}/${name}`),
  )
  assert.deepEqual(
    all.filter((file) => !told.has(file)),
    [],
    'opened by nothing',
  )
})

test('a taken port: one line, exit 1', async (t) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.after(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const server = startProcess(t, { PORT: String(port), DATA_FILE: ':memory:' })
  const lines = await assertRefused(server, 1, `127.0.0.1:${port}`, 'in use')
  assert.equal(lines.length, 1)
})

test('a data folder that cannot be written: one line, exit 1', async (t) => {
  const folder = tempFolder(t)
  writeFileSync(`${folder}/file`, '')
  const file = `${folder}/file/hearth.db`
  const lines = await assertRefused(startProcess(t, { PORT: '0', DATA_FILE: file }), 1, file)
  assert.equal(lines.length, 1)
})

test('a damaged file: one line that says what helps, exit 1', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const first = startProcess(t, { PORT: '0', DATA_FILE: file })
  await first.started()
  first.kill('SIGTERM')
  await first.ended()
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.fill(0xa5, bytes.length / 2))
  const server = startProcess(t, { PORT: '0', DATA_FILE: file })
  const lines = await assertRefused(server, 1, file, 'damaged', 'restore a backup')
  assert.equal(lines.length, 1)
})

test('on a full disk it ends as it should, and what it acknowledged is there', async (t) => {
  const env = { PORT: '0', DATA_FILE: `${tempFolder(t)}/hearth.db`, MESSAGE_BURST: '1000' }
  const server = startProgram(t, [...ON_SMALL_DISK, ...serverCommand()], env)
  const { user, token } = await signIn(await server.url(), 'Ada')
  const messages = (base: string) => `${base}/api/rooms/lobby/messages`
  const say = async () => {
    const message = { id: crypto.randomUUID(), body: 'long '.repeat(700) }
    return (await post(messages(await server.url()), message, token)).status
  }
  let acknowledged = 0
  while ((await say()) === 201) acknowledged += 1
  assert.equal(await say(), 503)
  assert.ok(user && acknowledged > 0, `${acknowledged}`)
  server.kill('SIGTERM')
  assert.equal(await server.ended(), 0)
  assert.doesNotMatch(server.output.stderr, /^\s+at /m)
  const next = startProcess(t, env)
  const headers = { authorization: `Bearer ${token}` }
  const answer = await fetch(messages(await next.url()), { headers })
  assert.equal(((await answer.json()) as { head: number }).head, acknowledged)
})

test('a second server on the same file: one line that names it, exit 1', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  await startProcess(t, { PORT: '0', DATA_FILE: file }).started()
  const second = startProcess(t, { PORT: '0', DATA_FILE: file })
  const lines = await assertRefused(second, 1, file, 'in use')
  assert.equal(lines.length, 1)
})

test('a bad environment: every problem, no secret, exit 2', async (t) => {
  const env = { PORT: 'x', HOST: '0.0.0.0', ADMIN_TOKEN: 'hunter2', TICKET_BIND_IP: 'maybe' }
  const server = startProcess(t, env)
  const lines = await assertRefused(
    server,
    2,
    ...Object.keys(env).filter((name) => name !== 'HOST'),
  )
  assert.equal(lines.length, 5, 'a title and four problems')
  assert.ok(!lines.join().includes('hunter2'))
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal}: what was said is kept, clients hear bye and 4000, exit 0`, async (t) => {
    const file = `${tempFolder(t)}/hearth.db`
    const server = startProcess(t, { PORT: '0', DATA_FILE: file })
    const url = urlIn(await server.started())
    const ann = await newcomer(t, url, 'Ann')
    await ann.join('lobby')
    const ids = Array.from({ length: 10 }, () => crypto.randomUUID())
    for (const id of ids) ann.send({ type: 'say', room: 'lobby', id, body: 'to the end' })
    const [first] = ids
    await ann.next('message', ({ id }) => id === first)
    const before = performance.now()
    server.kill(signal)
    assert.equal(await server.ended(), 0)
    assert.ok(performance.now() - before < 8_000)
    assert.equal(await ann.closeCode(), 4000)
    assert.equal(ann.events.at(-1)?.type, 'bye')
    const answered = [...ann.all('message'), ...ann.all('error')].map(({ id }) => id)
    assert.deepEqual(answered.sort(), ids.sort(), 'each is answered once')
    assert.equal(server.output.stderr, '')
  })
}

test('a second signal does not wait', async (t) => {
  const server = startProcess(t, { PORT: '0', DATA_FILE: ':memory:' })
  const url = urlIn(await server.started())
  const { token } = await signIn(url, 'Ann')
  // A bare socket answers no goodbye, so that the server waits for it.
  assert.equal((await knock(t, url, await newTicket(url, token))).status, 101)
  // Two of one kind may arrive as one.
  server.kill('SIGTERM')
  server.kill('SIGINT')
  assert.equal(await server.ended(), 1)
  assert.equal(server.output.stderr, '')
})

test('a bus without a common log is refused: exit 2', async (t) => {
  const server = startProcess(t, { NATS_URL: 'nats://127.0.0.1:4222', DATA_FILE: ':memory:' })
  await assertRefused(server, 2, 'NATS_URL', 'DATABASE_URL')
})

test('Postgres is not there yet: it is waited for, loudly, and the way out stays open', async (t) => {
  const port = await freePort()
  const url = `postgres://hearth:hunter2@127.0.0.1:${port}/hearth`
  const server = startProcess(t, { PORT: '0', DATABASE_URL: url })
  const line = await server.says(/.*waiting for Postgres.*/)
  assert.ok(line.includes(`${port}`) && !line.includes('hunter2'), line)
  server.kill('SIGTERM')
  assert.equal(await server.ended(), 0)
})

test('Postgres and NATS come after the node: it starts, and finds the bus later', async (t) => {
  if (!hasNats(t)) return
  const [postgres, nats] = await Promise.all([startPostgres(t), startNats(t)])
  const DATABASE_URL = await postgres.newDatabase()
  postgres.kill('SIGQUIT')
  nats.kill('SIGKILL')
  await Promise.all([postgres.ended(), nats.ended()])
  const env = { PORT: '0', DATABASE_URL, NATS_URL: `nats://127.0.0.1:${nats.port}` }
  const server = startProcess(t, env)
  await server.says(/waiting for Postgres/)
  await postgres.start()
  const url = await server.says(/Hearth is at (http:\S+), messages are kept in Postgres at/)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await ann.say('lobby', 'no bus yet')
  await server.says(/bus down/)
  await nats.start()
  await server.says(/bus up/)
  assert.equal(ann.closed, null)
})

test('a database that will not have us: one line without the password, exit 1', async (t) => {
  const postgres = await startPostgres(t)
  const DATABASE_URL = `postgres://postgres:hunter2@127.0.0.1:${postgres.port}/nowhere`
  const lines = await assertRefused(startProcess(t, { PORT: '0', DATABASE_URL }), 1, 'nowhere')
  assert.ok(lines.length === 1 && !lines.join().includes('hunter2'), lines.join())
})
