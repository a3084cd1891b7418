/** Starts Hearth from the environment, and ends it when the system says so. */

import process from 'node:process'
import { configure, getConsoleSink, jsonLinesFormatter } from '@logtape/logtape'
import { systemClock } from './clock.ts'
import { readConfig, type Config } from './config.ts'
import { warnOfDescriptors } from './descriptors.ts'
import { startHearth, type Hearth } from './hearth.ts'
import { DatabaseError } from './store/log.ts'
import { AddressInUse } from './runtime/runtime.ts'

const EXIT_FAILED = 1
const EXIT_BAD_CONFIG = 2

await main()

async function main() {
  const { config, problems } = readConfig(process.env)
  if (problems) return fail(`Hearth cannot start:\n${problems.join('\n')}`, EXIT_BAD_CONFIG)
  await configureLogs(config)
  warnOfDescriptors(config.limits.connections)
  try {
    const starting = startHearth(config, systemClock, ({ message }) => {
      fail(`Hearth ends: ${message}`, EXIT_FAILED)
    })
    endOnSignal(starting)
    const { url, place } = await starting
    console.log(`Hearth is at ${url}, messages are kept in ${place}`)
  } catch (error) {
    fail(explain(error, config), EXIT_FAILED)
  }
}

/** One JSON line per event, beside the one line for people. */
async function configureLogs({ logLevel }: Config) {
  if (logLevel === 'off') return
  await configure({
    sinks: { console: getConsoleSink({ formatter: jsonLinesFormatter }) },
    loggers: [
      { category: 'hearth', lowestLevel: logLevel, sinks: ['console'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['console'] },
    ],
  })
}

/** The first signal ends it gently, a second one, or one before it has started, at once. */
function endOnSignal(starting: Promise<Hearth>) {
  let hearth: Hearth | undefined
  let isEnding = false
  const end = async () => {
    if (isEnding) process.exit(EXIT_FAILED)
    isEnding = true
    try {
      await hearth?.close()
    } catch (error) {
      fail(`Hearth could not end as it should: ${(error as Error).message}`, EXIT_FAILED)
    }
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end())
  starting.then(
    (started) => (hearth = started),
    () => {},
  )
}

function explain(error: unknown, { hostname, port }: Config) {
  if (error instanceof AddressInUse) return `Hearth cannot start: ${hostname}:${port} is in use`
  if (error instanceof DatabaseError) return `Hearth cannot start: ${error.message}`
  const reason = error instanceof Error ? error.message : String(error)
  return `Hearth cannot start on ${hostname}:${port}: ${reason}`
}

function fail(message: string, code: number) {
  console.error(message)
  process.exit(code)
}
