/** Dozens of clients of every kind, on sockets and over HTTP: talkers, listeners, and the difficult. */

import { setTimeout as pause } from 'node:timers/promises'
import { PAGE_LENGTH } from '../../static/protocol.js'
import { createRandom, type Random } from '../random.ts'
import { signInAnywhere } from './http.ts'
import { Outbox, type Person, type PersonOptions, type World } from './person.ts'
import { HttpSurvivor } from './http-survivor.ts'
import { Survivor } from './survivor.ts'

export interface CrowdPlan {
  rooms: number
  senders: number
  observers: number
  /** Of those who talk over HTTP. */
  posters: number
  /** Mean pause of one sender between two messages. ms */
  paceMs: number
}

export const CROWD: CrowdPlan = { rooms: 5, senders: 12, observers: 8, posters: 3, paceMs: 60 }

/** Somebody who waits for so many answers waits with the next message, too. */
const MOST_WAITING = 30
/** Now and then a body is this long, and not only in ASCII. */
const LONG_PADDING = 2_500
const SHORT_PADDING = 120
/** Pages that a frozen reader asks for, in rounds: more than all the buffers on the way take. */
const FROZEN_ROUNDS = 8
const FROZEN_PAGES = 150
/** A reader is cut off after 10 s without progress; it wakes after that. ms */
const FROZEN_MS = 14_000

export interface Crowd {
  readonly everybody: readonly Person[]
  readonly rooms: readonly string[]
  /** Ends all talk and mischief. */
  hush(): Promise<void>
  /** Ends all connections. */
  stop(): Promise<void>
}

type Kind<P extends Person> = new (options: PersonOptions) => P
type Habit<P extends Person = Person> = (self: P, isOver: () => boolean, twin: P) => Promise<void>
interface Traits<P extends Person> {
  fromStart?: boolean
  isSlow?: boolean
  /** What the user's other device is, if there is one. */
  twin?: Kind<P>
}

/** Signs everybody in and lets them live. */
export async function gatherCrowd(world: World, plan: CrowdPlan, seed: number): Promise<Crowd> {
  const random = createRandom(seed)
  const rooms = Array.from({ length: plan.rooms }, (_, index) => `room-${index}`)
  const everybody: Person[] = []
  const lives: Promise<void>[] = []
  const habits: Promise<void>[] = []
  let isOver = false

  const add = async <P extends Person>(
    name: string,
    Self: Kind<P>,
    habit: Habit<P>,
    { twin: Twin, ...traits }: Traits<P> = {},
  ) => {
    const account = await signInAnywhere(world.url, name)
    const first = random.below(rooms.length)
    const theirs = [
      rooms[first]!,
      rooms[(first + 1 + random.below(rooms.length - 1)) % rooms.length]!,
    ]
    const outbox = new Outbox()
    const options = { world, account, rooms: [...new Set(theirs)], outbox, ...traits }
    const make = (Made: Kind<P>, device: string, isTwin: boolean) =>
      new Made({ ...options, device, isTwin, random: createRandom(random.below(1e9)) })
    const self = make(Self, name, false)
    const twin = Twin ? make(Twin, `${name}'s other`, true) : self
    for (const survivor of new Set([self, twin])) {
      everybody.push(survivor)
      lives.push(survivor.live())
    }
    habits.push(habit(self, () => isOver, twin))
  }
  const addMany = async <P extends Person>(
    count: number,
    name: string,
    ...rest: [Kind<P>, Habit<P>, Traits<P>?]
  ) => {
    for (let n = 1; n <= count; n += 1) await add(`${name} ${n}`, ...rest)
  }

  const talks = talker(plan.paceMs)
  const flickersAndTalks = both(flickers, talker(plan.paceMs * 4))
  await addMany(Math.ceil(plan.senders / 2), 'Sender', Survivor, talks)
  await addMany(Math.floor(plan.senders / 2), 'Twin', Survivor, talks, { twin: Survivor })
  await addMany(plan.observers, 'Observer', Survivor, reads)
  await addMany(4, 'Flaky', Survivor, flickersAndTalks)
  await addMany(2, 'Slow', Survivor, readsSlowly, { isSlow: true })
  await addMany(1, 'Frozen', Survivor, freezes, { isSlow: true })
  await addMany(3, 'Late', Survivor, comesAndGoes, { fromStart: true })
  await addMany(2, 'Leaver', Survivor, leaves, { twin: Survivor })
  await addMany(plan.posters, 'Poster', HttpSurvivor, talks)
  // Of the user's two devices one has a socket.
  await addMany<Person>(1, 'Mixed', HttpSurvivor, talks, { twin: Survivor })
  await addMany(2, 'Flaky Poster', HttpSurvivor, flickersAndTalks)
  await addMany(1, 'Follower', HttpSurvivor, reads)
  await addMany(1, 'Slow Follower', HttpSurvivor, readsSlowly, { isSlow: true })
  await addMany(1, 'Late Follower', HttpSurvivor, comesAndGoes, { fromStart: true })
  return {
    everybody,
    rooms,
    hush: async () => {
      isOver = true
      await Promise.all(habits)
    },
    stop: async () => {
      for (const survivor of everybody) survivor.stop()
      await Promise.all(lives)
    },
  }
}

/* ------------------------------------------------------------------ habits */

/** Talks: now and then in a row, twice, on two sockets at once, or nonsense. */
function talker(paceMs: number): Habit {
  return async (self, isOver, twin) => {
    const { random, outbox } = self
    while (!isOver()) {
      await pause(random.below(2 * paceMs))
      if (outbox.waiting.size >= MOST_WAITING) continue
      const room = random.pick(self.rooms)
      const inARow = random.chance(0.2) ? 3 : 1
      for (let n = 0; n < inARow; n += 1) {
        const message = self.say(room, padding(random))
        if (twin !== self && random.chance(0.04)) twin.send(message)
      }
      if (random.chance(0.14)) self.repeat()
      if (random.chance(0.01)) self.misbehave(room)
      if (random.chance(0.03)) self.read(room)
    }
  }
}

function padding(random: Random) {
  const length = random.below(random.chance(0.03) ? LONG_PADDING : SHORT_PADDING)
  return `${random.pick(['', 'ü', '🔥', '\n', '日本'])}${'x'.repeat(length)}`
}

/** Looks on, and reads a page now and then. */
const reads: Habit = async (self, isOver) => {
  while (!isOver()) {
    await patience(500 + self.random.below(2_000), isOver)
    const room = self.random.pick(self.rooms)
    const held = self.heldOf(room)
    self.read(room, self.random.chance(0.5) && held > 1 ? 1 + self.random.below(held) : null)
  }
}

/** Loses its connection every 1 to 3 s. */
const flickers: Habit = async (self, isOver) => {
  while (!isOver()) {
    await patience(1_000 + self.random.below(2_000), isOver)
    self.drop()
  }
}

/** Reads in short moments only. */
const readsSlowly: Habit = async (self, isOver) => {
  while (!isOver()) {
    self.pause()
    await patience(1_500, isOver)
    self.resume()
    await pause(150)
  }
  self.resume()
}

/** Asks for much, reads nothing, is cut off, comes back. */
const freezes: Habit = async (self, isOver) => {
  while (!isOver()) {
    await patience(2_000, isOver)
    self.pause()
    for (let round = 0; round < FROZEN_ROUNDS; round += 1) {
      for (let n = 0; n < FROZEN_PAGES; n += 1) self.read(self.rooms[0]!, null, PAGE_LENGTH)
      await pause(250)
    }
    await patience(FROZEN_MS, isOver)
    self.resume()
  }
}

/** Comes late, goes for long, comes back: with much missed, now and then too much. */
const comesAndGoes: Habit = async (self, isOver) => {
  while (!isOver()) {
    self.goAway(2_000 + self.random.below(20_000))
    await patience(5_000 + self.random.below(20_000), isOver)
  }
}

/** Leaves a room, is out for a while, enters again; the other device is put out with it. */
const leaves: Habit<Survivor> = async (self, isOver, twin) => {
  while (!isOver()) {
    await patience(500 + self.random.below(2_000), isOver)
    const room = self.random.pick(self.rooms)
    self.leave(room)
    await patience(2_000 + self.random.below(8_000), isOver)
    if (self.isIn(room)) continue
    self.enter(room)
    if (!twin.isIn(room)) twin.enter(room)
  }
}

function both(...habits: Habit[]): Habit {
  return async (...args) => void (await Promise.all(habits.map((habit) => habit(...args))))
}

/** Waits, less when the talk is over. */
async function patience(ms: number, isOver: () => boolean) {
  const end = performance.now() + ms
  while (performance.now() < end && !isOver()) await pause(100)
}
