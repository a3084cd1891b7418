/** A transaction-mode PgBouncer between: everything but LISTEN works, as it needs no session. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chownSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { createDirectory } from '../src/cluster/nodes.ts'
import { systemClock } from '../src/clock.ts'
import { DEFAULT_LIMITS } from '../src/limits.ts'
import { createAccounts } from '../src/store/accounts.ts'
import { createTickets } from '../src/store/tickets.ts'
import { tempFolder } from './helpers.ts'
import { nthUser, react, say, tell } from './store/drafts.ts'
import { openLog } from './store/opened.ts'
import { openDatabase, startPostgres } from './postgres.ts'
import { unprivileged } from './postgres-files.ts'
import { freePort } from './process.ts'
import { findProgram } from './programs.ts'

const PROGRAM = 'pgbouncer'

/** With fewer connections to Postgres than clients have. @returns the port it listens on */
async function startPooler(t: TestContext, postgres: number): Promise<number> {
  const folder = tempFolder(t)
  const port = await freePort()
  const settings = `${folder}/pgbouncer.ini`
  writeFileSync(
    settings,
    `[databases]
     * = host=127.0.0.1 port=${postgres} user=postgres
     [pgbouncer]
     listen_addr = 127.0.0.1
     listen_port = ${port}
     unix_socket_dir =
     auth_type = any
     pool_mode = transaction
     default_pool_size = 3`,
  )
  if (unprivileged.uid) chownSync(folder, unprivileged.uid, unprivileged.uid)
  const stdio = ['ignore', 'ignore', 'pipe'] as const
  // Our own folder may be one that the other user cannot enter.
  const child = spawn(findProgram(PROGRAM)!, [settings], {
    ...{ ...unprivileged, cwd: folder, stdio: [...stdio] },
  })
  const end = new Promise((resolve) => child.on('close', resolve))
  t.after(async () => {
    if (child.pid !== undefined) process.kill(child.pid, 'SIGTERM')
    await end
  })
  await new Promise<void>((resolve, reject) => {
    let text = ''
    child.on('error', reject)
    child.on('close', () => reject(new Error(`pgbouncer ended:\n${text}`)))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (/process up|listening/.test(text)) resolve()
    })
  })
  return port
}

void test('behind a transaction-mode pooler', async (t) => {
  if (!findProgram(PROGRAM)) return t.skip(`there is no ${PROGRAM}`)
  const server = await startPostgres(t)
  const port = await startPooler(t, server.port)
  const url = (await server.newDatabase()).replace(`:${server.port}/`, `:${port}/`)
  const dbs = await Promise.all([1, 2, 3].map(() => openDatabase(t, url)))
  assert.equal(new Set(dbs.map(({ epoch }) => epoch)).size, 1)
  const logs = await Promise.all(dbs.map((db) => openLog(db, systemClock)))
  t.after(() => Promise.all(logs.map((log) => log.close())))
  const accounts = dbs.map((db) => createAccounts(db.sql, DEFAULT_LIMITS, systemClock))

  await t.test('the log: three nodes with thirty connections over three', async () => {
    const appends = Array.from({ length: 90 }, (_, n) =>
      logs[n % 3]!.append([say(nthUser(n % 5)), say(nthUser(n % 5), 'x', { room: 'garden' })]),
    )
    const reads = Array.from({ length: 90 }, (_, n) => logs[n % 3]!.page('lobby', 10))
    const told = tell((await Promise.all(appends)).flat())
    await Promise.all(reads)
    assert.deepEqual(new Set(told), new Set(Array.from({ length: 90 }, (_, n) => n + 1)))
    const draft = react(nthUser(1), 1)
    assert.deepEqual(tell(await logs[0]!.append([draft, draft])), [91, 'repeat 91'])
    assert.deepEqual(await logs[1]!.compare([{ room: 'lobby', seq: 91 }]), [
      { room: 'lobby', head: 91, id: draft.id, owner: null },
    ])
  })

  await t.test('accounts: of many who want one name at once one gets it', async () => {
    const all = await Promise.all(
      Array.from({ length: 30 }, (_, n) => accounts[n % 3]!.addGuest('Ann', `h${n}`)),
    )
    const [session, ...others] = all.flatMap((one) => one ?? [])
    assert.ok(session && others.length === 0)
    const user = session.user.id
    assert.equal((await logs[0]!.enter('lobby', user, session.hash)).signedIn, true)
    await logs[1]!.saveReads([{ room: 'lobby', user, seq: 5 }])
    assert.equal((await logs[2]!.rooms(user))[0]?.read, 5)
    await accounts[1]!.endSessions(session, true)
    assert.equal((await logs[0]!.enter('lobby', user, session.hash)).signedIn, false)
  })

  await t.test('tickets and the directory', async () => {
    const tickets = dbs.map((db) => createTickets(db.sql, 'ticket', 30_000))
    const pass = { user: nthUser(1).id, session: 'hash', address: null }
    const { ticket } = await tickets[0]!.issue(pass)
    const answers = await Promise.all(tickets.map((node) => node.redeem(ticket)))
    assert.deepEqual(answers.filter(Boolean), [pass])
    const [a, b] = dbs.map((db) => createDirectory(db, DEFAULT_LIMITS))
    assert.deepEqual(
      [await a!.renew(true), await b!.renew(true), await a!.renew(true)],
      [false, false, true],
    )
    await a!.savePresence([{ room: 'lobby', user: nthUser(1), isHere: true }])
    assert.deepEqual((await b!.presence(['lobby'])).get('lobby'), [nthUser(1)])
    assert.equal((await b!.news()).sessions.length, 1)
    await a!.retire()
  })
})
