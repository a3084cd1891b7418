/** Three nodes, one of them Deno, behind one address that deals connections out: one chat. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { launchBrowser } from '../browser.ts'
import { startFront } from '../chaos/front.ts'
import { findDeno } from '../deno.js'
import { hasNats, startNats } from '../nats.ts'
import { startPostgres } from '../postgres.ts'
import { freePort, startProcess } from '../process.ts'
import { acknowledged, bodies, enter, FRAMES, LIVELY, say } from './people.ts'

async function startThree(t: TestContext, more: Record<string, string> = {}) {
  const postgres = await startPostgres(t)
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const front = await startFront(t, ports)
  const env = {
    ...{ ...LIVELY, ...FRAMES, ...more },
    DATABASE_URL: await postgres.newDatabase(),
    ALLOWED_ORIGINS: front.url,
  }
  const nodes = ports.map((port, n) => {
    const start = () => startProcess(t, { ...env, PORT: `${port}` }, n === 2 ? findDeno() : null)
    return { start, process: start() }
  })
  for (const node of nodes) await node.process.started()
  return { url: front.url, nodes }
}

/** Three people in three browsers, who come to three nodes; then some are killed, one by one. */
async function chatThroughKills(t: TestContext, victims: number[], more?: Record<string, string>) {
  const { url, nodes } = await startThree(t, more)
  const browser = await launchBrowser(t)
  const people = []
  for (const name of ['Ada', 'Grace', 'Linus']) people.push(await enter(browser, url, name))
  for (const { page } of people) {
    await page.locator('#count', { hasText: '3' }).waitFor({ state: 'attached' })
  }
  for (const n of victims) {
    const node = nodes[n]!
    for (const [m, person] of people.entries()) await say(person, `before kill ${n} by ${m}`)
    node.process.kill('SIGKILL')
    for (const [m, person] of people.entries()) await say(person, `during kill ${n} by ${m}`)
    for (const person of people) {
      for (const m of people.keys()) {
        await acknowledged(person, `before kill ${n} by ${m}`)
        await acknowledged(person, `during kill ${n} by ${m}`)
      }
    }
    await node.process.ended()
    node.process = node.start()
  }
  const [first, ...others] = await Promise.all(people.map(bodies))
  assert.equal(first?.length, 6 * victims.length)
  for (const other of others) assert.deepEqual(other, first)
  assert.deepEqual(
    people.flatMap(({ complaints }) => complaints),
    [],
  )
}

test('three nodes on Postgres are one chat, also when one is killed', async (t) => {
  await chatThroughKills(t, [2])
})

test('three nodes on Postgres and NATS are one chat, whichever is killed', async (t) => {
  if (!hasNats(t)) return
  const nats = await startNats(t)
  await chatThroughKills(t, [0, 1, 2], { NATS_URL: `nats://127.0.0.1:${nats.port}` })
})
