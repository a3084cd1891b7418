/** What Hearth says in its logs while a test runs. */

import { configureSync, resetSync, type LogRecord } from '@logtape/logtape'
import type { Scope } from '../process.ts'

export interface Logs {
  records: LogRecord[]
  /** How often something was said. */
  said(message: string): number
  /** All of it, as an operator would find it. */
  text(): string
}

export function recordLogs(scope: Scope): Logs {
  const records: LogRecord[] = []
  const options = {
    reset: true,
    sinks: { records: (record: LogRecord) => void records.push(record) },
    loggers: [
      { category: 'hearth', lowestLevel: 'debug' as const, sinks: ['records' as const] },
      { category: ['logtape', 'meta'], lowestLevel: 'error' as const, sinks: [] },
    ],
  }
  configureSync(options)
  scope.after(() => resetSync())
  return {
    records,
    said: (message) => records.filter((record) => record.message.join('') === message).length,
    text: () => JSON.stringify(records.map(({ message, properties }) => [message, properties])),
  }
}
