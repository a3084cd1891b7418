/** `move`: the log from SQLite to Postgres, so that nobody notices. */

import { readConfig } from '../src/config.ts'
import { onlyOne, readArgs, ToolError, UsageError, type Command } from './command.ts'
import { exportLines } from './export.ts'
import { importLines } from './import.ts'
import { useStore } from './place.ts'
import type { Progress } from './progress.ts'
import { drawEpoch, type Store } from './store.ts'

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
        tell(`${count} lines are in ${to.place}: start with this DATABASE_URL`)
        tell(`${from.place} is another log from now on; keep it until you have a backup`)
      }),
    )
  },
}

/** Takes epoch, sessions and invitations along. @throws {ToolError} when there is nothing to move */
async function moveAll(from: Store, to: Store, progress: Progress): Promise<number> {
  const rooms = await from.query('SELECT room FROM rooms LIMIT 1')
  if (rooms.length === 0) throw new ToolError(`${from.place} is empty`)
  const count = await importLines(to, numbered(from, progress), { isSame: true, progress })
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
