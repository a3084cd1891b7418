/** What the nodes of one log tell each other. A bus may lose, repeat and reorder: the log is the truth. */

import * as v from 'valibot'
import * as schemas from '../../static/protocol.js'

/** Hints are parsed like any stranger's words. */
export const Hint = v.variant('type', [
  /** One commit's new entries of one room, ascending. */
  v.object({
    type: v.literal('entries'),
    room: schemas.Room,
    entries: v.pipe(v.array(schemas.Entry), v.minLength(1)),
  }),
  /** The log of a room goes up to `head`. */
  v.object({ type: v.literal('head'), room: schemas.Room, head: schemas.Seq }),
  /** Somebody came to a room or left it. */
  v.object({ type: v.literal('presence'), room: schemas.Room }),
  v.object({ type: v.literal('typing'), room: schemas.Room, user: schemas.User }),
  /** A user has read a room up to `seq`: for the user's other devices. */
  v.object({ type: v.literal('read'), room: schemas.Room, user: schemas.Id, seq: schemas.Seq }),
  /** As the room is told. */
  schemas.events.admitted,
  schemas.events.owner,
])

/** One thing that other nodes may like to know. Whoever misses it is right all the same, later. */
export type Hint = v.InferOutput<typeof Hint>

export interface BusListener {
  /** Gets what another node published, parsed. Never throws. */
  onHint(hint: Hint): void
  /** Hints may have been missed: the heads of all rooms must be compared with the log now. */
  onGap(): void
}

export interface Bus {
  /** How long a lost hint may stay unnoticed: heads are compared this often. ms */
  readonly trustMs: number
  /** Whether what others publish gets here, as far as known; for logs and health. */
  readonly isUp: boolean
  /** Where everything from other nodes goes; called once, before anything else. */
  listen(listener: BusListener): void
  /** Tells the other nodes, soon and perhaps. Never throws, never waits. */
  publish(hint: Hint): void
  /**
   * Resolves when hints about the room arrive here from now on. While the bus is down, or slow to
   * answer, it resolves all the same: comparing heads finds what is missed.
   */
  subscribe(room: string): Promise<void>
  unsubscribe(room: string): void
  /** Idempotent. */
  close(): Promise<void>
}
