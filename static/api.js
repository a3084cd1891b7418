/** The HTTP half of a client: sessions, tickets, the list of rooms. Runs wherever fetch does. */

import * as v from 'valibot'
import { Link, LogPage, Problem, Rooms, Session, Ticket } from './protocol.js'

/** @typedef {import('valibot').InferOutput<typeof Session>} Session */
/** @typedef {import('valibot').InferOutput<typeof Rooms>[number]} RoomSummary */
/** @typedef {v.InferOutput<typeof LogPage>} Found */
/** @typedef {Partial<v.InferOutput<typeof Problem>> & { status: number, code: string }} Failure */
/**
 * @template T
 * @typedef {{ value: T, failure?: undefined } | { value?: undefined, failure: Failure }} Answer
 */
/** @typedef {ReturnType<typeof createApi>} Api */

/** A request that takes longer counts as `offline`. */
const REQUEST_MS = 10_000

/**
 * Every call answers with a value or a failure and never throws. A server that cannot be reached,
 * or that is not Hearth, is a failure with the code `offline`.
 * @param {object} [options]
 * @param {string} [options.base]  the server, without a slash at the end; default: the page's own
 * @param {string} [options.token]  a session's token, for programs that keep no cookies
 * @param {typeof globalThis.fetch} [options.fetch]
 */
export function createApi({
  base = '',
  token,
  fetch = (input, init) => globalThis.fetch(input, init),
} = {}) {
  /**
   * @template {v.GenericSchema} S
   * @param {string} method @param {string} path @param {S} schema @param {unknown} [body]
   * @returns {Promise<Answer<v.InferOutput<S>>>}
   */
  async function call(method, path, schema, body) {
    try {
      const response = await fetch(base + path, {
        method,
        headers: {
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(token && { authorization: `Bearer ${token}` }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        cache: 'no-store',
        signal: AbortSignal.timeout(REQUEST_MS),
      })
      const answer = response.status === 204 ? undefined : await response.json()
      if (!response.ok) return { failure: readFailure(response, answer) }
      return { value: v.parse(schema, answer) }
    } catch {
      return { failure: { status: 0, code: 'offline' } }
    }
  }

  return {
    session: () => call('GET', '/api/session', Session),
    /** @param {{ name: string, code?: string } | { link: string }} who */
    signIn: (who) => call('POST', '/api/session', Session, who),
    signOut: () => call('DELETE', '/api/session', v.undefined()),
    ticket: () => call('POST', '/api/ticket', Ticket, {}),
    rooms: () => call('GET', '/api/rooms', Rooms),
    /** @param {string} room @param {string} q @param {number} [before]  seq, exclusive */
    search(room, q, before) {
      const query = new URLSearchParams({ q, ...(before !== undefined && { before: `${before}` }) })
      return call('GET', `/api/rooms/${room}/search?${query}`, LogPage)
    },
    /** A link that signs in another device of the same user: once, within ten minutes. */
    link: () => call('POST', '/api/session/link', Link, {}),
  }
}

/** @param {Response} response @param {unknown} answer @returns {Failure} */
function readFailure(response, answer) {
  const seconds = Number(response.headers.get('retry-after') ?? NaN)
  const problem = v.safeParse(Problem, answer)
  return {
    code: response.status === 401 ? 'unauthorized' : 'unavailable',
    ...(Number.isFinite(seconds) && { retryAfterMs: seconds * 1000 }),
    ...(problem.success && problem.output),
    status: response.status,
  }
}
