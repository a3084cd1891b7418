/** What the operator reads: a line for every event and refusal, and no secret in any of them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configure, getLogger, reset, type LogRecord } from '@logtape/logtape'
import { createJournal, withFacts } from '../src/journal.ts'
import { LogUnavailable } from '../src/store/log.ts'
import { knock } from './conformance/raw.ts'
import { connect, newcomer, newTicket, post, signIn, TestClock } from './helpers.ts'
import { startProcess } from './process.ts'

const TOKEN = 'Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE'

interface Line {
  '@timestamp': string
  level: string
  message: string
  properties: Record<string, unknown>
}

/** A journal whose lines are kept, at a clock that stands still. */
async function openJournal() {
  const records: LogRecord[] = []
  await configure({
    sinks: { memory: (record) => void records.push(record) },
    loggers: [
      { category: 'journal', lowestLevel: 'debug', sinks: ['memory'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['memory'] },
    ],
    reset: true,
  })
  const clock = new TestClock()
  const journal = createJournal(getLogger('journal'), clock)
  const lines = () =>
    records.map(({ rawMessage, properties }) => ({ what: String(rawMessage), ...properties }))
  return { journal, clock, lines }
}

test('a flood of refusals is counted and not written, for each address', async (t) => {
  const { journal, clock, lines } = await openJournal()
  t.after(reset)
  const refuse = (address: string) =>
    journal.refusal('request', { code: 'unauthorized', reason: undefined, address })
  for (let n = 0; n < 1_000; n += 1) refuse('192.0.2.1')
  assert.equal(lines().length, 60)
  refuse('192.0.2.2')
  assert.deepEqual(lines().at(-1), {
    ...{ what: 'request refused', code: 'unauthorized', address: '192.0.2.2', unsaid: 940 },
  })
  await clock.advance(1_000)
  refuse('192.0.2.1')
  assert.deepEqual(lines().at(-1), {
    ...{ what: 'request refused', code: 'unauthorized', address: '192.0.2.1' },
  })
})

test('refusals from ever new addresses are bounded together', async (t) => {
  const { journal, clock, lines } = await openJournal()
  t.after(reset)
  const refuse = (n: number) => {
    const address = `2001:db8:0:${n.toString(16)}::`
    journal.refusal('request', { code: 'rate_limited', reason: undefined, address })
  }
  for (let n = 0; n < 3_000; n += 1) refuse(n)
  assert.equal(lines().length, 1_000)
  await clock.advance(1_000)
  for (let n = 3_000; n < 6_000; n += 1) refuse(n)
  assert.equal(lines().length, 1_020)
  assert.deepEqual(lines()[1_000], {
    ...{ what: 'request refused', code: 'rate_limited', address: '2001:db8:0:bb8::' },
    unsaid: 2_000,
  })
})

test('sockets that come and go faster than lines can be read are counted', async (t) => {
  const { journal, clock, lines } = await openJournal()
  t.after(reset)
  for (let n = 0; n < 21_000; n += 1) journal.event(n % 2 ? 'closed' : 'opened', { user: `${n}` })
  assert.equal(lines().length, 20_000)
  await clock.advance(1_000)
  journal.event('opened', { user: 'next' })
  assert.deepEqual(lines().at(-1), { what: 'opened', user: 'next', unsaid: 1_000 })
})

test('connections that are refused are one line in ten seconds, whosever they are', async (t) => {
  const { journal, clock, lines } = await openJournal()
  t.after(reset)
  const refuse = (address: string) =>
    journal.refusal('connection', { code: 'too_many', reason: undefined, address })
  for (let n = 0; n < 1_000; n += 1) refuse(`192.0.2.${n % 200}`)
  assert.equal(lines().length, 1)
  journal.refusal('request', { code: 'unauthorized', reason: undefined, address: '192.0.2.1' })
  assert.equal(lines().length, 2, 'refused requests have lines of their own')
  await clock.advance(10_000)
  refuse('192.0.2.7')
  assert.deepEqual(lines().at(-1), {
    ...{ what: 'connection refused', code: 'too_many', address: '192.0.2.7', unsaid: 999 },
  })
})

test('what strangers send is cut, and shows nothing that could be a secret', async (t) => {
  const { journal, lines } = await openJournal()
  t.after(reset)
  const reason = 'none'
  const path = `/r/${TOKEN}/${'x'.repeat(30)} ${'y '.repeat(999)}`
  journal.refusal('handshake', { code: 'not_found', reason, address: '::1', path })
  const [line] = lines()
  assert.ok(!JSON.stringify(line).includes(TOKEN.slice(0, 20)), JSON.stringify(line))
  assert.equal(String((line as unknown as { path: string }).path).length, 120)
  // A proxy of ours may give a request a long name.
  withFacts(journal, { request: TOKEN }).event('signed in', { user: TOKEN })
  assert.deepEqual(lines()[1], { what: 'signed in', request: TOKEN, user: '…' })
})

test('a log that does not answer is said every ten seconds, anything else each time', async (t) => {
  const { journal, clock, lines } = await openJournal()
  t.after(reset)
  for (let n = 0; n < 5; n += 1) journal.fault(new LogUnavailable('gone'))
  await clock.advance(10_000)
  journal.fault(new LogUnavailable('gone'))
  for (let n = 0; n < 2; n += 1) journal.fault(new Error('odd'))
  assert.deepEqual(
    lines().map(({ what }) => what),
    ['the log does not answer', 'the log does not answer', 'fault', 'fault'],
  )
  assert.equal((lines()[1] as unknown as { times: number }).times, 5)
})

test('the end of an outage is said once nobody complains any more, with how long it was', async (t) => {
  const { journal, clock, lines } = await openJournal()
  t.after(reset)
  journal.answer()
  for (let n = 0; n < 3; n += 1) {
    journal.fault(new LogUnavailable('the disk is full'))
    await clock.advance(2_000)
    journal.answer()
  }
  await clock.advance(10_000)
  journal.answer()
  journal.answer()
  const said = lines().map(({ what, ...facts }) => [what, (facts as { goneMs?: number }).goneMs])
  assert.deepEqual(said, [
    ['the log does not answer', undefined],
    ['the log answers again', 4_000],
  ])
  journal.fault(new LogUnavailable('again'))
  assert.equal(lines().length, 3, 'another outage is said at once')
})

test('of a real server every line is JSON, every refusal has one, and no secret is in any', async (t) => {
  const env = { PORT: '0', DATA_FILE: ':memory:', ADMIN_TOKEN: 'correct-horse-battery' }
  const METRICS_TOKEN = 'what-prometheus-says'
  const server = startProcess(t, { ...env, METRICS_TOKEN })
  const url = await server.url()
  const secrets = [env.ADMIN_TOKEN, METRICS_TOKEN, 'a word between friends', 'wrong-admin-token']

  const name = 'Ann level FATAL'
  const ann = await newcomer(t, url, name)
  const root = await signIn(url, 'Root', { admin: env.ADMIN_TOKEN })
  const ticket = await newTicket(url, ann.account.token)
  secrets.push(ann.account.token, root.token, ticket, name)
  await ann.join('lobby')
  await ann.say('lobby', 'a word between friends')

  await post(`${url}/api/rooms`, { room: 'vault' }, root.token)
  const made = await post(`${url}/api/rooms/vault/invites`, {}, root.token)
  const { invite } = (await made.json()) as { invite: string }
  secrets.push(invite)
  await post(`${url}/api/rooms/vault/members`, { invite }, ann.account.token)

  await post(`${url}/api/session`, { name: 'Eve', admin: 'wrong-admin-token' })
  await post(`${url}/api/session`, { name: { a: 'a word between friends' } })
  await post(`${url}/api/rooms`, { room: 'den' }, TOKEN)
  await fetch(`${url}/api/session?token=${TOKEN}`, { headers: { cookie: `hearth=${TOKEN}` } })
  await fetch(`${url}/${TOKEN}.js`)
  for (const authorization of [`Bearer ${METRICS_TOKEN}`, `Bearer ${TOKEN}`]) {
    await (await fetch(`${url}/metrics`, { headers: { authorization } })).body?.cancel()
  }
  await knock(t, url, TOKEN)
  await knock(t, url, ticket, { Origin: 'https://evil.example' })
  await knock(t, url, ticket, {}, { target: `/ws/${ticket}` })
  await knock(t, url, ticket, { Host: 'a@b' })
  await knock(t, url, ticket, { Host: 'a@b', Upgrade: null }, { target: '/' })
  ann.send({ type: 'say', room: 'den', id: crypto.randomUUID(), body: 'a word between friends' })
  ann.send({ type: 'react', room: 'lobby', id: 1, target: 1, emoji: 'a word between friends' })
  ann.send({ type: 'a word between friends' })
  ann.send({ type: 'renew', ticket: TOKEN })
  await ann.settle()
  const other = await connect(t, url, ann.account)
  await fetch(`${url}/api/users/${ann.account.user.id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${root.token}` },
  })
  assert.deepEqual([await ann.closeCode(), await other.closeCode()], [4503, 4503])
  server.kill('SIGTERM')
  await server.ended()

  const text = `${server.output.stdout}${server.output.stderr}`
  for (const secret of [...secrets, TOKEN])
    assert.ok(!text.includes(secret), `${secret} in ${text}`)
  assert.doesNotMatch(text, /\bat .*\.ts:\d+|SELECT |INSERT /)
  const lines = server.output.stdout
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('Hearth is at'))
    .map((line) => JSON.parse(line) as Line)
  const said = lines.map(({ message, properties: { code = '' } }) => `${message} ${code}`.trim())
  const expected = [
    ...['signed in', 'signed in', 'request refused forbidden', 'request refused invalid'],
    ...['request refused unauthorized', 'request refused unauthorized'],
    ...['request refused not_found', 'handshake refused unauthorized'],
    'request refused unauthorized',
    ...['handshake refused forbidden', 'handshake refused not_found', 'frame refused not_joined'],
    ...['request refused invalid', 'request refused invalid'],
    ...['frame refused invalid_frame', 'frame refused unknown_type', 'frame refused unauthorized'],
    ...['frame refused unknown_type', 'closed 4503', 'closed 4503', 'banned'],
    ...['opened', 'opened', 'admitted'],
  ]
  assert.deepEqual(said.sort(), expected.sort())
  for (const { level, properties, message } of lines) {
    assert.equal(level, 'INFO')
    if (message.endsWith('refused')) assert.equal(properties.address, '127.0.0.1')
    if (message.startsWith('frame')) assert.equal(properties.user, ann.account.user.id)
    const isOfSocket = /^(frame|opened|closed)/.test(message)
    // A head that can be read in two ways is refused before there is a request.
    const hasNoName = String(properties.reason).includes('its head')
    const name = isOfSocket ? properties.connection : properties.request
    if (!hasNoName) assert.match(String(name), /^[\da-f]{16}$/, message)
  }
})
