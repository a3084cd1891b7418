/** What stands beside a name, in messages, found ones, the list of people: an admin, another of this name. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchBrowser } from '../browser.ts'
import { connect, signIn, startServer } from '../helpers.ts'
import { acknowledged, axe, button, enter, message, say, soon, type Person } from './people.ts'

test('an admin is marked where the name stands, a guest is not', async (t) => {
  const { url } = await startServer(t, { env: { ADMIN_TOKEN: 'correct horse' } })
  const root = await connect(t, url, await signIn(url, 'Root', { admin: 'correct horse' }))
  await root.join('lobby')
  const ada = await enter(await launchBrowser(t), `${url}/r/lobby`, 'Ada')
  await root.say('lobby', 'I am the admin')
  await say(ada, 'I am a guest')
  const by = (text: string) => message(ada, text).locator('.by .hint')
  await soon(() => by('I am the admin').allTextContents().then(String), 'admin')
  assert.equal(await by('I am a guest').count(), 0)
  const listed = (name: string) =>
    ada.page.locator('#people-list li', { hasText: name }).locator('.hint').allTextContents()
  await soon(() => listed('Root').then(String), 'admin')
  assert.deepEqual(await listed('Ada'), ['you'])
  await button(ada, 'Search').click()
  await ada.page.locator('#q').fill('I am')
  const hits = ada.page.locator('#hits li')
  await soon(() => hits.locator('.hint').allTextContents(), ['admin'])
  assert.equal(await hits.count(), 2)
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
