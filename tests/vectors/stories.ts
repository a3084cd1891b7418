/** The stories that are recorded: what each side does, and how many events the client hears of it. */

import type { ClientFrame, ServerEvent } from '../../src/protocol.ts'
import { idOf, ME, OTHER, type Line, type Story } from './perform.ts'

const room = 'lobby'
const open: Line = { from: 'client', open: true }
const cut: Line = { from: 'world', cut: true }
const pass = (ms: number): Line => ({ from: 'world', ms })
const client = (frame: ClientFrame): Line => ({ from: 'client', frame })
const other = (frame: ClientFrame, times?: number): Line => ({
  from: 'other',
  frame,
  ...(times && { times }),
})
/** So many events; the recording puts those that came in their place. */
const server = (count: number): Line => ({
  from: 'server',
  frame: Array.from<ServerEvent>({ length: count }),
})
const lost = (count: number): Line => ({ ...server(count), lost: true }) as Line

const join: ClientFrame = { type: 'join', room }
const resume = (after: number, last = idOf(after)): ClientFrame => ({
  ...{ type: 'join', room, after, epoch: 'the-log' },
  ...(after > 0 && { last }),
})
const say = (n: number, body = `message ${n}`, more = {}): ClientFrame => ({
  ...{ type: 'say', room, id: idOf(n), body },
  ...more,
})
const edit = (n: number, target: number, body: string): ClientFrame => ({
  ...{ type: 'edit', room, id: idOf(n), target, body },
})
const remove = (n: number, target: number): ClientFrame => ({
  ...{ type: 'delete', room, id: idOf(n), target },
})
const react = (n: number, target: number, emoji: string, on = true): ClientFrame => ({
  ...{ type: 'react', room, id: idOf(n), target, emoji, on },
})

const welcome = [open, server(1)]
const fresh = [...welcome, client(join), server(2)]
const byOther = (...frames: ClientFrame[]) => frames.map((frame) => other(frame))

const stories: Record<string, Pick<Story, 'story' | 'lines' | 'limits'>> = {
  join: {
    story: 'A first visit: the newest page, then what is said.',
    lines: [
      ...byOther(join, say(1), say(2)),
      ...[...fresh, other(say(3, 'live', { replyTo: 1, mentions: [ME.id] })), server(1)],
    ],
  },
  say: {
    story: 'What is said comes back at its place, and that is the acknowledgement.',
    lines: [...fresh, client(say(1)), server(1), client(say(2, 'Zoë 👋\n')), server(1)],
  },
  changes: {
    story: 'Edits, reactions and a delete change messages; a deleted one changes no more.',
    lines: [
      ...[...byOther(join, say(1), react(2, 1, '👍')), ...fresh],
      ...[client(say(3)), server(1), client(edit(4, 3, 'better')), server(1)],
      ...[client(react(5, 1, '👍')), server(1), client(react(6, 1, '👍', false)), server(1)],
      ...[other(edit(7, 1, 'from elsewhere')), server(1), client(react(8, 3, '🎉')), server(1)],
      ...[client(remove(9, 3)), server(1), client(edit(10, 3, 'too late')), server(1)],
    ],
  },
  resume: {
    story: 'A lost network: everything missed, in order, and nothing twice.',
    lines: [
      ...[...fresh, client(say(1)), server(1), cut],
      ...byOther(join, say(2), edit(3, 2, 'edited'), say(4)),
      ...[...welcome, client(resume(1)), server(4), other(say(5)), server(1)],
    ],
  },
  repeat: {
    story: 'The acknowledgement is lost: the same id again, stored once. Other words: a conflict.',
    lines: [
      ...[...fresh, client(say(1)), lost(1), cut, ...welcome, client(resume(0)), server(2)],
      ...[client(say(1)), server(1), client(say(1, 'something else')), server(1)],
    ],
  },
  reset: {
    story: 'Away for more than 1,000 entries: the room starts afresh with its newest page.',
    limits: { messageRate: 1e6, messageBurst: 1e6, frameRate: 1e6, frameBurst: 1e6 },
    lines: [
      ...[...fresh, client(say(1)), server(1), cut, other(join), other(say(2), 1_001)],
      ...[...welcome, client(resume(1)), server(2), other(edit(2_000, 1_002, 'and on')), server(1)],
    ],
  },
  gap: {
    story: 'An entry is missing: what comes after it shows the hole, and a join fills it.',
    lines: [
      ...[...fresh, ...byOther(join, say(1)), lost(1), other(say(2)), server(1)],
      ...[client(resume(0)), server(3), other(say(3)), server(1)],
    ],
  },
  'rate-limit': {
    story: 'Too fast: told when to come again, with the same id.',
    limits: { messageRate: 2, messageBurst: 2 },
    lines: [
      ...[
        ...fresh,
        client(say(1)),
        server(1),
        client(say(2)),
        server(1),
        client(say(3)),
        server(1),
      ],
      ...[pass(500), client(say(3)), server(1)],
    ],
  },
  restart: {
    story: 'The server restarts: it says goodbye, and is joined again where one was.',
    lines: [
      ...[...fresh, client(say(1)), server(1), { from: 'world', restart: true }, server(1)],
      ...([{ from: 'server', close: 4000 }, ...byOther(join, say(2))] as Line[]),
      ...[...welcome, client(resume(1)), server(2), client(say(3)), server(1)],
    ] as Line[],
  },
}

/** By name, ready to be performed. */
export const STORIES: ReadonlyMap<string, Omit<Story, 'view'>> = new Map(
  Object.entries(stories).map(([name, { story, limits, lines }]) => {
    return [name, { story, ...(limits && { limits }), me: ME, other: OTHER, lines }]
  }),
)
