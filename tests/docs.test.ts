/** What the documents tell people to type does what they say. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { test } from 'node:test'
import { promisify } from 'node:util'
import * as jose from 'jose'
import { WebSocket } from 'ws'
import { newcomer, newTicket, post, signIn, startServer } from './helpers.ts'
import type { User } from '../src/protocol.ts'
import { freePort } from './process.ts'
import { findProgram } from './programs.ts'

const read = (name: string) => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8')
const block = (language: string, name = 'protocol.md') =>
  read(name)
    .split('```' + language)[1]!
    .split('```')[0]!

test('the client of docs/protocol.md takes part', async (t) => {
  const { url } = await startServer(t)
  const bob = await newcomer(t, url, 'Bob')
  await bob.join('lobby')
  const ann = await signIn(url, 'Ann')
  const ticket = await newTicket(url, ann.token)
  const code = block('js')
    .replace('http://127.0.0.1:3000', url)
    .replace('127.0.0.1:3000', url.slice(7))
  const printed: unknown[][] = []
  const console = { log: (...words: unknown[]) => printed.push(words) }
  class Socket extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols)
      t.after(() => this.terminate())
    }
  }
  new Function('WebSocket', 'ticket', 'console', code)(Socket, ticket, console)
  const heard = await bob.next('message')
  assert.deepEqual([heard.author, heard.kind === 'message' && heard.body], [ann.user, 'Hello'])
  await bob.say('lobby', 'Hello, Ann')
  await bob.until(() => printed.length === 2, 'what the client prints')
  assert.deepEqual(printed, [
    [1, 'Ann', 'Hello'],
    [2, 'Bob', 'Hello, Ann'],
  ])
})

test('the commands of docs/protocol.md make a ticket', async (t) => {
  if (!findProgram('curl')) return t.skip('there is no curl')
  const { url } = await startServer(t)
  const script = `${block('sh').replace('http://127.0.0.1:3000', url)}\necho "$ticket"`
  const { stdout } = await promisify(execFile)('sh', ['-c', script])
  assert.match(stdout, /^[\w-]{43}\n$/)
})

test('the application of docs/security.md signs its people in', async (t) => {
  const port = await freePort()
  const env = {
    JWKS_URL: `http://127.0.0.1:${port}/keys`,
    ...{ JWT_ISSUER: `http://127.0.0.1:${port}`, JWT_AUDIENCE: 'hearth' },
  }
  const { url } = await startServer(t, { env })
  const code = block('js', 'security.md')
    .replace(/^import .*$/gm, '')
    .replaceAll('http://127.0.0.1:3000', url)
    .replaceAll('4000', `${port}`)
  const application = new Promise<Server>((resolve) => {
    const parts = {
      ...jose,
      createServer: (...handler: Parameters<typeof createServer>) => {
        const server = createServer(...handler)
        resolve(server)
        return server
      },
    }
    const run = new Function(...Object.keys(parts), `return (async () => {${code}})()`)
    run(...Object.values(parts))
  })
  t.after(async () => (await application).close())
  await once(await application, 'listening')
  const visit = async () => {
    const sent = await fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' })
    await sent.body?.cancel()
    const location = sent.headers.get('location') ?? ''
    assert.equal(sent.status, 302)
    assert.ok(location.startsWith(`${url}/#link=`), location)
    const answer = await post(`${url}/api/session`, { link: location.split('=')[1] })
    assert.equal(answer.status, 201)
    return (await answer.json()) as { user: User; token: string; expiresAt: string }
  }
  const devices = async (token: string) => {
    const answer = await fetch(`${url}/api/sessions`, {
      headers: { authorization: `Bearer ${token}` },
    })
    return ((await answer.json()) as unknown[]).length
  }
  const { user, token, expiresAt } = await visit()
  assert.equal(user.name, 'Ann')
  assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 8 * 3_600_000) < 60_000)
  const second = await visit()
  assert.deepEqual([second.user, await devices(token)], [user, 3], 'one more, of the browser')
  const authorization = `Bearer ${token}`
  await fetch(`${url}/api/session?all=true`, { method: 'DELETE', headers: { authorization } })
  const third = await visit()
  assert.deepEqual([third.user, await devices(third.token)], [user, 2])
})

test('every file that a document points to is there', () => {
  const root = new URL('../', import.meta.url)
  const documents = readdirSync(new URL('docs', root)).filter((name) => name.endsWith('.md'))
  for (const document of ['README.md', ...documents.map((name) => `docs/${name}`)]) {
    const text = readFileSync(new URL(document, root), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      const file = new URL(target, new URL(document, root))
      assert.ok(existsSync(file), `${document}: ${target}`)
    }
  }
})
