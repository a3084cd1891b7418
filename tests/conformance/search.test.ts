/** Searching a room over HTTP: what is found, by whom, and what is refused. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import {
  GENEROUS,
  newcomer,
  post,
  signIn,
  startServer,
  tempFolder,
  type Account,
  type ServerOptions,
} from '../helpers.ts'

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const { url } = await startServer(t, { limits: GENEROUS, ...options })
  const ask = (account: Account | null, path: string) =>
    fetch(`${url}/api/rooms/${path}`, {
      headers: account ? { authorization: `Bearer ${account.token}` } : {},
    })
  const find = async (account: Account, path: string) => {
    const response = await ask(account, path)
    assert.equal(response.status, 200, path)
    return v.parse(protocol.LogPage, await response.json())
  }
  const refusal = async (account: Account | null, path: string) => {
    const response = await ask(account, path)
    assert.equal(response.headers.get('content-type'), 'application/problem+json')
    const { code, retryAfterMs } = v.parse(protocol.Problem, await response.json())
    return { code: `${response.status} ${code}`, retryAfterMs, headers: response.headers }
  }
  return { url, find, refusal }
}

test('a search finds what was said, as it reads now, in pages', async (t) => {
  const { url, find } = await setUp(t, { env: { DATA_FILE: `${tempFolder(t)}/hearth.db` } })
  const ann = await newcomer(t, url, 'Ann')
  const eve = await signIn(url, 'Eve')
  const { joined } = await ann.join('lobby')
  for (const body of ['Fire and flame', 'no smoke', 'fireplace', 'FIRE!']) {
    await ann.say('lobby', body)
  }
  const change = { room: 'lobby', id: crypto.randomUUID() }
  ann.send({ ...change, type: 'edit', target: 2, body: 'no fire' })
  ann.send({ ...change, type: 'delete', target: 4, id: crypto.randomUUID() })
  await ann.until(() => ann.all('message').length === 6)
  const seqs = async (query: string) => {
    const { room, epoch, head, messages, more } = await find(eve, `lobby/search?${query}`)
    assert.deepEqual([room, epoch, head], ['lobby', joined.epoch, 6])
    return [messages.map(({ seq }) => seq).join(' '), more]
  }
  assert.deepEqual(await seqs('q=fire'), ['1 2 3', false])
  assert.deepEqual(await seqs('q=fire&limit=2'), ['2 3', true])
  assert.deepEqual(await seqs('q=fire&limit=2&before=2'), ['1', false])
  assert.deepEqual(await seqs('q=smoke'), ['', false])
  assert.deepEqual(await seqs(`q=${encodeURIComponent('"and flame" FIRE')}`), ['1', false])
  assert.deepEqual(await seqs('q=%F0%9F%98%80'), ['', false])
  const [edited] = (await find(eve, 'lobby/search?q=no')).messages
  assert.deepEqual([edited?.body, typeof edited?.editedAt], ['no fire', 'string'])
  const nowhere = await find(eve, 'nowhere/search?q=fire')
  assert.deepEqual([nowhere.head, nowhere.messages, nowhere.more], [0, [], false])
  const rooms = await fetch(`${url}/api/rooms`, {
    headers: { authorization: `Bearer ${eve.token}` },
  })
  assert.deepEqual(await rooms.json(), [], 'who searches is no member')
})

test('who may not search, and what is no search', async (t) => {
  const { url, find, refusal } = await setUp(t)
  const [ann, eve] = [await newcomer(t, url, 'Ann'), await signIn(url, 'Eve')]
  await post(`${url}/api/rooms`, { room: 'den' }, ann.account.token)
  await ann.join('den')
  await ann.say('den', 'between us')
  assert.equal((await find(ann.account, 'den/search?q=between')).messages.length, 1)
  const code = async (account: Account | null, path: string) => (await refusal(account, path)).code
  assert.equal(await code(eve, 'den/search?q=between'), '403 forbidden')
  assert.equal(await code(null, 'den/search?q=between'), '401 unauthorized')
  const long = 'é'.repeat(200)
  await find(eve, `lobby/search?q=${encodeURIComponent(`${long}`)}`)
  for (const query of [
    ...['', 'q=', `q=${encodeURIComponent(long)}x`, 'query=x', 'q=x&limit=0', 'q=x&limit=101'],
    ...['q=x&limit=1.5', 'q=x&limit=', 'q=x&limit=ten', 'q=x&before=-1', 'q=x&before=x'],
    ...['q=x&before=9007199254740992', 'q=x&before=1e3'],
  ]) {
    assert.equal(await code(eve, `lobby/search?${query}`), '400 invalid', query)
  }
  assert.equal(await code(eve, 'No.Room/search?q=x'), '400 invalid')
})

test('a search counts as a read', async (t) => {
  const { url, find, refusal } = await setUp(t, { limits: { readBurst: 2, readRate: 0.001 } })
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  await find(ann.account, 'lobby/search?q=x')
  const { code, retryAfterMs, headers } = await refusal(ann.account, 'lobby/search?q=x')
  assert.equal(code, '429 rate_limited')
  assert.equal(headers.get('retry-after'), String(Math.ceil(retryAfterMs! / 1000)))
  ann.send({ type: 'history', room: 'lobby' })
  assert.equal((await ann.next('error')).code, 'rate_limited')
})
