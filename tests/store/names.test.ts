/** Names that were owned by another rule: who has them keeps them, and nobody comes by one of those. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { runtime } from '#runtime'
import { nameKeys, ruleOfNames } from '../../src/auth/names.ts'
import type { Clock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { openStorage } from '../../src/storage.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { openDataFile } from '../../src/store/file.ts'
import { stepsAfter } from '../../src/store/schema.ts'
import { exec, rows, type Sql } from '../../src/store/sql.ts'
import { tempFolder, testConfig, TestClock } from '../helpers.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { ROOT } from '../process.ts'

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

interface KeyRow {
  id: string
  name: string
  name_key: string | null
  name_look: string | null
  shared_key: string | null
  shared_look: string | null
}

const keysIn = (sql: Sql) =>
  sql.run(() =>
    rows<KeyRow>(
      'SELECT id, name, name_key, name_look, shared_key, shared_look FROM users ORDER BY id',
    ),
  )

async function assertRenewed(open: () => Promise<Old>) {
  const { sql, clock, serve } = await open()
  await sql.transaction(() => fill(clock))
  const served = await serve()
  const users = await keysIn(served)
  const none = { name_key: null, name_look: null, shared_key: null, shared_look: null }
  assert.deepEqual(users.pop(), { id: id(99), name: 'Freed', ...none })
  for (const [n, user] of users.entries()) {
    const { key, look } = nameKeys(user.name)
    const own = OWNERS.includes(n)
      ? { ...none, name_key: key, name_look: look }
      : { name_key: `#${id(n)}`, name_look: `#${id(n)}`, shared_key: key, shared_look: look }
    assert.deepEqual(user, { id: id(n), name: USERS[n]![0], ...own })
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
  const iris = again.find((user) => user.id === lost?.user.id)
  assert.deepEqual([iris?.name_key, iris?.shared_key], [nameKeys('Iris').key, null])
}

/** Alike by the rule of today, and not by the one of version 6; an admin, or who was seen last, owns the name. */
const ALIKE: readonly (readonly [string, string, number])[] = [
  ['D\u043era', 'guest', 30],
  ['Dora', 'guest', 300],
  ['Ian', 'guest', 30],
  ['Lan', 'guest', 300],
  ['Νίνα', 'guest', 30],
  ['Νινα', 'guest', 300],
  ['Geor\u0261e', 'guest', 30],
  ['George', 'admin', 3_000],
  ['Admin', 'guest', 30],
  // More than are looked at together.
  ...Array.from({ length: 25 }, (_, n) => [`${'-'.repeat(n + 1)}Admin`, 'guest', 60] as const),
  ['Elia', 'guest', 30],
  ...Array.from({ length: 25 }, (_, n) => [`${'-'.repeat(n + 1)}Elia`, 'guest', 60] as const),
  ['Ella', 'guest', 300],
]

/** What a server of version 6 had in its tables, for both databases. */
function ofVersion6(moment: (secondsAgo: number) => string) {
  const users = ALIKE.map(
    ([name, kind], n) => `('${id(n)}', '${name}', '${name.toLowerCase()}', '${kind}')`,
  )
  const sessions = ALIKE.map(
    ([, , seconds], n) => `('h${n}', '${id(n)}', 'member', ${moment(seconds)})`,
  )
  return `UPDATE meta SET epoch = 'old';
    INSERT INTO users (id, name, name_key, kind) VALUES ${users.join(', ')};
    INSERT INTO sessions (hash, user_id, role, seen_at) VALUES ${sessions.join(', ')};`
}

const DAY = 86_400_000

/** Signs out and in on two nodes, of a database that was just brought from version 6 to ours. */
async function assertShared(sql: Sql, other: Sql, clock: TestClock) {
  const accounts = createAccounts(sql, DEFAULT_LIMITS, clock)
  const there = createAccounts(other, DEFAULT_LIMITS, clock)
  const indexOf = (name: string) => ALIKE.findIndex(([its]) => its === name)
  const sessionOf = (name: string) => accounts.session(`h${indexOf(name)}`)
  const signOut = async (name: string) => accounts.endSessions((await sessionOf(name))!, true)
  const later = () => new Date(clock.date().getTime() + DAY)

  // Whose name it was by the old rule is not doubled by who owned it by the new one.
  await signOut('D\u043era')
  for (const name of ['Dora', 'D\u043era', 'DORA']) {
    assert.equal(await accounts.addGuest(name, 'new'), null, name)
    assert.equal(await accounts.addAdmin(name, 'new'), null, name)
  }
  assert.equal((await there.addForeign('sub', 'Dora', 'f1', later()))?.user.name, 'Dora 2')
  assert.equal((await sessionOf('Dora'))?.user.name, 'Dora')
  await signOut('Dora')
  const both = await Promise.all([accounts.addGuest('Dora', 'n1'), there.addGuest('Dora', 'n2')])
  assert.equal(both.filter(Boolean).length, 1, 'one of two nodes was first')

  await signOut('Νίνα')
  assert.equal(await accounts.addGuest('ΝΙΝΑ', 'new'), null, 'it reads the same, and looks not so')

  // A banned name stays taken, and a name that is shared keeps its owner from nothing.
  await accounts.ban(id(indexOf('Lan')))
  await signOut('Ian')
  assert.equal(await accounts.addGuest('Ian', 'new'), null)
  assert.equal((await accounts.addAdmin('George', 'a1'))?.user.id, id(indexOf('George')))
  assert.equal((await sessionOf('Geor\u0261e'))?.user.name, 'Geor\u0261e')

  // All who share a name that is for admins lose it to one.
  const admin = await accounts.addAdmin('Admin', 'a2')
  assert.equal(admin?.user.name, 'Admin')
  const left = (await keysIn(sql)).filter(({ name }) => name.endsWith('Admin'))
  assert.deepEqual(
    left.map((user) => user.id),
    [admin?.user.id],
  )
  assert.match((await sessionOf('-Admin'))!.user.name, /^someone( \d+)?$/)

  // Who idled out has lost it, however many they are; who is still there has it.
  clock.skip(29 * DAY)
  await sessionOf('Ella')
  clock.skip(2 * DAY)
  assert.equal(await accounts.addGuest('Elia', 'new'), null)
  const kept = (await keysIn(sql)).filter(({ shared_key }) => shared_key === nameKeys('Ella').key)
  assert.deepEqual(
    kept.map(({ name }) => name),
    ['Ella'],
  )
  await signOut('Ella')
  assert.ok(await accounts.addGuest('Elia', 'n3'))
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

test('a file of version 6, with names that are alike by now', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const clock = new TestClock()
  const old = runtime.openSqlite(file)
  for (const step of stepsAfter(0, 'sqlite').slice(0, 6)) old.exec(step)
  const now = clock.date().getTime()
  old.exec(`PRAGMA user_version = 6; ${ofVersion6((seconds) => `${now - seconds * 1_000}`)}`)
  old.close()
  const config = testConfig({ env: { DATA_FILE: file, SEARCH: 'false' } })
  await (await openStorage({ config, clock, onFault: assert.ifError })).log.close()
  const { sql, close } = openDataFile(file, clock)
  t.after(close)
  await assertShared(sql, sql, clock)
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

  await t.test('tables of version 6, with names that are alike by now', async (each) => {
    const url = await server.newDatabase()
    const clock = new TestClock()
    const left = stepsAfter(6, 'postgres').length
    const steps = stepsAfter(0, 'postgres').slice(0, -left)
    const moment = (seconds: number) =>
      `timestamptz '${new Date(clock.date().getTime() - seconds * 1_000).toISOString()}'`
    await server.query(
      url,
      `CREATE TABLE meta (epoch text NOT NULL, version int NOT NULL); INSERT INTO meta VALUES ('', 6);
       ${steps.join('\n')}
       ${readFileSync(`${ROOT}/tests/store/released/postgres-functions-6.sql`, 'utf8')}
       ${ofVersion6(moment)}`,
    )
    const here = await openDatabase(each, url)
    const there = await openDatabase(each, url)
    await assertShared(here.sql, there.sql, clock)
  })
})
