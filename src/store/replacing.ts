/** A session in the place of others: they end as it begins, or all stays as it was. */

import { freeName } from './name-owners.ts'
import { end, find, type Book, type Session } from './sessions.ts'
import { rows, type Work } from './sql.ts'

/**
 * @param hashes  of sessions, all of which must still hold: of two that would take the same place,
 *   the first does
 * @param make  what makes the new one, or refuses to
 */
export function* replacing<T extends Session | string | null>(
  book: Book,
  hashes: readonly string[],
  make: () => Work<T>,
): Work<T | null> {
  const before = yield* hold(book, hashes)
  const session = before && (yield* make())
  if (!before || session === null || typeof session === 'string') return session
  for (const { hash, user } of before) {
    yield* end(book.sql, user.id, ['hash = $2', hash])
    yield* freeName(book, user.id)
  }
  return session
}

/** These, and nobody else ends them meanwhile; null when one of them is over. */
function* hold(book: Book, hashes: readonly string[]): Work<Session[] | null> {
  if (hashes.length === 0) return []
  const given = JSON.stringify(hashes.map((hash) => ({ hash })))
  const these = `SELECT value ->> 'hash' FROM ${book.sql.dialect.each('$1')}`
  const users = `SELECT user_id FROM sessions WHERE hash IN (${these})`
  yield* rows(`SELECT id FROM users WHERE id IN (${users}) ORDER BY id ${book.lock}`, given)
  const held: Session[] = []
  for (const hash of hashes) {
    const session = yield* find(book, hash)
    if (!session) return null
    held.push(session)
  }
  return held
}
