/** The frames as TypeScript types, and the way out: no event leaves unchecked or encoded twice. */

import * as v from 'valibot'
import * as schemas from '../static/protocol.js'

export type ClientFrame = schemas.ClientFrame
export type ServerEvent = schemas.ServerEvent
export type Entry = schemas.Entry
export type Message = schemas.Message
export type User = schemas.User
export type ErrorCode = schemas.ErrorCode
export type EventOf<T extends ServerEvent['type']> = Extract<ServerEvent, { type: T }>
export type FrameOf<T extends ClientFrame['type']> = Extract<ClientFrame, { type: T }>
export type ErrorEvent = EventOf<'error'>
/** What tells a sender which frame an answer is about. */
export type Labels = Pick<ErrorEvent, 'of' | 'id' | 'room'>

/** Messages of a room, ascending. */
export interface Page {
  /** The room's head as of which the messages read. */
  head: number
  messages: Message[]
  /** Whether there are older ones. */
  more: boolean
}

/**
 * One event as JSON, checked by the schema that the receiver will use.
 * @throws {v.ValiError} when it would not pass there
 */
export function encodeEvent(event: ServerEvent): string {
  return JSON.stringify(v.parse(schemas.events[event.type], event))
}

/**
 * An entry as JSON. One that no receiver could read (a row written past Hearth) becomes a kind
 * that every client skips, so that it leaves no hole in the order.
 */
export function encodeEntry(entry: Entry): string {
  try {
    return encodeEvent(entry)
  } catch {
    const { type, room, seq } = entry
    return JSON.stringify({ type, room, seq, kind: 'unreadable' })
  }
}

export function labelsOf(frame: ClientFrame): Labels {
  return {
    of: frame.type,
    ...('id' in frame && { id: frame.id }),
    ...('room' in frame && { room: frame.room }),
  }
}
