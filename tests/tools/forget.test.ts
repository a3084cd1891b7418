/** A person is forgotten: nothing that the log can say has their words or their name. */

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { test, type TestContext } from 'node:test'
import { exportLog } from '../../tools/export.ts'
import { forget } from '../../tools/forget.ts'
import { retain } from '../../tools/retain.ts'
import { openSqliteStore } from '../../tools/sqlite-store.ts'
import {
  connect,
  newcomer,
  post,
  signIn,
  startServer,
  TestClock,
  type Account,
} from '../helpers.ts'
import { bob, edit, react, say } from '../store/drafts.ts'
import {
  age,
  assertRefused,
  beside,
  faults,
  newFile,
  onBoth,
  run,
  withLog,
  type NewPlace,
} from './places.ts'

async function nothingIsLeft(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  await withLog(t, env, async ({ log, accounts }) => {
    const session = await accounts.addGuest('Zora', 'h')
    const zora = session!.user
    const room = 'garden'
    for (const name of ['lobby', room]) await log.enter(name, zora.id, 'h')
    await log.append([say(bob, 'first'), say(zora, 'secret one'), edit(zora, 2, 'secret two')])
    await log.append([react(zora, 1), react(bob, 2), say(bob, 'hi', { mentions: [zora.id] })])
    await log.append([say(zora, 'secret old', { room }), say(bob, 'x', { room })])
    await log.append([edit(zora, 1, 'secret late', { room }), say(bob, 'y', { room })])
    const id = '00000000-0000-0000-0000-000000000000'
    await log.append([say(zora, 'secret of the lowest id', { room, id })])
    await log.append(Array.from({ length: 130 }, (_, n) => say(zora, `secret ${n}`)))
    await log.search('lobby', 'secret', 5)
    await age(env, room, 1)
    await run(retain, env, '--days', '30', '--room', room)

    await beside(env, ({ query }) =>
      query('INSERT INTO past_members SELECT room, user_id, since, since FROM members'),
    )
    const { text, told } = await run(forget, env, 'zORA')
    const past = await beside(env, ({ query }) => query('SELECT user_id FROM past_members'))
    assert.deepEqual(past, [])
    assert.match(text, /132 messages erased, 1 reactions .* 1 sessions and 2 memberships/)
    assert.match(told, /run it again/)
    assert.doesNotMatch((await run(exportLog, env)).text, /secret|zora/i)
    assert.equal(await accounts.session('h'), null)
    assert.deepEqual(await log.rooms(zora.id), [])
    assert.deepEqual((await log.search('lobby', 'secret', 5)).messages, [])
    const { messages } = await log.page('lobby', 200)
    assert.deepEqual(messages[0]?.reactions, [])
    assert.deepEqual(messages[1]?.author, { id: zora.id, name: 'deleted user' })
    assert.deepEqual(messages[2]?.mentions, [zora.id])

    const again = await run(forget, env, zora.id)
    assert.match(again.text, / 0 messages .* 0 reactions .* 0 entries .* 0 sessions and 0 /)
    await assertRefused(run(forget, env, 'Zora'), 'Zora')
    const next = await accounts.addGuest('Zora', 'h2')
    assert.notEqual(next?.user.id, zora.id)
  })
  assert.deepEqual(await faults(env), [])
}

async function oneOfSeveral(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  await withLog(t, env, async ({ accounts }) => {
    const ella = (await accounts.addGuest('Ella', 'h1'))!.user
    const elia = (await accounts.addGuest('Max', 'h2'))!.user
    await beside(env, ({ query }) =>
      query("UPDATE users SET name = 'Elia', name_key = '#', shared_key = 'ella' WHERE id = $1", [
        elia.id,
      ]),
    )
    for (const name of ['Ella', 'Elia']) {
      await assertRefused(run(forget, env, name), `${ella.id} (Ella)`, `${elia.id} (Elia)`)
    }
    assert.ok((await accounts.session('h1')) && (await accounts.session('h2')))
    await run(forget, env, elia.id)
    assert.match((await run(forget, env, 'Elia')).text, new RegExp(ella.id))
  })
}

async function everybodyHears(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  const { url } = await startServer(t, { env })
  const anna = await newcomer(t, url, 'Anna')
  const ben = await newcomer(t, url, 'Ben')
  for (const client of [anna, ben]) await client.join('lobby')
  await anna.say('lobby', 'my words')
  await ben.say('lobby', 'yours')
  const { text } = await run(forget, env, 'Anna')
  assert.match(text, /1 messages erased/)
  // The hole before it is noticed, and read from the log.
  await ben.say('lobby', 'who was that?')
  assert.deepEqual(
    ben.all('message').map((entry) => [entry.seq, entry.kind, entry.author.name]),
    [
      [1, 'message', 'Anna'],
      [2, 'message', 'Ben'],
      [3, 'delete', 'deleted user'],
      [4, 'message', 'Ben'],
    ],
  )
  await signIn(url, 'Anna')
  assert.equal(await anna.closeCode(), 4501)
  assert.deepEqual(await faults(env), [])
}

void test('forgetting', (t) =>
  onBoth(t, [
    ['no words and no name are left, and the name is free', nothingIsLeft],
    ['of several who have the name one is named by its id', oneOfSeveral],
    ['a server that runs hears of it in its order', everybodyHears],
  ]))

test('on SQLite the person is out within five seconds, and all others hear within ten', async (t) => {
  const env = await newFile(t)
  const clock = new TestClock()
  const { url } = await startServer(t, { env, clock })
  const ann = await newcomer(t, url, 'Ann')
  const phone = await connect(t, url, await linked(url, ann.account))
  const bob = await newcomer(t, url, 'Bob')
  for (const client of [ann, bob]) await client.join('lobby')
  const follow = (token: string) =>
    fetch(`${url}/api/rooms/lobby/events`, { headers: { authorization: `Bearer ${token}` } })
  const stream = await follow(ann.account.token)
  ann.send({ type: 'say', room: 'lobby', id: crypto.randomUUID(), body: 'words' })
  await bob.next('message')
  await run(forget, env, 'Ann')
  await clock.advance(5_000)
  assert.deepEqual([await ann.closeCode(), await phone.closeCode()], [4501, 4501])
  assert.match(await stream.text(), /event: bye\ndata: .*4501/)
  assert.equal((await follow(ann.account.token)).status, 204)
  await clock.advance(6_000)
  assert.equal((await bob.next('message')).kind, 'delete')
  assert.equal(bob.closed, null)

  const { query, close } = await openSqliteStore(env.DATA_FILE!, 'read', () => {})
  t.after(close)
  const left = async () => (await query('SELECT session FROM revocations')).length
  assert.equal(await left(), 3, 'two sessions and one membership; no word of a device')
  await query('UPDATE revocations SET at = 0')
  await clock.advance(15_000)
  assert.equal(await left(), 0, 'what is old is taken away')
})

/** The user on another device. */
async function linked(url: string, { user, token }: Account): Promise<Account> {
  const { link } = (await (await post(`${url}/api/session/link`, {}, token)).json()) as {
    link: string
  }
  const device = await post(`${url}/api/session`, { link })
  return { user, token: ((await device.json()) as { token: string }).token }
}

test('no byte of the file has the words once the server has ended', async (t) => {
  const env = await newFile(t)
  await withLog(t, env, async ({ log, accounts }) => {
    const session = await accounts.addGuest('Zora', 'h')
    await log.append([say(session!.user, `secret ${'x'.repeat(3_900)}`), say(bob, 'kept')])
    await log.search('lobby', 'secret', 1)
    await run(forget, env, 'Zora')
  })
  const folder = dirname(env.DATA_FILE!)
  const bytes = readdirSync(folder).map((name) => readFileSync(`${folder}/${name}`, 'latin1'))
  assert.doesNotMatch(bytes.join(), /secret|Zora/)
  assert.match(bytes.join(), /kept/)
})
