/** `npm run data -- <command> …`: care for the data of the server that the environment names. */

import { once } from 'node:events'
import process from 'node:process'
import { systemClock } from '../src/clock.ts'
import { readConfig } from '../src/config.ts'
import { backup } from './backup.ts'
import { check } from './check.ts'
import { UsageError, type Command } from './command.ts'
import { exportLog } from './export.ts'
import { forget } from './forget.ts'
import { importLog } from './import.ts'
import { move } from './move.ts'
import { owner } from './owner.ts'
import { createProgress } from './progress.ts'
import { newEpoch, restore } from './restore.ts'
import { retain } from './retain.ts'

const EXIT_FAILED = 1
const EXIT_MISUSED = 2

const COMMANDS: Readonly<Record<string, Command>> = {
  ...{ backup, restore, 'new-epoch': newEpoch, export: exportLog, import: importLog },
  ...{ move, retain, forget, owner, check },
}

const progress = createProgress(process.stderr, systemClock)
process.stdout.on('error', leave)
process.exitCode = await main(process.argv.slice(2))

async function main([name = 'help', ...args]: string[]): Promise<number> {
  if (name === 'help' || name === '--help') return (console.log(help()), 0)
  if (!Object.hasOwn(COMMANDS, name)) {
    return fail(`there is no command ${name}\n\n${help()}`, EXIT_MISUSED)
  }
  const command = COMMANDS[name]!
  const { config, problems } = readConfig(process.env)
  if (problems) return fail(problems.join('\n'), EXIT_MISUSED)
  try {
    return (await command.run(args, { config, write, tell, progress })) ?? 0
  } catch (error) {
    progress.clear()
    const message = error instanceof Error ? error.message : String(error)
    if (!(error instanceof UsageError)) return fail(message.replace(/\s*\n\s*/g, ' '), EXIT_FAILED)
    return fail(`${message}\nusage: ${name} ${command.usage}`.trimEnd(), EXIT_MISUSED)
  } finally {
    progress.clear()
  }
}

async function write(text: string) {
  progress.clear()
  try {
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  } catch (error) {
    // Deno throws what Node tells by an event.
    leave(error as NodeJS.ErrnoException)
  }
}

function tell(line: string) {
  progress.clear()
  console.error(line)
}

/** Whoever reads what we write has gone, as `head` does; or the disk is full. */
function leave({ code, message }: NodeJS.ErrnoException) {
  if (code !== 'EPIPE') tell(`cannot write to the standard output: ${message}`)
  process.exit(EXIT_FAILED)
}

function help() {
  const rows = Object.entries(COMMANDS).map(([name, { usage, about }]) => {
    return `  ${`${name} ${usage}`.padEnd(40)} ${about}`
  })
  const title = 'npm run data -- <command>: cares for the data of DATA_FILE or DATABASE_URL'
  return [title, '', ...rows, '', 'docs/data.md says what each promises.'].join('\n')
}

function fail(message: string, code: number) {
  console.error(message)
  return code
}
