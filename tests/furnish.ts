/** A file of a chat in which much has been said, as it would take hours to say. */

import { runtime } from '#runtime'
import { hashSecret, newSecret } from '../src/auth/secrets.ts'
import { systemClock } from '../src/clock.ts'
import { openStorage } from '../src/storage.ts'
import { testConfig } from './helpers.ts'
import { say } from './store/drafts.ts'

export interface Furniture {
  guests: number
  /** How many rooms all of them are members of, which none of them has read. */
  rooms: number
  /** Messages in each of those, all of the last guest. */
  own: number
  /** A room with so many messages of sixty words, in the index. */
  library: string
  messages: number
}

const WORDS = 60
const DRAFTS_AT_ONCE = 500

/** @returns a token of each guest */
export async function furnish(file: string, furniture: Furniture): Promise<string[]> {
  const { guests, rooms, own, library, messages } = furniture
  const config = testConfig({ env: { DATA_FILE: file } })
  const onFault = (error: unknown) => console.error(error)
  const { accounts, log, search } = await openStorage({ config, clock: systemClock, onFault })
  const tokens = Array.from({ length: guests }, newSecret)
  let author = { id: '', name: '' }
  for (const [nth, token] of tokens.entries()) {
    author = (await accounts.addGuest(`Guest ${nth}`, hashSecret(token)))!.user
  }
  for (let count = 0; count < messages; count += DRAFTS_AT_ONCE) {
    const drafts = Array.from({ length: DRAFTS_AT_ONCE }, () => {
      return say(author, sentence(), { room: library })
    })
    await log.append(drafts)
  }
  // All that is there is taken in before it looks.
  await search?.search(library, 'a', 1)
  await log.close()
  const db = runtime.openSqlite(file)
  db.exec(`
    WITH RECURSIVE n (nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM n WHERE nth < ${rooms})
      INSERT INTO rooms (room, head, indexed) SELECT 'hall-' || nth, ${own}, ${own} FROM n;
    INSERT INTO members (room, user_id) SELECT room, id FROM rooms, users WHERE room LIKE 'hall-%';
    WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ${own})
      INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, digest)
      SELECT room, seq, room || seq, 'message', '${author.id}', '${author.name}',
        '2026-01-01T00:00:00.000Z', 'mine', '' FROM rooms, n WHERE room LIKE 'hall-%'`)
  db.close()
  return tokens
}

function sentence() {
  const word = () => Math.random().toString(36).slice(2, 7)
  return Array.from({ length: WORDS }, word).join(' ')
}
