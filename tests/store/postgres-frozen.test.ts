/** A node that stops in the middle of an append must not keep the room from the others for long. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { LogUnavailable } from '../../src/store/log.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { startProxy } from '../proxy.ts'
import { ann, bob, erase, say, tell } from './drafts.ts'
import { openLog } from './opened.ts'

/** What the database allows a silent transaction is 500 ms; the rest is for a busy machine. ms */
const SOON_MS = 1_500
const BLOCKED = `SELECT 1 FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock'`

test('a node that freezes in the middle of an append: the next one waits half a second', async (t) => {
  const server = await startPostgres(t)
  const url = await server.newDatabase()
  const proxy = await startProxy(t, server.port)
  const frozen = await openLog(await openDatabase(t, through(url, proxy.port)), systemClock)
  const other = await openLog(await openDatabase(t, url), systemClock)
  t.after(() => Promise.all([frozen.close(), other.close()]))
  assert.deepEqual(tell(await frozen.append([say(ann), say(ann)])), [1, 2])
  assert.deepEqual(tell(await other.append([say(bob)])), [3])

  // Held up behind its lock on the room: somebody else is about to take its message's id.
  const draft = say(ann)
  const rival = await (await openDatabase(t, url)).connect()
  t.after(() => rival.end())
  await rival.query('BEGIN')
  await rival.query(
    `INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, digest)
     VALUES ($1, 1000, $2, 'message', $3, 'x', now(), 'x', '')`,
    [draft.room, draft.id, draft.author.id],
  )
  const batch = [draft, erase(ann, 1)]
  let isOver = false
  const appending = frozen.append(batch).finally(() => (isOver = true))
  appending.catch(() => {})
  while ((await server.query(url, BLOCKED)).length === 0) assert.ok(!isOver, 'it was not held up')

  // From here on it says nothing and hears nothing, like a process that is stopped.
  proxy.freeze()
  await rival.query('ROLLBACK')
  const began = performance.now()
  const [next] = tell(await other.append([say(bob)]))
  const ms = performance.now() - began
  t.diagnostic(`the other node waited ${ms.toFixed(0)} ms`)
  assert.equal(next, 4)
  assert.ok(ms < SOON_MS, `${ms}`)

  // What it did not commit is nowhere; it says so, and the next try is right.
  proxy.pass()
  await assert.rejects(appending, LogUnavailable)
  assert.equal((await other.page('lobby', 1)).head, 4)
  assert.deepEqual(tell(await frozen.append(batch)), [5, 6])
  assert.equal((await other.page('lobby', 1)).head, 6)
})

function through(url: string, port: number) {
  const address = new URL(url)
  address.port = `${port}`
  return address.href
}
