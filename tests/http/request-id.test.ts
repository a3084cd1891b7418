/** The name of a request: in the answer, and in every line that it causes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { knock } from '../conformance/raw.ts'
import { newTicket, signIn, startServer } from '../helpers.ts'
import { openApp, ORIGIN } from './app.ts'

const OURS = /^[\da-f]{16}$/
const THEIRS = '5f0e9a7c-2b54-4c7d-9d0e-0b7c3a1e8f21'

test('every answer names its request, each another', async (t) => {
  const { get, send, lines } = openApp(t)
  const answers = [
    ...[await get('/'), await get('/livez'), await get('/api/rooms'), await get('/missing.js')],
    ...[await get('/ws'), await send('POST', '/api/session', { name: 'Ann' })],
  ]
  const ids = answers.map(({ headers }) => headers.get('x-request-id') ?? '')
  for (const id of ids) assert.match(id, OURS)
  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual(
    lines.map(({ what, request }) => [what, request]),
    [
      ['request refused', ids[2]],
      ['request refused', ids[3]],
      ['request refused', ids[4]],
      ['signed in', ids[5]],
    ],
  )
})

test('what a request breaks, and what it ends, carries its name', async (t) => {
  const { hub, get, send, signIn, lines, facts } = openApp(t)
  const { bearer } = await signIn('Ann')
  hub.log.roomCount = () => Promise.reject(new Error('odd'))
  const broken = await get('/api/rooms', bearer)
  assert.equal(broken.status, 503)
  assert.deepEqual(facts, [{ request: broken.headers.get('x-request-id') }])
  const ended = await send('DELETE', '/api/session', undefined, { ...bearer, origin: ORIGIN })
  const { what, request } = lines.at(-1)!
  assert.deepEqual([what, request], ['signed out', ended.headers.get('x-request-id')])
})

test('only a proxy of ours may name a request, and only plainly', async (t) => {
  const [direct, behind] = [openApp(t), openApp(t, { env: { TRUST_PROXY: '1' } })]
  const idOf = async ({ get }: typeof direct, id: string) =>
    (await get('/livez', { 'x-request-id': id })).headers.get('x-request-id') ?? ''
  assert.match(await idOf(direct, THEIRS), OURS)
  assert.equal(await idOf(behind, THEIRS), THEIRS)
  for (const odd of ['short', 'x'.repeat(65), 'a b c d e f', 'evil"}{"level', '']) {
    assert.match(await idOf(behind, odd), OURS, odd)
  }
})

test('a refused handshake has a name on the wire', async (t) => {
  const { url } = await startServer(t)
  const refused = await knock(t, url, 'x'.repeat(43))
  assert.match(refused.header('x-request-id') ?? '', OURS)
  const { token } = await signIn(url, 'Ann')
  const good = await knock(t, url, await newTicket(url, token))
  assert.equal(good.status, 101)
})
