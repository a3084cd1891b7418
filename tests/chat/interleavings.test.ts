/** A room under any mix of joins, leaves, slow queues, lost and doubled entries: never a hole. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogUnavailable } from '../../src/store/log.ts'
import type { Seat } from '../../src/chat/seat.ts'
import type { Entry, FrameOf, ServerEvent } from '../../src/protocol.ts'
import { createRandom, type Random } from '../random.ts'
import { turn, type TestClock } from '../helpers.ts'
import { ann, nthUser, say } from '../store/drafts.ts'
import type { MemoryLog } from '../store/model.ts'
import { FakeListener, openRoom } from './fakes.ts'

const RUNS = 25
const STEPS = 300
const VIEWERS = 5

/** A client: holds a position, and finds fault with whatever does not follow it. */
class Viewer {
  readonly listener: FakeListener
  readonly faults: unknown[] = []
  seat: Seat | null = null
  isJoining = false
  /** `seq` of the last entry held; null before the first join. */
  position: number | null = null
  /** What the last join asked for; null: afresh. */
  #after: number | null = null
  #awaitsHistory = false
  readonly #log: MemoryLog

  constructor(n: number, log: MemoryLog) {
    this.#log = log
    this.listener = new FakeListener(nthUser(n))
    this.listener.onEvent = (event) => this.#take(event)
    // A room that cannot send to a listener tries again, so a fault must not end here.
    const { send } = this.listener
    this.listener.send = (frame) => {
      try {
        send.call(this.listener, frame)
      } catch (error) {
        this.faults.push(error)
      }
    }
  }

  /** A join from where it is, or afresh. */
  request(isFresh: boolean): Partial<FrameOf<'join'>> {
    this.#after = isFresh ? null : this.position
    const after = this.#after
    if (after === null) return {}
    const last = this.#log.entries('lobby')[after - 1]?.id
    return { after, epoch: this.#log.epoch, ...(last !== undefined && { last }) }
  }

  #take(event: ServerEvent) {
    if (event.type === 'joined') return this.#join(event)
    if (event.type === 'history') {
      assert.ok(this.#awaitsHistory)
      assert.equal(event.head, this.position)
      this.#awaitsHistory = false
    }
    if (event.type === 'message') this.#accept(event)
  }

  /** Starts anew where the room says. A reset comes by itself, too, to one too far behind. */
  #join({ from, head, reset }: ServerEvent & { type: 'joined' }) {
    assert.ok(!this.#awaitsHistory)
    const isReplay = this.#after !== null && !reset
    assert.equal(from, isReplay ? this.#after! + 1 : head + 1)
    this.position = from - 1
    this.#awaitsHistory = !isReplay
  }

  #accept(entry: Entry) {
    assert.ok(this.seat || this.isJoining, 'an entry to nobody')
    assert.ok(!this.#awaitsHistory)
    assert.equal(entry.seq, this.position! + 1)
    assert.equal(entry.id, this.#log.entries('lobby')[entry.seq - 1]?.id)
    this.position = entry.seq
  }
}

interface World {
  random: Random
  clock: TestClock
  log: MemoryLog
  viewers: Viewer[]
  joins: Promise<void>[]
  room: ReturnType<typeof openRoom>['room']
  join: ReturnType<typeof openRoom>['join']
}

/** New entries, told to the room as a bus might: some lost, some twice, some out of order. */
function speak({ random, log, room }: World) {
  const count = random.chance(0.03) ? 1_100 : 1 + random.below(12)
  const entries: Entry[] = []
  for (let n = 0; n < count; n += 1) {
    const { entry } = log.appendNow(say(ann, 'x'.repeat(random.below(400) + 1)))
    if (entry && !random.chance(0.05)) entries.push(entry)
    if (entry && random.chance(0.05)) entries.push(entry)
  }
  if (random.chance(0.3)) entries.sort(() => random.next() - 0.5)
  room.accept(entries)
}

/** Joins, from where it is or afresh, and moves its seat when it has one. */
function comeOrMove({ random, viewers, joins, join }: World) {
  const viewer = random.pick(viewers)
  if (viewer.isJoining) return
  viewer.isJoining = true
  const before = viewer.seat ?? undefined
  const come = async () => {
    viewer.seat = await join(viewer.listener, viewer.request(random.chance(0.2)), before)
  }
  const coming = come()
    // Its connection tells the client to try again.
    .catch((error: Error) => assert.ok(error instanceof LogUnavailable, error.stack))
    .finally(() => (viewer.isJoining = false))
  coming.catch(() => {})
  joins.push(coming)
}

function goAway({ random, viewers, room }: World) {
  const viewer = random.pick(viewers)
  if (viewer.isJoining || !viewer.seat) return
  room.leave(viewer.seat)
  viewer.seat = null
}

function slowDown({ random, viewers }: World) {
  random.pick(viewers).listener.queued = random.chance(0.5) ? 0 : 64 * 1024
}

const letPass = ({ clock, random }: World) => clock.advance(random.pick([0, 1, 5, 16, 50, 200]))

/** Everybody reads, everything known: then all who are seated must be at the head. */
async function settle({ clock, log, viewers, joins, room }: World) {
  for (const { listener } of viewers) listener.queued = 0
  const last = log.entries('lobby').at(-1)
  if (last) room.accept([last])
  for (let n = 0; n < 100; n += 1) await clock.advance(100)
  await Promise.all(joins)
  await clock.advance(1_000)
  for (const { seat, position, faults } of viewers) {
    if (faults.length > 0) throw faults[0]
    if (!seat) continue
    assert.ok(room.isLive(seat))
    assert.equal(position, log.entries('lobby').length)
  }
}

async function runOnce(seed: number) {
  const random = createRandom(seed)
  const small = random.chance(0.5)
  const opened = openRoom(small ? { tailEntries: 20, tailBytes: 4_000, stepEntries: 7 } : {})
  const { log } = opened
  const wait = async () => {
    for (let turns = random.below(4); turns > 0; turns -= 1) await turn()
    if (random.chance(0.02)) throw new LogUnavailable('for a moment')
  }
  const viewers = Array.from({ length: VIEWERS }, (_, n) => new Viewer(n + 1, log))
  const world: World = { ...opened, random, viewers, joins: [] }
  const steps: ((world: World) => unknown)[] = [
    speak,
    speak,
    speak,
    comeOrMove,
    comeOrMove,
    goAway,
    slowDown,
    letPass,
    letPass,
  ]
  log.beforeAnswer = wait
  for (let step = 0; step < STEPS; step += 1) {
    await random.pick(steps)(world)
  }
  log.beforeAnswer = async () => {}
  await settle(world)
  opened.room.close()
}

test('any mix of joins, leaves, slow readers and losses: each in order, none twice', async () => {
  for (let seed = 1; seed <= RUNS; seed += 1) {
    await runOnce(seed).catch((error: Error) => assert.fail(`seed ${seed}: ${error.stack}`))
  }
})
