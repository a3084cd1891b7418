/** Persons of one name are told apart: by a freed name nobody gets what another wrote before. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Namesakes } from '../../static/namesakes.js'
import { launchBrowser } from '../browser.ts'
import { startServer } from '../helpers.ts'
import { idOf } from './fakes.ts'
import { acknowledged, axe, button, enter, message, say, soon, type Person } from './people.ts'

const person = (n: number, name: string) => ({ id: idOf(n), name })
const [dora, second, third] = [person(1, 'Dora'), person(2, 'Dora'), person(3, 'Dora')]

test('the first who wrote has the name alone; older messages may bring one before', () => {
  const namesakes = new Namesakes()
  namesakes.meet(third, 30)
  assert.equal(namesakes.orderOf(third), 1)
  namesakes.meet(second, 20)
  namesakes.meet(second, 25)
  namesakes.meet(third, 31)
  assert.deepEqual(
    [second, third].map((one) => namesakes.orderOf(one)),
    [1, 2],
  )
  assert.equal(namesakes.orderOf(dora), 3, 'who has written nothing comes after all')
  namesakes.meet(dora, 10)
  assert.deepEqual(
    [dora, second, third].map((one) => namesakes.orderOf(one)),
    [1, 2, 3],
  )
})

test('names that read alike are one; a user who has two has them apart', () => {
  const order = (first: string, later: string) => {
    const namesakes = new Namesakes()
    namesakes.meet(person(1, first), 1)
    namesakes.meet(person(2, later), 2)
    return namesakes.orderOf(person(2, later))
  }
  for (const name of ['dora', 'Ｄｏｒａ', 'Do ra', 'D.o_ra', 'Dóra'])
    assert.equal(order('Dora', name), 2, name)
  for (const name of ['Doris', 'Дора', '🔥']) assert.equal(order('Dora', name), 1, name)
  assert.equal(order('🔥', '🎉'), 1)
  const namesakes = new Namesakes()
  namesakes.meet(person(1, 'Dora'), 1)
  namesakes.meet(person(1, 'Ann'), 2)
  namesakes.meet(person(1, 'dora'), 3)
  assert.equal(namesakes.orderOf(person(1, 'dora')), 1)
  assert.equal(namesakes.orderOf(person(2, 'Ann')), 2)
})

test('a stranger who takes the name of a guest who left is marked, with all she says', async (t) => {
  const { url } = await startServer(t, { limits: { absenceMs: 0 } })
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const guest = await enter(browser, url, 'Dora')
  await say(guest, 'My first word')
  await acknowledged(ada, 'My first word')
  await button(guest, 'Sign out').click()
  await guest.page.getByLabel('Your name').fill('dora')
  await button(guest, 'Come in').click()

  const marks = (where: string, { page }: Person = ada) =>
    page.locator(`${where} .hint [aria-hidden]`).allTextContents()
  await soon(
    () => marks('#people-list li:has(bdi:text-is("dora"))'),
    ['another'],
    'before she says a word',
  )
  assert.deepEqual(await marks('.message'), [])
  await say(guest, 'My own word')
  await acknowledged(ada, 'My own word')
  await message(ada, 'My own word').focus()
  await ada.page.keyboard.press('r')
  await say(ada, 'My answer')
  await acknowledged(guest, 'My answer')
  await ada.page.reload()
  for (const person of [ada, guest]) {
    await soon(() => marks('.message:has-text("My first word")', person), [])
    await soon(() => marks('.message:has-text("My own word") .by', person), ['another'])
    await soon(() => marks('.message:has-text("My answer") blockquote', person), ['another'])
  }
  await button(ada, 'Search').click()
  await ada.page.getByLabel('Words to find').fill('word')
  await soon(() => marks('#hits'), ['another'])
  assert.equal(await ada.page.locator('#hits li').count(), 2)
  assert.match(await ada.page.locator('#hits .hint').innerText(), /who had this name before/)
  assert.deepEqual(await axe(ada), [])
  assert.deepEqual([...ada.complaints, ...guest.complaints], [])
})
