/** The data tools beside servers under load: a room is retained, a guest is forgotten. */

import { setTimeout as pause } from 'node:timers/promises'
import { tailOf } from '../process.ts'
import { createRandom } from '../random.ts'
import type { Spell } from './faults.ts'
import { signInAnywhere } from './http.ts'
import { HttpSurvivor } from './http-survivor.ts'
import { Outbox, RETRY_MS } from './person.ts'

/** What is older goes. A client that was away for longer starts afresh. ms */
const AGE_MS = 4_000
const DAY_MS = 86_400_000
/** Rooms with retention; those of the others keep everything. */
const RETAINED = 2
/** What a guest says before it is forgotten. */
const SAID = 6
/** For a guest to get its answers, or to come in, once nothing is broken any more. ms */
const PATIENCE_MS = 20_000

/** One run of `retain`, and what it came to. */
export async function retainOnce(spell: Spell) {
  const { world, cluster } = spell
  const rooms = spell.rooms.slice(0, RETAINED)
  const chosen = rooms.flatMap((room) => ['--room', room])
  await runTool(spell, 'retain', '--days', `${AGE_MS / DAY_MS}`, ...chosen)
  const asked = world.recorder.now()
  const found = await cluster.readRooms().catch(() => null)
  for (const room of rooms) {
    const floor = found && (found.find((row) => row.room === room)?.floor ?? 0)
    world.recorder.note({ type: 'retain', room, ageMs: AGE_MS, floor, asked })
  }
}

/** Somebody comes, says a few things, is answered, and is forgotten. */
export async function forgetOnce(spell: Spell) {
  const { world } = spell
  const user = await visit(spell)
  if (user === null) return
  world.recorder.note({ type: 'forget', user, phase: 'start' })
  const { code } = await runTool(spell, 'forget', user)
  if (code === 0) world.recorder.note({ type: 'forget', user, phase: 'stop' })
}

async function runTool({ cluster, random, world }: Spell, command: string, ...args: string[]) {
  const since = world.recorder.now()
  const tool = cluster.startTool(random.pick(cluster.nodes), command, ...args)
  const code = (await tool.end) ?? 'SIGKILL'
  world.recorder.note({ type: 'tool', command, since, code, output: tailOf(tool) })
  return { code }
}

/** @returns who it was; null when the fault was over before it could come in */
async function visit({ world, rooms, random, isOver }: Spell): Promise<string | null> {
  const device = `Guest ${crypto.randomUUID().slice(0, 8)}`
  const account = await signInAnywhere(world.url, device).catch(() => null)
  if (!account) {
    if (!isOver()) await pause(RETRY_MS)
    return null
  }
  const outbox = new Outbox()
  const its = { world, account, device, rooms: [], outbox }
  const guest = new HttpSurvivor({ ...its, random: createRandom(random.below(1e9)) })
  const life = guest.live()
  for (let n = 0; n < SAID; n += 1) guest.say(random.pick(rooms), 'farewell')
  const end = world.recorder.now() + PATIENCE_MS
  while (outbox.waiting.size > 0 && (!isOver() || world.recorder.now() < end)) await pause(50)
  guest.stop()
  await life
  return account.user.id
}
