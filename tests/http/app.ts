/** The app without a socket: `app.request()` is all that its tests need. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createApp } from '../../src/app.ts'
import { localBus } from '../../src/chat/local.ts'
import { Hub } from '../../src/chat/hub.ts'
import type { Services } from '../../src/http/services.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { createLog } from '../../src/store/create-log.ts'
import { openDataFile } from '../../src/store/file.ts'
import { createMemberships } from '../../src/store/memberships.ts'
import { createLonelyDirectory } from '../../src/store/nodes.ts'
import { createLogProbe } from '../../src/store/probe.ts'
import { createTickets } from '../../src/store/tickets.ts'
import { TestClock, testConfig, testJournal, type ServerOptions } from '../helpers.ts'

export const ORIGIN = 'http://127.0.0.1:3000'

/** An app over a log in memory, at a clock that stands still. */
export function openApp(t: TestContext, options: ServerOptions & Partial<Services> = {}) {
  const { env, limits: changed, ...services } = options
  const clock = new TestClock()
  const config = testConfig({
    clock,
    ...(env && { env }),
    ...(changed && { limits: changed }),
  })
  const { limits } = config
  const { sql, epoch, close } = openDataFile(':memory:', clock)
  const { journal, faults, facts, lines } = testJournal()
  const log = createLog({ sql, epoch, clock, limits, rests: false, close: async () => close() })
  const accounts = createAccounts(sql, limits, clock)
  const hub = new Hub({
    ...{ log, bus: localBus, directory: createLonelyDirectory(sql), clock, limits },
    ...{ tokenEveryMessage: false, journal, keepSessions: accounts.keep },
  })
  const probe = createLogProbe({ log, clock, limits, journal })
  t.after(async () => {
    probe.close()
    await hub.drain()
    close()
  })
  const app = createApp({
    config,
    clock,
    hub,
    journal,
    probe,
    metrics: undefined,
    search: undefined,
    accounts,
    memberships: createMemberships(sql, limits),
    foreignUser: undefined,
    tickets: createTickets(sql, 'ticket', limits.ticketMs),
    links: createTickets(sql, 'link', limits.linkMs),
    origins: () => config.allowedOrigins ?? [ORIGIN],
    ...services,
  })
  const get = (path: string, headers: Record<string, string> = {}) => app.request(path, { headers })
  const send = (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) =>
    app.request(path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  const post = (path: string, body?: unknown, headers?: Record<string, string>) =>
    send('POST', path, body, headers)
  /** Signs a guest in. @returns the headers that say so, with a bearer token or with the cookie */
  const signIn = async (name: string) => {
    const response = await post('/api/session', { name })
    assert.equal(response.status, 201)
    const { token } = (await response.json()) as { token: string }
    const cookie = response.headers.get('set-cookie')!.split(';')[0]!
    return { bearer: { authorization: `Bearer ${token}` }, cookie: { cookie }, token }
  }
  return { app, clock, hub, faults, facts, lines, get, send, post, signIn }
}

/** A problem as RFC 9457 has it, with this status and code. */
export async function assertProblem(response: Response, status: number, code: string) {
  const text = await response.text()
  assert.equal(response.status, status, text)
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  const problem = JSON.parse(text) as {
    status: number
    code: string
    detail?: string
    needs?: string
  }
  assert.deepEqual([problem.status, problem.code], [status, code])
  assert.doesNotMatch(text, /node_modules|\/src\/|SQLITE|SELECT|\s+at /)
  return problem
}
