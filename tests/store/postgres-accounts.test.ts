/** Accounts and tickets in Postgres, for all nodes. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createAccounts, type Accounts } from '../../src/store/accounts.ts'
import { createTickets } from '../../src/store/tickets.ts'
import { hashSecret } from '../../src/auth/secrets.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { TestClock } from '../helpers.ts'
import { ann } from './drafts.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { accountsContract } from './accounts-contract.ts'

const pass = { user: ann.id, session: 'hash', address: '1.2.3.4' }

void test('Postgres', async (t) => {
  const server = await startPostgres(t)
  const nodes = async (each: TestContext, count: number) => {
    const url = await server.lendDatabase(each)
    return Promise.all(Array.from({ length: count }, () => openDatabase(each, url)))
  }

  await accountsContract(
    'Postgres',
    async (each) => {
      const clock = new TestClock()
      const [here, there] = (await nodes(each, 2)).map((db) =>
        createAccounts(db.sql, DEFAULT_LIMITS, clock),
      )
      return { clock, accounts: takeTurns(here!, there!) }
    },
    t,
  )

  await t.test('every session that ends is told to the other nodes', async (each) => {
    const [db] = await nodes(each, 1)
    const accounts = createAccounts(db!.sql, DEFAULT_LIMITS, new TestClock())
    const first = await accounts.addGuest('Ann', 'h1')
    await accounts.addDevice('h1', 'h2')
    await accounts.addDevice('h1', 'h3')
    await accounts.endSessions(first!, false)
    await accounts.endSessions(first!, false)
    const told = async () => {
      const rows = await db!.query<{ session: string }>(
        `SELECT session FROM revocations WHERE session IS NOT NULL AND at > now() - interval '1 min' ORDER BY 1`,
      )
      return rows.map(({ session }) => session)
    }
    assert.deepEqual(await told(), ['h1'])
    await accounts.endSessions(first!, true)
    assert.deepEqual(await told(), ['h1', 'h2', 'h3'])
  })

  await t.test('a ticket is redeemed once, on whichever node', async (each) => {
    const dbs = await nodes(each, 3)
    const tickets = dbs.map((db) => createTickets(db.sql, 'ticket', 30_000))
    for (let round = 0; round < 5; round += 1) {
      const { ticket, expiresAt } = await tickets[0]!.issue(pass)
      assert.match(ticket, /^[\w-]{43}$/)
      const lifetime = expiresAt.getTime() - Date.now()
      assert.ok(lifetime > 25_000 && lifetime < 31_000, `${lifetime}`)
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, n) => tickets[n % 3]!.redeem(ticket)),
      )
      assert.deepEqual(answers.filter(Boolean), [pass])
    }
    const { ticket } = await tickets[0]!.issue({ ...pass, address: null })
    const rows = JSON.stringify(await dbs[0]!.query('SELECT * FROM tickets'))
    assert.ok(!rows.includes(ticket) && rows.includes(hashSecret(ticket)))
    assert.equal((await tickets[1]!.redeem(ticket))?.address, null)
  })

  await t.test('a ticket is good for its time, and as what it is', async (each) => {
    const [db] = await nodes(each, 1)
    const tickets = createTickets(db!.sql, 'ticket', 30_000)
    const links = createTickets(db!.sql, 'link', 600_000)
    const [a, b] = [await tickets.issue(pass), await tickets.issue(pass)]
    const link = await links.issue(pass)
    assert.equal(await tickets.redeem(link.ticket), null)
    assert.equal(await links.redeem(a.ticket), null)
    for (const text of ['', 'x', '\0', `${a.ticket} `])
      assert.equal(await tickets.redeem(text), null)
    const later = async (ms: number) =>
      db!.query(`UPDATE tickets SET expires_at = expires_at - $1 * interval '1 ms'`, [ms])
    await later(29_000)
    assert.deepEqual(await tickets.redeem(a.ticket), pass)
    await later(1_000)
    assert.equal(await tickets.redeem(b.ticket), null)
    assert.deepEqual(await links.redeem(link.ticket), pass)
  })

  await t.test('old tickets do not pile up', async (each) => {
    const [db] = await nodes(each, 1)
    const tickets = createTickets(db!.sql, 'ticket', 30_000)
    await Promise.all(Array.from({ length: 30 }, () => tickets.issue(pass)))
    await db!.query("UPDATE tickets SET expires_at = now() - interval '1 s'")
    await Promise.all(Array.from({ length: 10 }, () => tickets.issue(pass)))
    const [row] = await db!.query<{ count: number }>('SELECT count(*) FROM tickets')
    assert.equal(row?.count, 10)
  })
})

/** Accounts of two nodes, asked in turn, so that every case is one of both. */
function takeTurns(...both: [Accounts, Accounts]): Accounts {
  let turn = 0
  const next = () => both[(turn += 1) % 2]!
  return {
    addGuest: (...given) => next().addGuest(...given),
    addAdmin: (...given) => next().addAdmin(...given),
    addDevice: (...given) => next().addDevice(...given),
    addForeign: (...given) => next().addForeign(...given),
    session: (...given) => next().session(...given),
    freesName: (...given) => next().freesName(...given),
    ban: (...given) => next().ban(...given),
    endSessions: (...given) => next().endSessions(...given),
    endDevices: (...given) => next().endDevices(...given),
    devices: (...given) => next().devices(...given),
    keep: (...given) => next().keep(...given),
  }
}
