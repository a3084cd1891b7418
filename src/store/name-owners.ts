/** Who owns or shares which name: a guest while signed in, others for good. */

import {
  isNameLike,
  isReserved,
  nameKeys,
  namesLike,
  NOBODY,
  type NameKeys,
} from '../auth/names.ts'
import { revoke } from './nodes.ts'
import { endInvitesOf } from './owners.ts'
import { notePast } from './past-members.ts'
import { endIdle, type Book } from './sessions.ts'
import { did, exec, first, rows, type Work } from './sql.ts'

/** So many who share a name are looked at together. */
const AT_ONCE = 10

interface UserRow {
  id: string
  name: string
  /** Null: the name is free. */
  name_key: string | null
  /** Not null: another owns this name. */
  shared_key: string | null
  kind: string
  banned: boolean | number
}

/** A name as it is shown, and what it is owned by. */
interface OwnName extends NameKeys {
  name: string
}

// Each by its index: an OR of them would be looked for in all of the table.
const OWNERS = `
  SELECT * FROM users WHERE id IN (
    SELECT id FROM users WHERE name_key = $1 UNION SELECT id FROM users WHERE name_look = $2
    UNION SELECT id FROM users WHERE shared_key = $1
    UNION SELECT id FROM users WHERE shared_look = $2)
  ORDER BY shared_key IS NOT NULL, id LIMIT ${AT_ONCE}`

/**
 * The users that own what this name is told by, two at most, one by its key and one by its look;
 * then those who share it from before it was told by these, of whom two are enough. Guests whose
 * sessions are all over have lost it.
 */
export function* ownersOf(book: Book, { key, look }: NameKeys): Work<UserRow[]> {
  for (;;) {
    const found = yield* rows<UserRow>(`${OWNERS} ${book.lock}`, key, look)
    const owners: UserRow[] = []
    for (const owner of found) {
      yield* endIdle(book, owner.id)
      if (!(yield* freeName(book, owner.id))) owners.push(owner)
    }
    if (owners.length >= 2 || found.length < AT_ONCE) return owners
  }
}

/**
 * The admin of this name, if there is one, whoever shares it; of a reserved name nobody else stays
 * the owner.
 */
export function* adminOf(book: Book, own: OwnName): Work<UserRow | 'taken' | undefined> {
  let known: UserRow | undefined
  let isRenamed = false
  for (const owner of yield* ownersOf(book, own)) {
    const { kind, banned, name_key, shared_key } = owner
    const isAdmin = kind === 'admin'
    if (isAdmin && !banned && (shared_key ?? name_key) === own.key) known ??= owner
    else if (!isAdmin && isReserved(own.name)) {
      yield* renameAway(book, owner.id)
      isRenamed = true
    } else if (!known || shared_key === null) return 'taken'
  }
  return isRenamed ? yield* adminOf(book, own) : known
}

/** Gives a user another name than the one that was not theirs to have. */
function* renameAway(book: Book, id: string) {
  for (const name of namesLike(NOBODY)) {
    const own = { name, ...nameKeys(name) }
    if ((yield* ownersOf(book, own)).length === 0) return yield* rename(book, id, own)
  }
  throw new Error('no name like this is free')
}

/** The user that an issuer vouches for, by a name that is wanted or like it. null: banned. */
export function* foreigner(book: Book, subject: string, wanted: string): Work<string | null> {
  for (const variant of namesLike(wanted)) {
    // Looked up each time: another node may have been first.
    const text = `SELECT * FROM users WHERE subject = $1 ${book.lock}`
    const known = yield* first<UserRow>(text, subject)
    if (known?.banned) return null
    if (known && isNameLike(known.name, wanted)) return known.id
    const own = { name: variant, ...nameKeys(variant) }
    const owners = yield* ownersOf(book, own)
    if (owners.some(({ id }) => id !== known?.id)) continue
    if (known) yield* rename(book, known.id, own)
    const id = known?.id ?? (yield* addUser(own, 'member', subject))
    if (id) return id
  }
  throw new Error('no name like this is free')
}

/**
 * Adds a user who owns a name.
 * @returns the id; null when another node was first, with the name or with the subject
 */
export function* addUser(
  { name, key, look }: OwnName,
  kind: string,
  subject: string | null = null,
) {
  const added = yield* first<{ id: string }>(
    `INSERT INTO users (id, name, name_key, name_look, kind, subject)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id`,
    ...[crypto.randomUUID(), name, key, look, kind, subject],
  )
  return added?.id ?? null
}

/** Every node is told: what is open still goes by the old name, which somebody else may take. */
function* rename({ sql }: Book, id: string, { name, key, look }: OwnName): Work<void> {
  const text = `UPDATE users SET name = $1, name_key = $2, name_look = $3,
    shared_key = NULL, shared_look = NULL WHERE id = $4`
  yield* exec(text, name, key, look, id)
  yield* revoke(sql, [{ user_id: id }])
}

/** Frees the name of a guest without sessions, which can never come back. @returns whether it did */
export function* freeName(book: Book, user: string) {
  const isFreed = yield* did(
    `UPDATE users SET name_key = NULL, name_look = NULL, shared_key = NULL, shared_look = NULL
     WHERE kind = 'guest' AND NOT banned AND id = $1
       AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id) RETURNING id`,
    user,
  )
  if (isFreed) {
    yield* notePast(book.sql, user)
    yield* endInvitesOf(user)
  }
  return isFreed
}
