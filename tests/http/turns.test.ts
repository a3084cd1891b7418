/** Turns: whose search comes next, how many may wait, and that each is waited for only so long. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Turns } from '../../src/http/turns.ts'
import { TooLong } from '../../src/store/log.ts'
import { TestClock, turn } from '../helpers.ts'

const HERE = '192.0.2.1'
const WAIT_MS = 4_000

function open(atOnce = 1) {
  const clock = new TestClock()
  const turns = new Turns(clock, { work: 'searches', atOnce, waiting: 4, waitMs: WAIT_MS })
  const begun: string[] = []
  const ends: (() => void)[] = []
  const refused: string[] = []
  /** A search that ends when it is told to. */
  const ask = (user: string, address = HERE) => {
    const work = async () => {
      begun.push(user)
      await new Promise<void>((resolve) => ends.push(resolve))
    }
    turns.run(user, address, work).catch((error: unknown) => {
      assert.ok(error instanceof TooLong)
      refused.push(`${user}: ${error.message}`)
    })
  }
  /** Work that takes so many turns. */
  const askLong = (user: string, steps: number) => {
    let step = 0
    const work = async () => {
      begun.push(`${user} ${(step += 1)}`)
      await new Promise<void>((resolve) => ends.push(resolve))
    }
    turns
      .run(user, HERE, work, () => step < steps)
      .catch((error: unknown) => refused.push(`${user}: ${String(error)}`))
  }
  /** Ends the oldest that runs. */
  const end = async () => {
    ends.shift()?.()
    await turn()
  }
  return { clock, turns, begun, refused, ask, askLong, end }
}

test('one who asks for much waits behind others who ask for little', async () => {
  const { begun, ask, end } = open()
  for (const user of ['ann', 'ann', 'ann', 'ann', 'bob', 'cid', 'bob']) ask(user)
  for (let n = 0; n < 7; n += 1) await end()
  assert.deepEqual(begun, ['ann', 'bob', 'cid', 'ann', 'bob', 'ann', 'ann'])
})

test('many users of one address wait behind one of another', async () => {
  const { begun, ask, end } = open()
  for (let n = 0; n < 20; n += 1) ask(`guest ${n}`)
  ask('ann', '192.0.2.2')
  await turn()
  await end()
  await end()
  assert.deepEqual(begun, ['guest 0', 'ann', 'guest 1'])
})

test('the networks of one IPv6 site have turns together', async () => {
  const { begun, ask, end } = open()
  for (let n = 0; n < 20; n += 1) ask(`guest ${n}`, `2001:db8:1:${n.toString(16)}::`)
  ask('ann', '2001:db8:2::')
  ask('bob', '192.0.2.2')
  await turn()
  for (let n = 0; n < 3; n += 1) await end()
  assert.deepEqual(begun, ['guest 0', 'ann', 'bob', 'guest 1'])
})

test('of long work there is a turn for each step: behind what is new, before what was begun later', async () => {
  const { clock, begun, ask, askLong, end } = open()
  askLong('ann', 3)
  await clock.advance(1)
  askLong('bob', 2)
  await end()
  // Both have had a turn.
  await end()
  ask('cid')
  for (let n = 0; n < 4; n += 1) await end()
  assert.deepEqual(begun, ['ann 1', 'bob 1', 'ann 2', 'cid', 'ann 3', 'bob 2'])
})

test('long work that is not done in time is given up, even when nobody else waits', async () => {
  const { clock, begun, refused, ask, askLong, end } = open()
  askLong('ann', 100)
  await turn()
  clock.skip(WAIT_MS)
  await end()
  assert.deepEqual(refused, ['ann: Error: other searches took too long'])
  ask('bob')
  await turn()
  assert.deepEqual(begun, ['ann 1', 'bob'])
})

test('what is remembered of turns is bounded, however long somebody waits', async () => {
  const { begun, ask, end } = open()
  ask('ann')
  await turn()
  // One network of many: each of its users has one turn, and there is always one more.
  for (let n = 0; n < 1_000; n += 1) {
    ask(`guest ${n}`, '192.0.2.2')
    await end()
  }
  ask('guest 1000', '192.0.2.3')
  ask('ann')
  ask('cid', '192.0.2.4')
  for (let n = 0; n < 3; n += 1) await end()
  assert.deepEqual(begun.slice(-3), ['guest 1000', 'ann', 'cid'], 'the turn of ann is forgotten')
})

test('a few run at a time, and one for each user; a few of each wait', async () => {
  const { begun, refused, ask, end } = open(2)
  for (let n = 0; n < 6; n += 1) ask('ann')
  await turn()
  assert.deepEqual(begun, ['ann'])
  assert.deepEqual(refused, ['ann: too many searches of yours are waiting'])
  for (const user of ['bob', 'cid']) ask(user)
  await turn()
  assert.deepEqual(begun, ['ann', 'bob'])
  await end()
  assert.deepEqual(begun, ['ann', 'bob', 'cid'], 'ann had a turn before')
})

test('who waits too long is told so, and what fails gives its turn back', async () => {
  const { clock, turns, begun, refused, ask, end } = open()
  await assert.rejects(
    turns.run('ann', HERE, () => Promise.reject(new Error('broken'))),
    /broken/,
  )
  ask('ann')
  ask('bob')
  await clock.advance(WAIT_MS)
  assert.deepEqual(refused, ['bob: other searches took too long'])
  await end()
  ask('bob')
  await turn()
  assert.deepEqual(begun, ['ann', 'bob'])
})
