/** What a command is, and how it says what is wrong. */

import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { Config } from '../src/config.ts'
import type { Progress } from './progress.ts'

export interface Command {
  /** Its arguments, as a person types them. */
  readonly usage: string
  /** What it does, in a line. */
  readonly about: string
  /**
   * @returns the exit code; nothing counts as 0
   * @throws {UsageError} when it was asked in a wrong way, {ToolError} when it cannot do it
   */
  run(args: string[], context: Context): Promise<number | void>
}

export interface Context {
  readonly config: Config
  /** Writes what was asked for; resolves when more may come. */
  write(text: string): Promise<void>
  /** A line for the person, beside that. */
  tell(line: string): void
  /** Shows the person how far it is. */
  readonly progress: Progress
}

/** The command line cannot be understood: exit 2. */
export class UsageError extends Error {}

/** What was asked for cannot be done; the message is for the operator: exit 1. */
export class ToolError extends Error {}

/** @throws {UsageError} for options that the command does not have */
export function readArgs<T extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  options: T,
) {
  try {
    return parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    const [what] = (error as Error).message.split('\n')
    throw new UsageError(what, { cause: error })
  }
}

/** The one positional argument. @throws {UsageError} when there is none, or more */
export function onlyOne(positionals: readonly string[], what: string): string {
  const [first, ...more] = positionals
  if (first === undefined || more.length > 0) throw new UsageError(`${what}: exactly one`)
  return first
}
