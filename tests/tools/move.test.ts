/** From SQLite to Postgres: the same log, the same people, the next number. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check } from '../../tools/check.ts'
import { exportLog } from '../../tools/export.ts'
import { move } from '../../tools/move.ts'
import { useStore } from '../../tools/place.ts'
import { readEpoch } from '../../tools/store.ts'
import { connect, newcomer, post, signIn, startServer } from '../helpers.ts'
import { startPostgres } from '../postgres.ts'
import { ann, say } from '../store/drafts.ts'
import {
  assertRefused,
  beside,
  configOf,
  faults,
  newFile,
  run,
  withLog,
  type Env,
} from './places.ts'

test('nobody notices but by the new address of the data', async (t) => {
  const server = await startPostgres(t)
  const env = await newFile(t)
  const DATABASE_URL = await server.newDatabase()
  const first = await startServer(t, { env })
  const ann = await newcomer(t, first.url, 'Ann')
  const { joined } = await ann.join('lobby')
  const id = crypto.randomUUID()
  await ann.say('lobby', 'one', { id, mentions: [ann.account.user.id] })
  ann.send({
    type: 'react',
    room: 'lobby',
    id: crypto.randomUUID(),
    target: 1,
    emoji: '👍',
    on: true,
  })
  ann.send({ type: 'edit', room: 'lobby', id: crypto.randomUUID(), target: 1, body: 'better' })
  const last = await ann.next('message', ({ seq }) => seq === 3)
  await post(`${first.url}/api/rooms`, { room: 'den' }, ann.account.token)
  const since = async (at: string) => {
    const headers = { authorization: `Bearer ${ann.account.token}` }
    const list = await (await fetch(`${at}/api/rooms/den/members`, { headers })).json()
    return (list as { members: { since: string }[] }).members.map((member) => member.since)
  }
  const device = async (at: string) => {
    const headers = { authorization: `Bearer ${ann.account.token}` }
    const list = await (await fetch(`${at}/api/sessions`, { headers })).json()
    const [{ id, madeAt, address, agent }] = list as [Record<string, string | null>]
    return [id, madeAt, address, agent]
  }
  const onDevice = await device(first.url)
  assert.ok(onDevice.every((part) => part !== null))
  const inSince = await since(first.url)
  assert.match(inSince.join(), /^\d{4}-/)
  const past = async (at: string) => {
    const headers = { authorization: `Bearer ${ann.account.token}` }
    const list = await fetch(`${at}/api/rooms/den/members?past=true`, { headers })
    return ((await list.json()) as { members: { until: string }[] }).members
  }
  const open = await post(`${first.url}/api/rooms/den/invites`, {}, ann.account.token)
  const mole = await signIn(first.url, 'Mole')
  await post(`${first.url}/api/rooms/den/members`, await open.json(), mole.token)
  const headers = { authorization: `Bearer ${mole.token}` }
  await fetch(`${first.url}/api/session`, { method: 'DELETE', headers })
  const wasThere = await past(first.url)
  assert.match(wasThere.map(({ until }) => until).join(), /^\d{4}-/)
  const made = await post(`${first.url}/api/rooms/den/invites`, { once: true }, ann.account.token)
  const { invite } = (await made.json()) as { invite: string }
  await assertRefused(run(move, env, DATABASE_URL), 'in use')
  await first.close()
  await assertRefused(run(move, env, 'mysql://x'), 'DATABASE_URL')
  const { told } = await run(move, env, DATABASE_URL)
  assert.ok(told.includes('DATABASE_URL') && !told.includes('password'))
  assert.deepEqual(await faults({ DATABASE_URL }), [])

  const makers = await server.query(DATABASE_URL, 'SELECT DISTINCT made_by FROM invites')
  assert.deepEqual(makers, [{ made_by: ann.account.user.id }])
  const there = await startServer(t, { env: { DATABASE_URL } })
  const { url } = there
  const back = await connect(t, url, ann.account)
  back.send({
    ...{ type: 'join', room: 'lobby', after: last.seq, last: last.id, epoch: joined.epoch },
  })
  const again = await back.next('joined')
  assert.deepEqual([again.reset, again.from, again.epoch], [false, 4, joined.epoch])
  assert.equal((await back.say('lobby', 'next')).seq, 4)
  back.send({ type: 'say', room: 'lobby', id, body: 'one', mentions: [ann.account.user.id] })
  assert.equal((await back.next('message', (entry) => entry.id === id)).repeat, true)
  assert.deepEqual(await since(url), inSince)
  assert.deepEqual(await past(url), wasThere)
  assert.deepEqual(await device(url), onDevice)
  assert.equal((await post(`${url}/api/session`, { name: 'Aṇn' })).status, 409)
  const bob = await signIn(url, 'Bob')
  const entered = await post(`${url}/api/rooms/den/members`, { invite }, bob.token)
  assert.equal(entered.status, 204)
  const eve = await signIn(url, 'Eve')
  const second = await post(`${url}/api/rooms/den/members`, { invite }, eve.token)
  assert.equal(second.status, 403, 'it was for one')
  const { page } = await (await connect(t, url, bob)).join('lobby')
  const [message] = page!.messages
  assert.deepEqual([message?.body, message?.reactions.length], ['better', 1])

  await there.close()
  await server.query(DATABASE_URL, 'TRUNCATE nodes')
  await assertRefused(run(move, env, DATABASE_URL), 'not empty')
  const old = await startServer(t, { env })
  const lost = await connect(t, old.url, ann.account)
  const elsewhere = await lost.join('lobby', { after: 3, epoch: joined.epoch })
  assert.equal(elsewhere.joined.reset, true, 'the file is another log from now on')
})

test('a move that was cut off behind the last commit is brought to its end', async (t) => {
  const server = await startPostgres(t)
  const env = await newFile(t)
  const DATABASE_URL = await server.newDatabase()
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one'), say(ann, 'two')]))
  const epochOf = (place: Env) => beside(place, ({ query }) => readEpoch(query))
  const epoch = await epochOf(env)
  await run(move, env, DATABASE_URL)
  assert.equal(await epochOf({ DATABASE_URL }), epoch)
  await useStore({ config: configOf(env), tell: () => {} }, 'write', ({ query }) =>
    query('UPDATE meta SET epoch = $1', [epoch]),
  )
  const { told } = await run(move, env, DATABASE_URL)
  assert.match(told, /^all is in Postgres/)
  assert.notEqual(await epochOf(env), epoch)
  assert.equal(await epochOf({ DATABASE_URL }), epoch)
  assert.deepEqual(await faults({ DATABASE_URL }), [])
})

test('of two that move into one database at once one is refused', async (t) => {
  const server = await startPostgres(t)
  const DATABASE_URL = await server.newDatabase()
  const files = [await newFile(t), await newFile(t)]
  for (const [nth, env] of files.entries()) {
    await withLog(t, env, ({ log }) => log.append([say(ann, 'one', { room: `room-${nth}` })]))
  }
  const ends = await Promise.allSettled(files.map((env) => run(move, env, DATABASE_URL)))
  const refused = ends.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : []))
  assert.equal(refused.length, 1)
  assert.match(refused[0]!, /is not empty/)
  assert.equal((await server.query(DATABASE_URL, 'SELECT room FROM rooms')).length, 1)
})

test('tools that only look make no tables, and take nothing else for a log', async (t) => {
  const server = await startPostgres(t)
  const refuse = async (url: string, ...words: string[]) => {
    for (const command of [check, exportLog]) {
      await assertRefused(run(command, { DATABASE_URL: url }), ...words)
    }
  }
  const foreign = await server.newDatabase()
  await server.query(foreign, 'CREATE TABLE orders (nth int)')
  await refuse(foreign, 'no log of Hearth')
  const tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
  assert.deepEqual(await server.query(foreign, tables), [{ relname: 'orders' }])
  const old = await server.newDatabase()
  await server.query(old, 'CREATE TABLE meta (epoch text NOT NULL, version int NOT NULL)')
  await refuse(old, 'no epoch')
  await server.query(old, "INSERT INTO meta VALUES ('old', 4)")
  await refuse(old, 'earlier Hearth', 'start a server')
})

test('what cannot be moved', async (t) => {
  const env = await newFile(t)
  const nowhere = 'postgres://hearth:hunter2@127.0.0.1:1/hearth'
  await assert.rejects(run(move, env, nowhere), (error: Error) => {
    assert.match(error.message, /127\.0\.0\.1:1/)
    return !error.message.includes('hunter2')
  })
  await assertRefused(run(move, { DATABASE_URL: nowhere }, nowhere), 'DATABASE_URL')
  await assertRefused(run(move, env), 'exactly one')
})
