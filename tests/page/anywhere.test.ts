/** The page's client without a page, against a real server. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { WebSocket } from 'ws'
import { createApi } from '../../static/api.js'
import { Client } from '../../static/client.js'
import { signIn, startServer } from '../helpers.ts'

/** A client that is signed in, in the lobby, and stopped after the test. */
async function enter(t: TestContext, url: string, name: string) {
  const { user, token } = await signIn(url, name)
  const waiting = new Set<() => void>()
  const client = new Client({
    user,
    api: createApi({ base: url, token }),
    url: `${url.replace('http', 'ws')}/ws`,
    // Of ws we use what it has in common with the browser's.
    WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
    onChange: () => waiting.forEach((look) => look()),
  })
  t.after(() => client.stop())
  const room = client.open('lobby')
  client.start()
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  await until(() => room.live)
  return { client, room, until }
}

test('two clients in a program talk, and know what they have not read', async (t) => {
  const { url } = await startServer(t)
  const ada = await enter(t, url, 'Ada')
  const grace = await enter(t, url, 'Grace')
  await ada.until(() => ada.room.members?.length === 2)
  for (const n of [1, 2, 3]) assert.equal(ada.client.say('lobby', `No. ${n}`), undefined)
  await grace.until(() => grace.room.timeline.position === 3)
  await ada.until(() => ada.client.outbox.of('lobby').length === 0)
  assert.deepEqual(
    grace.room.timeline.items.map((item) => item.body),
    ['No. 1', 'No. 2', 'No. 3'],
  )
  assert.equal(grace.room.unread, 3)
  assert.equal(ada.room.unread, 0)
  grace.room.markRead()
  assert.equal(grace.room.unread, 0)
  assert.match(ada.client.say('lobby', 'x'.repeat(4001)) ?? '', /at most 4000 characters/)
})

test('api: failures are values, with the code and the delay of the server', async (t) => {
  const { url } = await startServer(t, { env: { SESSION_RATE: '1' } })
  const { token } = await signIn(url, 'Ada')
  const api = createApi({ base: url, token })
  assert.equal((await api.session()).value?.user.name, 'Ada')
  assert.equal((await createApi({ base: url }).session()).failure?.code, 'unauthorized')
  const { failure } = await api.signIn({ name: 'Grace' })
  assert.equal(failure?.code, 'rate_limited')
  assert.ok((failure?.retryAfterMs ?? 0) > 0)
  assert.equal((await api.link()).value?.link.length, 43)
  assert.deepEqual(await api.signOut(), { value: undefined })
  assert.equal((await api.rooms()).failure?.status, 401)
  assert.equal((await createApi({ base: 'http://127.0.0.1:1' }).rooms()).failure?.code, 'offline')
})

test('api: a private room, from its making to the end of an invitation', async (t) => {
  const { url } = await startServer(t, { env: { ACCESS_CODE: 'sesame' } })
  const { failure: nobody } = await createApi({ base: url }).session()
  assert.deepEqual(nobody, { status: 401, code: 'unauthorized', needs: 'code' })
  const come = async (name: string) => {
    const { user, token } = await signIn(url, name, { code: 'sesame' })
    return { user, ...createApi({ base: url, token }) }
  }
  const [ada, grace] = [await come('Ada'), await come('Grace')]
  const { value: made } = await ada.createRoom('vault')
  assert.deepEqual([made?.owner, made?.private], [true, true])
  assert.equal((await ada.createRoom('vault')).failure?.code, 'conflict')
  assert.equal((await grace.invite('vault')).failure?.code, 'forbidden')
  const { value: first } = await ada.invite('vault')
  assert.ok(Date.parse(first?.expiresAt ?? '') > Date.now())
  assert.deepEqual(await grace.accept('vault', first?.invite ?? ''), { value: undefined })
  assert.deepEqual(await ada.removeMember('vault', grace.user.id), { value: undefined })
  const { value: second } = await ada.invite('vault')
  assert.deepEqual(await ada.revokeInvites('vault'), { value: { ended: 1, members: 1 } })
  assert.equal((await grace.accept('vault', second?.invite ?? '')).failure?.code, 'forbidden')
})
