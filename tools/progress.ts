/** How far a command is: one line on a terminal, drawn over and over; nothing anywhere else. */

import type { Clock } from '../src/clock.ts'

/** What is over sooner shows nothing. ms */
const SHOWN_AFTER_MS = 1_500
/** Between two drawings. ms */
export const REDRAW_MS = 250
const BAR_WIDTH = 24
/** Of a terminal that does not say, or says 0. Columns */
const USUAL_WIDTH = 80
/** To the first column, and everything from there on is erased (ECMA-48: CR, EL). */
const CLEAR = '\r\x1b[K'

export interface Progress {
  /**
   * Something new is done from here on.
   * @param unit  of what is counted; none: only the time is told
   * @param total  how much there is of it, if that is known
   */
  begin(what: string, unit?: string, total?: number): void
  /** So much is done of it, as a whole. */
  set(done: number): void
  /** So much more is done of it. `add(0)` only lets the time be drawn. */
  add(count: number): void
  /** Takes the line away: something else is written, or all is done. */
  clear(): void
}

/** Draws nothing. */
export const NO_PROGRESS: Progress = {
  begin: () => {},
  set: () => {},
  add: () => {},
  clear: () => {},
}

/** The part of `process.stderr` that is needed. */
export interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/**
 * It has no timer and draws when it is told something: SQLite works in the same thread, and timers
 * seldom get their turn beside it. That is also why it is not one of npm's progress bars.
 */
export function createProgress(terminal: Terminal, clock: Clock): Progress {
  if (!terminal.isTTY) return NO_PROGRESS
  const started = clock.now()
  let drawn = started + SHOWN_AFTER_MS - REDRAW_MS
  let isShown = false
  let [what, unit, done, total] = ['', '', 0, NaN]

  const set = (count: number) => {
    done = count
    const now = clock.now()
    if (now - drawn < REDRAW_MS) return
    drawn = now
    isShown = true
    const line = `${what}${amount(done, unit, total)}, ${format((now - started) / 1_000)} s`
    // One that was wrapped could not be taken away.
    terminal.write(CLEAR + line.slice(0, (terminal.columns || USUAL_WIDTH) - 1))
  }

  return {
    begin: (next, nextUnit = '', most = NaN) => {
      ;[what, unit, total] = [next, nextUnit, most]
      set(0)
    },
    set,
    add: (count) => set(done + count),
    clear: () => {
      if (isShown) terminal.write(CLEAR)
      isShown = false
    },
  }
}

/** With a blank before it, as there may be nothing to count. */
function amount(done: number, unit: string, total: number) {
  if (!unit) return ''
  if (!(total > 0)) return ` ${format(done)} ${unit}`
  const part = Math.min(1, done / total)
  const bar = '#'.repeat(Math.round(part * BAR_WIDTH)).padEnd(BAR_WIDTH, '.')
  const percent = `${Math.floor(part * 100)}`.padStart(3)
  return ` [${bar}] ${percent} %, ${format(done)} of ${format(total)} ${unit}`
}

function format(count: number) {
  return Math.round(count).toLocaleString('en')
}
