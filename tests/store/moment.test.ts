/** What is read of a SQLite log is of one moment, whatever another process commits meanwhile. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runtime } from '#runtime'
import type { Sqlite } from '../../src/runtime/runtime.ts'
import { createLog } from '../../src/store/create-log.ts'
import { openDataFile } from '../../src/store/file.ts'
import { createSqliteSql } from '../../src/store/sqlite.ts'
import { tempFolder, TestClock } from '../helpers.ts'
import { ann, say } from './drafts.ts'

/** Calls `after` behind each read of a connection. */
function listenIn(db: Sqlite, after: () => void): Sqlite {
  const prepare: Sqlite['prepare'] = (sql) => {
    const { get, all } = db.prepare(sql)
    const behind = <T>(found: T) => (after(), found)
    return {
      get: (...values) => behind(get(...values)),
      all: (...values) => behind(all(...values)),
    }
  }
  return { exec: (sql) => db.exec(sql), close: () => db.close(), prepare }
}

test('a page has no word of what was erased up to its head', async (t) => {
  const clock = new TestClock()
  const file = openDataFile(`${tempFolder(t)}/hearth.db`, clock)
  let meanwhile = () => {}
  const sql = createSqliteSql(
    listenIn(file.db, () => meanwhile()),
    clock,
  )
  const close = async () => file.close()
  const log = createLog({ ...file, sql, clock, rests: false, close })
  t.after(() => log.close())
  await log.append([say(ann), say(ann)])
  // As a tool in another process does.
  const beside = runtime.openSqlite(file.file)
  t.after(() => beside.close())
  meanwhile = () => {
    meanwhile = () => {}
    beside.exec(`BEGIN IMMEDIATE;
      INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, target, digest)
        SELECT room, 3, 'e', 'delete', author_id, author_name, at, 1, '' FROM messages WHERE seq = 1;
      UPDATE messages SET body = NULL, deleted = 1 WHERE seq = 1;
      UPDATE rooms SET head = 3; COMMIT`)
  }
  const { head, messages } = await log.page('lobby', 10)
  assert.equal(messages[0]?.deleted === true, head >= 3, `head ${head}`)
  assert.equal((await log.page('lobby', 10)).head, 3, 'it was done meanwhile')
})
