/** Programs that use static/hearth.js against real servers, closed when the test is over. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { WebSocket } from 'ws'
import { connect, type Answer, type Chat, type Entry, type Options } from '../../static/hearth.js'
import { tempFolder } from '../helpers.ts'
import { freePort, startProcess } from '../process.ts'

/** Longest wait for anything that should come at once; a killed server is back sooner. ms */
const PATIENCE_MS = 20_000

/** Connects as a program does; Node 20 has no WebSocket of its own. */
export async function openChat(t: TestContext, base: string, options: Partial<Options>) {
  const chat = await connect({
    base,
    WebSocket: globalThis.WebSocket ?? (WebSocket as unknown as typeof globalThis.WebSocket),
    random: () => 0.05,
    ...options,
  })
  t.after(() => chat.close())
  return chat
}

/** All that a chat tells, in its order. */
export function record(chat: Chat) {
  const lines: string[] = []
  const entries: Entry[] = []
  for (const kind of ['message', 'edit', 'delete', 'reaction'] as const) {
    chat.on(kind, ({ entry }) => {
      entries.push(entry)
      lines.push(kind)
    })
  }
  chat.on('reset', ({ room }) => lines.push(`reset ${room}`))
  chat.on('removed', ({ room, why }) => lines.push(`removed ${room} ${why}`))
  chat.on('state', ({ state, closeCode }) => lines.push(`state ${state} ${closeCode ?? ''}`.trim()))
  chat.on('error', ({ code }) => lines.push(`error ${code}`))
  return { lines, entries }
}

/** Waits until it holds, looking again at every turn. */
export async function until(holds: () => boolean, what: () => string) {
  const end = performance.now() + PATIENCE_MS
  while (!holds()) {
    assert.ok(performance.now() < end, `waited for ${what()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** The value of an answer that must be one. */
export async function valueOf<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { value, failure } = await answer
  assert.equal(failure, undefined)
  return value as T
}

/** A server process that can be killed and started again on the same port and data file. */
export async function startAgain(t: TestContext, env: Record<string, string> = {}) {
  const port = `${await freePort()}`
  const start = async () => {
    const server = startProcess(t, { PORT: port, DATA_FILE: `${folder}/hearth.db`, ...env })
    await server.started()
    return server
  }
  const folder = tempFolder(t)
  return { url: `http://127.0.0.1:${port}`, start }
}
