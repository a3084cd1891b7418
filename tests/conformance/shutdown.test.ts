import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  connect,
  GENEROUS,
  holdAppends,
  newcomer,
  newTicket,
  startServer,
  tempFolder,
  type Client,
} from '../helpers.ts'
import { knock } from './raw.ts'

async function fileServer(t: TestContext) {
  const env = { DATA_FILE: `${tempFolder(t)}/hearth.db` }
  return { ...(await startServer(t, { env, limits: GENEROUS })), env }
}

function saySome(client: Client, count: number) {
  return Array.from({ length: count }, (_, index) => {
    const id = crypto.randomUUID()
    client.send({ type: 'say', room: 'lobby', id, body: `${index}` })
    return id
  })
}

test('everybody is told goodbye, and when to come back', async (t) => {
  const { url, close } = await fileServer(t)
  const names = ['Ann', 'Bob', 'Cy']
  const clients = await Promise.all(names.map((name) => newcomer(t, url, name)))
  for (const client of clients) await client.join('lobby')
  const started = performance.now()
  await close()
  assert.ok(performance.now() - started < 3_000)
  for (const client of clients) {
    assert.equal(await client.closeCode(), 4000)
    const bye = client.events.at(-1)
    assert.ok(bye?.type === 'bye' && bye.code === 4000)
    assert.ok(bye.retryAfterMs >= 0 && bye.retryAfterMs <= 3 * 5)
  }
  await close()
  await assert.rejects(fetch(url))
})

test('what was received is answered, and what was acknowledged is in the log', async (t) => {
  const { url, close, env } = await fileServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const bob = await newcomer(t, url, 'Bob')
  await ann.join('lobby')
  await bob.join('lobby')
  const ids = saySome(ann, 100)
  await ann.settle()
  const late = saySome(ann, 100)
  await close()
  assert.equal(await ann.closeCode(), 4000)
  await bob.closeCode()
  const acknowledged = ann.all('message').map(({ id }) => id)
  const refused = ann.all('error').flatMap(({ code, id }) => (code === 'unavailable' ? [id] : []))
  assert.deepEqual(acknowledged.slice(0, 100), ids)
  assert.deepEqual(
    bob.all('message').map(({ id }) => id),
    acknowledged,
  )
  assert.ok(late.every((id) => !(acknowledged.includes(id) && refused.includes(id))))

  const again = await startServer(t, { env, limits: GENEROUS })
  const back = await connect(t, again.url, ann.account)
  const { joined } = await back.join('lobby', { after: 0 })
  await back.until(() => back.all('message').length === joined.head)
  assert.deepEqual(
    back.all('message').map(({ id }) => id),
    acknowledged,
  )
  for (const id of late) {
    const index = late.indexOf(id)
    back.send({ type: 'say', room: 'lobby', id, body: `${index}` })
  }
  await back.until(() => new Set(back.all('message').map(({ id }) => id)).size === 200)
})

test('while draining nothing new begins, and everything gets an answer', async (t) => {
  const { url, hub, close } = await fileServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const ticket = await newTicket(url, ann.account.token)
  const release = holdAppends(hub.log)
  const [first] = saySome(ann, 1)
  await ann.settle()
  const closing = close()
  const raw = await knock(t, url, ticket)
  assert.deepEqual([raw.status, Number(raw.header('retry-after')) > 0], [503, true])
  const [second] = saySome(ann, 1)
  const { code, of, id, retryAfterMs } = await ann.next('error', (error) => error.of === 'say')
  assert.deepEqual([code, of, id, retryAfterMs], ['unavailable', 'say', second, 1_000])
  assert.equal(ann.closed, null)
  release()
  assert.equal((await ann.next('message')).id, first)
  assert.equal((await ann.next('bye')).code, 4000)
  await closing
})

test('a joined client that is in the middle of a page still gets it', async (t) => {
  const { url, close } = await fileServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  saySome(ann, 50)
  for (let times = 0; times < 10; times += 1) {
    ann.send({ type: 'history', room: 'lobby', limit: 100 })
  }
  ann.send({ type: 'leave', room: 'lobby' })
  await ann.settle()
  await close()
  await ann.closeCode()
  assert.equal(ann.all('history').length, 11)
})

test('a silent half-open peer does not hold up the end', async (t) => {
  const { url, close } = await fileServer(t)
  const ann = await newcomer(t, url, 'Ann')
  const raw = await knock(t, url, await newTicket(url, ann.account.token))
  raw.socket.pause()
  const half = await knock(t, url, 'x', { Connection: 'keep-alive', Upgrade: null })
  half.socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n')
  const started = performance.now()
  await close()
  assert.ok(performance.now() - started < 5_000)
})
