/** Users, the names they own, and their sessions. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createSqliteAccounts } from '../../src/auth/sqlite-accounts.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { openDatabase } from '../../src/log/sqlite.ts'
import { TestClock } from '../helpers.ts'

const DAY = 86_400_000

function setUp(t: TestContext) {
  const database = openDatabase(':memory:')
  t.after(() => database.close())
  const clock = new TestClock()
  return { clock, accounts: createSqliteAccounts(database, DEFAULT_LIMITS, clock) }
}

test('a guest owns the name, and is found by the session', async (t) => {
  const { accounts } = setUp(t)
  const session = await accounts.addGuest('Ann', 'ann', 'h1')
  assert.ok(session)
  assert.deepEqual([session.user.name, session.role, session.expiresAt], ['Ann', 'member', null])
  assert.deepEqual(await accounts.session('h1'), session)
  assert.equal(await accounts.session('h2'), null)
  assert.equal(await accounts.addGuest('ANN', 'ann', 'h2'), null)
  assert.equal(await accounts.session('h2'), null)
  const other = await accounts.addGuest('Bob', 'bob', 'h3')
  assert.notEqual(other?.user.id, session.user.id)
})

test('another device is the same user, as long as the first holds', async (t) => {
  const { accounts } = setUp(t)
  const first = await accounts.addGuest('Ann', 'ann', 'h1')
  const second = await accounts.addDevice('h1', 'h2')
  assert.deepEqual(second?.user, first?.user)
  await accounts.endSessions(first!, false)
  assert.equal(await accounts.addDevice('h1', 'h3'), null)
  assert.ok(await accounts.session('h2'))
})

test('the name is free when the last session ends, and its next owner is another user', async (t) => {
  const { accounts } = setUp(t)
  const first = await accounts.addGuest('Ann', 'ann', 'h1')
  const second = await accounts.addDevice('h1', 'h2')
  assert.deepEqual(await accounts.endSessions(first!, false), ['h1'])
  assert.equal(await accounts.addGuest('Ann', 'ann', 'h4'), null)
  assert.deepEqual(await accounts.endSessions(second!, false), ['h2'])
  const next = await accounts.addGuest('Ann', 'ann', 'h4')
  assert.ok(next)
  assert.notEqual(next.user.id, first?.user.id)
})

test('signing out everywhere ends all sessions of the user and of nobody else', async (t) => {
  const { accounts } = setUp(t)
  const ann = await accounts.addGuest('Ann', 'ann', 'h1')
  await accounts.addDevice('h1', 'h2')
  await accounts.addGuest('Bob', 'bob', 'h3')
  assert.deepEqual((await accounts.endSessions(ann!, true)).sort(), ['h1', 'h2'])
  assert.equal(await accounts.session('h2'), null)
  assert.ok(await accounts.session('h3'))
})

test('30 days unused are the end of a session and of the name; using it keeps both', async (t) => {
  const { accounts, clock } = setUp(t)
  await accounts.addGuest('Ann', 'ann', 'h1')
  await accounts.addGuest('Bob', 'bob', 'h2')
  for (let day = 0; day < 29; day += 1) {
    await clock.advance(DAY)
    assert.ok(await accounts.session('h1'))
  }
  await clock.advance(DAY)
  assert.equal(await accounts.session('h2'), null)
  const session = await accounts.session('h1')
  assert.equal(session!.idleUntil.getTime(), clock.date().getTime() - DAY + 30 * DAY)
  assert.equal(await accounts.addGuest('Ann', 'ann', 'h3'), null)
  assert.ok(await accounts.addGuest('Bob', 'bob', 'h4'))
})

test('an admin comes back to the name, for half a day, and takes no name of a guest', async (t) => {
  const { accounts, clock } = setUp(t)
  const first = await accounts.addAdmin('Root', 'root', 'h1')
  assert.equal(first?.role, 'admin')
  assert.equal(first.expiresAt!.getTime() - clock.date().getTime(), DAY / 2)
  const second = await accounts.addAdmin('Root', 'root', 'h2')
  assert.equal(second?.user.id, first.user.id)
  assert.equal(await accounts.addGuest('Root', 'root', 'h3'), null)
  await accounts.addGuest('Ann', 'ann', 'h4')
  assert.equal(await accounts.addAdmin('Ann', 'ann', 'h5'), null)
  await clock.advance(DAY / 2)
  assert.equal(await accounts.session('h1'), null)
  assert.equal(await accounts.addGuest('Root', 'root', 'h6'), null, 'an admin keeps the name')
})
