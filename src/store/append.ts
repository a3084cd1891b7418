/** Appending: new messages at once, whatever else there is by the rules. */

import { readKnown } from './known.ts'
import type { Draft, Outcome } from './log.ts'
import { toRow, type Row } from './rows.ts'
import { decide, type Accepted } from './rules.ts'
import type { Dialect, NewRow, Sql, Statement, Work } from './sql.ts'

/**
 * Stores messages that answer nothing: with these there is nothing to decide but whether their ids
 * are new. They are numbered from 1 in each room.
 * @returns where each room stood before; null when some id is not new, and nothing is stored
 */
export type AppendNew = (numbered: readonly Row[]) => Promise<ReadonlyMap<string, number> | null>

type HasDialect = Pick<Sql, 'dialect'>

/** Rows for drafts, numbered from 1 in each room. */
export function numberedRows(drafts: readonly Draft[], at: string): Row[] {
  const counts = new Map<string, number>()
  return drafts.map((draft) => {
    const nth = (counts.get(draft.room) ?? 0) + 1
    counts.set(draft.room, nth)
    return toRow(draft, nth, at)
  })
}

/** As `AppendNew`, in the caller's transaction. @throws {ConstraintViolation} instead of null */
export function* appendNew(
  { dialect }: HasDialect,
  drafted: readonly Row[],
): Work<Map<string, number>> {
  const before = yield* holdRooms(dialect, drafted)
  const heads = new Map(before)
  const numbered = drafted.map((row) => {
    const seq = (before.get(row.room) ?? 0) + row.seq
    heads.set(row.room, seq)
    return { ...row, seq }
  })
  yield [...dialect.insert('messages', numbered), ...raiseHeads(heads)]
  return before
}

/** Appends whatever it is, one outcome per draft. */
export function* append(
  { dialect }: HasDialect,
  drafts: readonly Draft[],
  at: string,
): Work<Outcome[]> {
  const heads = yield* holdRooms(dialect, drafts)
  const known = { heads, ...(yield* readKnown(dialect, drafts)) }
  const { outcomes, accepted } = decide(drafts, at, known)
  if (accepted.length === 0) return outcomes
  yield [
    ...dialect.insert(
      'messages',
      accepted.map(({ row }) => row),
    ),
    ...changesOf(dialect, accepted),
    ...raiseHeads(new Map(accepted.map(({ row }) => [row.room, row.seq]))),
  ]
  return outcomes
}

/** Where the rooms of a batch stand; nobody else appends there until the transaction is over. */
function* holdRooms(
  { hold }: Sql['dialect'],
  batch: readonly { room: string }[],
): Work<Map<string, number>> {
  const found = yield hold([...new Set(batch.map(({ room }) => room))])
  const held = found.flat() as { room: string; head: number }[]
  return new Map(held.map(({ room, head }) => [room, head]))
}

function raiseHeads(heads: ReadonlyMap<string, number>): Statement[] {
  const text = `INSERT INTO rooms (room, head) VALUES ($1, $2)
    ON CONFLICT (room) DO UPDATE SET head = excluded.head`
  return [...heads].map((values) => ({ text, values }))
}

/** What new entries do to those before them, in their order. */
function changesOf(dialect: Dialect, accepted: readonly Accepted[]): Statement[] {
  const changes: Statement[] = []
  let given: NewRow[] = []
  /** Reactions in a row are one statement where the database can do that. */
  const give = () => {
    if (given.length > 0) changes.push(...dialect.insert('reactions', given, 'known'))
    given = []
  }
  for (const { draft, row } of accepted) {
    const { room, seq, author_id } = row
    if (draft.kind === 'message') continue
    if (draft.kind === 'reaction' && draft.on) {
      given.push({ room, target: draft.target, emoji: draft.emoji, author_id, seq })
      continue
    }
    give()
    changes.push(...changesBy(dialect, draft, row))
  }
  give()
  return changes
}

/** What an edit, a delete or a reaction that is taken back does. */
function changesBy(
  dialect: Dialect,
  draft: Exclude<Draft, { kind: 'message' }>,
  { room, seq, author_id }: Row,
): Statement[] {
  const { target } = draft
  switch (draft.kind) {
    case 'edit': {
      const text = 'UPDATE messages SET newest_edit = $3 WHERE room = $1 AND seq = $2'
      return [{ text, values: [room, target, seq] }]
    }
    case 'delete': {
      const erase = 'UPDATE messages SET body = NULL, deleted = true WHERE room = $1'
      const texts = [
        `${erase} AND seq = $2`,
        `${erase} AND target = $2 AND kind = 'edit'`,
        'DELETE FROM reactions WHERE room = $1 AND target = $2',
      ]
      const values = [room, target]
      return [
        ...texts.map((text) => ({ text, values })),
        ...dialect.dropWords(room, target, target),
      ]
    }
    case 'reaction': {
      const text = `DELETE FROM reactions
        WHERE room = $1 AND target = $2 AND emoji = $3 AND author_id = $4`
      return [{ text, values: [room, target, draft.emoji, author_id] }]
    }
  }
}
