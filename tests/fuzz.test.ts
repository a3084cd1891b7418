/**
 * Mutated traffic against a real server, while two honest clients talk: every frame is answered as
 * documented or ends its socket with a documented code, and nobody else notices anything.
 *
 * `FUZZ_SEED=7 FUZZ_FRAMES=1000000 npm test -- --node fuzz` repeats a run, or makes a long one.
 */

import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import process from 'node:process'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import * as v from 'valibot'
import { CLOSE, events, FRAME_BYTES, parseFrame } from '../static/protocol.js'
import type { Entry, ServerEvent } from '../src/protocol.ts'
import { frames } from './arbitraries.ts'
import { signIn, type Account } from './helpers.ts'
import { createRandom, type Random } from './random.ts'
import { mutateBody, mutateFrame, mutateStream, mutateText } from './mutations.ts'
import { startProcess, type Scope } from './process.ts'
import { openWire, takeTickets, wire, type WireClient } from './wire.ts'

const SEED = Number(process.env.FUZZ_SEED || Math.floor(Math.random() * 2 ** 31))
/** Hostile frames whose answers are checked; broken streams come on top. */
const FRAMES = Number(process.env.FUZZ_FRAMES || 46_000)
/** Hostile connections at a time, of each kind. */
const LANES = 6
/** Frames on one connection, at most: ten that are invalid end it. */
const FRAMES_OF_ONE = 120
const INVALID_TO_CLOSE = 10
/** Broken streams, for so many frames one. */
const FRAMES_PER_STREAM = 40
const FRAMES_OF_STREAM = 8
/** Between two words of an honest client. ms */
const THINK_MS = 20
const TICKETS_AT_ONCE = 50
/** They are good for 30 s, which a busy machine takes for so many. ms */
const STALE_MS = 15_000

/** So many that only what is not a rate is left. */
const ENV = {
  ...{ PORT: '0', DATA_FILE: ':memory:', LOG_LEVEL: 'info', SESSION_RATE: '1000000' },
  ...{ MESSAGE_RATE: '1000000', MESSAGE_BURST: '1000000' },
  ...{ FRAME_RATE: '1000000', FRAME_BURST: '1000000' },
  ...{ READ_RATE: '1000000', READ_BURST: '1000000', ROOM_RATE: '1000000' },
  ...{ MAX_CONNECTIONS_PER_USER: '100000', MAX_CONNECTIONS_PER_IP: '100000' },
}

/** What the schema refuses; answered in the order of the frames. */
const REFUSALS = new Set(['invalid_frame', 'unknown_type', 'too_long'])
/** What a good frame may be refused for here. */
const ANSWERS = new Set(['not_joined', 'not_found', 'forbidden', 'conflict', 'too_many'])
/** How a broken stream may end: ws's codes, ours, or those of a close of its own. */
const ENDS = (code: number) => [1002, 1006, 1007, 1008, 1009, 4500].includes(code)
const isOwnClose = (code: number) => (code >= 1000 && code <= 1014) || (code >= 3000 && code < 5000)

/* ------------------------------------------------------------------ the honest */

const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

/** What a client says in an ordinary talk; the target is always the first message. */
const conversation = (room: string) =>
  [
    { type: 'join', room, limit: 10 },
    { type: 'say', body: 'Hello, is anybody there? 🔥 Grüße' },
    { type: 'say', body: 'a second line\nof a longer message', replyTo: 1, mentions: [] },
    { type: 'edit', target: 1, body: 'Hello, everybody' },
    { type: 'react', target: 1, emoji: '👍', on: true },
    { type: 'history', room, before: 100, limit: 2 },
    { type: 'read', room, seq: 2 },
    { type: 'typing', room },
    { type: 'delete', target: 2 },
    { type: 'join', room, after: 1, limit: 2 },
    { type: 'pong' },
    { type: 'renew', ticket: 'x'.repeat(43) },
    { type: 'leave', room },
  ].map((frame) => {
    const isAppend = ['say', 'edit', 'react', 'delete'].includes(frame.type)
    return isAppend ? { ...frame, room, id: crypto.randomUUID() } : frame
  })

/** Somebody who joins two rooms and talks there until told to stop. */
async function honest(scope: Scope, url: string, account: Account) {
  const [ticket] = await takeTickets(url, account.token, 1)
  const client = await openWire(scope, url, ticket!)
  const said = new Map<string, string>()
  let isOver = false
  for (const room of ['lobby', 'quiet']) client.send({ type: 'join', room, limit: 0 })
  await client.until(() => client.all('joined').length === 2)
  const talk = async () => {
    for (let count = 0; !isOver; count += 1) {
      const id = crypto.randomUUID()
      const body = `${account.user.name} says ${count}`
      said.set(id, body)
      client.send({ type: 'say', room: count % 2 ? 'lobby' : 'quiet', id, body })
      await client.until(() => client.all('message').some((entry) => entry.id === id), body)
      await pause(THINK_MS)
    }
  }
  const talking = talk()
  const stop = async () => {
    isOver = true
    await talking
  }
  return { client, account, said, stop }
}

type Honest = Awaited<ReturnType<typeof honest>>

function assertUndisturbed(everybody: Honest[]) {
  const said = new Map(everybody.flatMap(({ said }) => [...said]))
  const authors = new Map(everybody.map(({ account }) => [account.user.id, account.user.name]))
  for (const { client, account } of everybody) {
    const { name } = account.user
    assert.deepEqual([client.closeCode, client.isEnded], [null, false], `${name} is still there`)
    assert.deepEqual(client.all('error'), [], `${name} was refused nothing`)
    for (const event of client.events) v.parse(events[event.type], event)
    for (const room of ['lobby', 'quiet']) {
      const { from } = client.all('joined').find((joined) => joined.room === room)!
      const entries = client.all('message').filter((entry) => entry.room === room)
      const seqs = entries.map(({ seq }) => seq)
      assert.deepEqual(
        seqs,
        Array.from(seqs, (_, index) => from + index),
        `${room} is unbroken`,
      )
      const own = entries.filter(({ author }) => authors.has(author.id))
      for (const entry of own) assertSaid(entry, said)
      if (room === 'quiet') assert.equal(own.length, entries.length, 'nothing foreign')
    }
  }
}

function assertSaid(entry: Entry, said: Map<string, string>) {
  assert.equal(entry.kind, 'message')
  assert.equal(entry.kind === 'message' && entry.body, said.get(entry.id))
}

/* ------------------------------------------------------------------ hostile frames */

/** One text of any kind; `good` are frames of an ordinary talk, `pool` those of fast-check. */
function hostileText(random: Random, good: readonly string[], pool: readonly string[]): string {
  const { below, chance, pick } = random
  const fresh = (text: string) => text.replace(UUID, () => crypto.randomUUID())
  const text = pick([
    () => mutateText(pick(good), random),
    () => mutateFrame(pick(chance(0.5) ? good : pool), random),
    () => mutateFrame(pick(good), random),
    () => pick(good).slice(0, below(60)) + pick(pool).slice(below(60)),
    () => mutateBody(fresh(good[1]!), random),
    () => mutateBody(fresh(good[3]!), random),
    () => fresh(pick(good)),
    () => pick(good),
    ...Array.from({ length: 4 }, () => () => pick(pool)),
  ])()
  // What goes over the wire is well-formed; so the text here is the same as there.
  return Buffer.from(text).toString()
}

/** Texts for one connection, and what has to come of them by the rules of docs/protocol.md. */
function planAssault(random: Random, room: string, pool: readonly string[]) {
  const good = conversation(room).map((frame) => JSON.stringify(frame))
  const texts: string[] = []
  const refusals: (string | undefined)[][] = []
  const appends: string[] = []
  const asked = { join: 0, history: 0, renew: 0 }
  let invalid = 0
  let close: number | null = null
  while (texts.length < FRAMES_OF_ONE && close === null) {
    const text = texts.length === 0 ? good[0]! : hostileText(random, good, pool)
    texts.push(text)
    if (Buffer.byteLength(text) > FRAME_BYTES) close = CLOSE.TOO_BIG
    const { frame, refusal } = parseFrame(text)
    if (refusal && !close) refusals.push([refusal.code, refusal.of, refusal.id, refusal.room])
    if (refusal?.code === 'invalid_frame' && (invalid += 1) === INVALID_TO_CLOSE) {
      close ??= CLOSE.BROKEN
    }
    if (close !== null) break
    if (frame && 'id' in frame) appends.push(frame.id)
    if (frame && frame.type in asked) asked[frame.type as keyof typeof asked] += 1
  }
  // Whatever follows has no answer.
  if (close !== null) texts.push(hostileText(random, good, pool))
  return { texts, refusals, appends, asked, close }
}

type Assault = ReturnType<typeof planAssault>

const isRefusal = (event: ServerEvent) => event.type === 'error' && REFUSALS.has(event.code)

/** Sends hostile frames and checks every answer. */
async function assault(client: WireClient, { texts, refusals, appends, asked, close }: Assault) {
  // The end waits for the rest: what is queued when a connection is closed has no answer.
  const rest = close === null ? texts.length : texts.length - 2
  const refused = () => client.all('error').filter(isRefusal)
  client.write(...texts.slice(0, rest).map((text) => wire(text)))
  const answers = (type: 'joined' | 'history' | 'renewed', of: string) =>
    client.all(type).length +
    client.all('error').filter((error) => error.of === of && !isRefusal(error)).length
  const isAnswered = () => {
    const ids = new Set(client.events.flatMap((event) => ('id' in event && event.id) || []))
    return (
      refused().length >= refusals.length - (close === CLOSE.BROKEN ? 1 : 0) &&
      appends.every((id) => ids.has(id)) &&
      answers('joined', 'join') >= asked.join &&
      answers('history', 'history') >= asked.history &&
      answers('renewed', 'renew') >= asked.renew
    )
  }
  await client.until(isAnswered, 'every answer')
  if (close !== null) {
    client.write(...texts.slice(rest).map((text) => wire(text)))
    await client.closed()
  }
  for (const event of client.events) v.parse(events[event.type], event)
  const errors = client.all('error')
  const told = refused().map(({ code, of, id, room }) => [code, of, id, room])
  assert.deepEqual(told, refusals)
  for (const error of errors.filter((error) => !isRefusal(error))) {
    assert.ok(ANSWERS.has(error.code) || error.of === 'renew', JSON.stringify(error))
  }
  const code = client.all('bye')[0]?.code ?? client.closeCode
  assert.equal(code, close)
  client.socket.destroy()
}

/** Sends a broken stream, and sees it end. */
async function breakStream(client: WireClient, stream: Buffer) {
  const own = new Set<number>()
  for (let at = 0; at + 1 < stream.length; at += 1) own.add(stream.readUInt16BE(at))
  client.socket.end(stream)
  await client.until(() => client.isEnded, 'the end of a broken stream')
  for (const event of client.events) v.parse(events[event.type], event)
  const code = client.all('bye')[0]?.code ?? client.closeCode ?? 1006
  // A close that is in the stream, by itself or by chance, is answered with its own code.
  assert.ok(ENDS(code) || code === 1005 || (isOwnClose(code) && own.size > 0), `code ${code}`)
}

/* ------------------------------------------------------------------ the run */

const descriptors = (pid: number | undefined) =>
  existsSync(`/proc/${pid}/fd`) ? readdirSync(`/proc/${pid}/fd`).length : 0

/** A server with honest people in it, and a way in for one who is not. */
async function openHouse(scope: Scope) {
  const server = startProcess(scope, ENV)
  const url = await server.url()
  const everybody: Honest[] = []
  for (const name of ['Ann', 'Bob'])
    everybody.push(await honest(scope, url, await signIn(url, name)))
  const { token } = await signIn(url, 'Mallory')
  const before = descriptors(server.pid)
  const lane = () => {
    let tickets: string[] = []
    let takenAt = 0
    return async () => {
      if (tickets.length === 0 || performance.now() - takenAt > STALE_MS) {
        takenAt = performance.now()
        tickets = await takeTickets(url, token, TICKETS_AT_ONCE)
      }
      return openWire({ after: () => {} }, url, tickets.pop()!)
    }
  }
  return { server, everybody, lane, before }
}

test(`hostile traffic ends nothing but itself (FUZZ_SEED=${SEED})`, async (t) => {
  const { server, everybody, lane, before } = await openHouse(t)
  const pool = fc.sample(frames, { seed: SEED, numRuns: 400 }).map((frame) => JSON.stringify(frame))
  let [sent, streams, connections] = [0, 0, 0]
  let hasFailed = false
  const attack = async (random: Random) => {
    const enter = lane()
    while (sent < FRAMES && !hasFailed) {
      const room = random.chance(0.05) ? 'lobby' : `fuzz-${random.below(1_000)}`
      const plan = planAssault(random, room, pool)
      sent += plan.texts.length
      connections += 1
      await assault(await enter(), plan)
    }
  }
  const confuse = async (random: Random) => {
    const enter = lane()
    const good = [...conversation('lobby-too').map((frame) => JSON.stringify(frame)), ...pool]
    while (streams < FRAMES / FRAMES_PER_STREAM && !hasFailed) {
      streams += 1
      const texts = Array.from({ length: FRAMES_OF_STREAM }, () => random.pick(good))
      await breakStream(await enter(), mutateStream(texts, random))
    }
  }
  try {
    const lanes = Array.from({ length: LANES }, (_, index) => createRandom(SEED + index))
    const attacks = lanes.flatMap((random) => [attack(random), confuse(random)])
    const results = await Promise.allSettled(
      attacks.map((one) =>
        one.catch((error: unknown) => {
          hasFailed = true
          throw error
        }),
      ),
    )
    for (const result of results) if (result.status === 'rejected') throw result.reason
    for (const { stop } of everybody) await stop()
    assertUndisturbed(everybody)
    const [said] = [everybody.reduce((sum, { said }) => sum + said.size, 0)]
    assert.ok(said >= 20, `the honest said ${said}`)
    const { stdout, stderr } = server.output
    assert.doesNotMatch(stdout + stderr, /\n\s+at |"level":"(ERROR|FATAL)"|rror:/)
    for (let n = 0; n < 100 && descriptors(server.pid) > before + 10; n += 1) await pause(50)
    assert.ok(descriptors(server.pid) <= before + 10, `${descriptors(server.pid)} descriptors`)
  } catch (error) {
    const faults = /^.*"level":"ERROR".*$/m.exec(server.output.stdout + server.output.stderr)
    const how = `FUZZ_SEED=${SEED} FUZZ_FRAMES=${FRAMES}`
    throw new Error(`${how}: ${error}\n${faults?.[0] ?? ''}`, { cause: error })
  }
  t.diagnostic(`${sent} frames on ${connections} connections, ${streams} broken streams`)
})
