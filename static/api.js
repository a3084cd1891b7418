/** The HTTP half of a client: sessions, tickets, the list of rooms. Runs wherever fetch does. */

import * as v from 'valibot'
import { Devices, Invitation, Link, LogPage, Members, Nobody, Problem, Rooms } from './protocol.js'
import { InvitedRoom, LinkOwner, Revoked, Session, Ticket } from './protocol.js'

/** @typedef {import('valibot').InferOutput<typeof Session>} Session */
/** @typedef {import('valibot').InferOutput<typeof Rooms>[number]} RoomSummary */
/** @typedef {v.InferOutput<typeof LogPage>} Found */
/** @typedef {v.InferOutput<typeof InvitedRoom>} Invited */
/** @typedef {v.InferOutput<typeof Members>['members'][number]} Member */
/** @typedef {Partial<v.InferOutput<typeof Problem>> & { status: number, code: string }} Failure */
/**
 * @template T
 * @typedef {{ value: T, failure?: undefined } | { value?: undefined, failure: Failure }} Answer
 */
/** @typedef {ReturnType<typeof createApi>} Api */
/** @typedef {({ name: string, code?: string } | { link: string }) & { replace?: string }} Who */

/** A request that takes longer counts as `offline`. */
const REQUEST_MS = 10_000
const WhoIsThere = v.union([Session, Nobody])

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

  /** @param {string} room */
  const pathOf = (room) => `/api/rooms/${room}`
  const nothing = v.undefined()

  return {
    /** Who is signed in. @returns {Promise<Answer<Session>>} `unauthorized` when nobody is */
    async session() {
      const { value, failure } = await call('GET', '/api/session?quiet=true', WhoIsThere)
      if (failure) return { failure }
      if ('user' in value) return { value }
      return { failure: { ...value, status: 401, code: 'unauthorized' } }
    },
    /**
     * Whoever is signed in gets another session only by naming, in `replace`, the user whose session
     * ends: else, and when that is another one meanwhile, `conflict`.
     * @param {Who} who
     */
    signIn: (who) => call('POST', '/api/session', Session, who),
    signOut: (everywhere = false) =>
      call('DELETE', `/api/session${everywhere ? '?all=true' : ''}`, nothing),
    /** The devices that this user is signed in on, newest first. */
    sessions: () => call('GET', '/api/sessions', Devices),
    /** Signs out another device. @param {string} [id]  default: all others */
    endSessions: (id) =>
      call('DELETE', `/api/sessions${id === undefined ? '' : `/${id}`}`, nothing),
    ticket: () => call('POST', '/api/ticket', Ticket, {}),
    rooms: () => call('GET', '/api/rooms', Rooms),
    /**
     * A page of messages, newest last.
     * @param {string} room @param {{ before?: number, limit?: number }} [options]  before: seq,
     *   exclusive
     */
    messages(room, { before, limit } = {}) {
      const query = new URLSearchParams({
        ...(before !== undefined && { before: `${before}` }),
        ...(limit !== undefined && { limit: `${limit}` }),
      })
      return call('GET', `${pathOf(room)}/messages?${query}`, LogPage)
    },
    /** @param {string} room @param {string} q @param {number} [before]  seq, exclusive */
    search(room, q, before) {
      const query = new URLSearchParams({ q, ...(before !== undefined && { before: `${before}` }) })
      return call('GET', `${pathOf(room)}/search?${query}`, LogPage)
    },
    /** A link that signs in another device of the same user: once, within ten minutes. */
    link: () => call('POST', '/api/session/link', Link, {}),
    /** Whom a link would sign in; it stays good. @param {string} link */
    whose: (link) => call('POST', '/api/session/link/whose', LinkOwner, { link }),
    /** A private room, owned by who makes it. @param {string} room */
    createRoom: (room) => call('POST', '/api/rooms', Rooms.item, { room }),
    /** An invitation into one's own room. @param {string} room @param {boolean} [once]  for one */
    invite: (room, once = false) => call('POST', `${pathOf(room)}/invites`, Invitation, { once }),
    /** Ends all invitations. @param {string} room */
    revokeInvites: (room) => call('DELETE', `${pathOf(room)}/invites`, Revoked),
    /** What an invitation opens; it is not used. @param {string} room @param {string} invite */
    look: (room, invite) => call('POST', `${pathOf(room)}/invites/look`, InvitedRoom, { invite }),
    /** Makes one a member, who may then join. @param {string} room @param {string} invite */
    accept: (room, invite) => call('POST', `${pathOf(room)}/members`, nothing, { invite }),
    /**
     * A page of the members of a private room; `past`: of those who are members no more.
     * @param {string} room
     * @param {{ after?: string | undefined, since?: string, past?: boolean }} [options]
     */
    members(room, { after, since, past } = {}) {
      const query = new URLSearchParams({
        ...(after && { after }),
        ...(since && { since }),
        ...(past && { past: 'true' }),
      })
      return call('GET', `${pathOf(room)}/members?${query}`, Members)
    },
    /** @param {string} room @param {string} user  id of a member */
    handOver: (room, user) => call('PUT', `${pathOf(room)}/owner`, nothing, { user }),
    /** @param {string} room @param {string} user  id */
    removeMember: (room, user) => call('DELETE', `${pathOf(room)}/members/${user}`, nothing),
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
