/** A connection's place in a room. */

import type { Frame } from '../runtime/runtime.ts'
import type { User } from '../protocol.ts'

/** What a room needs of whoever listens to it: a socket, or an event stream. */
export interface Listener {
  readonly user: User
  readonly isClosed: boolean
  /** Whether it counts as the user being here. */
  readonly isPresent: boolean
  /** Bytes handed over and not yet taken. */
  readonly queued: number
  /** Puts a frame behind those before it; may end the listener when it is too slow. */
  send(frame: Frame): void
  /** As `send`, but left out when much is queued already: for typing and presence. */
  sendDroppable(frame: Frame): void
  /** Resolves when the user may read another page of the log. */
  mayRead(): Promise<void>
}

export class Seat {
  readonly listener: Listener
  /** `seq` of the last entry written to the listener, while it is catching up. */
  cursor: number
  /** Left, moved to a new seat, or disconnected. */
  isGone = false

  constructor(listener: Listener, cursor: number) {
    this.listener = listener
    this.cursor = cursor
  }
}
