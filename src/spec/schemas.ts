/** JSON Schema (2020-12) of frames, events and bodies, made of the schemas that the server parses by. */

import { toJsonSchemaDefs, type JsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import { BODY_LENGTH, NAME_LENGTH, QUERY_LENGTH } from '../../static/protocol.js'

/** What the documents name; whatever refers to one of these says so. */
const COMMON = {
  Id: protocol.Id,
  Room: protocol.Room,
  Body: protocol.Body,
  Emoji: protocol.Emoji,
  User: protocol.User,
  Message: protocol.Message,
} satisfies Record<string, v.GenericSchema>

const BODIES = {
  ...COMMON,
  Entry: protocol.Entry,
  Name: protocol.Name,
  Query: protocol.Search.entries.q,
  NewSession: protocol.NewSession,
  Session: protocol.Session,
  SessionOrNobody: v.union([protocol.Session, protocol.Nobody]),
  DeviceId: protocol.DeviceId,
  Device: protocol.Device,
  Devices: protocol.Devices,
  Ticket: protocol.Ticket,
  Link: protocol.Link,
  OpenedLink: protocol.OpenedLink,
  LinkOwner: protocol.LinkOwner,
  Rooms: protocol.Rooms,
  RoomSummary: protocol.Rooms.item,
  NewRoom: protocol.NewRoom,
  NewInvitation: protocol.NewInvitation,
  Invitation: protocol.Invitation,
  InvitedRoom: protocol.InvitedRoom,
  Members: protocol.Members,
  Revoked: protocol.Revoked,
  NewOwner: protocol.NewOwner,
  LogPage: protocol.LogPage,
  LogPart: v.union([protocol.LogPage, protocol.LogEntries]),
  NewMessage: protocol.NewMessage,
  Problem: protocol.Problem,
} satisfies Record<string, v.GenericSchema>

export type BodyName = keyof typeof BODIES

const [, , oneEmoji] = protocol.Emoji.pipe
// Control characters, and what is no character: lone surrogates.
const CONTROLS = '\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\ud800-\\udfff'
const NFC = 'It is brought to NFC before it is measured, which no JSON Schema can say'

/** What JSON Schema has no words for, as near to it as it comes; and the rest for people. */
const BY_HAND: Record<string, JsonSchema> = {
  Body: {
    type: 'string',
    ...{ minLength: 1, maxLength: BODY_LENGTH, not: { pattern: `[${CONTROLS}]` } },
    description: `A message's text. ${NFC}: send NFC.`,
  },
  Name: {
    type: 'string',
    // Lengths cannot be said of what is within the outer white space; a pattern counts it.
    pattern: `^\\s*\\S(?:[\\s\\S]{0,${NAME_LENGTH - 2}}\\S)?\\s*$`,
    not: { pattern: `[${CONTROLS}\\t\\n\\u202a-\\u202e\\u2066-\\u2069]` },
    description: `A person's name. ${NFC}; outer white space is dropped.`,
  },
  Emoji: {
    ...{ type: 'string', maxLength: 64, pattern: oneEmoji.requirement.source },
    description: 'One emoji. The pattern is of ECMA-262 with the flag u.',
  },
  Query: {
    ...{ type: 'string', minLength: 1, maxLength: QUERY_LENGTH },
    description: 'Words, beginnings of words, "phrases in quotes".',
  },
}

const { Body, Name, Emoji } = protocol
const actionsByHand = new Set<unknown>(
  [Body, Name, Emoji, BODIES.Query].flatMap(({ pipe }) => [...pipe]),
)

/**
 * @param prefix  of a reference to one of them
 * @throws {Error} for a schema that JSON Schema cannot say, unless it is written by hand
 */
function convert(definitions: Record<string, v.GenericSchema>, prefix: string) {
  const defs = toJsonSchemaDefs(definitions, {
    target: 'draft-2020-12',
    typeMode: 'input',
    errorMode: 'throw',
    overrideRef: ({ referenceId }) => prefix + referenceId,
    overrideAction: ({ valibotAction, jsonSchema }) =>
      actionsByHand.has(valibotAction) ? jsonSchema : undefined,
  })
  for (const name in defs) defs[name] = BY_HAND[name] ?? defs[name]!
  return defs
}

/** The bodies of HTTP, for `components` of OpenAPI. */
export function bodySchemas() {
  return convert(BODIES, '#/components/schemas/')
}

const capital = (word: string) => word[0]!.toUpperCase() + word.slice(1)

/** `/protocol.json`: every client frame and every server event. */
export function protocolSchema(): object {
  const frames = protocol.ClientFrame.options.map(
    (schema) => [`${capital(schema.entries.type.literal)}Frame`, schema] as const,
  )
  const events = Object.entries(protocol.events).map(
    ([type, schema]) => [`${capital(type)}Event`, schema] as const,
  )
  const prefix = '#/$defs/'
  const oneOf = (all: (readonly [string, unknown])[]) => ({
    oneOf: all.map(([name]) => ({ $ref: prefix + name })),
  })
  const named = Object.fromEntries<v.GenericSchema>([...frames, ...events])
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `The frames of ${protocol.PROTOCOL}`,
    description:
      `Client to server: one JSON object of at most ${protocol.FRAME_BYTES} bytes. Server to ` +
      'client: one JSON array of events; a client ignores those of a type that it does not know.',
    anyOf: [{ $ref: `${prefix}ClientFrame` }, { $ref: `${prefix}ServerFrame` }],
    $defs: {
      ...convert({ ...COMMON, ...named }, prefix),
      ClientFrame: oneOf(frames),
      ServerEvent: oneOf(events),
      ServerFrame: { type: 'array', items: { $ref: `${prefix}ServerEvent` } },
    },
  }
}
