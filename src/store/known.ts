/** What the rules have to know before they decide about a batch. */

import type { Draft } from './log.ts'
import type { Row } from './rows.ts'
import type { Known } from './rules.ts'
import type { Dialect, Statement, Work } from './sql.ts'

/** What the rules have to know of what is stored. */
export function* readKnown(dialect: Dialect, drafts: readonly Draft[]): Work<Omit<Known, 'heads'>> {
  const [same, targets, emoji = [], own = []] = yield readingKnown(dialect, drafts)
  return {
    rows: [...(same as Row[]), ...(targets as Row[])],
    emoji: emoji as Known['emoji'][0][],
    reactions: own as Known['reactions'][0][],
  }
}

/** CROSS JOIN has SQLite look each of them up, whatever it thinks of their number. */
export function readingKnown(dialect: Dialect, drafts: readonly Draft[]): Statement[] {
  const reactions = drafts.flatMap((draft) => (draft.kind === 'reaction' ? [draft] : []))
  return [
    sameIds(dialect, drafts),
    entriesAt(dialect, drafts),
    ...(reactions.length > 0
      ? [emojiOn(dialect, reactions), reactionsLike(dialect, reactions)]
      : []),
  ]
}

/** The entries that have the ids of drafts. */
function sameIds({ each, cast }: Dialect, drafts: readonly Draft[]): Statement {
  const ids = drafts.map(({ room, author, id }) => ({ room, author: author.id, id }))
  // By way of `seq`: nobody could take another index than that of the ids for this.
  const text = `SELECT m.* FROM (
      SELECT value ->> 'room' AS room, (
        SELECT seq FROM messages
        WHERE room = value ->> 'room' AND author_id = ${cast("value ->> 'author'", 'uuid')}
          AND id = ${cast("value ->> 'id'", 'uuid')}) AS seq
      FROM ${each('$1')}) AS known
    CROSS JOIN messages AS m WHERE m.room = known.room AND m.seq = known.seq`
  return { text, values: [JSON.stringify(ids)] }
}

/** What stands where drafts are about a message. */
function entriesAt({ each, cast }: Dialect, drafts: readonly Draft[]): Statement {
  const targets = drafts.flatMap((draft) => {
    const target = draft.kind === 'message' ? draft.replyTo : draft.target
    return target === undefined ? [] : [`${draft.room} ${target}`]
  })
  const text = `SELECT m.* FROM ${each('$1')} CROSS JOIN messages AS m
    WHERE m.room = value ->> 'room' AND m.seq = ${cast("value ->> 'seq'", 'bigint')}`
  return { text, values: [placesIn(targets)] }
}

type ReactionDraft = Draft & { kind: 'reaction' }

/** How many users gave each emoji to the messages that reactions are about. */
function emojiOn({ each, cast }: Dialect, drafts: readonly ReactionDraft[]): Statement {
  const text = `SELECT r.room, r.target, r.emoji, count(*) AS users
    FROM ${each('$1')} CROSS JOIN reactions AS r
    WHERE r.room = value ->> 'room' AND r.target = ${cast("value ->> 'seq'", 'bigint')}
    GROUP BY r.room, r.target, r.emoji`
  return { text, values: [placesIn(drafts.map(({ room, target }) => `${room} ${target}`))] }
}

/** Those of the reactions that are on. */
function reactionsLike({ each, cast }: Dialect, drafts: readonly ReactionDraft[]): Statement {
  const likes = drafts.map(({ author, ...draft }) => ({ ...draft, author: author.id }))
  const text = `SELECT r.room, r.target, r.emoji, r.author_id
    FROM ${each('$1')} CROSS JOIN reactions AS r
    WHERE r.room = value ->> 'room' AND r.target = ${cast("value ->> 'target'", 'bigint')}
      AND r.emoji = value ->> 'emoji' AND r.author_id = ${cast("value ->> 'author'", 'uuid')}`
  return { text, values: [JSON.stringify(likes)] }
}

/** Each position once, as a JSON array of `{ room, seq }`. @param positions  `room seq` */
function placesIn(positions: readonly string[]) {
  const each = [...new Set(positions)].map((position) => position.split(' '))
  return JSON.stringify(each.map(([room, seq]) => ({ room, seq })))
}
