/** What goes on beside the talk: the data tools, each again and again, and the end of the server. */

import { rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { ROOMS, tool, type Run } from './run.ts'
import { Talker } from './talker.ts'
import { countDropped } from './verdict.ts'

const DAY_S = 86_400
const RETAINED = ROOMS.slice(1)
const READERS = ['export', 'backup', 'check']
/** What a guest has said before it is forgotten. */
const SAID = 10
/** s */
const MOST_BETWEEN_KILLS = 30

export async function retainAgain(run: Run) {
  const { ageSeconds = 30, isOver } = run
  const rooms = RETAINED.flatMap((room) => ['--room', room])
  // There is no room before somebody came.
  while (!run.talkers.some(({ stored }) => stored.length > 0) && !isOver()) await pause(50)
  while (!isOver() && !run.without?.includes('retain')) {
    await tool(run, 'retain', '--days', `${ageSeconds / DAY_S}`, ...rooms)
    run.dropped = countDropped(run.file)
  }
}

/** Guests come, talk, and are forgotten; one who was forgotten by halves is so again. */
export async function forgetAgain(run: Run) {
  const { url, random, isOver } = run
  for (let n = 1; !isOver() && !run.without?.includes('forget'); n += 1) {
    const guest = new Talker({ url, name: `Guest ${n}`, rooms: ROOMS, random, paceMs: 10 })
    run.guests.push(guest)
    const life = guest.live()
    const talk = guest.talk()
    while (guest.stored.length < SAID && !isOver()) await pause(20)
    guest.hush()
    await talk
    while (!guest.isSettled && run.wrongs.length === 0) await pause(20)
    guest.stop()
    await life
    if (guest.user === '') continue
    run.leaving.add(guest.user)
    let code
    do code = await tool(run, 'forget', guest.user)
    while (code === 'SIGKILL')
    if (code === 0) run.forgotten.add(guest.user)
  }
}

export async function readAgain(run: Run) {
  const wanted = READERS.filter((name) => !run.without?.includes(name))
  for (let n = 0; !run.isOver() && wanted.length > 0; n += 1) {
    const name = wanted[n % wanted.length]!
    const copy = `${run.file}.${n}`
    await tool(run, name, ...(name === 'backup' ? [copy] : []))
    rmSync(copy, { force: true })
  }
}

/** Once in a short run; a server that comes back finds tools at work on its file. */
export async function killAgain(run: Run) {
  const everyMs = Math.min(run.seconds / 2, MOST_BETWEEN_KILLS) * 1_000
  for (let next = run.startedAt + everyMs; !run.isOver();) {
    await pause(50)
    if (performance.now() < next) continue
    run.server().kill('SIGKILL')
    await run.server().ended()
    run.restart()
    run.kills += 1
    next += everyMs
  }
}
