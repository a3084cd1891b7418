/** The names that users own, brought to the rule by which this Hearth tells names apart. */

import { getLogger } from '@logtape/logtape'
import { nameKeys, ruleOfNames, type NameKeys } from '../auth/names.ts'
import { did, exec, first, rows, type Dialect, type Work } from './sql.ts'

/** Users whose keys are written by one statement. */
const AT_ONCE = 1_000

/**
 * Makes the keys of all names again when they were made by another rule: none of a user's name,
 * sessions or words is touched. Of users whose names are one by this rule the first owns it: who is
 * banned, as that name stays taken, then admins, users of an issuer, and guests, those seen last
 * first. The others share it, so that it stays taken when the owner is gone. Goes into one
 * transaction.
 * @returns how many names there were, and how many are now owned by another; null: all as it was
 */
export function* renewNames({ each, cast }: Pick<Dialect, 'each' | 'cast'>): Work<Renewed | null> {
  const rule = ruleOfNames()
  const meta = yield* first<{ names: string | null }>('SELECT names FROM meta')
  // Those without a look were added by a node of an earlier version beside ours.
  const isOld = 'SELECT id FROM users WHERE name_key IS NOT NULL AND name_look IS NULL LIMIT 1'
  if (meta?.names === rule && !(yield* did(isOld))) return null
  // First of all: whoever is added meanwhile has no key taken away that is not given back below.
  yield* exec(`UPDATE users SET name_key = '#' || id, name_look = '#' || id,
    shared_key = NULL, shared_look = NULL WHERE name_key IS NOT NULL`)
  const users = yield* rows<{ id: string; name: string }>(OWNERS)
  const { owned, shared } = toOwners(users)
  const text = (key: string, look: string) => `
    UPDATE users SET ${key} = value ->> 'key', ${look} = value ->> 'look'
    FROM ${each('$1')} WHERE users.id = ${cast("value ->> 'id'", 'uuid')}`
  yield* execEach(text('name_key', 'name_look'), owned)
  yield* execEach(text('shared_key', 'shared_look'), shared)
  yield* exec('UPDATE meta SET names = $1', rule)
  return { names: users.length, shared: shared.length }
}

interface Keyed extends NameKeys {
  id: string
}

interface Renewed {
  names: number
  shared: number
}

/** Says so, where there were names. */
export function tellRenewed(renewed: Renewed | null) {
  if (renewed && renewed.names > 0)
    getLogger(['hearth']).info('names are told apart anew', { ...renewed })
}

const OWNERS = `
  SELECT id, name FROM users
    LEFT JOIN (SELECT user_id, max(seen_at) AS seen_at FROM sessions GROUP BY user_id) AS seen
      ON user_id = id
  WHERE name_key IS NOT NULL
  ORDER BY CASE WHEN banned THEN 0 WHEN kind = 'admin' THEN 1 WHEN kind = 'member' THEN 2 ELSE 3 END,
    seen_at IS NULL, seen_at DESC, id`

/** With their keys: the users, in their order, whose names nobody before them has; and the others. */
function toOwners(users: readonly { id: string; name: string }[]) {
  const keys = new Set<string>()
  const looks = new Set<string>()
  const owned: Keyed[] = []
  const shared: Keyed[] = []
  for (const { id, name } of users) {
    const { key, look } = nameKeys(name)
    // A name of signs alone, from an earlier rule, has nothing to be told by.
    if (key === '' || keys.has(key) || looks.has(look)) {
      shared.push({ id, key, look })
      continue
    }
    owned.push({ id, key, look })
    keys.add(key)
    looks.add(look)
  }
  return { owned, shared }
}

function* execEach(text: string, users: readonly Keyed[]) {
  for (let start = 0; start < users.length; start += AT_ONCE) {
    yield* exec(text, JSON.stringify(users.slice(start, start + AT_ONCE)))
  }
}
