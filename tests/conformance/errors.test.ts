import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { newcomer, startServer, TestClock, GENEROUS } from '../helpers.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const say = { type: 'say', room: 'lobby', id: ID, body: 'hello' }
const edit = { ...say, type: 'edit', target: 1 }
const react = { type: 'react', room: 'lobby', id: ID, target: 1, emoji: '👍', on: true }
const join = { type: 'join', room: 'lobby' }
const history = { type: 'history', room: 'lobby' }
const read = { type: 'read', room: 'lobby', seq: 1 }

const BAD_ROOMS = ['', 'Lobby', '-lobby', 'a b', 'a/b', 'ü', '../x', 'a'.repeat(33), 7, null]
const BAD_IDS = ['', 'x', ID.toUpperCase().replace('4', 'A'), `${ID}0`, `{${ID}}`, 7, null]
const BAD_SEQS = [-1, 1.5, 2 ** 53, '1', null, true, {}]
const BAD_BODIES = ['', 'a\0b', '\u0007', '\u001b[31m', '\u0085', '\ud800', '\udc00\ud800', 7, null]
const BAD_EMOJI = ['', 'a', '👍👍', '<b>', '\ufe0f', '👍\u200d', 7]

/** Frames that the schema refuses, each with the one thing that is wrong. */
const badFrames: Record<string, unknown>[] = [
  ...BAD_ROOMS.map((room) => ({ ...say, room })),
  ...BAD_ROOMS.map((room) => ({ ...join, room })),
  ...BAD_IDS.map((id) => ({ ...say, id })),
  ...BAD_IDS.map((last) => ({ ...join, after: 1, last })),
  ...BAD_SEQS.map((after) => ({ ...join, after })),
  ...BAD_SEQS.map((before) => ({ ...history, before })),
  ...BAD_SEQS.map((seq) => ({ ...read, seq })),
  ...[0, ...BAD_SEQS].map((target) => ({ ...edit, target })),
  ...[0, ...BAD_SEQS].map((target) => ({ ...react, target })),
  ...[0, ...BAD_SEQS].map((replyTo) => ({ ...say, replyTo })),
  ...[101, ...BAD_SEQS].map((limit) => ({ ...join, limit })),
  ...[0, 101, ...BAD_SEQS].map((limit) => ({ ...history, limit })),
  ...BAD_BODIES.map((body) => ({ ...say, body })),
  ...BAD_BODIES.map((body) => ({ ...edit, body })),
  ...BAD_EMOJI.map((emoji) => ({ ...react, emoji })),
  ...['true', 1, null].map((on) => ({ ...react, on })),
  ...['x', ['x'], [7], {}, Array<string>(51).fill(ID)].map((mentions) => ({ ...say, mentions })),
  ...[7, 'e'.repeat(65)].map((epoch) => ({ ...join, epoch })),
  ...['', 'short', 'not base64url!!!', 7].map((token) => ({ ...say, token })),
  ...['', 'short', 7].map((ticket) => ({ type: 'renew', ticket })),
  { ...say, body: 'x'.repeat(4_001), id: 'x' },
]

/** Frames with a field left out. */
const halfFrames = [join, { ...say }, edit, react, history, read, { type: 'renew', ticket: 'x' }]
  .flatMap((frame) => Object.keys(frame).map((key) => [frame, key] as const))
  .filter(([, key]) => key !== 'type')
  .map(([frame, key]) => {
    const { [key as 'type']: _, ...rest } = frame
    return rest as Record<string, unknown>
  })

/** What is no frame at all. */
const NO_FRAMES = [
  '',
  'hello',
  '{',
  'null',
  '7',
  '"say"',
  '[]',
  `[${JSON.stringify(say)}]`,
  '{}',
  '{"type":null}',
  '{"type":["say"]}',
  `${JSON.stringify(say)} ${JSON.stringify(say)}`,
  '['.repeat(8_000),
  '{"a":'.repeat(3_000),
  '\ufeff{}',
]

const isId = (id: unknown) => typeof id === 'string' && /^[0-9a-f-]{36}$/.test(id)
const isRoom = (room: unknown) => typeof room === 'string' && /^[a-z0-9][a-z0-9-]{0,31}$/.test(room)

test('whatever the schema refuses is invalid_frame, and says which frame it was', async (t) => {
  const { url } = await startServer(t, { limits: { ...GENEROUS, invalidToClose: 1e6 } })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  for (const frame of [...badFrames, ...halfFrames]) {
    ann.send(frame)
    const { code, of, id, room, message } = await ann.next('error')
    const said = JSON.stringify(frame).slice(0, 200)
    assert.equal(code, 'invalid_frame', said)
    assert.equal(of, frame.type, said)
    assert.equal(id, isId(frame.id) ? frame.id : undefined, said)
    assert.equal(room, isRoom(frame.room) ? frame.room : undefined, said)
    assert.ok(message.length > 0 && message.length < 200)
  }
  assert.equal((await ann.say('lobby', 'still here')).seq, 1)
})

test('what is not one JSON object is invalid_frame', async (t) => {
  const { url } = await startServer(t, { limits: { ...GENEROUS, invalidToClose: 1e6 } })
  const ann = await newcomer(t, url, 'Ann')
  for (const text of NO_FRAMES) {
    ann.send(text)
    const { code, of } = await ann.next('error')
    assert.deepEqual([code, of], ['invalid_frame', undefined], text.slice(0, 99))
  }
  for (const bytes of [Buffer.from(JSON.stringify(join)), Buffer.alloc(0), Buffer.alloc(9_000)]) {
    ann.socket.send(bytes)
    assert.equal((await ann.next('error')).code, 'invalid_frame')
  }
  await ann.join('lobby')
})

test('an unknown type is unknown_type, and not a fault of the client', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  for (const type of ['shout', '', 'JOIN', 'constructor', '__proto__', 'message', 'x'.repeat(99)]) {
    ann.send({ type, room: 'lobby', id: ID })
    const { code, of, id, room } = await ann.next('error')
    assert.deepEqual([code, of, id, room], ['unknown_type', type.slice(0, 32), ID, 'lobby'])
  }
  for (let times = 0; times < 20; times += 1) await ann.settle()
})

test('a body over 4,000 code points is too_long, one of 4,000 is not', async (t) => {
  const { url } = await startServer(t, { limits: GENEROUS })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const id = crypto.randomUUID()
  for (const [type, letter] of [
    ['say', 'x'],
    ['say', '🔥'],
    ['edit', 'é'],
  ] as const) {
    ann.send({ type, room: 'lobby', id, target: 1, body: letter.repeat(4_001) })
    const { code, of, room, ...error } = await ann.next('error')
    assert.deepEqual([code, of, error.id, room], ['too_long', type, id, 'lobby'])
  }
  for (const letter of ['x', '🔥', 'e\u0301']) {
    const entry = await ann.say('lobby', letter.repeat(4_000))
    assert.equal(entry.kind === 'message' && [...(entry.body ?? '')].length, 4_000)
  }
})

test('a frame over 16 KiB closes 1009', async (t) => {
  const { url } = await startServer(t, { limits: GENEROUS })
  const ann = await newcomer(t, url, 'Ann')
  const frame = { type: 'leave', room: 'lobby', padding: '' }
  const padding = 'x'.repeat(16_384 - JSON.stringify(frame).length)
  ann.send({ ...frame, padding })
  await ann.settle()
  assert.equal(ann.all('error').length, 1)
  ann.send({ ...frame, padding: `${padding}x` })
  assert.equal(await ann.closeCode(), 1009)
})

test('everything said to a room needs a join first', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const typing = { type: 'typing', room: 'lobby' }
  for (const frame of [say, edit, { ...edit, type: 'delete' }, react, history, read, typing]) {
    ann.send(frame)
    const { code, of, id, room } = await ann.next('error')
    const sent = 'id' in frame ? frame.id : undefined
    assert.deepEqual([code, of, id, room], ['not_joined', frame.type, sent, 'lobby'])
  }
})

test('ten invalid frames in a minute close 4500', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  for (let times = 0; times < 10; times += 1) ann.send('nonsense')
  assert.equal(await ann.closeCode(), 4500)
  assert.equal(ann.all('error').length, 10)
  assert.deepEqual(ann.events.at(-1), { type: 'bye', code: 4500, retryAfterMs: 0 })
})

test('a bad frame now and then is forgiven', async (t) => {
  const clock = new TestClock()
  const { url } = await startServer(t, { clock, limits: { silenceMs: 1e9 } })
  const ann = await newcomer(t, url, 'Ann')
  for (let minutes = 0; minutes < 3; minutes += 1) {
    for (let times = 0; times < 9; times += 1) {
      ann.send('nonsense')
      await ann.next('error')
    }
    await clock.advance(60_001)
  }
  await ann.settle()
  assert.equal(ann.closed, null)
})
