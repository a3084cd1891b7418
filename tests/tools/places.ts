/** What the tools work on: a place for a log, a command run there, the log opened and closed. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Command, Context } from '../../tools/command.ts'
import { useStore } from '../../tools/place.ts'
import { NO_PROGRESS } from '../../tools/progress.ts'
import type { Store } from '../../tools/store.ts'
import { faultsOf } from '../../tools/check.ts'
import { readConfig } from '../../src/config.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { openDataFile } from '../../src/store/file.ts'
import type { Log } from '../../src/store/log.ts'
import { systemClock } from '../../src/clock.ts'
import { tempFolder } from '../helpers.ts'
import { openDatabase as openPostgres, startPostgres } from '../postgres.ts'
import type { OpenedLog } from '../store/contract.ts'
import { openLog as openSearched } from '../store/opened.ts'

/** The environment that names where a log is, or will be. */
export type Env = Record<string, string>

/** Makes places that are empty, and gone when the test is over. */
export type NewPlace = (t: TestContext) => Promise<Env>

export const newFile: NewPlace = async (t) => ({ DATA_FILE: `${tempFolder(t)}/hearth.db` })

/** Runs the same checks on files, and on databases of one Postgres. */
export async function onBoth(
  t: TestContext,
  checks: readonly [
    string,
    (t: TestContext, newPlace: NewPlace, other: NewPlace) => Promise<void>,
  ][],
) {
  const server = await startPostgres(t)
  const newDatabase: NewPlace = async () => ({ DATABASE_URL: await server.newDatabase() })
  for (const [title, body] of checks) {
    await t.test(`SQLite: ${title}`, (each) => body(each, newFile, newDatabase))
    await t.test(`Postgres: ${title}`, (each) => body(each, newDatabase, newFile))
  }
}

export function configOf(env: Env) {
  const { config, problems } = readConfig({ PORT: '0', ...env })
  assert.ok(config, problems?.join('\n'))
  return config
}

/** Runs a command as the command line does. */
export function run(command: Command, env: Env, ...args: string[]) {
  return runWith({}, command, env, ...args)
}

/** The same, with something of the context of our own. */
export async function runWith(
  own: Partial<Pick<Context, 'progress' | 'tell'>>,
  command: Command,
  env: Env,
  ...args: string[]
) {
  let text = ''
  const told: string[] = []
  const context: Context = {
    config: configOf(env),
    write: async (more) => void (text += more),
    tell: (line) => void told.push(line),
    progress: NO_PROGRESS,
    ...own,
  }
  const code = (await command.run(args, context)) ?? 0
  return { code, text, told: told.join('\n') }
}

/** The command refuses, in one line that has all of `words`. */
export async function assertRefused(running: Promise<unknown>, ...words: string[]) {
  await assert.rejects(running, (error) => {
    assert.ok(error instanceof Error)
    for (const word of words) assert.ok(error.message.includes(word), error.message)
    assert.ok(!error.message.includes('\n'), error.message)
    return true
  })
}

/** Uses the tables of a place beside whoever has it open, and in nobody's turn. */
export function beside<T>(env: Env, work: (store: Store) => Promise<T>): Promise<T> {
  return useStore({ config: configOf(env), tell: () => {} }, 'read', work)
}

/** Everything `check` has to say. */
export function faults(env: Env): Promise<string[]> {
  return beside(env, async (store) => {
    const found: string[] = []
    for await (const fault of faultsOf(store)) found.push(fault)
    return found
  })
}

/** Opens the log as a server does, makes it when it is not there, and closes it behind `work`. */
export async function withLog<T>(
  t: TestContext,
  env: Env,
  work: (opened: Omit<OpenedLog, 'reopen'>) => Promise<T>,
): Promise<T> {
  const opened = await openLog(t, env)
  try {
    return await work(opened)
  } finally {
    await opened.log.close()
  }
}

async function openLog(t: TestContext, { DATABASE_URL, DATA_FILE }: Env) {
  const on = DATABASE_URL
    ? await openPostgres(t, DATABASE_URL)
    : openDataFile(DATA_FILE!, systemClock)
  const accounts = createAccounts(on.sql, DEFAULT_LIMITS, systemClock)
  return { log: await openSearched(on, systemClock), accounts }
}

/** All that can be read of some rooms. */
export async function readAll(log: Log, rooms: readonly string[]) {
  const all: unknown[] = []
  for (const room of rooms) all.push(await log.after(room, 0, 1e5), await log.page(room, 1e5))
  return all
}

/** Makes the entries of a room up to `seq` a hundred days old. */
export async function age(env: Env, room: string, seq: number) {
  const at = new Date(Date.now() - 100 * 86_400_000).toISOString()
  const text = 'UPDATE messages SET at = $3 WHERE room = $1 AND seq <= $2'
  await beside(env, ({ query }) => query(text, [room, seq, at]))
}
