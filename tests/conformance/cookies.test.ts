/** Cookies reach every port of a host: two Hearths there leave each other's alone. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { backup } from '../../tools/backup.ts'
import { restore } from '../../tools/restore.ts'
import { signIn, startServer, tempFolder } from '../helpers.ts'
import { run } from '../tools/places.ts'

/** A browser with one jar for all ports of the host, as RFC 6265 8.5 has it. */
function openBrowser() {
  const jar = new Map<string, string>()
  const ask = async (url: string, method = 'GET', body?: object) => {
    const response = await fetch(`${url}/api/session`, {
      method,
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
        origin: url,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }
  const user = async (url: string) => {
    const response = await ask(url)
    if (!response.ok) return null
    return ((await response.json()) as { user: { id: string; name: string } }).user
  }
  const who = async (url: string) => (await user(url))?.name ?? null
  const comeIn = (url: string, name: string, more: object = {}) =>
    ask(url, 'POST', { name, ...more })
  return { jar, ask, user, who, comeIn }
}

/** A server with Vic in it, and one on another port that was restored from its backup. */
async function withCopy(t: TestContext) {
  const folder = tempFolder(t)
  const env = { DATA_FILE: `${folder}/first.db` }
  const copied = { DATA_FILE: `${folder}/copy.db` }
  const first = await startServer(t, { env })
  const browser = openBrowser()
  assert.equal((await browser.comeIn(first.url, 'Vic')).status, 201)
  await run(backup, env, `${folder}/backup.db`)
  await run(restore, copied, `${folder}/backup.db`)
  const copy = await startServer(t, { env: copied })
  return { first: first.url, copy: copy.url, ...browser }
}

test('two servers on one host: each has its own cookie', async (t) => {
  const [one, two] = [(await startServer(t)).url, (await startServer(t)).url]
  const { jar, ask, who, comeIn } = openBrowser()
  assert.equal((await comeIn(one, 'Vic')).status, 201)
  assert.equal(await who(two), null)
  assert.equal((await comeIn(two, 'Ann')).status, 201, 'another log’s session is no session here')
  assert.deepEqual([await who(one), await who(two)], ['Vic', 'Ann'])
  assert.equal(jar.size, 2)
  for (const name of jar.keys()) assert.match(name, /^hearth-[0-9a-f]{8}$/)
  assert.equal((await ask(two, 'DELETE')).status, 204)
  assert.deepEqual([await who(one), await who(two)], ['Vic', null])
})

test('a backup that is tried on another port: signed in there as well, out there alone', async (t) => {
  const { first, copy, ask, who, jar } = await withCopy(t)
  assert.equal(await who(copy), 'Vic')
  assert.equal(jar.size, 2, 'under a name of its own')
  assert.equal((await ask(copy, 'DELETE')).status, 204)
  assert.deepEqual([await who(copy), await who(first)], [null, 'Vic'])
})

test('… even when signing out is the first thing that is done there', async (t) => {
  const { first, copy, ask, who } = await withCopy(t)
  assert.equal((await ask(copy, 'DELETE')).status, 204)
  assert.deepEqual([await who(copy), await who(first)], [null, 'Vic'])
})

test('… and whoever becomes another there stays the same at the first', async (t) => {
  const { first, copy, ask, user, who, comeIn } = await withCopy(t)
  assert.equal((await comeIn(copy, 'Bob')).status, 409)
  const { id: replace } = (await user(copy))!
  assert.equal((await comeIn(copy, 'Bob', { replace })).status, 201)
  assert.deepEqual([await who(copy), await who(first)], ['Bob', 'Vic'])
  assert.equal((await ask(first, 'DELETE')).status, 204)
  assert.deepEqual([await who(copy), await who(first)], ['Bob', null])
})

test('nobody is signed out by the update, or by a log that was restored', async (t) => {
  const { url } = await startServer(t)
  const { token } = await signIn(url, 'Ann')
  const { token: other } = await signIn(url, 'Bob')
  for (const old of ['hearth', 'hearth-0123abcd']) {
    const { jar, who } = openBrowser()
    jar.set('theme', 'dark')
    jar.set(old, token)
    assert.equal(await who(url), 'Ann', old)
    const [own] = [...jar.keys()].filter((name) => name !== 'theme' && name !== old)
    assert.equal(jar.get(own ?? ''), token)
    jar.set(own!, other)
    assert.equal(await who(url), 'Bob', 'the own one comes first')
    jar.set(own!, 'x'.repeat(43))
    assert.equal(await who(url), null, 'also when it is over: no other comes up by itself')
  }
  for (const name of ['hearth-0123abc', 'hearth-0123ABCD', 'xhearth', '__Host-hearth']) {
    const { jar, who } = openBrowser()
    jar.set(name, token)
    assert.equal(await who(url), null, name)
  }
})

test('signing out ends what every cookie of the family names: no other comes up by itself', async (t) => {
  const { url } = await startServer(t)
  const { jar, ask, user, who, comeIn } = openBrowser()
  const account = async (name: string) => (await signIn(url, name)).token
  const planted = async () => {
    jar.set('hearth', await account('Mallory'))
    jar.set('hearth-0123abcd', await account('Eve'))
  }
  assert.equal((await comeIn(url, 'Vic')).status, 201)
  await planted()
  const { id } = (await user(url))!
  assert.equal(await who(url), 'Vic')
  assert.equal((await comeIn(url, 'Bob', { replace: id })).status, 409, 'these are not all Vic’s')
  assert.equal((await ask(url, 'DELETE')).status, 204)
  assert.equal(await who(url), null)
  for (const name of ['Vic', 'Mallory', 'Eve']) await account(name)
})

test('… and so does signing this device out in the list of devices', async (t) => {
  const { url } = await startServer(t)
  const { jar, who, comeIn } = openBrowser()
  assert.equal((await comeIn(url, 'Vic')).status, 201)
  jar.set('hearth', (await signIn(url, 'Mallory')).token)
  const headers = { cookie: [...jar].map((pair) => pair.join('=')).join('; '), origin: url }
  const devices = await (await fetch(`${url}/api/sessions`, { headers })).json()
  const [{ id }] = devices as [{ id: string }]
  const gone = await fetch(`${url}/api/sessions/${id}`, { method: 'DELETE', headers })
  assert.equal(gone.status, 204)
  for (const line of gone.headers.getSetCookie()) jar.delete(line.split('=')[0]!)
  assert.equal(await who(url), null)
})

test('at most four others are looked up, the newest', async (t) => {
  const { url } = await startServer(t)
  const { token } = await signIn(url, 'Ann')
  const withOthers = (before: number, after: number) => {
    const { jar, who } = openBrowser()
    for (let n = 0; n < before; n++) jar.set(`hearth-0000000${n}`, 'x'.repeat(43))
    jar.set('hearth', token)
    for (let n = 0; n < after; n++) jar.set(`hearth-1000000${n}`, 'x'.repeat(43))
    return who(url)
  }
  assert.deepEqual([await withOthers(9, 3), await withOthers(0, 4)], ['Ann', null])
})
