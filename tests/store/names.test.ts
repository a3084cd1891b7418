/** Names that were owned by another rule: who has them keeps them, and one of those alike owns it. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { nameKeys, ruleOfNames } from '../../src/auth/names.ts'
import type { Clock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { openStorage } from '../../src/storage.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { openDataFile } from '../../src/store/file.ts'
import { exec, rows, type Sql } from '../../src/store/sql.ts'
import { tempFolder, testConfig, TestClock } from '../helpers.ts'
import { openDatabase, startPostgres } from '../postgres.ts'

/** A database without a server, and the same when a server has opened it. */
interface Old {
  sql: Sql
  clock: Clock
  serve(): Promise<Sql>
}

const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

/** By number: name, kind, whether banned, seconds since the user was here. */
const USERS: readonly (readonly [string, string, boolean, number])[] = [
  ['Iris', 'guest', false, 300],
  ['lris', 'guest', false, 30],
  ['Eva', 'guest', false, 300],
  ['Ενα', 'member', false, 3_000],
  ['Georɡe', 'guest', false, 30],
  ['George', 'admin', false, 3_000],
  ['Coco', 'admin', false, 30],
  ['сосо', 'guest', true, 3_000],
  ['Ann 🔥', 'guest', false, 30],
  ['🔥', 'guest', false, 30],
  ['Admin', 'guest', false, 30],
]
/** Who owns the name now, of each group of those alike. */
const OWNERS = [1, 3, 5, 7, 8, 10]

function* fill(clock: Clock) {
  for (const [n, [name, kind, banned, seconds]] of USERS.entries()) {
    yield* exec(
      'INSERT INTO users (id, name, name_key, kind, banned) VALUES ($1, $2, $3, $4, $5)',
      ...[id(n), name, name.toLowerCase(), kind, banned],
    )
    const seen = new Date(clock.date().getTime() - seconds * 1_000)
    yield* exec(
      `INSERT INTO sessions (hash, user_id, role, seen_at) VALUES ($1, $2, 'member', $3)`,
      ...[`h${n}`, id(n), seen],
    )
  }
  yield* exec("INSERT INTO users (id, name, kind) VALUES ($1, 'Freed', 'guest')", id(99))
}

const keysIn = (sql: Sql) =>
  sql.run(() =>
    rows<{ id: string; name: string; name_key: string | null; name_look: string | null }>(
      'SELECT id, name, name_key, name_look FROM users ORDER BY id',
    ),
  )

async function assertRenewed(open: () => Promise<Old>) {
  const { sql, clock, serve } = await open()
  await sql.transaction(() => fill(clock))
  const served = await serve()
  const users = await keysIn(served)
  assert.deepEqual(users.pop(), { id: id(99), name: 'Freed', name_key: null, name_look: null })
  for (const [n, user] of users.entries()) {
    const { key, look } = nameKeys(user.name)
    const own = OWNERS.includes(n) ? [key, look] : [`#${id(n)}`, `#${id(n)}`]
    assert.deepEqual([user.name, user.name_key, user.name_look], [USERS[n]![0], ...own])
  }
  const accounts = createAccounts(served, DEFAULT_LIMITS, clock)
  for (const [n, [name]] of USERS.entries()) {
    assert.equal((await accounts.session(`h${n}`))?.user.name, name)
    if (n !== 9) assert.equal(await accounts.addGuest(name, 'new'), null, name)
  }
  assert.deepEqual((await served.run(() => rows<{ names: string }>('SELECT names FROM meta')))[0], {
    names: ruleOfNames(),
  })
  // A node of an earlier version, which is still there, lets somebody in; and a name becomes free.
  await served.run(() =>
    exec("INSERT INTO users (id, name, name_key, kind) VALUES ($1, 'Zoë', 'zoë', 'admin')", id(50)),
  )
  const lost = await accounts.session('h0')
  await accounts.endSessions((await accounts.session('h1'))!, true)
  const again = await keysIn(await serve())
  assert.equal(again.find((user) => user.id === id(50))?.name_look, nameKeys('Zoë').look)
  assert.equal(again.find((user) => user.id === lost?.user.id)?.name_key, nameKeys('Iris').key)
}

test('a file in which names were owned by another rule', async (t) => {
  const dataFile = `${tempFolder(t)}/hearth.db`
  const clock = new TestClock()
  await assertRenewed(async () => {
    const old = openDataFile(dataFile, clock)
    let before = () => old.close()
    const serve = async () => {
      before()
      const config = { ...testConfig({ env: { DATA_FILE: dataFile, SEARCH: 'false' } }) }
      const storage = await openStorage({ config, clock, onFault: assert.ifError })
      await storage.log.close()
      const { sql, close } = openDataFile(dataFile, clock)
      before = close
      return sql
    }
    t.after(() => before())
    return { sql: old.sql, clock, serve }
  })
})

void test('Postgres', async (t) => {
  const server = await startPostgres(t)
  await t.test('names there were owned by another rule', async (each: TestContext) => {
    const url = await server.newDatabase()
    const clock = new TestClock()
    await assertRenewed(async () => {
      const { sql } = await openDatabase(each, url)
      await sql.run(() => exec('UPDATE meta SET names = NULL'))
      return { sql, clock, serve: async () => (await openDatabase(each, url)).sql }
    })
  })
})
