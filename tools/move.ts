/** `move`: the log from SQLite to Postgres, so that nobody notices. */

import { readConfig } from '../src/config.ts'
import { onlyOne, readArgs, ToolError, UsageError, type Command } from './command.ts'
import { exportLines } from './export.ts'
import { importLines } from './import.ts'
import { useStore } from './place.ts'
import type { Progress } from './progress.ts'
import { drawEpoch, readEpoch, type Store } from './store.ts'

export const move: Command = {
  usage: '<postgres://…>',
  about: 'moves the stopped SQLite log to an empty Postgres database',
  run: async (args, context) => {
    const { config, tell, progress } = context
    const url = onlyOne(readArgs(args, {}).positionals, 'the address of the database')
    if (config.databaseUrl) throw new UsageError('it moves DATA_FILE: leave DATABASE_URL empty')
    const target = readConfig({ DATABASE_URL: url })
    if (target.problems) throw new UsageError(target.problems.join('\n'))
    await useStore(context, 'alone', (from) =>
      useStore({ ...context, config: target.config }, 'alone', async (to) => {
        const count = await moveAll(from, to, progress)
        const what = count === null ? 'all is' : `${count} lines are`
        tell(`${what} in ${to.place}: start with this DATABASE_URL`)
        tell(`${from.place} is another log from now on; keep it until you have a backup`)
      }),
    )
  },
}

/**
 * Takes epoch, sessions and invitations along.
 * @returns how many lines; null when all was there already, of a run that was cut off at its end
 * @throws {ToolError} when there is nothing to move
 */
async function moveAll(from: Store, to: Store, progress: Progress): Promise<number | null> {
  const rooms = await from.query('SELECT room FROM rooms LIMIT 1')
  if (rooms.length === 0) throw new ToolError(`${from.place} is empty`)
  const isThere = (await readEpoch(from.query)) === (await readEpoch(to.query))
  const count = isThere
    ? null
    : await importLines(to, numbered(from, progress), { isSame: true, progress })
  // Whoever starts a server on it again must not pass for this log.
  await drawEpoch(from.query)
  return count
}

async function* numbered(from: Store, progress: Progress) {
  let number = 0
  for await (const lines of exportLines(from, { hasSecrets: true, progress })) {
    for (const line of lines) yield { line, number: (number += 1) }
  }
}
