/** Too fast, too much at once: what a connection is told, and when it is closed. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { ann, bob } from '../store/drafts.ts'
import { MemoryLog } from '../store/model.ts'
import { NO_RATES, openHub } from './fakes.ts'

const say = (body = 'hello') => ({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body })
const history = { type: 'history', room: 'lobby' }
const times = <T>(count: number, make: () => T) => Array.from({ length: count }, make)

/** A log whose commits wait until told. */
function heldLog() {
  const log = new MemoryLog()
  const { append } = log
  const held: (() => void)[] = []
  log.append = async (drafts) => {
    await new Promise<void>((resolve) => held.push(resolve))
    return append(drafts)
  }
  return { log, commit: () => held.splice(0).forEach((resolve) => resolve()) }
}

test('the numbers that strangers meet are those of the documents', () => {
  const promised = {
    ...{ heartbeatMs: 25_000, silenceMs: 35_000, handshakeMs: 10_000, closeMs: 2_000 },
    ...{ messageRate: 2, messageBurst: 20, frameRate: 20, frameBurst: 60 },
    ...{ readRate: 5, readBurst: 40, refusalRate: 20 },
    ...{ refusalsToClose: 100, refusalWindowMs: 10_000 },
    ...{ invalidToClose: 10, invalidWindowMs: 60_000 },
    ...{ connectionsPerUser: 8, connectionsPerIp: 64, connections: 10_000 },
    ...{ roomsPerConnection: 32, sessionsPerMinute: 30, waitingAppends: 10_000 },
    ...{ waitingBytesToClose: 1_048_576, stallMs: 10_000 },
  }
  assert.deepEqual({ ...DEFAULT_LIMITS, ...promised }, DEFAULT_LIMITS)
})

test('20 messages at once, then two a second', async (t) => {
  const { connect, clock } = openHub(t)
  const a = connect(ann)
  await a.join()
  await a.ask(...times(22, say))
  await clock.advance(16)
  assert.equal(a.all('message').length, 20)
  const [error] = a.all('error')
  assert.deepEqual([error?.code, error?.of, error?.retryAfterMs], ['rate_limited', 'say', 500])
  assert.ok(error?.id)
  await clock.advance(1_000)
  await a.ask(...times(5, say))
  await clock.advance(16)
  assert.equal(a.all('message').length, 22)
})

test('the devices of a user share what he may say; others do not', async (t) => {
  const { connect, clock } = openHub(t)
  const [phone, laptop, other] = [connect(ann), connect(ann), connect(bob)]
  for (const one of [phone, laptop, other]) await one.join()
  await phone.ask(...times(15, say))
  await laptop.ask(...times(15, say))
  await other.ask(...times(15, say))
  await clock.advance(16)
  assert.equal(other.all('message').length, 35)
  assert.equal(laptop.codes().length, 10)
})

test('60 frames at once, then 20 a second; a few pong are free', async (t) => {
  const { connect, clock } = openHub(t)
  const a = connect(ann)
  const typing = { type: 'typing', room: 'lobby' }
  await a.ask(...times(70, () => typing), ...times(4, () => ({ type: 'pong' })))
  assert.equal(a.codes().filter((code) => code === 'rate_limited').length, 10)
  assert.equal(a.socket.code, null)
  await clock.advance(500)
  await a.ask(...times(11, () => typing))
  assert.equal(a.codes().filter((code) => code === 'rate_limited').length, 11)
})

test('pong is free twice a second and with nothing beside it; else it pays as any frame', async (t) => {
  const { connect, clock } = openHub(t, { limits: { frameBurst: 1, frameRate: 0.001 } })
  const a = connect(ann)
  const pong = '{ "type" : "pong" }'
  await a.ask(...times(4, () => pong))
  assert.deepEqual(a.codes(), [])
  await clock.advance(500)
  await a.ask(pong)
  assert.deepEqual(a.codes(), [])
  // The first of these takes the one token there is.
  await a.ask(pong, pong)
  assert.deepEqual(a.codes(), ['rate_limited'])
  await clock.advance(5_000)
  const wide = `{"type":"pong"${' '.repeat(18)}}`
  await a.ask(wide, { type: 'pong', more: 1 }, { type: 'pong', x: 'x'.repeat(16_000) })
  assert.equal(a.codes().length, 4)
  await a.ask(...times(3, () => pong))
  assert.equal(a.codes().length, 4, 'those took none of its own')
})

test('what only looks like a pong is no frame, and is told so', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  // White space for JavaScript, and not for JSON (RFC 8259, 2).
  const blanks = ['\u00a0', '\ufeff', '\u2003', '\v']
  await a.ask(...blanks.map((blank) => `{"type":${blank}"pong"}`))
  assert.deepEqual(
    a.codes(),
    blanks.map(() => 'invalid_frame'),
  )
})

test('whoever sends nothing but pong is told, and closed', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  const large = JSON.stringify({ type: 'pong', x: Array.from({ length: 1_600 }, () => ({ a: 1 })) })
  const parsed = countParses(t)
  await a.ask(...times(1_000, () => large))
  assert.equal(a.socket.code, 4029)
  const { frameBurst, refusalRate } = DEFAULT_LIMITS
  assert.equal(parsed.length, frameBurst + refusalRate, 'those in the bucket, and for the answers')
})

test('a frame is parsed once, whatever words are in it', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  await a.join()
  const parsed = countParses(t)
  await a.ask(say('the answer is "pong"'), { type: 'pong', x: 1 }, { type: 'pong' })
  assert.equal(parsed.length, 2)
})

/** The texts of frames that are parsed from now on. */
function countParses(t: TestContext) {
  const { parse } = JSON
  const parsed: string[] = []
  JSON.parse = (text: string) => {
    // What the server says are arrays, and the test reads them.
    if (text.startsWith('{')) parsed.push(text)
    return parse(text) as unknown
  }
  t.after(() => (JSON.parse = parse))
  return parsed
}

test('20 refusals a second are answered; a hundred in 10 s are the end', async (t) => {
  const { connect, clock } = openHub(t, { limits: { frameBurst: 1, frameRate: 0.001 } })
  const a = connect(ann)
  await a.ask(...times(50, () => '{}'))
  assert.equal(a.all('error').filter(({ code }) => code === 'rate_limited').length, 20)
  await clock.advance(10_001)
  await a.ask(...times(99, () => '{}'))
  assert.equal(a.socket.code, null)
  await a.ask('{}')
  assert.equal(a.socket.code, 4029)
  assert.deepEqual(a.all('bye'), [{ type: 'bye', code: 4029, retryAfterMs: 5_000 }])
})

test('40 reads at once, then five a second, joins and history alike', async (t) => {
  const { connect, clock } = openHub(t)
  const a = connect(ann)
  await a.join()
  await a.ask(...times(40, () => history))
  assert.deepEqual(a.codes(), ['rate_limited'])
  assert.equal(a.all('error')[0]?.retryAfterMs, 200)
  await a.join('garden')
  assert.deepEqual(a.codes(), ['rate_limited', 'rate_limited'])
  await clock.advance(200)
  await a.join('garden')
  assert.equal(a.all('joined').length, 2)
})

test('above 256 waiting it stops reading, and goes on when half is done', async (t) => {
  const { log, commit } = heldLog()
  const { connect, clock } = openHub(t, { log, limits: { ...NO_RATES, batchEntries: 100 } })
  const a = connect(ann)
  await a.join()
  await a.ask(...times(256, say))
  assert.equal(a.socket.isPaused, false)
  await a.ask(say())
  assert.equal(a.socket.isPaused, true)
  commit()
  await a.ask()
  assert.equal(a.socket.isPaused, true, '157 wait')
  commit()
  await a.ask()
  assert.equal(a.socket.isPaused, false, '57 wait')
  commit()
  await clock.advance(16)
  assert.equal(a.all('message').length, 257)
})

test('above 1,024 waiting it closes 4029', async (t) => {
  const { log, commit } = heldLog()
  const { connect } = openHub(t, { log, limits: NO_RATES })
  const [a, b] = [connect(ann), connect(bob)]
  await a.join()
  await b.join()
  await a.ask(...times(1_024, say))
  assert.equal(a.socket.code, null)
  await a.ask(say())
  assert.equal(a.socket.code, 4029)
  assert.equal(b.socket.code, null)
  for (let n = 0; n < 5; n += 1) {
    commit()
    await b.ask()
  }
  assert.ok(log.entries('lobby').length >= 1_024, 'what was taken is stored')
})

test('above a mebibyte waiting it closes 4029', async (t) => {
  const { log, commit } = heldLog()
  const { connect } = openHub(t, { log, limits: NO_RATES })
  const a = connect(ann)
  await a.join()
  const long = () => say('😀'.repeat(4_000))
  await a.ask(...times(60, long))
  assert.equal(a.socket.code, null)
  await a.ask(...times(10, long))
  assert.equal(a.socket.code, 4029)
  commit()
})

test('reads wait one behind the other and count, too', async (t) => {
  const log = new MemoryLog()
  const { connect } = openHub(t, { log, limits: NO_RATES })
  const a = connect(ann)
  await a.join()
  let inFlight = 0
  let most = 0
  const answers: (() => void)[] = []
  log.beforeRead = async () => {
    most = Math.max(most, (inFlight += 1))
    await new Promise<void>((resolve) => answers.push(resolve))
    inFlight -= 1
  }
  await a.ask(...times(257, () => history))
  assert.equal(a.socket.isPaused, true)
  while (a.all('history').length < 258) {
    answers.splice(0).forEach((resolve) => resolve())
    await a.ask()
  }
  assert.deepEqual([most, a.socket.isPaused], [1, false])
})

test('who goes on after the close is not read any more', async (t) => {
  const { connect } = openHub(t)
  const a = connect(ann)
  await a.join()
  a.connection.close(4029)
  await a.ask(...times(99, say))
  assert.equal(a.socket.isPaused, false, 'what was on its way, and the goodbye behind it')
  await a.ask(say())
  assert.equal(a.socket.isPaused, true)
  assert.equal(a.all('error').length, 0)
})

test('too fast is refused unread, and an answer still says which it was', async (t) => {
  const { connect } = openHub(t, { limits: { frameBurst: 1, frameRate: 0.001 } })
  const a = connect(ann)
  const frame = say()
  await a.ask('{}', frame, '{"type":"sing","room":"den"}', 'nonsense')
  const answers = a.all('error').map(({ code, of, id, room }) => [code, of, id, room])
  assert.deepEqual(answers, [
    ['invalid_frame', undefined, undefined, undefined],
    ['rate_limited', 'say', frame.id, 'lobby'],
    ['rate_limited', 'sing', undefined, 'den'],
    ['rate_limited', undefined, undefined, undefined],
  ])
})

test('10,000 appends may wait on a node; the next are unavailable, and may be tried again', async (t) => {
  const { log, commit } = heldLog()
  const { connect } = openHub(t, { log, limits: { ...NO_RATES, waitingToClose: 1e9 } })
  const people = times(10, () => ({ id: crypto.randomUUID(), name: 'somebody' })).map((user) =>
    connect(user),
  )
  for (const one of people) await one.join()
  // One batch of 500 is in flight, and does not wait.
  await people[0]!.ask(...times(500, say))
  for (const one of people) await one.ask(...times(1_000, say))
  assert.ok(people.every((one) => one.all('error').length === 0))
  await people[1]!.ask(say())
  assert.deepEqual(people[1]!.codes(), ['unavailable'])
  assert.equal(people[1]!.socket.code, null)
  for (let batches = 0; batches < 22; batches += 1) {
    commit()
    await people[0]!.ask()
  }
  assert.equal(log.entries('lobby').length, 10_500)
})
