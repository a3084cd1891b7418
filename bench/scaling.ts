/**
 * How much many people need: a model made of measured unit costs (docs/scaling.md), and a
 * simulation that counts what the model computes.
 */

/** What one of each costs, fitted to what `npm run bench -- growth` measured (docs/scaling.md). */
const COSTS = {
  /** A message said on this node: read, checked, stored, indexed, encoded. µs */
  said: 113,
  /** A message of another node: read, checked, encoded. An estimate. µs */
  heard: 40,
  /** A commit, with all that wakes up for it. µs */
  commit: 2460,
  /** One write to one socket. µs */
  write: 8.9,
  /** A connection's heartbeat. µs/s */
  idle: 2.5,
  /** Memory of a connection. bytes */
  connection: 23_000,
  /** A message in Postgres. µs of its cores */
  stored: 50,
}

/** An entry of 70 letters as JSON. bytes */
const EVENT = 290
/** Between two commits of a busy node, and so between two flushes of a busy room. s */
const WINDOW = 0.02

/** What people do. */
interface Habits {
  /** Online at once. */
  people: number
  /** In which each of them sits, and how many others sit there. */
  rooms: number
  members: number
  /** Each says so many a second, over all rooms. */
  rate: number
}

interface Load {
  messages: number
  deliveries: number
  writes: number
  /** Messages that a node hears from others, over all nodes. */
  heard: number
  bytes: number
}

/** A room rests after a flush for as long as it took, so none takes more than half a core. s */
function windowOf(members: number) {
  return Math.max(WINDOW, (2 * members * COSTS.write) / 1e6)
}

/**
 * Flushes a second of a room in which so many messages a second are said, each at a time of its
 * own: after a flush the next is a window later if anything came meanwhile, else with what comes
 * next.
 */
function flushes(rate: number, members: number) {
  return bursts(rate, windowOf(members))
}

function bursts(rate: number, window: number) {
  return 1 / (window + Math.exp(-rate * window) / rate)
}

/** On how many of the nodes a room's members are, when they choose theirs by chance. */
function spans(nodes: number, members: number) {
  return nodes * (1 - (1 - 1 / nodes) ** members)
}

/** Per second, over all nodes. */
function loadOf({ people, rooms, members, rate }: Habits, nodes: number): Load {
  const messages = people * rate
  const ofRoom = (rate * members) / rooms
  const deliveries = messages * members
  return {
    messages,
    deliveries,
    writes: people * rooms * flushes(ofRoom, members),
    heard: messages * (spans(nodes, members) - 1),
    bytes: deliveries * EVENT,
  }
}

/** Cores that are busy with it. */
function coresOf({ messages, heard, writes }: Load, people: number, nodes: number) {
  const commits = nodes * bursts(messages / nodes, WINDOW)
  const micros =
    messages * COSTS.said +
    heard * COSTS.heard +
    commits * COSTS.commit +
    writes * COSTS.write +
    people * COSTS.idle
  return micros / 1e6
}

/** Counts for so many seconds what the people of one simulated town do; per second. */
function simulate(habits: Habits, nodes: number, seconds: number): Load {
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
      flushAt = Math.max(at, flushAt + windowOf(habits.members))
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

/** What the table of docs/scaling.md supposes: five rooms of fifty, a message each minute. */
const TOWN = { rooms: 5, members: 50, rate: 1 / 60 }
/** A core is not planned to be busier, nor a node to hold more. */
const FILL = 0.6
const CONNECTIONS_PER_NODE = 40_000
const SIZES = [10_000, 100_000, 1_000_000]

/** What so many people need, and how near the model comes to a simulation. */
export function scalingTables() {
  const needs = new Map(SIZES.map((people) => [people.toLocaleString('en'), needsOf(people)]))
  const simulated = [
    { people: 10_000, ...TOWN },
    { people: 10_000, ...TOWN, members: 500 },
    { people: 5000, rooms: 1, members: 500, rate: 0.5 },
  ].map((habits) => {
    const [model, counted] = [loadOf(habits, 4), simulate(habits, 4, 60)]
    const ratios = Object.keys(model).map((name) => {
      return [name, model[name as keyof Load] / counted[name as keyof Load]] as const
    })
    const { people, rooms, members, rate } = habits
    const name = `${people} people, ${rooms} rooms of ${members}, ${rate.toFixed(3)}/s`
    return [name, Object.fromEntries(ratios)] as const
  })
  return [
    tableOf('People online', needs),
    tableOf('Model / simulation, 4 nodes, 60 s', new Map(simulated)),
  ]
}

function needsOf(people: number) {
  const byConnections = people / CONNECTIONS_PER_NODE
  let nodes = Math.max(1, Math.ceil(byConnections))
  const habits = { people, ...TOWN }
  // More nodes hear more of each other: until what each has to do fits its core.
  while (coresOf(loadOf(habits, nodes), people, nodes) > nodes * FILL)
    nodes += Math.ceil(nodes / 20)
  const load = loadOf(habits, nodes)
  return {
    nodes,
    'messages/s': load.messages,
    'deliveries/s': load.deliveries,
    'Gbit/s': (load.bytes * 8) / 1e9,
    'heard/s': load.heard,
    'busy cores': coresOf(load, people, nodes),
    'GiB for connections': (people * COSTS.connection) / 2 ** 30,
    'cores of Postgres': (load.messages * COSTS.stored) / 1e6,
  }
}

function tableOf(title: string, rows: ReadonlyMap<string, Readonly<Record<string, number>>>) {
  const [first = {}] = rows.values()
  const figures = [...rows].map(([name, row]) => {
    return [name, new Map(Object.entries(row).map(([column, value]) => [column, [value]]))] as const
  })
  return { title, columns: Object.keys(first), rows: new Map(figures) }
}
