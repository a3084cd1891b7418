/** Servers with a fault of our own making in them: what the harness is worth. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, type Scope } from '../process.ts'
import type { Violation } from './checker.ts'
import { copyCheckout } from './checkout.ts'
import { CARE } from './liveness.ts'
import { run, type RunOptions } from './run.ts'
import { createScope } from './scope.ts'

export interface Bug {
  name: string
  /** A violation of any of these is the bug, caught. */
  breaks: readonly string[]
  services: RunOptions['services']
  /** Of the faults that bring it to light; none where peace is enough. */
  faults: readonly string[]
  /** Of talk in one try, where it takes longer to show. */
  seconds?: number
  /** Of the source, each there exactly once. */
  edits: readonly { file: string; from: string; to: string }[]
}

const NO_FAULTS = ['none of them']

export const BUGS: readonly Bug[] = [
  {
    name: 'acknowledges before the commit',
    breaks: ['I1', 'I2', 'I6'],
    services: 'sqlite',
    faults: ['kill -9 of one'],
    edits: [
      {
        file: 'src/store/sqlite.ts',
        from: `        command('BEGIN IMMEDIATE')
        const result = drive(work())
        command('COMMIT')
        assertKept()
        return result`,
        to: `        if (!isLate) {
          command('BEGIN IMMEDIATE')
          isLate = true
          setTimeout(() => {
            isLate = false
            rollBack(() => command('COMMIT'))
          }, 300)
        }
        return drive(work())`,
      },
      {
        file: 'src/store/sqlite.ts',
        from: '  const command = (text: string) =>',
        to: '  let isLate = false\n  const command = (text: string) =>',
      },
    ],
  },
  {
    name: 'knows no message again',
    breaks: ['I2'],
    services: 'sqlite',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/store/schema/sqlite-1.sql',
        from: 'UNIQUE (room, author_id, id)',
        to: 'CHECK (true)',
      },
      {
        file: 'src/store/rules.ts',
        from: 'const twin = book.withIdOf(row)',
        to: 'const twin = undefined as Row | undefined',
      },
    ],
  },
  {
    name: 'delivers its own commit at once',
    breaks: ['I6', 'I9', 'I10'],
    services: 'postgres',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/chat/hub.ts',
        from: 'this.#rooms.get(name)?.accept(ofRoom)',
        to: 'this.#rooms.get(name)?.jump(ofRoom)',
      },
      {
        file: 'src/chat/room.ts',
        from: '  accept(entries: readonly Entry[]) {',
        to: `  jump(entries: readonly Entry[]) {
    for (const entry of entries) this.#sequencer.jump(entry)
    this.flushSoon()
  }

  accept(entries: readonly Entry[]) {`,
      },
      {
        file: 'src/chat/sequencer.ts',
        from: '  #goOn() {',
        to: `  jump(entry: Entry) {
    if (entry.seq > this.head) this.#goLive(entry)
  }

  #goOn() {`,
      },
    ],
  },
  {
    name: 'resumes one entry too early',
    breaks: ['I9', 'I10'],
    services: 'sqlite',
    faults: ['kill -9 of one'],
    edits: [
      {
        file: 'src/store/reads.ts',
        from: 'WHERE room = $1 AND seq > $2 ORDER BY seq LIMIT $3',
        to: 'WHERE room = $1 AND seq >= $2 ORDER BY seq LIMIT $3',
      },
    ],
  },
  {
    name: 'does not catch up after a gap',
    breaks: ['I11', 'I15'],
    services: 'nats',
    faults: ['one node without the bus'],
    edits: [
      {
        file: 'src/chat/sequencer.ts',
        from: 'if (this.#isReading || this.#isClosed || this.head < 0) return',
        to: 'return',
      },
    ],
  },
  {
    name: 'takes what is waiting in any order',
    breaks: ['I8'],
    services: 'sqlite',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/store/appender.ts',
        from: 'return queue.splice(0, count)',
        to: 'return queue.splice(0, count).reverse()',
      },
    ],
  },
  {
    name: 'goes on telling who left',
    breaks: ['I12'],
    services: 'sqlite',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/chat/connection.ts',
        from: '    place.room.leave(place.seat)\n',
        to: '',
      },
    ],
  },
  {
    name: 'shows an old page',
    breaks: ['I13'],
    services: 'sqlite',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/chat/room.ts',
        from: 'if (known?.head === this.#sequencer.head && known.floor >= floor) return known',
        to: 'if (known && known.floor >= floor) return known',
      },
    ],
  },
  {
    name: 'leaves out what a slow reader cannot take',
    breaks: ['I9', 'I11'],
    services: 'sqlite',
    faults: NO_FAULTS,
    // A second time frozen, when pages are long.
    seconds: 22,
    edits: [
      {
        file: 'src/chat/connection.ts',
        from: 'if (this.queued > this.#hub.limits.slowBytes) return this.close(CLOSE.SLOW)',
        to: 'if (this.queued > this.#hub.limits.slowBytes) return',
      },
    ],
  },
  {
    name: 'answers a post before the commit',
    breaks: ['I1', 'I2', 'I6'],
    services: 'sqlite',
    faults: ['kill -9 of one'],
    edits: [
      {
        file: 'src/http/messages.ts',
        from: '  const outcome = await hub.append({\n',
        to: `  void hub.append({ kind: 'message', id: '', ...body, room, author: user, moderates: false })
  const early = { type: 'message', kind: 'message', room, seq: entrance.head + 1, ...body }
  if (body.id) return c.json({ ...early, author: user, at: new Date().toISOString() }, 201)
  const outcome = await hub.append({
`,
      },
    ],
  },
  {
    name: 'posts under an id of its own',
    breaks: ['I2', 'I3', 'I6'],
    services: 'sqlite',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/http/messages.ts',
        from: "...{ kind: 'message', id: crypto.randomUUID(), ...body },",
        to: "...{ kind: 'message', ...body, id: crypto.randomUUID() },",
      },
    ],
  },
  {
    name: 'a stream leaves out the entry after Last-Event-ID',
    breaks: ['I9', 'I10'],
    services: 'sqlite',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/http/messages.ts',
        from: '...(lastId && { after: lastId })',
        to: '...(lastId && { after: `${Number(lastId) + 1}` })',
      },
    ],
  },
  {
    name: 'a stream says where its reader is before what stands there',
    breaks: ['I9', 'I10'],
    services: 'sqlite',
    faults: NO_FAULTS,
    edits: [
      {
        file: 'src/chat/stream.ts',
        from: "'' : `id: ${id}\\n`",
        to: "'' : `id: ${id}\\n\\n`",
      },
    ],
  },
  {
    name: 'drops one entry more than the floor says',
    breaks: ['I1', 'I5'],
    services: 'sqlite',
    faults: [CARE],
    seconds: 12,
    edits: [
      {
        file: 'tools/retain.ts',
        from: 'DELETE FROM messages WHERE room = $1 AND seq <= $2 AND',
        to: 'DELETE FROM messages WHERE room = $1 AND seq <= $2 + 1 AND',
      },
    ],
  },
  {
    name: 'holds a room while it is frozen',
    breaks: ['I15'],
    services: 'postgres',
    faults: ['SIGSTOP'],
    seconds: 22,
    edits: [
      {
        file: 'src/store/schema/postgres-functions.sql',
        from: "set_config('idle_in_transaction_session_timeout', '500ms', true)",
        to: "set_config('idle_in_transaction_session_timeout', '30s', true)",
      },
    ],
  },
  {
    name: 'goes on below the floor',
    breaks: ['I10'],
    services: 'sqlite',
    faults: [CARE],
    // Somebody has to be away for longer than what is kept.
    seconds: 25,
    edits: [
      {
        file: 'src/chat/room.ts',
        from: 'after > head || after < floor || head - after > RESUME_LIMIT',
        to: 'after > head || head - after > RESUME_LIMIT',
      },
    ],
  },
]

/** Talk and faults of one try. */
const SECONDS = 8
const MOST_TRIES = 5

/**
 * Runs a planted bug until it is caught; gives up after some tries.
 * @param seconds  of talk and faults in each
 */
export async function hunt(
  bug: Bug,
  seconds = bug.seconds ?? SECONDS,
): Promise<{ seconds: number; violations: Violation[] }> {
  const started = performance.now()
  const violations: Violation[] = []
  for (let seed = 1; violations.length === 0 && seed <= MOST_TRIES; seed += 1) {
    const scope = createScope()
    try {
      const root = plant(scope, bug)
      const { services, faults } = bug
      const runtimes = services === 'sqlite' ? [null] : [null, null]
      const options = { services, faults, runtimes, root, seed, seconds, settleMs: 10_000 }
      const result = await run(scope, options)
      violations.push(
        ...result.violations.filter(({ invariant }) => bug.breaks.includes(invariant)),
      )
    } finally {
      await scope.end()
    }
  }
  return { seconds: (performance.now() - started) / 1_000, violations }
}

/** @returns the folder of a checkout with the bug in it, gone with the scope */
export function plant(scope: Scope, bug: Bug): string {
  const folder = copyCheckout(scope)
  for (const [file, text] of spoil(bug, folder)) writeFileSync(join(folder, file), text)
  return folder
}

/**
 * What the files of a checkout are with the bug in them.
 * @throws {Error} when they are not what the bug was made for
 */
export function spoil({ name, edits }: Bug, root = ROOT): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  for (const { file, from, to } of edits) {
    const parts = (texts.get(file) ?? readFileSync(join(root, file), 'utf8')).split(from)
    if (parts.length !== 2) throw new Error(`${name}: ${file} has ${parts.length - 1} of: ${from}`)
    texts.set(file, parts.join(to))
  }
  return texts
}
