/** Secrets, and tickets that are good once and not for long. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { hashSecret, isSameSecret, newSecret } from '../../src/auth/secrets.ts'
import { openDataFile } from '../../src/store/file.ts'
import { createTickets } from '../../src/store/tickets.ts'
import { TestClock } from '../helpers.ts'

const open = (t: TestContext) => {
  const clock = new TestClock()
  const { sql, close } = openDataFile(':memory:', clock)
  t.after(close)
  return {
    clock,
    tickets: createTickets(sql, 'ticket', 30_000),
    links: createTickets(sql, 'link', 30_000),
  }
}

const pass = { user: 'ann', session: 'hash', address: '1.2.3.4' }

test('a secret is 256 random bits in 43 characters', () => {
  const secrets = Array.from({ length: 200 }, newSecret)
  for (const secret of secrets) assert.match(secret, /^[\w-]{43}$/)
  assert.equal(new Set(secrets).size, 200)
  assert.match(hashSecret(secrets[0]!), /^[\w-]{43}$/)
  assert.equal(hashSecret('a'), hashSecret('a'))
  assert.notEqual(hashSecret('a'), hashSecret('b'))
})

test('secrets of any length are compared', () => {
  assert.ok(isSameSecret('abc', 'abc'))
  assert.ok(isSameSecret('', ''))
  for (const other of ['', 'ab', 'abcd', 'abd', 'ABC']) assert.ok(!isSameSecret('abc', other))
})

test('a ticket is redeemed once', async (t) => {
  const { clock, tickets } = open(t)
  const { ticket, expiresAt } = await tickets.issue(pass)
  assert.match(ticket, /^[\w-]{43}$/)
  assert.equal(expiresAt.getTime() - clock.date().getTime(), 30_000)
  const answers = await Promise.all([1, 2, 3].map(() => tickets.redeem(ticket)))
  assert.deepEqual(
    answers.map((answer) => answer?.user),
    ['ann', undefined, undefined],
  )
  assert.equal(answers[0]?.session, 'hash')
  assert.equal(answers[0]?.address, '1.2.3.4')
})

test('a ticket can be looked at, and is not used up by it', async (t) => {
  const { clock, tickets, links } = open(t)
  const { ticket } = await tickets.issue(pass)
  assert.deepEqual([await tickets.look(ticket), await tickets.look(ticket)], [pass, pass])
  assert.equal(await links.look(ticket), null)
  assert.deepEqual(await tickets.redeem(ticket), pass)
  assert.equal(await tickets.look(ticket), null)
  const { ticket: late } = await tickets.issue(pass)
  await clock.advance(30_000)
  assert.equal(await tickets.look(late), null)
})

test('a ticket is good for 30 s', async (t) => {
  const { clock, tickets } = open(t)
  const [a, b] = [await tickets.issue(pass), await tickets.issue(pass)]
  await clock.advance(29_999)
  assert.ok(await tickets.redeem(a.ticket))
  await clock.advance(1)
  assert.equal(await tickets.redeem(b.ticket), null)
  await tickets.issue(pass)
})

test('what is no ticket is not good', async (t) => {
  const { tickets, links } = open(t)
  const { ticket } = await tickets.issue(pass)
  for (const text of ['', 'x', ticket.slice(1), `${ticket} `, hashSecret(ticket)]) {
    assert.equal(await tickets.redeem(text), null)
  }
  assert.equal(await links.redeem(ticket), null, 'it is no link')
})
