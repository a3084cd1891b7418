/**
 * How much many people need: a model made of measured unit costs (docs/scaling.md), and a
 * simulation that counts what the model computes.
 */

/** What one of each costs, as `npm run bench` measured it. */
export const COSTS = {
  /** A message said on this node: read, checked, stored, encoded. µs */
  said: 100,
  /** A message of another node: read from the bus, checked, encoded. µs */
  heard: 50,
  /** One write to one socket. µs */
  write: 4,
  /** A byte written. µs */
  byte: 0.0006,
  /** A connection's heartbeat. µs/s */
  idle: 3,
  /** Memory of a connection. bytes */
  connection: 20_000,
  /** A message in Postgres, by the core that stores it. µs */
  stored: 80,
}

/** An entry of 70 letters as JSON. bytes */
const EVENT = 290
/** Between two flushes of a busy room. s */
const WINDOW = 0.016

/** What people do. */
export interface Habits {
  /** Online at once. */
  people: number
  /** In which each of them sits, and how many others sit there. */
  rooms: number
  members: number
  /** Each says so many a second, over all rooms. */
  rate: number
}

export interface Load {
  messages: number
  deliveries: number
  writes: number
  /** Messages that a node hears from others, over all nodes. */
  heard: number
  bytes: number
}

/**
 * Flushes a second of a room in which so many messages a second are said, each at a time of its
 * own: after a flush the next is a window later if anything came meanwhile, else with what comes
 * next.
 */
export function flushes(rate: number) {
  return rate === 0 ? 0 : 1 / (WINDOW + Math.exp(-rate * WINDOW) / rate)
}

/** On how many of the nodes a room's members are, when they choose theirs by chance. */
export function spans(nodes: number, members: number) {
  return nodes * (1 - (1 - 1 / nodes) ** members)
}

/** Per second, over all nodes. */
export function loadOf({ people, rooms, members, rate }: Habits, nodes: number): Load {
  const messages = people * rate
  const ofRoom = (rate * members) / rooms
  const deliveries = messages * members
  return {
    messages,
    deliveries,
    writes: people * rooms * flushes(ofRoom),
    heard: messages * (spans(nodes, members) - 1),
    bytes: deliveries * EVENT,
  }
}

/** Cores that are busy with it. */
export function coresOf(load: Load, people: number) {
  const { messages, heard, writes, bytes } = load
  const micros =
    messages * COSTS.said +
    heard * COSTS.heard +
    writes * COSTS.write +
    bytes * COSTS.byte +
    people * COSTS.idle
  return micros / 1e6
}

/** Counts for so many seconds what the people of one simulated town do; per second. */
export function simulate(habits: Habits, nodes: number, seconds: number): Load {
  const count = Math.round((habits.people * habits.rooms) / habits.members)
  const total = { messages: 0, deliveries: 0, writes: 0, heard: 0, bytes: 0 }
  const rate = (habits.rate * habits.members) / habits.rooms
  for (let room = 0; room < count; room += 1) {
    const homes = new Set(Array.from({ length: habits.members }, () => pick(nodes)))
    let flushAt = -Infinity
    for (let at = wait(rate); at < seconds; at += wait(rate)) {
      total.messages += 1
      total.deliveries += habits.members
      total.heard += homes.size - 1
      // What comes before the flush that is due goes out with it.
      if (at <= flushAt) continue
      flushAt = Math.max(at, flushAt + WINDOW)
      total.writes += habits.members
    }
  }
  total.bytes = total.deliveries * EVENT
  for (const name of Object.keys(total) as (keyof Load)[]) total[name] /= seconds
  return total
}

function wait(rate: number) {
  return -Math.log(1 - Math.random()) / rate
}

function pick(count: number) {
  return Math.floor(Math.random() * count)
}
