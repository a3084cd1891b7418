/** The hot path: a batch of new messages goes into Postgres in one round trip. */

import type { AppendNew } from '../store/append.ts'
import type { Row } from '../store/rows.ts'
import type { Query } from '../store/sql.ts'

/** @param query  on the connection for appends */
export function appendAtOnce(query: Query): AppendNew {
  return async (numbered) => {
    const counts = new Map<string, number>()
    for (const { room, seq } of numbered) counts.set(room, seq)
    const stood = await query<{ room: string; head: number }>(
      'SELECT room, head FROM hearth_append_new($1, $2, $3, $4)',
      [
        [...counts.keys()],
        [...counts.values()],
        JSON.stringify(numbered.map(toSent)),
        numbered[0]?.at,
      ],
    )
    return stood.length > 0 ? new Map(stood.map(({ room, head }) => [room, head])) : null
  }
}

/** Only what differs from one to the next. */
function toSent({ room, seq, id, author_id, author_name, body, mentions, digest }: Row) {
  const plain = { room, seq, id, author_id, author_name, body, digest }
  return mentions === null ? plain : { ...plain, mentions }
}
