/** Listeners and sockets that only remember, and rooms and hubs over a log in memory. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { parseEvents } from '../../static/protocol.js'
import type { Bus } from '../../src/chat/bus.ts'
import type { Directory } from '../../src/store/nodes.ts'
import { localBus } from '../../src/chat/local.ts'
import { Connection, type Identity } from '../../src/chat/connection.ts'
import { Hub, type HubOptions } from '../../src/chat/hub.ts'
import { Room } from '../../src/chat/room.ts'
import type { Listener } from '../../src/chat/seat.ts'
import { DEFAULT_LIMITS, type Limits } from '../../src/limits.ts'
import type { Log } from '../../src/store/log.ts'
import type { EventOf, FrameOf, ServerEvent, User } from '../../src/protocol.ts'
import type { Frame, Socket } from '../../src/runtime/runtime.ts'
import { TestClock, testJournal } from '../helpers.ts'
import { MemoryLog } from '../store/model.ts'

/** Nobody else is there, and nothing ended. */
const LONELY: Directory = {
  renew: async () => true,
  savePresence: async () => {},
  presence: async () => new Map(),
  news: async () => ({
    sessions: [],
    memberships: [],
    devices: [],
    renamed: [],
    at: new Date(0),
    isIncomplete: false,
    isSomebodyMute: false,
  }),
  retire: async () => {},
}

/** The events in a frame; every one must be readable. */
export function decode({ data, size }: Frame): ServerEvent[] {
  const text = typeof data === 'string' ? data : new TextDecoder().decode(data.subarray(-size))
  return parseEvents(text).map((event) => {
    assert.ok(event.type !== 'broken' && event.type !== 'position', text)
    return event
  })
}

/** The events of one type among them. */
export function only<T extends ServerEvent['type']>(events: readonly ServerEvent[], type: T) {
  return events.filter((event) => event.type === type) as EventOf<T>[]
}

export class FakeListener implements Listener {
  readonly user: User
  isClosed = false
  isPresent = true
  queued = 0
  readonly frames: Frame[] = []
  readonly dropped: Frame[] = []
  readonly events: ServerEvent[] = []
  mayRead: () => Promise<void> = async () => {}
  onEvent: (event: ServerEvent) => void = () => {}

  constructor(user: User) {
    this.user = user
  }

  send(frame: Frame) {
    if (this.isClosed) return
    this.frames.push(frame)
    for (const event of decode(frame)) {
      this.events.push(event)
      this.onEvent(event)
    }
  }

  sendDroppable(frame: Frame) {
    if (this.queued > 0) this.dropped.push(frame)
    else this.send(frame)
  }

  all<T extends ServerEvent['type']>(type: T) {
    return only(this.events, type)
  }
}

/** A room over a log in memory. */
export function openRoom(limits: Partial<Limits> = {}, log = new MemoryLog()) {
  const clock = new TestClock()
  const faults: unknown[] = []
  const room = new Room({
    ...{ name: 'lobby', log, clock, subscribed: Promise.resolve(), met: Promise.resolve() },
    onPresence: () => {},
    onFault: (error) => faults.push(error),
    limits: { ...DEFAULT_LIMITS, ...limits },
  })
  const join = async (
    listener: FakeListener,
    request: Partial<FrameOf<'join'>> = {},
    before?: Awaited<ReturnType<Room['join']>>,
  ) => {
    const enter = () => log.enter('lobby', listener.user.id, '', request.after)
    const frame = { type: 'join', room: 'lobby', ...request } as const
    const seat = await room.join(listener, frame, enter, before ?? undefined)
    assert.ok(seat)
    return seat
  }
  /** Stores a draft and tells the room, as a commit on this node does. */
  const append = (...drafts: Parameters<MemoryLog['appendNow']>[0][]) => {
    for (const draft of drafts) {
      const { entry } = log.appendNow(draft)
      if (entry) room.accept([entry])
    }
  }
  return { room, log, clock, faults, join, append }
}

export class FakeSocket implements Socket {
  bufferedAmount = 0
  code: number | null = null
  isPaused = false
  readonly frames: Frame[] = []
  send(frame: Frame) {
    this.frames.push(frame)
  }
  close(code: number) {
    this.code ??= code
  }
  pause() {
    this.isPaused = true
  }
  resume() {
    this.isPaused = false
  }
}

export interface HubSetUp {
  limits?: Partial<Limits>
  log?: Log
  bus?: Bus
  directory?: Directory
  clock?: TestClock
  tokenEveryMessage?: boolean
  keepSessions?: HubOptions['keepSessions']
}

/** Limits that stand in no test's way. */
export const NO_RATES: Partial<Limits> = {
  ...{ messageRate: 1e6, messageBurst: 1e6, frameRate: 1e6, frameBurst: 1e6 },
  ...{ readRate: 1e6, readBurst: 1e6 },
}

/** A hub, and connections to it over fake sockets. */
export function openHub(t: TestContext, options: HubSetUp = {}) {
  const memory = new MemoryLog()
  const { log = memory, limits, tokenEveryMessage = false } = options
  const { bus = localBus, directory = LONELY, clock = new TestClock() } = options
  const { keepSessions = async (hashes) => [...hashes] } = options
  const { journal, faults, lines } = testJournal()
  const hub = new Hub({
    ...{ log, bus, directory, clock, tokenEveryMessage, journal, keepSessions },
    // Whatever is said is stored at once, unless the test is about that.
    limits: { ...DEFAULT_LIMITS, commitMs: 0, ...limits },
  })
  t.after(() => void hub.drain())
  const connect = (user: User, identity: Partial<Identity> = {}, socket = new FakeSocket()) => {
    const state = { gone: 0, fresh: null as Identity | null }
    const whole: Identity = {
      ...{ user, role: 'member', session: `session of ${user.name}`, expiresAt: null },
      ticket: 'first-ticket-of-this',
      ...identity,
    }
    const connection = new Connection({
      hub,
      socket,
      identity: whole,
      address: '192.0.2.1',
      redeem: async () => state.fresh,
      onGone: () => (state.gone += 1),
    })
    const send = (frame: object | string) =>
      connection.receive(typeof frame === 'string' ? frame : JSON.stringify(frame))
    const events = () => socket.frames.flatMap(decode)
    const all = <T extends ServerEvent['type']>(type: T) => only(events(), type)
    const codes = () => all('error').map(({ code }) => code)
    /** Sends, and lets everything that follows at once happen. */
    const ask = async (...frames: (object | string)[]) => {
      for (const frame of frames) send(frame)
      await clock.advance(0)
    }
    const join = (room = 'lobby', more: object = {}) => ask({ type: 'join', room, ...more })
    return { connection, socket, state, identity: whole, send, ask, join, events, all, codes }
  }
  return { hub, clock, log: memory, faults, lines, connect }
}
