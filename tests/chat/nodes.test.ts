/** Several nodes of one log: one order, one presence, whatever is lost between them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogUnavailable } from '../../src/store/log.ts'
import { ann, bob, nthUser, say as draft } from '../store/drafts.ts'
import { openNodes } from './nodes.ts'

const say = (body = 'hello') => ({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body })
type Device = ReturnType<ReturnType<typeof openNodes>['nodes'][number]['connect']>
const seqs = (device: Device) => device.all('message').map(({ seq }) => seq)
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1)

test('what is said on one node is heard on all, in one order', async (t) => {
  const { nodes, clock } = openNodes(t, 3)
  const devices = nodes.map(({ connect }, n) => connect(nthUser(n + 1)))
  for (const device of devices) await device.join()
  for (const device of [...devices, ...devices]) device.send(say())
  await clock.advance(200)
  const orders = devices.map((device) => device.all('message').map(({ id }) => id))
  for (const device of devices) assert.deepEqual(seqs(device), upTo(6))
  for (const order of orders) assert.deepEqual(order, orders[0])
})

test('a lost entry is read from the log 100 ms after the next one', async (t) => {
  const { nodes, clock, network } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[1]!.connect(bob)]
  for (const device of [a, b]) await device.join()
  network.loses = () => true
  await a.ask(say('lost'))
  network.loses = () => false
  await a.ask(say('found'))
  await clock.advance(99)
  assert.deepEqual(seqs(b), [])
  await clock.advance(1)
  assert.deepEqual(seqs(b), [1, 2])
})

test('a head alone is read at once', async (t) => {
  const { nodes, clock, log } = openNodes(t, 1)
  const [node] = nodes
  const a = node!.connect(ann)
  await a.join()
  for (const body of ['one', 'two']) log.appendNow(draft(bob, body))
  node!.bus.listener!.onHint({ type: 'head', room: 'lobby', head: 2 })
  await clock.advance(0)
  assert.deepEqual(seqs(a), [1, 2])
})

test('what no hint tells of is found within ten seconds, within one while the bus is down', async (t) => {
  const { nodes, clock, log } = openNodes(t, 1)
  const [node] = nodes
  const a = node!.connect(ann)
  await a.join()
  await clock.advance(1_000)
  log.appendNow(draft(bob))
  await clock.advance(10_000)
  assert.deepEqual(seqs(a), [1])
  node!.bus.isUp = false
  await clock.advance(1_000)
  log.appendNow(draft(bob))
  await clock.advance(1_000)
  assert.deepEqual(seqs(a), [1, 2])
  node!.bus.isUp = true
  log.appendNow(draft(bob))
  node!.bus.listener!.onGap()
  await clock.advance(16)
  assert.deepEqual(seqs(a), [1, 2, 3])
})

test('a node that alone has lost the bus is heard within two seconds or three', async (t) => {
  const { nodes, clock } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[1]!.connect(bob)]
  for (const device of [a, b]) await device.join()
  await clock.advance(1_000)
  nodes[0]!.bus.isUp = false
  await a.ask(say('first'))
  await clock.advance(5_000)
  assert.deepEqual(seqs(b), [1])
  await a.ask(say('second'))
  await clock.advance(2_000)
  assert.deepEqual(seqs(b), [1, 2])
  nodes[0]!.bus.isUp = true
  await clock.advance(4_000)
  await a.ask(say('third'))
  await clock.advance(16)
  assert.deepEqual(seqs(b), [1, 2, 3])
})

test('entries heard while the room opens are neither lost nor told twice', async (t) => {
  const { nodes, clock, log } = openNodes(t, 1)
  const [node] = nodes
  const a = node!.connect(ann)
  const before = log.appendNow(draft(bob, 'before')).entry!
  let answer = () => {}
  log.beforeAnswer = () => new Promise((resolve) => (answer = resolve))
  const joining = a.join()
  await clock.advance(0)
  // The log has answered, and its answer is under way to us.
  const after = log.appendNow(draft(bob, 'after')).entry!
  for (const entry of [after, before]) {
    node!.bus.listener!.onHint({ type: 'entries', room: 'lobby', entries: [entry] })
  }
  log.beforeAnswer = async () => {}
  answer()
  await joining
  await clock.advance(16)
  assert.equal(a.all('joined')[0]?.head, 2)
  assert.deepEqual(
    a.all('history')[0]?.messages.map(({ body }) => body),
    ['before', 'after'],
  )
  await a.ask(say('next'))
  assert.deepEqual(seqs(a), [3])
})

test('an append without an answer that was stored all the same is heard of soon', async (t) => {
  const { nodes, clock, log, faults } = { ...openNodes(t, 1), faults: [] }
  const a = nodes[0]!.connect(ann)
  await a.join()
  const { append } = log
  log.append = async (drafts) => {
    for (const one of drafts) log.appendNow(one)
    throw new LogUnavailable('the reply was lost')
  }
  const message = say()
  await a.ask(message)
  assert.deepEqual([a.codes(), seqs(a), faults], [['unavailable'], [], []])
  log.append = append
  await clock.advance(1_000)
  assert.deepEqual(seqs(a), [1], 'without anybody asking')
  await a.ask(message)
  assert.deepEqual(
    a.all('message').map(({ seq, repeat = false }) => [seq, repeat]),
    [
      [1, false],
      [1, true],
    ],
  )
})

test('a repeat of what another node stored brings it here, in its place', async (t) => {
  const { nodes, clock, network } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[1]!.connect(ann)]
  for (const device of [a, b]) await device.join()
  network.loses = () => true
  const message = say()
  await a.ask(message)
  await b.ask(message)
  await clock.advance(16)
  assert.deepEqual(
    b.all('message').map(({ seq, repeat = false }) => [seq, repeat]),
    [
      [1, true],
      [1, false],
    ],
  )
})

test('who leaves while the own entry waits for an earlier one is told of it all the same', async (t) => {
  const { nodes, clock, log } = openNodes(t, 1)
  const a = nodes[0]!.connect(ann)
  await a.join()
  log.appendNow(draft(bob, 'not heard of here'))
  await a.ask(say(), { type: 'leave', room: 'lobby' })
  await clock.advance(1_000)
  assert.deepEqual(
    a.all('message').map(({ seq, repeat = false }) => [seq, repeat]),
    [[2, true]],
  )
})

test('a log that went back: everybody starts afresh', async (t) => {
  const { nodes, clock, log } = openNodes(t, 1)
  const a = nodes[0]!.connect(ann)
  await a.join()
  for (const body of ['one', 'two', 'three']) await a.ask(say(body))
  await clock.advance(16)
  // Restored from a backup that ends after the first.
  log.entries('lobby').splice(1)
  await clock.advance(11_000)
  const again = a.all('joined').at(-1)
  assert.deepEqual([again?.reset, again?.head, again?.from], [true, 1, 2])
  assert.deepEqual(
    a
      .all('history')
      .at(-1)
      ?.messages.map(({ body }) => body),
    ['one'],
  )
  await a.ask(say('other two'))
  await clock.advance(16)
  assert.deepEqual(seqs(a), [1, 2, 3, 2])
})

test('another entry at the head of the same length is another log, too', async (t) => {
  const { nodes, clock, log } = openNodes(t, 1)
  const a = nodes[0]!.connect(ann)
  await a.join()
  await a.ask(say('one'))
  await clock.advance(16)
  log.entries('lobby').splice(0)
  log.appendNow(draft(bob, 'not that one'))
  await clock.advance(11_000)
  assert.equal(a.all('joined').at(-1)?.reset, true)
})

test('presence is that of all nodes, and each user counts once', async (t) => {
  const { nodes, clock } = openNodes(t, 2)
  const a = nodes[0]!.connect(ann)
  await a.join()
  await clock.advance(3_000)
  const [b, ann2] = [nodes[1]!.connect(bob), nodes[1]!.connect(ann)]
  await b.join()
  assert.deepEqual(
    b
      .all('joined')[0]
      ?.members?.map(({ name }) => name)
      .sort(),
    ['Ann', 'Bob'],
  )
  await ann2.join()
  await clock.advance(3_000)
  assert.deepEqual(a.all('presence').at(-1), {
    ...{ type: 'presence', room: 'lobby', count: 2, joined: [bob] },
  })
  ann2.connection.gone()
  b.connection.gone()
  await clock.advance(8_000)
  assert.equal(a.all('presence').at(-1)?.left, undefined, 'an absence is shown after 8 s')
  await clock.advance(4_000)
  assert.deepEqual(a.all('presence').at(-1)?.left, [bob])
  assert.equal(a.all('presence').at(-1)?.count, 1)
})

test('the people of a killed node are gone within a minute', async (t) => {
  const { nodes, clock, directory } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[1]!.connect(bob)]
  for (const device of [a, b]) await device.join()
  await clock.advance(20_000)
  assert.equal(a.all('presence').at(-1)?.count, 2)
  directory.dead.add('node 1')
  await a.ask({ type: 'pong' })
  for (let second = 0; second < 60; second += 20) {
    await clock.advance(20_000)
    await a.ask({ type: 'pong' })
  }
  assert.deepEqual(a.all('presence').at(-1)?.left, [bob])
})

test('a rolling restart shows nobody leaving', async (t) => {
  const { nodes, clock } = openNodes(t, 2)
  const a = nodes[0]!.connect(ann)
  await a.join()
  const b = nodes[1]!.connect(bob)
  await b.join()
  await clock.advance(3_000)
  const before = a.all('presence').length
  const drained = nodes[1]!.hub.drain()
  await clock.advance(10)
  await drained
  await clock.advance(5_000)
  const again = nodes[0]!.connect(bob)
  await again.join()
  for (let n = 0; n < 4; n += 1) {
    await clock.advance(15_000)
    await a.ask({ type: 'pong' })
    await again.ask({ type: 'pong' })
  }
  assert.equal(a.all('presence').length, before)
})

test('who did not come back after a restart is gone soon', async (t) => {
  const { nodes, clock } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[1]!.connect(bob)]
  for (const device of [a, b]) await device.join()
  await clock.advance(3_000)
  const drained = nodes[1]!.hub.drain()
  await clock.advance(10)
  await drained
  await clock.advance(27_000)
  assert.deepEqual(a.all('presence').at(-1)?.left, [bob])
})

test('typing and read positions cross nodes', async (t) => {
  const { nodes, clock } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[1]!.connect(bob)]
  const ann2 = nodes[1]!.connect(ann)
  for (const device of [a, b, ann2]) await device.join()
  await a.ask({ type: 'typing', room: 'lobby' })
  assert.deepEqual(b.all('typing')[0]?.user, ann)
  assert.deepEqual([...a.all('typing'), ...ann2.all('typing')], [], 'never to oneself')
  await b.ask(say())
  await clock.advance(16)
  await a.ask({ type: 'read', room: 'lobby', seq: 1 })
  assert.deepEqual(ann2.all('read'), [{ type: 'read', room: 'lobby', seq: 1 }])
  assert.deepEqual([...a.all('read'), ...b.all('read')], [])
})

test('what was revoked anywhere ends here within two seconds, without any bus', async (t) => {
  const { nodes, clock, network, directory } = openNodes(t, 1)
  network.loses = () => true
  const phone = nodes[0]!.connect(ann, { session: 'phone' })
  const laptop = nodes[0]!.connect(ann, { session: 'laptop' })
  const troll = nodes[0]!.connect(bob, { session: 'troll' })
  for (const device of [phone, laptop]) {
    await device.join()
    await device.join('garden')
  }
  await clock.advance(1_000)
  const sessions = [
    { hash: 'phone', banned: false },
    { hash: 'troll', banned: true },
  ]
  directory.ended = { sessions, memberships: [{ room: 'garden', user: ann.id }] }
  await clock.advance(2_000)
  const codes = [phone, laptop, troll].map(({ socket }) => socket.code)
  assert.deepEqual(codes, [4501, null, 4503])
  assert.deepEqual(laptop.all('removed'), [{ type: 'removed', room: 'garden' }])
  await laptop.ask({ ...say(), room: 'garden' }, say())
  assert.deepEqual(laptop.codes(), ['not_joined'])
  assert.equal(laptop.all('message').length, 1)
})

test('what is over and open is closed within the hour; whoever is banned is told that', async (t) => {
  const { nodes, clock, directory } = openNodes(t, 1)
  const { hub, connect } = nodes[0]!
  const over = connect(ann, { session: 'over' })
  const troll = connect(bob, { session: 'troll' })
  await clock.advance(1_000)
  hub.options.keepSessions = async () => {
    directory.ended = { sessions: [{ hash: 'troll', banned: true }], memberships: [] }
    return []
  }
  for (let n = 0; n < 180; n += 1) {
    await clock.advance(20_000)
    for (const one of [over, troll]) await one.ask({ type: 'pong' })
  }
  assert.deepEqual([over.socket.code, troll.socket.code], [4501, 4503])
})

test('a device that is added is told once to the others of its user, on every node', async (t) => {
  const { nodes, clock, network, directory } = openNodes(t, 2)
  network.loses = () => true
  const phone = nodes[0]!.connect(ann, { session: 'phone' })
  const laptop = nodes[1]!.connect(ann, { session: 'laptop' })
  const added = nodes[1]!.connect(ann, { session: 'added'.repeat(8) })
  const other = nodes[0]!.connect(bob, { session: 'his' })
  const at = new Date(0)
  const device = { hash: 'added'.repeat(8), user: ann.id, at, address: '192.0.2.1', agent: null }
  directory.devices = [device]
  await clock.advance(10_000)
  const event = {
    ...{ type: 'device', id: 'addedaddedaddeda', at: at.toISOString() },
    ...{ address: '192.0.2.1', agent: null },
  }
  assert.deepEqual(phone.all('device'), [event])
  assert.deepEqual(laptop.all('device'), [event])
  assert.deepEqual([...added.all('device'), ...other.all('device')], [])
  directory.devices = [device, { ...device, hash: 'another'.repeat(6) }]
  await clock.advance(2_000)
  assert.equal(phone.all('device').length, 2)
})

test('a node that was told nothing for too long has everybody come again, once', async (t) => {
  const { nodes, clock, directory } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[0]!.connect(bob)]
  await clock.advance(3_000)
  directory.isIncomplete = true
  await clock.advance(2_000)
  assert.deepEqual([a.socket.code, b.socket.code], [4000, 4000])
  directory.isIncomplete = false
  const again = nodes[0]!.connect(ann)
  await clock.advance(10_000)
  assert.equal(again.socket.code, null)
})

test('a node without an answer in its first minute has everybody come again', async (t) => {
  const { nodes, clock, directory } = openNodes(t, 1)
  const a = nodes[0]!.connect(ann)
  directory.ended = Promise.reject(new LogUnavailable('gone'))
  directory.ended.catch(() => {})
  for (let n = 0; n < 4; n += 1) {
    await clock.advance(20_000)
    await a.ask({ type: 'pong' })
  }
  assert.equal(a.socket.code, null)
  directory.ended = { sessions: [], memberships: [] }
  await clock.advance(2_000)
  assert.equal(a.socket.code, 4000)
})

test('what is open under an old name comes again; what came again stays', async (t) => {
  const { nodes, clock, network, directory } = openNodes(t, 2)
  network.loses = () => true
  const zoey = { ...ann, name: 'Zoey' }
  const [old, other] = [nodes[0]!.connect(ann), nodes[1]!.connect(bob)]
  for (const device of [old, other]) await device.join()
  await clock.advance(3_000)
  directory.renamed = [{ user: ann.id, name: 'Zoey' }]
  await clock.advance(2_000)
  assert.deepEqual([old.socket.code, other.socket.code], [4000, null])
  const again = nodes[0]!.connect(zoey)
  await again.join()
  await clock.advance(12_000)
  assert.equal(again.socket.code, null)
  assert.deepEqual(other.all('presence').at(-1)?.joined, [zoey], 'and is shown so')
  await again.ask(say())
  assert.equal(again.all('message').at(-1)?.author.name, 'Zoey')
})

test('a seat taken after the question is not taken away by an old answer', async (t) => {
  const { nodes, clock, directory } = openNodes(t, 1)
  const a = nodes[0]!.connect(ann)
  const memberships = [{ room: 'lobby', user: ann.id }]
  let answer = () => {}
  Object.defineProperty(directory, 'ended', {
    get: () => new Promise((resolve) => (answer = () => resolve({ sessions: [], memberships }))),
  })
  await clock.advance(3_000)
  await a.join()
  answer()
  await clock.advance(500)
  assert.deepEqual(a.all('removed'), [])
  assert.ok(memberships.length > 0)
})

test('a log and a directory that do not answer: the node lives on and catches up', async (t) => {
  const { nodes, clock, log } = openNodes(t, 2)
  const [a, b] = [nodes[0]!.connect(ann), nodes[1]!.connect(bob)]
  for (const device of [a, b]) await device.join()
  const { append } = log
  log.append = () => Promise.reject(new LogUnavailable('gone'))
  log.beforeRead = () => Promise.reject(new LogUnavailable('gone'))
  await a.ask(say())
  await clock.advance(30_000)
  assert.deepEqual([a.codes(), a.socket.code, b.socket.code], [['unavailable'], null, null])
  log.append = append
  log.beforeRead = async () => {}
  for (const device of [a, b]) await device.ask({ type: 'pong' })
  await a.ask(say())
  await clock.advance(1_000)
  assert.deepEqual([seqs(a), seqs(b)], [[1], [1]])
})
