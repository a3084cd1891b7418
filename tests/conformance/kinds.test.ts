/** What somebody is, told wherever their name is: an admin, vouched for, or a guest. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { connect, newcomer, signIn, startServer } from '../helpers.ts'
import { startPostgres } from '../postgres.ts'

const ADMIN_TOKEN = 'correct horse'

/** An admin speaks on one node, a guest hears of it on the other and reads it on both. */
async function told(t: TestContext, env: Record<string, string>, nodes: number) {
  const servers = []
  for (let n = 0; n < nodes; n += 1) {
    servers.push(await startServer(t, { env: { ...env, ADMIN_TOKEN } }))
  }
  const [one, two] = [servers[0]!.url, servers.at(-1)!.url]
  const account = await signIn(one, 'Root', { admin: ADMIN_TOKEN })
  const user = { id: account.user.id, name: 'Root', kind: 'admin' } as const
  assert.deepEqual(account.user, user)
  const ann = await newcomer(t, two, 'Ann')
  assert.deepEqual(Object.keys(ann.account.user), ['id', 'name'], 'guests have none')
  await ann.join('lobby')
  const root = await connect(t, one, account)
  await root.join('lobby')
  const came = await ann.next('presence', ({ joined = [] }) =>
    joined.some(({ id }) => id === user.id),
  )
  assert.deepEqual(
    came.joined?.find(({ id }) => id === user.id),
    user,
  )
  root.send({ type: 'typing', room: 'lobby' })
  assert.deepEqual((await ann.next('typing')).user, user)
  const id = crypto.randomUUID()
  await root.say('lobby', 'signed', { id })
  assert.deepEqual((await ann.next('message')).author, user)
  root.send({ type: 'say', room: 'lobby', id, body: 'signed' })
  assert.deepEqual((await root.next('message', ({ repeat }) => repeat === true)).author, user)
  const headers = { authorization: `Bearer ${ann.account.token}` }
  for (const url of [one, two]) {
    for (const path of ['messages', 'messages?after=0', 'search?q=signed']) {
      const answer = await fetch(`${url}/api/rooms/lobby/${path}`, { headers })
      const { messages } = (await answer.json()) as { messages: { author: unknown }[] }
      assert.deepEqual(
        messages.map(({ author }) => author),
        [user],
        path,
      )
    }
  }
  const late = await newcomer(t, two, 'Late')
  const { joined, page } = await late.join('lobby')
  assert.deepEqual(
    joined.members?.find((member) => member.id === user.id),
    user,
  )
  assert.deepEqual(page?.messages[0]?.author, user)
  const back = await newcomer(t, two, 'Back')
  back.send({ type: 'join', room: 'lobby', after: 0, epoch: joined.epoch })
  assert.deepEqual((await back.next('message')).author, user)
}

test('an admin is told from a guest, live, replayed, paged and found', async (t) => {
  await told(t, {}, 1)
})

test('and on the other nodes of a log', async (t) => {
  const server = await startPostgres(t)
  await told(t, { DATABASE_URL: await server.newDatabase() }, 2)
})
