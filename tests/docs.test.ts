/** What the documents tell people to type does what they say. */

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { WebSocket } from 'ws'
import { newcomer, newTicket, signIn, startServer } from './helpers.ts'

const PROTOCOL = readFileSync(new URL('../docs/protocol.md', import.meta.url), 'utf8')
const block = (language: string) => PROTOCOL.split('```' + language)[1]!.split('```')[0]!

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
  if (spawnSync('curl', ['--version']).status !== 0) return t.skip('SKIPPED: there is no curl here')
  const { url } = await startServer(t)
  const script = `${block('sh').replace('http://127.0.0.1:3000', url)}\necho "$ticket"`
  const { stdout } = await promisify(execFile)('sh', ['-c', script])
  assert.match(stdout, /^[\w-]{43}\n$/)
})
