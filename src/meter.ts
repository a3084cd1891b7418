/** What happens on this node, in plain numbers: raised where it happens, read by whoever asks. */

import { CLOSE } from '../static/protocol.js'

/** How often each of several things happened; what is known from the start begins at 0. */
export class Tally extends Map<string, number> {
  constructor(...known: string[]) {
    super(known.map((name) => [name, 0]))
  }

  add(name: string, times = 1) {
    this.set(name, (this.get(name) ?? 0) + times)
  }
}

/** Values of which the spread counts, not only the sum. */
export interface Observed {
  /** From the wish to append to its outcome. ms */
  append: number
  /** Drafts in one commit. */
  commit: number
  /** From the moment an entry may go out to its flush: of the one that waited longest. ms */
  delivery: number
}

export class Meter {
  /** Frames that came in, but for `pong` that are free. */
  frames = 0
  /** Frames refused for their rate without an answer, as there were too many. */
  dropped = 0
  /** New entries, by kind. */
  readonly appended = new Tally('message', 'edit', 'delete', 'reaction')
  /** Drafts that were stored before. */
  repeats = 0
  /** Entries written to members: with a flush, and to whoever was catching up. */
  readonly delivered = new Tally('flush', 'catch_up')
  readonly joins = new Tally('fresh', 'continued', 'reset')
  /** Reads of the log for entries that no node had told us of. */
  repairs = 0
  opened = 0
  /** By the code that we closed with; `none` when the peer went by itself. */
  readonly closed = new Tally(...Object.values(CLOSE).map(String), 'none')
  /** By what was refused and the code; a bad ticket is `handshake unauthorized`. */
  readonly refused = new Tally(
    ...['handshake unauthorized', 'handshake too_many', 'request unauthorized'],
    ...['request rate_limited', 'frame rate_limited'],
    ...['connection too_many', 'connection unavailable'],
  )
  /** What nobody expected. */
  faults = 0
  /** Questions that the log did not answer. */
  unanswered = 0
  /** Whoever wants to see each value puts itself here. */
  observe: <K extends keyof Observed>(what: K, value: Observed[K]) => void = () => {}

  /** What became of a draft that waited for `ms`. */
  settle(outcome: { entry?: { kind: string } | undefined; repeat?: boolean }, ms: number) {
    this.observe('append', ms)
    if (!outcome.entry) return
    if (outcome.repeat) this.repeats += 1
    else this.appended.add(outcome.entry.kind)
  }
}
