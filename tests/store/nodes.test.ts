/** What nodes know of each other through Postgres, and what one hears of alone. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { createDirectory } from '../../src/cluster/nodes.ts'
import { createAccounts } from '../../src/store/accounts.ts'
import { openDataFile } from '../../src/store/file.ts'
import { createLonelyDirectory, revoke, type Directory } from '../../src/store/nodes.ts'
import { openLog } from './opened.ts'
import { ann, bob, nthUser } from './drafts.ts'
import { TestClock } from '../helpers.ts'
import { openDatabase, startPostgres } from '../postgres.ts'

/** What there is of news at any time. */
const newsOf = async (node: Directory, since?: Date) => {
  const { at: _, isIncomplete, ...news } = await node.news(since)
  assert.equal(isIncomplete, false)
  return news
}

const NOTHING = { sessions: [], memberships: [], devices: [], renamed: [], isSomebodyMute: false }

const here = (room: string, user = ann) => ({ room, user, isHere: true })
const gone = (room: string, user = ann) => ({ room, user, isHere: false })

void test('the directory in Postgres', async (t) => {
  const server = await startPostgres(t)
  const setUp = async (each: TestContext, count = 2) => {
    const db = await openDatabase(each, await server.lendDatabase(each))
    const nodes = Array.from({ length: count }, () => createDirectory(db, DEFAULT_LIMITS))
    for (const node of nodes) assert.equal(await node.renew(true), false, 'it was not known')
    /** Makes everything older. */
    const age = async (seconds: number) => {
      for (const [table, column] of [
        ...[['nodes', 'seen_at'] as const, ['revocations', 'at'] as const],
      ]) {
        await db.query(`UPDATE ${table} SET ${column} = ${column} - $1 * interval '1 s'`, [seconds])
      }
    }
    const count_ = async (table: string) =>
      (await db.query<{ n: number }>(`SELECT count(*) AS n FROM ${table}`))[0]!.n
    return { db, nodes, age, count: count_, a: nodes[0]!, b: nodes[1]! }
  }
  const check = (title: string, body: (each: TestContext) => Promise<void>) => t.test(title, body)

  await check('people are seen on the other nodes, once, and not on their own', async (each) => {
    const { a, b, nodes } = await setUp(each, 3)
    await a.savePresence([here('lobby'), here('lobby', bob), here('garden')])
    await b.savePresence([here('lobby')])
    assert.deepEqual(
      await nodes[2]!.presence(['lobby', 'garden', 'nowhere']),
      new Map([
        ['garden', [ann]],
        ['lobby', [ann, bob]],
      ]),
    )
    assert.deepEqual(await a.presence(['lobby']), new Map([['lobby', [ann]]]))
    assert.deepEqual(await b.presence(['garden']), new Map([['garden', [ann]]]))
    assert.deepEqual(await a.presence([]), new Map())
  })

  await check('the last change of a batch counts, and all may come again', async (each) => {
    const { a, b } = await setUp(each)
    const changes = [here('lobby'), gone('lobby'), gone('garden'), here('garden'), gone('x')]
    for (let n = 0; n < 2; n += 1) {
      await a.savePresence(changes)
      assert.deepEqual([...(await b.presence(['lobby', 'garden', 'x'])).keys()], ['garden'])
    }
    await a.savePresence([])
    await a.savePresence([gone('garden'), here('lobby')])
    assert.deepEqual([...(await b.presence(['lobby', 'garden'])).keys()], ['lobby'])
  })

  await check('thousands of people at once', async (each) => {
    const { a, b } = await setUp(each)
    const users = Array.from({ length: 3_000 }, (_, n) => nthUser(n))
    await a.savePresence(users.map((user) => here('lobby', user)))
    assert.equal((await b.presence(['lobby'])).get('lobby')?.length, 3_000)
    await a.savePresence(users.map((user) => gone('lobby', user)))
    assert.equal((await b.presence(['lobby'])).size, 0)
  })

  await check('a node that is silent for 45 s has nobody, until it is back', async (each) => {
    const { a, b, age } = await setUp(each)
    await a.savePresence([here('lobby')])
    await age(44)
    assert.equal((await b.presence(['lobby'])).size, 1)
    await age(2)
    assert.equal((await b.presence(['lobby'])).size, 0)
    assert.equal(await b.renew(true), true)
    assert.equal(await a.renew(true), true, 'its people are still written down')
    assert.equal((await b.presence(['lobby'])).size, 1)
  })

  await check(
    'what a dead node left is taken away, and it is told when it is back',
    async (each) => {
      const { a, b, age, count } = await setUp(each)
      await a.savePresence([here('lobby')])
      await age(451)
      await Promise.all([b.renew(true), b.renew(true)])
      assert.deepEqual([await count('nodes'), await count('presence')], [1, 0])
      await a.savePresence([here('lobby')])
      assert.equal(await count('presence'), 0, 'a forgotten node leaves nothing')
      assert.equal(await a.renew(true), false)
      await a.savePresence([here('lobby')])
      assert.equal((await b.presence(['lobby'])).size, 1)
      assert.equal(await a.renew(true), true)
    },
  )

  await check('the people of a node that ends stay for 15 s', async (each) => {
    const { a, b, age } = await setUp(each)
    await a.savePresence([here('lobby')])
    await a.retire()
    await age(14)
    assert.equal((await b.presence(['lobby'])).size, 1)
    await age(2)
    assert.equal((await b.presence(['lobby'])).size, 0)
  })

  await check('a crash of Postgres forgets all nodes: they are told', async (each) => {
    const { a, b, count } = await setUp(each)
    await a.savePresence([here('lobby')])
    server.kill('SIGQUIT')
    await server.ended()
    await server.start()
    assert.equal(await a.renew(true), false)
    assert.equal(await count('presence'), 0)
    await a.savePresence([here('lobby')])
    assert.equal((await b.presence(['lobby'])).size, 1)
  })

  await check('who is mute is known to the others, while it lives', async (each) => {
    const { a, b, age } = await setUp(each)
    await a.renew(false)
    assert.deepEqual(await newsOf(b), { ...NOTHING, isSomebodyMute: true })
    assert.deepEqual(await newsOf(a), NOTHING)
    await a.renew(true)
    assert.deepEqual(await newsOf(b), NOTHING)
    await a.renew(false)
    await age(46)
    assert.deepEqual(await newsOf(b), NOTHING)
  })

  await check('what ended within a minute is told, and nothing that began again', async (each) => {
    const { a, db, age, count } = await setUp(each)
    const accounts = createAccounts(db.sql, DEFAULT_LIMITS, systemClock)
    const log = await openLog(db, systemClock)
    const session = (await accounts.addGuest('Ann', 'h1'))!
    await accounts.addDevice('h1', 'h2', { address: '192.0.2.1', agent: 'a bot' })
    const user = session.user.id
    const [added] = await accounts.devices(user)
    const { address, agent, madeAt } = added!
    const device = { hash: 'h2', user, at: madeAt!, address, agent }
    assert.deepEqual(await newsOf(a), { ...NOTHING, devices: [device] })
    await age(61)
    for (const room of ['lobby', 'garden']) await log.enter(room, user, 'h1')
    assert.deepEqual(await newsOf(a), NOTHING)
    for (const room of ['lobby', 'garden', 'nowhere', 'lobby']) await log.leave(room, user)
    await log.enter('garden', user, 'h1')
    await accounts.endSessions(session, false)
    for (let n = 0; n < 2; n += 1) {
      assert.deepEqual(await newsOf(a), {
        ...NOTHING,
        sessions: [{ hash: 'h1', banned: false }],
        memberships: [{ room: 'lobby', user }],
      })
    }
    await accounts.ban(user)
    const { sessions } = await newsOf(a)
    assert.deepEqual(sessions.sort(byHash), [
      { hash: 'h1', banned: false },
      { hash: 'h2', banned: true },
    ])
    await age(61)
    assert.deepEqual(await newsOf(a), NOTHING)
    await a.renew(true)
    assert.equal(await count('revocations'), 5)
    await age(600)
    await a.renew(true)
    assert.equal(await count('revocations'), 0)
  })
  await check('a user who has another name is told of, by the one of now', async (each) => {
    const { a, b, db } = await setUp(each)
    const accounts = createAccounts(db.sql, DEFAULT_LIMITS, systemClock)
    const until = new Date(Date.now() + 3_600_000)
    const add = async (name: string, hash: string) =>
      (await accounts.addForeign('s1', name, hash, until))!.user
    const { id } = await add('Zelda', 'h1')
    assert.deepEqual(await newsOf(a), NOTHING)
    await add('Zoey', 'h2')
    assert.deepEqual((await newsOf(a)).renamed, [{ user: id, name: 'Zoey' }])
    await add('Zora', 'h3')
    await add('Zora', 'h4')
    assert.deepEqual((await newsOf(a)).renamed, [{ user: id, name: 'Zora' }])
    await a.savePresence([here('lobby', { id, name: 'Zoey' })])
    await a.savePresence([here('lobby', { id, name: 'Zora' })])
    assert.equal((await b.presence(['lobby'])).get('lobby')?.[0]?.name, 'Zora')
  })

  await check(
    'a node that heard nothing for long is told all of it, while it is kept',
    async (each) => {
      const { a, db, age } = await setUp(each)
      const { at } = await a.news()
      await db.sql.transaction(() => revoke(db.sql, [{ session: 'h1' }]))
      const sessions = [{ hash: 'h1', banned: false }]
      const since = (seconds: number) => new Date(at.getTime() - seconds * 1_000)
      await age(300)
      assert.deepEqual(await newsOf(a), NOTHING)
      assert.deepEqual(await newsOf(a, since(300)), { ...NOTHING, sessions })
      await age(200)
      assert.deepEqual(await newsOf(a, since(500)), { ...NOTHING, sessions })
      assert.deepEqual(await newsOf(a, since(-3_600)), NOTHING, 'a clock that was put back')
      assert.equal((await a.news(since(550))).isIncomplete, true)
    },
  )

  await check('who was in a room is forgotten after 30 days', async (each) => {
    const { a, db, count } = await setUp(each)
    const text = `INSERT INTO past_members (room, user_id, until)
      VALUES ('den', $1, clock_timestamp() - $2 * interval '1 day')`
    await db.query(text, [ann.id, 30])
    await db.query(text, [bob.id, 29])
    await a.renew(true)
    assert.equal(await count('past_members'), 1)
  })
})

test('a node alone on SQLite hears for a minute what ended, also by a tool', async (t) => {
  const clock = new TestClock()
  const { sql, db, close } = openDataFile(':memory:', clock)
  t.after(close)
  const directory = createLonelyDirectory(sql)
  assert.equal(await directory.renew(true), true)
  assert.deepEqual(await directory.presence(['lobby']), new Map())
  assert.deepEqual(await newsOf(directory), NOTHING)
  const ends = [{ session: 'h1' }, { session: 'h2', banned: true }]
  await sql.transaction(() => revoke(sql, [...ends, { room: 'lobby', user_id: ann.id }]))
  const sessions = [
    { hash: 'h1', banned: false },
    { hash: 'h2', banned: true },
  ]
  const memberships = [{ room: 'lobby', user: ann.id }]
  db.exec(`INSERT INTO past_members (room, user_id, until) VALUES ('den', '', ${+clock.date()})`)
  await clock.advance(59_000)
  for (let n = 0; n < 2; n += 1) {
    const news = await newsOf(directory)
    news.sessions.sort(byHash)
    assert.deepEqual(news, { ...NOTHING, sessions, memberships })
    await directory.renew(true)
  }
  const { at } = await directory.news()
  await clock.advance(1_000)
  assert.deepEqual(await newsOf(directory), NOTHING)
  await clock.advance(500_000)
  assert.equal((await newsOf(directory, at)).sessions.length, 2, 'after a stop')
  await clock.advance(100_000)
  assert.equal((await directory.news(at)).isIncomplete, true)
  await directory.renew(true)
  assert.deepEqual(db.prepare('SELECT session FROM revocations').all(), [])
  const past = () => db.prepare('SELECT room FROM past_members').all().length
  assert.equal(past(), 1)
  await clock.advance(30 * 24 * 3_600_000 - 660_000 + 1)
  await directory.renew(true)
  assert.equal(past(), 0)
})

function byHash(a: { hash: string }, b: { hash: string }) {
  return a.hash < b.hash ? -1 : 1
}
