/** The bus on NATS keeps what any bus promises, and what is its own. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect } from '@nats-io/transport-node'
import type { BusOptions } from '../../src/cluster/link.ts'
import { createNatsBus } from '../../src/cluster/nats.ts'
import { tempFolder } from '../helpers.ts'
import { hasNats, startNats, type NatsServer } from '../nats.ts'
import { startProxy } from '../proxy.ts'
import { busContract, entry, openNode, until, type Network, type Node } from './contract.ts'
import { recordLogs } from './logs.ts'

const EPOCH = 'e1'

/** Nodes reach the server through a proxy; strangers go straight to it. */
async function openNetwork(t: TestContext): Promise<Network> {
  const server = await startNats(t)
  const proxy = await startProxy(t, server.port)
  const foreign = { type: 'entries', room: 'lobby', entries: [entry('garden', 1)] }
  return {
    open: async (options) => open(`nats://127.0.0.1:${proxy.port}`, options),
    shout: (room, text) => shout(server, room, text),
    garbage: [
      '',
      'no json',
      '[]',
      '{"type":"head","room":"lobby","head":-1}',
      '{"type":"head","room":"garden","head":1}',
      '{"type":"entries","room":"lobby","entries":[]}',
      JSON.stringify(foreign),
      `{"type":"head","room":"lobby","head":1,"x":"${'x'.repeat(1_000_000)}"}`,
    ],
    stop: async () => {
      server.kill('SIGKILL')
      await server.ended()
    },
    start: server.start,
    freeze: proxy.freeze,
    thaw: proxy.pass,
  }
}

const open = (server: string, options: BusOptions) =>
  createNatsBus({ servers: [server], epoch: EPOCH, ...options })

async function shout({ port }: NatsServer, room: string, text: string) {
  const connection = await connect({ servers: `127.0.0.1:${port}` })
  connection.publish(`hearth.${EPOCH}.room.${room}`, text)
  await connection.drain()
}

const openAt = async (t: TestContext, address: string): Promise<Node> =>
  openNode(t, { open: async (options) => open(address, options) })

void test('NATS', async (t) => {
  if (!hasNats(t)) return
  await busContract(t, openNetwork)

  await t.test('a commit above 256 KiB goes out as its head', async (t) => {
    const network = await openNetwork(t)
    const [from, to] = [await openNode(t, network), await openNode(t, network)]
    await until(() => from.bus.isUp && to.bus.isUp, 'the bus')
    await to.bus.subscribe('lobby')
    const commit = (n: number) => Array.from({ length: n }, (_, i) => entry('lobby', i + 1, BODY))
    from.bus.publish({ type: 'entries', room: 'lobby', entries: commit(60) })
    from.bus.publish({ type: 'entries', room: 'lobby', entries: commit(75) })
    await until(() => to.hints.length === 2, 'both')
    assert.deepEqual(to.hints, [
      { type: 'entries', room: 'lobby', entries: commit(60) },
      { type: 'head', room: 'lobby', head: 75 },
    ])
  })

  await t.test('so it does when the server takes less, or it is dropped', async (t) => {
    const server = await startNats(t, withConfig(t, 'max_payload: 1000'))
    const [from, to] = [await openAt(t, urlOf(server)), await openAt(t, urlOf(server))]
    await until(() => from.bus.isUp && to.bus.isUp, 'the bus')
    await to.bus.subscribe('lobby')
    from.bus.publish({ type: 'entries', room: 'lobby', entries: [entry('lobby', 1, BODY)] })
    await until(() => to.hints.length === 1, 'the hint')
    assert.deepEqual(to.hints, [{ type: 'head', room: 'lobby', head: 1 }])
    assert.deepEqual(from.faults, [])
  })

  await t.test('name and password, or a token, come from the address', async (t) => {
    const logs = recordLogs(t)
    const named = await startNats(t, ['--user', 'ann', '--pass', 'p:1@4/%'])
    const right = await openAt(t, urlOf(named, `ann:${encodeURIComponent('p:1@4/%')}`))
    await until(() => right.bus.isUp, 'the right password')
    const tokened = await startNats(t, ['--auth', 'secret-token'])
    const bearer = await openAt(t, urlOf(tokened, 'secret-token'))
    await until(() => bearer.bus.isUp, 'the token')
    assert.doesNotMatch(logs.text(), /secret|p:1/)
  })

  await t.test('a wrong password is said, not shown, and does not end the trying', async (t) => {
    const logs = recordLogs(t)
    const server = await startNats(t, ['--user', 'ann', '--pass', 'right'])
    const node = await openAt(t, urlOf(server, 'ann:wr0ng'))
    await until(() => logs.said('bus down') === 1, 'a word')
    assert.match(logs.text(), /authorization violation/i)
    assert.doesNotMatch(logs.text(), /wr0ng/)
    assert.ok(!node.bus.isUp)
    server.kill('SIGKILL')
    await server.ended()
    await server.start(['--user', 'ann', '--pass', 'wr0ng'])
    await until(() => node.bus.isUp, 'a server that lets it in')
  })

  await t.test('who may not subscribe is down, who may not publish is told', async (t) => {
    const logs = recordLogs(t)
    const deny = (user: string, what: string) =>
      `{ user: ${user}, password: x, permissions: { ${what}: { deny: ">" } } }`
    const users = [deny('deaf', 'subscribe'), deny('mute', 'publish')].join()
    const server = await startNats(t, withConfig(t, `authorization: { users: [${users}] }`))
    const deaf = await openAt(t, urlOf(server, 'deaf:x'))
    const mute = await openAt(t, urlOf(server, 'mute:x'))
    await until(() => deaf.bus.isUp && mute.bus.isUp, 'the bus')
    await deaf.bus.subscribe('lobby')
    await until(() => !deaf.bus.isUp, 'the refusal')
    assert.match(logs.text(), /permissions violation for subscription/i)
    await mute.bus.subscribe('lobby')
    mute.bus.publish({ type: 'presence', room: 'lobby' })
    await until(() => logs.said('bus message dropped') === 1, 'a word')
    assert.ok(mute.bus.isUp)
    assert.deepEqual([...deaf.faults, ...mute.faults], [])
  })

  await t.test('the process can end, whatever the server does', async (t) => {
    const server = await startNats(t)
    const proxy = await startProxy(t, server.port)
    assert.equal(await leave(t, proxy.port), 'up')
    proxy.freeze()
    assert.equal(await leave(t, proxy.port), 'down')
    proxy.cut()
    assert.equal(await leave(t, proxy.port), 'down')
  })
})

/** A process that opens a bus, closes it half a second later, and has nothing else to do. */
async function leave(t: TestContext, port: number) {
  const program = fileURLToPath(new URL('leaver.ts', import.meta.url))
  const argv = process.versions.deno
    ? ['run', '--no-check', '--allow-net', '--allow-env', '--allow-read', program]
    : ['--import', 'tsx', program]
  const child = spawn(process.execPath, [...argv, `nats://127.0.0.1:${port}`])
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  let isOver = false
  child.on('close', () => (isOver = true))
  await until(() => isOver, `the end of the process: ${output}`)
  return output.trim()
}

function withConfig(t: TestContext, text: string) {
  const file = join(tempFolder(t), 'nats.conf')
  writeFileSync(file, text)
  return ['-c', file]
}

const BODY = 'x'.repeat(4_000)

function urlOf({ port }: NatsServer, name?: string) {
  return `nats://${name ? `${name}@` : ''}127.0.0.1:${port}`
}
