/** Retention: what is old goes from the beginning of a room, and everything else stays right. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import { LogEntries, LogPage, parseEvents } from '../../static/protocol.js'
import { retain } from '../../tools/retain.ts'
import { connect, newcomer, post, signIn, startServer } from '../helpers.ts'
import { ann, bob, edit, erase, react, say, tell } from '../store/drafts.ts'
import { startTool } from '../tool.ts'
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

const OLD = ['--days', '30']

async function staysRight(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  const old = say(ann, 'apple old')
  await withLog(t, env, async ({ log, accounts }) => {
    const session = await accounts.addGuest('Cid', 'h')
    const { id } = session!.user
    await log.enter('lobby', id, 'h')
    await log.append([old, say(bob, 'apple older'), say(bob, 'apple gone')])
    await log.append([erase(bob, 3), say(ann, 'apple kept'), edit(ann, 4, 'x')])
    await log.append([say(bob, 'apple new', { replyTo: 1 }), react(bob, 1), react(ann, 5)])
    await log.append([edit(ann, 1, 'apple edited'), say(ann, 'elsewhere', { room: 'garden' })])
    await log.saveReads([{ room: 'lobby', user: id, seq: 1 }])
    await log.search('lobby', 'apple', 9)
    await age(env, 'lobby', 4)
    const { text } = await run(retain, env, ...OLD, '--room', 'lobby')
    assert.equal(text, 'lobby: 4 entries dropped\n')

    const { head, floor, lastId } = await log.enter('lobby', id, 'h', 2)
    assert.deepEqual([head, floor, lastId], [9, 4, null])
    assert.deepEqual(seqsOf(await log.after('lobby', 0, 99)), [5, 6, 7, 8, 9])
    const page = await log.page('lobby', 99)
    assert.deepEqual([seqsOf(page.messages), page.more, page.head], [[5, 6], false, 9])
    assert.equal(page.messages[0]?.reactions.length, 1)
    assert.equal(page.messages[1]?.replyTo, 1)
    assert.deepEqual(seqsOf((await log.search('lobby', 'apple', 9)).messages), [5, 6])
    const [summary] = await log.rooms(id)
    assert.deepEqual([summary?.head, summary?.read, summary?.unread], [9, 1, 2])
    const refused = [edit(ann, 1), erase(ann, 1), react(bob, 1), say(ann, 'x', { replyTo: 2 })]
    assert.deepEqual(
      tell(await log.append(refused)),
      refused.map(() => 'not_found'),
    )
    // What was dropped is not known any more: said in docs/data.md.
    assert.deepEqual(tell(await log.append([say(ann), old])), [10, 11])
    assert.deepEqual(await log.compare([{ room: 'lobby', seq: 2 }]), [
      { room: 'lobby', head: 11, id: null, owner: null },
    ])
  })
  assert.deepEqual(await faults(env), [])
  const words = await beside(env, ({ query }) => {
    const file = 'SELECT rowid & 1099511627775 AS seq FROM words ORDER BY seq'
    const text = env.DATABASE_URL ? 'SELECT seq FROM words WHERE room = $1 ORDER BY seq' : file
    return query<{ seq: number }>(text, env.DATABASE_URL ? ['lobby'] : [])
  })
  assert.ok(words.every(({ seq }) => seq > 4 || (!env.DATABASE_URL && seq === 1)))
}

const seqsOf = (entries: readonly { seq: number }[]) => entries.map(({ seq }) => seq)

async function theNewestStays(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  await withLog(t, env, async ({ log }) => {
    await log.append(Array.from({ length: 450 }, (_, n) => say(ann, `${n}`)))
    await age(env, 'lobby', 450)
    await run(retain, env, ...OLD, '--all')
    assert.deepEqual(seqsOf(await log.after('lobby', 0, 9)), [450])
    const { text } = await run(retain, env, ...OLD, '--all')
    assert.equal(text, 'lobby: 0 entries dropped\n')
    // An old one behind a new one stays: the numbers have no holes.
    await log.append([say(ann, 'new'), say(ann, 'old')])
    await beside(env, ({ query }) =>
      query("UPDATE messages SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 452"),
    )
    await log.append([say(ann, 'newest')])
    await run(retain, env, ...OLD, '--all')
    assert.deepEqual(seqsOf(await log.after('lobby', 0, 9)), [451, 452, 453])
  })
  assert.deepEqual(await faults(env), [])
}

async function besideServer(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  const { url } = await startServer(t, { env })
  const here = await newcomer(t, url, 'Here')
  const away = await newcomer(t, url, 'Away')
  for (const client of [here, away]) await client.join('lobby')
  const said: { id: string }[] = []
  for (let n = 1; n <= 10; n += 1) said.push(await here.say('lobby', `word ${n}`))
  await away.until(() => away.all('message').length === 10)
  away.cut()
  await age(env, 'lobby', 8)
  const [{ text }] = await Promise.all([
    run(retain, env, ...OLD, '--all'),
    here.say('lobby', 'meanwhile'),
  ])
  assert.equal(text, 'lobby: 8 entries dropped\n')
  assert.equal((await here.say('lobby', 'then')).seq, 12)
  assert.deepEqual(
    here.all('message').map(({ seq }) => seq),
    Array.from({ length: 12 }, (_, n) => n + 1),
  )
  const back = await connect(t, url, away.account)
  const at = (seq: number) => ({ after: seq, last: said[seq - 1]!.id })
  const { joined, page } = await back.join('lobby', at(5))
  assert.deepEqual([joined.reset, page?.messages.map(({ seq }) => seq)], [true, [9, 10, 11, 12]])
  assert.equal(page?.more, false)
  assert.equal((await back.join('lobby', at(9))).joined.reset, false)
  await back.until(() => back.all('message').length === 3)
  assert.deepEqual(await faults(env), [])
}

async function overHttp(t: TestContext, newPlace: NewPlace) {
  const env = await newPlace(t)
  const { url } = await startServer(t, { env })
  const { token } = await signIn(url, 'Curl')
  const room = `${url}/api/rooms/lobby`
  const ask = (path: string, more = {}) =>
    fetch(`${room}/${path}`, { headers: { authorization: `Bearer ${token}`, ...more } })
  const read = async (query: string) =>
    v.parse(LogEntries, await (await ask(`messages?${query}`)).json())
  for (let n = 1; n <= 10; n += 1) await post(`${room}/messages`, { body: `word ${n}` }, token)
  assert.equal((await read('after=0')).floor, 0)
  await age(env, 'lobby', 6)
  await run(retain, env, ...OLD, '--all')

  const { floor, head, messages, more } = await read('after=0')
  assert.deepEqual([floor, head, more, seqsOf(messages)], [6, 10, false, [7, 8, 9, 10]])
  assert.deepEqual(seqsOf((await read('after=2&limit=2')).messages), [7, 8])
  assert.deepEqual(seqsOf((await read('after=6&limit=1')).messages), [7])
  const page = v.parse(LogPage, await (await ask('messages')).json())
  assert.deepEqual([page.floor, page.more, seqsOf(page.messages)], [6, false, [7, 8, 9, 10]])

  const below = await eventsOf(t, await ask('events', { 'last-event-id': '5' }), 2)
  const [joined, history] = below
  assert.ok(joined?.type === 'joined' && history?.type === 'history')
  assert.deepEqual([joined.reset, joined.from, history.head], [true, 11, 10])
  assert.deepEqual(seqsOf(history.messages), [7, 8, 9, 10])
  const [resumed, ...rest] = await eventsOf(t, await ask('events', { 'last-event-id': '6' }), 5)
  assert.ok(resumed?.type === 'joined' && !resumed.reset)
  assert.deepEqual(
    rest.map((event) => event.type === 'message' && event.seq),
    [7, 8, 9, 10],
  )
}

/** The first events of a stream, which is let go behind them. */
async function eventsOf(t: TestContext, { status, body }: Response, count: number) {
  assert.equal(status, 200)
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
  t.after(() => reader.cancel())
  for (let text = ''; ;) {
    const data = text.match(/^data: .*(?=\n\n)/gm) ?? []
    if (data.length >= count) {
      return parseEvents(`[${data.map((line) => line.slice('data: '.length)).join()}]`)
    }
    const { value, done } = await reader.read()
    assert.ok(!done, text)
    text += value
  }
}

void test('retention', (t) =>
  onBoth(t, [
    ['pages, searches, counts, targets and repeats', staysRight],
    ['the newest entry stays, and whatever is behind one that is not old', theNewestStays],
    ['people who are here notice nothing, who is behind starts afresh', besideServer],
    ['over HTTP the floor is told, and a stream from below it starts afresh', overHttp],
  ]))

test('how it must be asked', async (t) => {
  const env = await newFile(t)
  await withLog(t, env, ({ log }) => log.append([say(ann)]))
  const ENDLESS = ['--days', '1e99', '--all']
  for (const args of [
    [],
    ['--all'],
    ['--days', '0', '--all'],
    ['--days', 'x', '--all'],
    OLD,
    ENDLESS,
  ]) {
    await assertRefused(run(retain, env, ...args))
  }
  await assertRefused(run(retain, env, ...OLD, '--all', '--room', 'lobby'), '--room')
  await assertRefused(run(retain, env, ...OLD, '--room', 'cellar'), 'cellar')
})

test('killed in the middle, the floor says what is gone', async (t) => {
  const env = await newFile(t)
  await withLog(t, env, async ({ log }) => {
    for (let n = 0; n < 4; n += 1) {
      await log.append(Array.from({ length: 500 }, () => say(ann, 'some words')))
    }
    await log.search('lobby', 'words', 1)
  })
  await age(env, 'lobby', 2_000)
  const tool = startTool(t, env, ['retain', ...OLD, '--all'])
  const floor = () =>
    beside(env, async ({ query }) => {
      const [room] = await query<{ floor: number }>('SELECT floor FROM rooms')
      return room!.floor
    })
  while ((await floor()) < 400) await new Promise((resolve) => setImmediate(resolve))
  tool.kill('SIGKILL')
  await tool.end
  const reached = await floor()
  assert.ok(reached < 1_999, `${reached}`)
  assert.deepEqual(await faults(env), [])
  await run(retain, env, ...OLD, '--all')
  assert.equal(await floor(), 1_999)
  assert.deepEqual(await faults(env), [])
})
