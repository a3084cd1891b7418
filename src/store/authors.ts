/** The authors of entries: by the names they had then, and as what they are. */

import type { User } from '../protocol.ts'
import { toUser, type EntryRow } from './rows.ts'
import { rows, type Sql, type Work } from './sql.ts'

/** Of so many users the kind is kept, in about 2 MB. */
const KEPT = 10_000

type AuthorRow = Pick<EntryRow, 'author_id' | 'author_name'>

/** Reads the authors of rows, one for each. */
export type ReadAuthors = (found: readonly AuthorRow[]) => Work<User[]>

/**
 * What a user is is asked once, and kept: users are there before what they write, and their kind
 * never changes, so it is of any moment. Asked with each entry it would be a sixth of what a page
 * costs (measured on SQLite).
 * @param kept  users; beyond them it starts anew
 */
export function createReadAuthors({ dialect }: Pick<Sql, 'dialect'>, kept = KEPT): ReadAuthors {
  const text = readingKinds(dialect)
  /** By user id. */
  let known = new Map<string, string | null>()
  return function* (found) {
    // The one that this begins with: others may start a new one while it waits for its answer.
    const kinds = known
    const asked = new Set<string>()
    const toAuthor = ({ author_id: id, author_name: name }: AuthorRow) => {
      const kind = kinds.get(id)
      if (kind === undefined) asked.add(id)
      return toUser(id, name, kind)
    }
    const authors = found.map(toAuthor)
    if (asked.size === 0) return authors
    const users = JSON.stringify([...asked].map((id) => ({ id })))
    for (const { id, kind } of yield* rows<KindRow>(text, users)) kinds.set(id, kind)
    if (kinds.size > kept) known = new Map()
    return found.map(toAuthor)
  }
}

interface KindRow {
  id: string
  /** Null: there is no such user. */
  kind: string | null
}

/** $1 a JSON array of users. */
export function readingKinds({ each, cast }: Sql['dialect']): string {
  const id = "value ->> 'id'"
  return `SELECT ${id} AS id, (SELECT kind FROM users WHERE users.id = ${cast(id, 'uuid')}) AS kind
    FROM ${each('$1')}`
}
