/**
 * The wire protocol `hearth.v1`: every frame, every event and every body of /api, as valibot
 * schemas. Node, Deno and the browser load this very file; docs/protocol.md explains it.
 */

import * as v from 'valibot'

export const PROTOCOL = 'hearth.v1'
/** Largest client frame, in UTF-8 bytes. */
export const FRAME_BYTES = 16_384
/** Longest message body, in code points after NFC. */
export const BODY_LENGTH = 4_000
/** Longest name, in code points after NFC. */
export const NAME_LENGTH = 32
/** Longest query of a search, in code points. */
export const QUERY_LENGTH = 200
/** Most messages of one page. */
export const PAGE_LENGTH = 100
/** Most members of one list. */
export const MEMBERS_LENGTH = 200
/** More missed entries than this, and a join starts afresh instead of replaying. */
export const RESUME_LIMIT = 1_000
/** Most different emoji on one message. */
export const EMOJI_PER_MESSAGE = 20

/** Close codes. 4000–4499: come back. 4500–4999: stay away. */
export const CLOSE = /** @type {const} */ ({
  GONE: 1001,
  TOO_BIG: 1009,
  RESTART: 4000,
  SLOW: 4008,
  SILENT: 4009,
  TOO_FAST: 4029,
  BROKEN: 4500,
  SIGNED_OUT: 4501,
  BANNED: 4503,
  VERSION: 4505,
})

/** Error codes and their HTTP status; `invalid_frame` reads `invalid` over HTTP. */
export const STATUS = /** @type {const} */ ({
  invalid: 400,
  invalid_frame: 400,
  unknown_type: 400,
  not_joined: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  name_taken: 409,
  too_long: 413,
  rate_limited: 429,
  too_many: 429,
  unavailable: 503,
})

const TOO_LONG = 'too_long'
// Cc: control characters. Cs: lone surrogates, which neither UTF-8 nor Postgres can hold.
const BAD_IN_BODY = /[^\P{Cc}\n\t]|\p{Cs}/u
// Beside those, the embeddings, overrides and isolates that turn the text around a name.
const BAD_IN_NAME = /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u
const PICTOGRAPH = String.raw`\p{Extended_Pictographic}(?:[\u{1f3fb}-\u{1f3ff}]|\ufe0f)?`
// A black flag with tags that name a region: tags are invisible, and would hide a text elsewhere.
const REGION = String.raw`\u{1f3f4}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{3,6}\u{e007f}`
// One emoji: a flag, a keycap, or pictographs held together by joiners (UTS #51).
const ONE_EMOJI = new RegExp(
  String.raw`^(?:\p{RI}\p{RI}|${REGION}|[0-9#*]\ufe0f?\u20e3|${PICTOGRAPH}(?:\u200d${PICTOGRAPH})*)$`,
  'u',
)

/** @param {string} text @param {number} most  @returns whether it has at most `most` code points */
function fits(text, most) {
  return text.length <= most || (text.length <= most * 2 && [...text].length <= most)
}

export const Seq = v.pipe(v.number(), v.safeInteger('a whole number'), v.minValue(0))
const Target = v.pipe(v.number(), v.safeInteger('a whole number'), v.minValue(1))
const Count = Seq
export const Id = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'a lower-case UUID'),
)
const Time = v.pipe(v.string(), v.isoTimestamp())
/** What a session is called; it opens nothing. */
export const DeviceId = v.pipe(v.string(), v.regex(/^[\w-]{16}$/, '16 of base64url'))
export const Emoji = v.pipe(v.string(), v.maxLength(64), v.regex(ONE_EMOJI, 'one emoji'))
const Token = v.pipe(v.string(), v.regex(/^[\w-]{16,128}$/, 'base64url'))

/** A room's name; also a path segment, a bus subject and a file name, so it is kept plain. */
export const Room = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a to z, 0 to 9 and -, at most 32'),
)

const Mentions = v.pipe(v.array(Id), v.maxLength(50))

const StoredName = v.pipe(v.string(), v.minLength(1))
const StoredBody = v.pipe(v.string(), v.minLength(1))

/** A person's name as typed: brought to NFC, outer white space dropped. */
export const Name = v.pipe(
  v.string(),
  v.check((text) => !BAD_IN_NAME.test(text), 'no control characters or direction overrides'),
  v.normalize('NFC'),
  v.trim(),
  v.check((text) => text !== '' && fits(text, NAME_LENGTH), `1 to ${NAME_LENGTH} characters`),
)

/** A message's text as typed: brought to NFC. */
export const Body = v.pipe(
  v.string(),
  v.check((text) => !BAD_IN_BODY.test(text), 'no control characters but newline and tab'),
  v.normalize('NFC'),
  v.minLength(1, `1 to ${BODY_LENGTH} characters`),
  v.check((text) => fits(text, BODY_LENGTH), TOO_LONG),
)

/** A user. `kind`: an admin, or vouched for by the chat's own sign-in; guests have none. */
export const User = v.object({
  id: Id,
  name: StoredName,
  kind: v.optional(v.picklist(['admin', 'foreign'])),
})

/* ------------------------------------------------------------------ client → server */

const Join = v.object({
  type: v.literal('join'),
  room: Room,
  after: v.optional(Seq),
  last: v.optional(Id),
  epoch: v.optional(v.pipe(v.string(), v.maxLength(64))),
  limit: v.optional(v.pipe(Count, v.maxValue(PAGE_LENGTH))),
})
const Leave = v.object({ type: v.literal('leave'), room: Room })
const Say = v.object({
  type: v.literal('say'),
  room: Room,
  id: Id,
  body: Body,
  replyTo: v.optional(Target),
  mentions: v.optional(Mentions),
  token: v.optional(Token),
})
const Edit = v.object({
  type: v.literal('edit'),
  room: Room,
  id: Id,
  target: Target,
  body: Body,
  token: v.optional(Token),
})
const Delete = v.object({
  type: v.literal('delete'),
  room: Room,
  id: Id,
  target: Target,
  token: v.optional(Token),
})
const React = v.object({
  type: v.literal('react'),
  room: Room,
  id: Id,
  target: Target,
  emoji: Emoji,
  on: v.boolean(),
  token: v.optional(Token),
})
const History = v.object({
  type: v.literal('history'),
  room: Room,
  before: v.optional(Seq),
  limit: v.optional(v.pipe(Count, v.minValue(1), v.maxValue(PAGE_LENGTH))),
})
const Read = v.object({ type: v.literal('read'), room: Room, seq: Seq })
const Typing = v.object({ type: v.literal('typing'), room: Room })
const Pong = v.object({ type: v.literal('pong') })
const Renew = v.object({ type: v.literal('renew'), ticket: Token })

export const ClientFrame = v.variant('type', [
  Join,
  Leave,
  Say,
  Edit,
  Delete,
  React,
  History,
  Read,
  Typing,
  Pong,
  Renew,
])

/* ------------------------------------------------------------------ server → client */

const entry = {
  type: v.literal('message'),
  room: Room,
  seq: Target,
  id: Id,
  author: User,
  at: Time,
  repeat: v.optional(v.literal(true)),
}

/** One entry of a room's log. An erased one reads `deleted: true` and has no body. */
export const Entry = v.variant('kind', [
  v.object({
    ...entry,
    kind: v.literal('message'),
    body: v.optional(StoredBody),
    deleted: v.optional(v.literal(true)),
    replyTo: v.optional(Target),
    mentions: v.optional(Mentions),
  }),
  v.object({
    ...entry,
    kind: v.literal('edit'),
    target: Target,
    body: v.optional(StoredBody),
    deleted: v.optional(v.literal(true)),
  }),
  v.object({ ...entry, kind: v.literal('delete'), target: Target }),
  v.object({
    ...entry,
    kind: v.literal('reaction'),
    target: Target,
    emoji: Emoji,
    on: v.boolean(),
  }),
])

/** A message as a page shows it: edits, deletes and reactions folded in, as of the page's head. */
export const Message = v.object({
  seq: Target,
  id: Id,
  author: User,
  at: Time,
  body: v.optional(StoredBody),
  replyTo: v.optional(Target),
  mentions: v.optional(Mentions),
  editedAt: v.optional(Time),
  deleted: v.optional(v.literal(true)),
  reactions: v.array(v.object({ emoji: Emoji, count: Count, users: v.array(Id) })),
})

const Welcome = v.object({
  type: v.literal('welcome'),
  user: User,
  protocol: v.literal(PROTOCOL),
  heartbeat: v.object({ interval: Count, timeout: Count }),
  limits: v.object({ frame: Count, body: Count, page: Count, rate: v.number(), burst: Count }),
  expiresAt: v.nullable(Time),
  tokenEveryMessage: v.boolean(),
})
const Joined = v.object({
  type: v.literal('joined'),
  room: Room,
  epoch: v.string(),
  head: Seq,
  from: Seq,
  reset: v.boolean(),
  count: Count,
  members: v.optional(v.array(User)),
  private: v.boolean(),
  owner: v.optional(Id),
})
const HistoryPage = v.object({
  type: v.literal('history'),
  room: Room,
  head: Seq,
  messages: v.array(Message),
  more: v.boolean(),
  before: v.optional(Seq),
})
const Presence = v.object({
  type: v.literal('presence'),
  room: Room,
  count: Count,
  joined: v.optional(v.array(User)),
  left: v.optional(v.array(User)),
})
const TypingUser = v.object({ type: v.literal('typing'), room: Room, user: User })
const ReadUpTo = v.object({ type: v.literal('read'), room: Room, seq: Seq })
const Renewed = v.object({ type: v.literal('renewed'), expiresAt: v.nullable(Time) })
const Removed = v.object({ type: v.literal('removed'), room: Room })
/** A new member of a private room. */
const Admitted = v.object({ type: v.literal('admitted'), room: Room, user: User, at: Time })
/** A private room has another owner. */
const Owner = v.object({ type: v.literal('owner'), room: Room, owner: Id })
const Added = v.object({
  type: v.literal('device'),
  id: DeviceId,
  at: Time,
  address: v.nullable(v.string()),
  agent: v.nullable(v.string()),
})
const Ping = v.object({ type: v.literal('ping'), heads: v.record(v.string(), Seq) })
const ErrorEvent = v.object({
  type: v.literal('error'),
  code: v.picklist(/** @type {(keyof typeof STATUS)[]} */ (Object.keys(STATUS))),
  message: v.string(),
  of: v.optional(v.string()),
  id: v.optional(Id),
  room: v.optional(Room),
  retryAfterMs: v.optional(Count),
})
const Bye = v.object({ type: v.literal('bye'), code: Count, retryAfterMs: Count })

export const events = {
  welcome: Welcome,
  joined: Joined,
  message: Entry,
  history: HistoryPage,
  presence: Presence,
  typing: TypingUser,
  read: ReadUpTo,
  renewed: Renewed,
  removed: Removed,
  device: Added,
  admitted: Admitted,
  owner: Owner,
  ping: Ping,
  error: ErrorEvent,
  bye: Bye,
}
export const ServerEvent = v.union(Object.values(events))

/* ------------------------------------------------------------------ bodies of /api */

/** Of whoever is signed in already, as this user: that session ends, for the one that is asked for. */
export const Replacement = v.object({ replace: Id })
const replaces = { replace: v.optional(Id) }
/** Body of `POST /api/session`: a new guest, an admin, or another device of a user. */
export const NewSession = v.union(
  [
    v.object({ link: Token, ...replaces }),
    v.object({ admin: v.pipe(v.string(), v.maxLength(256)), name: Name, ...replaces }),
    v.object({ name: Name, code: v.optional(v.pipe(v.string(), v.maxLength(256))), ...replaces }),
  ],
  (issue) => issue.issues?.at(-1)?.message ?? 'name, admin and name, or link',
)
export const Session = v.object({
  user: User,
  token: v.optional(Token),
  expiresAt: Time,
  role: v.optional(v.picklist(['member', 'admin'])),
  frees: v.optional(v.literal(true)),
})
const Needs = v.picklist(['code', 'login'])
/** Answer to `GET /api/session?quiet=true` of somebody who is not signed in. */
export const Nobody = v.object({ needs: v.optional(Needs) })
/** A session as its user sees it. null: not known. */
export const Device = v.object({
  id: DeviceId,
  madeAt: v.nullable(Time),
  seenAt: Time,
  address: v.nullable(v.string()),
  agent: v.nullable(v.string()),
  current: v.optional(v.literal(true)),
  here: v.optional(v.literal(true)),
})
/** Answer to `GET /api/sessions`. */
export const Devices = v.array(Device)
export const Ticket = v.object({ ticket: Token, expiresAt: Time })
export const Link = v.object({ link: Token, expiresAt: Time })
/** Body of `POST /api/session/link/whose`, and its answer. */
export const OpenedLink = v.object({ link: Token })
export const LinkOwner = v.object({ user: User })
export const Rooms = v.array(
  v.object({
    room: Room,
    head: Seq,
    read: Seq,
    unread: Count,
    mentions: Count,
    private: v.boolean(),
    owner: v.optional(v.literal(true)),
  }),
)
/** Body of `POST /api/rooms`: a private room; or, by an admin, a public one. */
export const NewRoom = v.object({ room: Room, private: v.optional(v.boolean()) })
/**
 * Body of `POST /api/rooms/:room/invites`. `expiresIn` in seconds: a minute to 30 days; `once`: for
 * one person.
 */
export const NewInvitation = v.object({
  expiresIn: v.optional(v.pipe(Count, v.minValue(60), v.maxValue(2_592_000))),
  once: v.optional(v.boolean()),
})
/** Answer to `DELETE /api/rooms/:room/invites`: how many were still good, and who came in is in. */
export const Revoked = v.object({ ended: Count, members: Count })
/** Body of `PUT /api/rooms/:room/owner`. */
export const NewOwner = v.object({ user: Id })
/** Its answer, and the body of `POST /api/rooms/:room/members`. */
export const Invitation = v.object({ invite: Token, expiresAt: v.optional(Time) })
/** Answer to `POST /api/rooms/:room/invites/look`. `member: true`: one is in already. */
export const InvitedRoom = v.object({
  room: Room,
  owner: v.nullable(User),
  members: Count,
  member: v.optional(v.literal(true)),
})
/**
 * Members of a private room, or past ones, by id. `since`: null for those from before it was written
 * down; `until`: of a past one.
 */
export const Members = v.object({
  room: Room,
  members: v.array(
    v.object({
      user: User,
      since: v.nullable(Time),
      here: v.boolean(),
      owner: v.optional(v.literal(true)),
      until: v.optional(Time),
    }),
  ),
  more: v.boolean(),
})
/** A number in the query of an address. */
const Digits = v.pipe(v.string(), v.digits('a whole number'), v.transform(Number))
const PageLimit = v.pipe(
  Digits,
  v.minValue(1, 'at least 1'),
  v.maxValue(PAGE_LENGTH, `at most ${PAGE_LENGTH}`),
)
/** Query of `GET /api/rooms/:room/messages`: what follows `after`, else a page below `before`. */
export const RoomMessages = v.pipe(
  v.object({
    after: v.optional(v.pipe(Digits, Seq)),
    before: v.optional(v.pipe(Digits, Seq)),
    limit: v.optional(PageLimit),
  }),
  v.check(({ after, before }) => after === undefined || before === undefined, 'after or before'),
)
/** Query of `GET /api/rooms/:room/events`. */
export const RoomEvents = v.object({
  after: v.optional(v.pipe(Digits, Seq)),
  epoch: v.optional(v.pipe(v.string(), v.maxLength(64))),
})
/** Body of `POST /api/rooms/:room/messages`; without an `id` it cannot be sent again safely. */
export const NewMessage = v.object({
  id: v.optional(Id),
  body: Body,
  replyTo: v.optional(Target),
  mentions: v.optional(Mentions),
})
/** Query of `GET /api/rooms/:room/search`. */
export const Search = v.object({
  q: v.pipe(
    v.string(),
    v.check((text) => text !== '' && fits(text, QUERY_LENGTH), `1 to ${QUERY_LENGTH} characters`),
  ),
  before: v.optional(v.pipe(Digits, Seq)),
  limit: v.optional(PageLimit),
})
/** Its answer: a page of a room's messages. */
export const LogPage = v.object({
  room: Room,
  epoch: v.string(),
  head: Seq,
  messages: v.array(Message),
  more: v.boolean(),
  floor: v.optional(Seq),
})
/** What follows a position: entries as they were appended. `floor`: the highest `seq` dropped. */
export const LogEntries = v.object({
  ...LogPage.entries,
  messages: v.array(Entry),
  floor: Seq,
})
/** An error over HTTP, `application/problem+json` (RFC 9457). */
export const Problem = v.object({
  type: v.optional(v.string()),
  title: v.optional(v.string()),
  status: v.number(),
  code: v.string(),
  detail: v.optional(v.string()),
  retryAfterMs: v.optional(Count),
  needs: v.optional(Needs),
})

/* ------------------------------------------------------------------ types and parsing */

/** @typedef {v.InferOutput<typeof User>} User */
/** @typedef {v.InferOutput<typeof ClientFrame>} ClientFrame */
/** @typedef {v.InferOutput<typeof Entry>} Entry */
/** @typedef {v.InferOutput<typeof Message>} Message */
/** @typedef {v.InferOutput<typeof HistoryPage>} HistoryPage */
/** @typedef {{ [K in keyof typeof events]: v.InferOutput<(typeof events)[K]> }[keyof typeof events]} ServerEvent */
/** @typedef {{ type: 'position', room: string, seq: number }} Position */
/** @typedef {{ type: 'broken', room?: string }} Broken */
/** @typedef {keyof typeof STATUS} ErrorCode */
/** @typedef {{ code: ErrorCode, message: string, of?: string, id?: string, room?: string }} Refusal */

const frames = new Map(ClientFrame.options.map((schema) => [schema.entries.type.literal, schema]))

/**
 * The first fault of a parse, for a person to read.
 * @param {readonly v.BaseIssue<unknown>[]} issues
 */
export function explain(issues) {
  const [issue] = issues
  if (!issue) return 'not valid'
  const path = v.getDotPath(issue)
  // What valibot received is the sender's, and not for our answers and logs.
  const expected = issue.message.replace(/ but received [^]*$/, '')
  const message = issue.message === TOO_LONG ? `at most ${BODY_LENGTH} characters` : expected
  return path ? `${path}: ${message}` : message
}

/**
 * Whether the one thing wrong is a body over the limit.
 * @param {readonly v.BaseIssue<unknown>[]} issues
 */
export function isTooLong(issues) {
  return issues.every((issue) => issue.message === TOO_LONG)
}

/**
 * What can still be read of a refused frame, so that its sender can tell which one it was.
 * @param {unknown} value
 * @returns {{ of?: string, id?: string, room?: string }}
 */
function labels(value) {
  const { type, id, room } = /** @type {Record<string, unknown>} */ (Object(value))
  return {
    ...(typeof type === 'string' && { of: type.slice(0, 32) }),
    ...(v.is(Id, id) && { id }),
    ...(v.is(Room, room) && { room }),
  }
}

/**
 * One client frame from raw text.
 * @param {unknown} text  what the socket handed over; anything but a string is a binary frame
 * @returns {{ frame: ClientFrame, refusal?: undefined } | { frame?: undefined, refusal: Refusal }}
 */
export function parseFrame(text) {
  const value = parseJson(text)
  /** @param {ErrorCode} code @param {string} message */
  const refuse = (code, message) => ({ refusal: { code, message, ...labels(value) } })
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('invalid_frame', 'a frame is one JSON object')
  }
  const { type } = /** @type {{ type?: unknown }} */ (value)
  if (typeof type !== 'string') return refuse('invalid_frame', 'type: a string')
  const schema = frames.get(/** @type {ClientFrame['type']} */ (type))
  if (!schema) return refuse('unknown_type', 'no frame has this type')
  const result = v.safeParse(schema, value, { abortPipeEarly: true })
  if (result.success) return { frame: result.output }
  return refuse(isTooLong(result.issues) ? 'too_long' : 'invalid_frame', explain(result.issues))
}

/**
 * The events of one server frame, in order. An unknown type is left out; an entry of an unknown
 * kind comes as its `position` alone; a known event that cannot be read comes as `broken`.
 * @param {unknown} text
 * @returns {(ServerEvent | Position | Broken)[]}
 * @throws {TypeError} when the frame is not an array
 */
export function parseEvents(text) {
  const values = parseJson(text)
  if (!Array.isArray(values)) throw new TypeError('a server frame is a JSON array')
  /** @param {unknown} value @returns {(ServerEvent | Position | Broken)[]} */
  const parseEvent = (value) => {
    const { type, kind, room, seq } = Object(value)
    if (!Object.hasOwn(events, type)) return []
    const schema = events[/** @type {keyof typeof events} */ (type)]
    const result = v.safeParse(schema, value)
    if (result.success) return [result.output]
    const isPosition = type === 'message' && isNewKind(kind) && v.is(Room, room) && v.is(Seq, seq)
    if (isPosition) return [{ type: 'position', room, seq }]
    return [{ type: 'broken', ...(v.is(Room, room) && { room }) }]
  }
  return values.flatMap(parseEvent)
}

/** @param {unknown} kind */
function isNewKind(kind) {
  return typeof kind === 'string' && !Entry.options.some((o) => o.entries.kind.literal === kind)
}

/** @param {unknown} text  @returns {unknown} undefined when it is not JSON text */
function parseJson(text) {
  if (typeof text !== 'string') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
