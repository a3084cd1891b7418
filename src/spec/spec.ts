/** `/openapi.json`: every route of the server, as one table and what is made of it (OpenAPI 3.1). */

import { MEMBERS_LENGTH, PAGE_LENGTH, PROTOCOL, STATUS } from '../../static/protocol.js'
import type { ErrorCode } from '../protocol.ts'
import { bodySchemas, type BodyName } from './schemas.ts'

type MediaType = typeof TEXT | typeof EVENTS | typeof JSON_

interface Operation {
  summary: string
  description?: string
  /** Nobody need be signed in. */
  open?: true
  /** Of the query. */
  query?: Record<string, object>
  /** Headers that are looked at. */
  headers?: Record<string, object>
  body?: BodyName
  /** By status: the body, and what to say of it. */
  answers: Record<number, readonly [says: string, body?: BodyName | MediaType]>
  /** Besides those that every route of /api has. */
  refusals?: readonly ErrorCode[]
}

const TEXT = 'text/plain'
const EVENTS = 'text/event-stream'
const JSON_ = 'application/json'
const NO_BODY = ['done'] as const
const seq = { type: 'integer', minimum: 0 }
const limit = { type: 'integer', minimum: 1, maximum: PAGE_LENGTH, default: 50 }
const yes = { type: 'boolean', default: false }
const ofRooms = ['invalid', 'forbidden', 'rate_limited'] as const

/** Method and path, with the parameters as Hono writes them. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /api/session': {
    summary: 'Sign in',
    description:
      'As a guest, an admin, or another device; with a token of another issuer no body is needed. ' +
      'Whoever is signed in already is refused, unless `replace` is their id: then that session ends.',
    open: true,
    body: 'NewSession',
    answers: { 201: ['a session, and its cookie', 'Session'] },
    refusals: [
      'invalid',
      'unauthorized',
      'forbidden',
      'name_taken',
      'conflict',
      'too_many',
      'rate_limited',
    ],
  },
  'GET /api/session': {
    summary: 'Who is signed in',
    description: '`frees`: with this session the name of a guest ends.',
    query: { quiet: { ...yes, description: 'answer 200 where it would be 401' } },
    answers: { 200: ['a session, or with `quiet` what a guest needs', 'SessionOrNobody'] },
  },
  'DELETE /api/session': {
    summary: 'Sign out',
    query: { all: { ...yes, description: 'everywhere' } },
    answers: { 204: NO_BODY },
  },
  'GET /api/sessions': {
    summary: 'The devices that one is signed in on',
    answers: { 200: ['newest first', 'Devices'] },
    refusals: ['rate_limited'],
  },
  'DELETE /api/sessions': {
    summary: 'Sign out on all other devices',
    answers: { 204: NO_BODY },
    refusals: ['rate_limited'],
  },
  'DELETE /api/sessions/:id': {
    summary: 'Sign out on one device',
    answers: { 204: NO_BODY },
    refusals: ['not_found', 'rate_limited'],
  },
  'POST /api/session/link': {
    summary: 'A link that signs in another device, once, within 10 minutes',
    answers: { 201: ['the secret of the link', 'Link'] },
    refusals: ['rate_limited'],
  },
  'POST /api/session/link/whose': {
    summary: 'Whom a link would sign in; it stays good',
    open: true,
    body: 'OpenedLink',
    answers: { 200: ['the user', 'LinkOwner'] },
    refusals: ['invalid', 'unauthorized', 'rate_limited'],
  },
  'POST /api/ticket': {
    summary: 'A ticket for one WebSocket',
    answers: { 201: ['a ticket for the next 30 s', 'Ticket'] },
    refusals: ['rate_limited'],
  },
  'GET /api/rooms': {
    summary: 'The rooms one is a member of, and what is unread there',
    answers: { 200: ['by name', 'Rooms'] },
    refusals: ['rate_limited'],
  },
  'POST /api/rooms': {
    summary: 'Make a private room; or, as an admin, a public one that stays public',
    body: 'NewRoom',
    answers: { 201: ['the room, which the caller owns if it is private', 'RoomSummary'] },
    refusals: ['invalid', 'conflict', 'rate_limited', 'too_many'],
  },
  'GET /api/rooms/:room/messages': {
    summary: 'Read a room’s log',
    description: 'With `after` the entries that follow it, as they were appended; else a page.',
    query: { after: seq, before: seq, limit },
    answers: { 200: ['entries in their order; or messages as they read at `head`', 'LogPart'] },
    refusals: ofRooms,
  },
  'POST /api/rooms/:room/messages': {
    summary: 'Say something',
    description: 'With an `id` it can be tried again, and is stored once.',
    body: 'NewMessage',
    answers: {
      200: ['the entry, which was stored before', 'Entry'],
      201: ['the entry, which is on disk', 'Entry'],
    },
    refusals: [...ofRooms, 'not_found', 'conflict'],
  },
  'GET /api/rooms/:room/events': {
    summary: 'Follow a room as server-sent events',
    description:
      'The entries after `Last-Event-ID` or `after`, then those to come: `event: message`, `id: <seq>`. ' +
      'Before them `event: joined`, and after too long an absence `event: history`, a page. At the end ' +
      'of the session `event: bye`, and of a membership `event: removed`. The data are as in /protocol.json.',
    query: { after: seq, epoch: { type: 'string', maxLength: 64 } },
    headers: { 'Last-Event-ID': { type: 'string' } },
    answers: { 200: ['events without end', EVENTS], 204: ['the session is over: stay away'] },
    refusals: [...ofRooms, 'too_many'],
  },
  'GET /api/rooms/:room/search': {
    summary: 'Search the messages of a room',
    query: { q: { $ref: '#/components/schemas/Query' }, before: seq, limit },
    answers: { 200: ['a page of the messages that match, newest last', 'LogPage'] },
    refusals: ofRooms,
  },
  'POST /api/rooms/:room/invites': {
    summary: 'Make an invitation into one’s own room',
    body: 'NewInvitation',
    answers: { 201: ['an invitation for anybody, or for one', 'Invitation'] },
    refusals: ofRooms,
  },
  'DELETE /api/rooms/:room/invites': {
    summary: 'End all invitations into one’s own room; as an admin into any',
    answers: { 200: ['how many were still good, and how many members there are', 'Revoked'] },
    refusals: ofRooms,
  },
  'PUT /api/rooms/:room/owner': {
    summary: 'Hand one’s own room over to a member; as an admin any private one, also to oneself',
    body: 'NewOwner',
    answers: { 204: NO_BODY },
    refusals: [...ofRooms, 'not_found', 'too_many'],
  },
  'POST /api/rooms/:room/invites/look': {
    summary: 'What an invitation opens; it is not used',
    body: 'Invitation',
    answers: { 200: ['the room, and whose it is', 'InvitedRoom'] },
    refusals: ofRooms,
  },
  'POST /api/rooms/:room/members': {
    summary: 'Become a member by an invitation',
    body: 'Invitation',
    answers: { 204: NO_BODY },
    refusals: [...ofRooms, 'too_many'],
  },
  'GET /api/rooms/:room/members': {
    summary: 'Who is a member of a private room, and who of them is here',
    description: 'By id. What a page leaves out is behind the last id, `after`.',
    query: {
      after: { type: 'string', format: 'uuid' },
      since: { type: 'string', format: 'date-time', description: 'who came in then or later' },
      past: { type: 'boolean', description: 'who were members within 30 days, and are not' },
      limit: { type: 'integer', minimum: 1, maximum: MEMBERS_LENGTH, default: MEMBERS_LENGTH },
    },
    answers: { 200: ['a page of the members', 'Members'] },
    refusals: [...ofRooms, 'not_found'],
  },
  'DELETE /api/rooms/:room/members/:user': {
    summary: 'Remove a member from one’s own room; as an admin from any',
    answers: { 204: NO_BODY },
    refusals: [...ofRooms, 'not_found'],
  },
  'DELETE /api/users/:user': {
    summary: 'Ban a user, as an admin',
    answers: { 204: NO_BODY },
    refusals: ['invalid', 'forbidden', 'not_found'],
  },
  'GET /livez': {
    summary: 'Whether the process answers',
    open: true,
    answers: { 200: ['it does', JSON_] },
  },
  'GET /readyz': {
    summary: 'Whether to send people here',
    open: true,
    answers: { 200: ['yes, with the state of each part', JSON_], 503: ['not now, and why', JSON_] },
  },
  'GET /metrics': {
    summary: 'What Prometheus reads',
    open: true,
    answers: { 200: ['the text format; with the METRICS_TOKEN as bearer', TEXT] },
    refusals: ['unauthorized', 'not_found'],
  },
  'GET /openapi.json': {
    summary: 'This document',
    open: true,
    answers: { 200: ['OpenAPI 3.1', JSON_], 304: ['what the caller has is right'] },
  },
  'GET /protocol.json': {
    summary: 'The frames of the WebSocket',
    open: true,
    answers: { 200: ['JSON Schema 2020-12', JSON_], 304: ['what the caller has is right'] },
  },
  'GET /ws': {
    summary: 'The WebSocket',
    description: `Speaks ${PROTOCOL}: its frames are in /protocol.json, how to stay complete in docs/protocol.md.`,
    open: true,
    headers: {
      'Sec-WebSocket-Protocol': { type: 'string', examples: [`${PROTOCOL}, ticket.…`] },
    },
    answers: { 101: [`frames of ${PROTOCOL} follow`] },
    refusals: ['invalid', 'unauthorized', 'forbidden', 'not_found', 'too_many', 'unavailable'],
  },
}

/** What goes wrong with any request for this; a body adds its own. */
function refusalsOf(key: string, { open, body, refusals = [] }: Operation): Set<ErrorCode> {
  const isApi = key.includes(' /api/')
  return new Set<ErrorCode>([
    ...refusals,
    // Each is charged to its address.
    'rate_limited',
    ...(isApi ? (['unavailable'] as const) : []),
    ...(isApi && !open ? (['unauthorized'] as const) : []),
    // From somebody else's page.
    ...(isApi && !key.startsWith('GET') ? (['forbidden'] as const) : []),
    ...(body ? (['too_long'] as const) : []),
  ])
}

/** The codes of each status. 415 and 426 say `invalid`, too. */
function statusesOf(key: string, operation: Operation) {
  const byStatus = new Map<number, ErrorCode[]>()
  const add = (status: number, code: ErrorCode) =>
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  for (const code of refusalsOf(key, operation)) add(STATUS[code], code)
  if (operation.body) add(415, 'invalid')
  if (key === 'GET /ws') add(426, 'invalid')
  return byStatus
}

const RETRY = {
  'Retry-After': {
    description: 'try again after this. s',
    schema: { type: 'integer', minimum: 0 },
  },
}

function refusalFor(status: number, codes: readonly string[]) {
  const schema = {
    allOf: [
      { $ref: '#/components/schemas/Problem' },
      { properties: { status: { const: status }, code: { enum: codes } } },
    ],
  }
  return {
    description: codes.join(', '),
    ...([429, 503].includes(status) && { headers: RETRY }),
    content: { 'application/problem+json': { schema } },
  }
}

function answerOf([description, body]: Operation['answers'][number]) {
  if (body === undefined) return { description }
  if (body === TEXT || body === EVENTS) {
    return { description, content: { [body]: { schema: { type: 'string' } } } }
  }
  const schema = body === JSON_ ? { type: 'object' } : { $ref: `#/components/schemas/${body}` }
  return { description, content: { [JSON_]: { schema } } }
}

function describe(key: string, operation: Operation) {
  const { summary, description, open, query = {}, headers = {}, body } = operation
  const inPath = [...key.matchAll(/:(\w+)/g)].map(([, name]) => parameter('path', name!))
  const answers = Object.entries(operation.answers).map(([status, one]) => [status, answerOf(one)])
  const refusals = [...statusesOf(key, operation)].map(([status, codes]) => [
    status,
    refusalFor(status, codes),
  ])
  const schema = { $ref: `#/components/schemas/${body}` }
  const isForeign = key === 'POST /api/session'
  return {
    summary,
    ...(description && { description }),
    ...(open && { security: TOKENS[key] ?? [] }),
    parameters: [
      ...inPath,
      ...Object.entries(query).map(([name, one]) => parameter('query', name, one)),
      ...Object.entries(headers).map(([name, one]) => parameter('header', name, one)),
    ],
    ...(body && { requestBody: { required: !isForeign, content: { [JSON_]: { schema } } } }),
    responses: Object.fromEntries([...answers, ...refusals]),
  }
}

/** Of others than our own sessions. */
const TOKENS: Record<string, object[]> = {
  'POST /api/session': [{}, { foreign: [] }],
  'GET /metrics': [{ metrics: [] }],
}
const IN_PATH: Record<string, BodyName> = { room: 'Room', user: 'Id', id: 'DeviceId' }

function parameter(where: 'path' | 'query' | 'header', name: string, schema?: object) {
  const isRequired = where === 'path' || name === 'q'
  const ref = { $ref: `#/components/schemas/${IN_PATH[name] ?? 'Id'}` }
  return { name, in: where, required: isRequired, schema: schema ?? ref }
}

/** The document; made anew with each call. */
export function openApi(): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const [key, operation] of Object.entries(OPERATIONS)) {
    const [method = '', path = ''] = key.split(' ')
    const written = path.replace(/:(\w+)/g, '{$1}')
    paths[written] = { ...paths[written], [method.toLowerCase()]: describe(key, operation) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Hearth',
      version: PROTOCOL,
      description: 'A durable group chat. Any refusal is application/problem+json (RFC 9457).',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ session: [] }, { cookie: [] }],
    paths,
    components: {
      schemas: bodySchemas(),
      securitySchemes: {
        session: { type: 'http', scheme: 'bearer', description: 'the token of a session' },
        cookie: {
          ...{ type: 'apiKey', in: 'cookie', name: 'hearth' },
          description:
            'of a browser, which is given it as `hearth-` and a mark of the log; ' +
            'with `__Host-` before it where there is only https',
        },
        metrics: { type: 'http', scheme: 'bearer', description: 'the METRICS_TOKEN' },
        foreign: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
      },
    },
  }
}
