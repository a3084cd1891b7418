/** `retain`: drops what is older than so many days, while the server goes on. */

import { sleep, systemClock } from '../src/clock.ts'
import { rows, type Query, type Sql, type Work } from '../src/store/sql.ts'
import { readArgs, ToolError, UsageError, type Command } from './command.ts'
import { useStore } from './place.ts'
import { NO_PROGRESS } from './progress.ts'
import type { Store } from './store.ts'

const DAY_MS = 86_400_000
/** Entries of one transaction, while an append waits: in SQLite the words of each take 0.5 to 1 ms. */
const STEP = 50
/** Times the length of a transaction: the tool takes a quarter of the time from the talk. */
const REST = 3

export const retain: Command = {
  usage: '--days <n> (--room <name>… | --all)',
  about: 'drops entries older than n days',
  run: async (args, context) => {
    const options = {
      ...({ days: { type: 'string' }, all: { type: 'boolean' } } as const),
      ...({ room: { type: 'string', multiple: true } } as const),
    }
    const { values, positionals } = readArgs(args, options)
    const days = Number(values.days)
    if (!(days > 0)) throw new UsageError('--days: a number above 0')
    if (positionals.length > 0) throw new UsageError(`${positionals[0]}: it takes only options`)
    if (!values.room === !values.all) throw new UsageError('either --room or --all')
    const before = new Date(systemClock.date().getTime() - days * DAY_MS)
    if (Number.isNaN(before.getTime()))
      throw new UsageError('--days: so long ago there was nothing')
    await useStore(context, 'write', async (store) => {
      context.progress.begin('dropping', 'entries')
      for (const room of await roomsOf(store.query, values.room)) {
        const dropped = await retainRoom(store, room, before, context.progress)
        await context.write(`${room}: ${dropped} entries dropped\n`)
      }
    })
  },
}

/** @throws {ToolError} for one that is not there */
async function roomsOf(query: Query, wanted: string[] | undefined) {
  const found = await query<{ room: string }>('SELECT room FROM rooms ORDER BY room')
  const rooms = found.map(({ room }) => room)
  const missing = wanted?.find((room) => !rooms.includes(room))
  if (missing !== undefined) throw new ToolError(`there is no room ${missing}`)
  return wanted ?? rooms
}

/**
 * Drops the entries of a room from its beginning to the first that is not older; never the newest.
 * @returns how many
 */
export async function retainRoom(
  store: Store,
  room: string,
  before: Date,
  progress = NO_PROGRESS,
): Promise<number> {
  let dropped = 0
  for (;;) {
    const started = systemClock.now()
    const count = await store.sql.transaction(() => dropStep(store.sql, room, before.toISOString()))
    dropped += count
    progress.add(count)
    if (count < STEP) return dropped
    await sleep(systemClock, REST * (systemClock.now() - started))
    await store.settle()
  }
}

/**
 * What a step drops and the floor that says so are one. It looks from the floor on: what was dropped
 * before it may still stand in the indexes of Postgres, and each step would pass over all of it.
 */
function* dropStep({ dialect }: Sql, room: string, before: string): Work<number> {
  yield dialect.hold([room])
  const oldest = yield* rows<{ seq: number; at: string }>(
    `SELECT seq, at FROM messages WHERE room = $1 AND ${fromFloor('seq')}
       AND seq < (SELECT head FROM rooms WHERE room = $1) ORDER BY seq LIMIT ${STEP}`,
    room,
  )
  const young = oldest.findIndex(({ at }) => at >= before)
  const old = young < 0 ? oldest : oldest.slice(0, young)
  const floor = old.at(-1)?.seq
  if (floor === undefined) return 0
  const values = [room, floor]
  const texts = [
    `DELETE FROM reactions WHERE room = $1 AND target <= $2 AND ${fromFloor('target')}`,
    `DELETE FROM messages WHERE room = $1 AND seq <= $2 AND ${fromFloor('seq')}`,
    'UPDATE rooms SET floor = $2 WHERE room = $1',
  ]
  yield [...dialect.dropWords(room, old[0]!.seq, floor), ...texts.map((text) => ({ text, values }))]
  return old.length
}

function fromFloor(column: string) {
  return `${column} > (SELECT floor FROM rooms WHERE room = $1)`
}
