/** A thief's device: seen, told of, ended; and signing out, here or everywhere. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Browser } from 'playwright-core'
import { runtime } from '#runtime'
import { launchBrowser } from '../browser.ts'
import { connect, post, signIn, startServer, tempFolder, type Account } from '../helpers.ts'
import { axe, button, enter, open, PHONE, soon, type Person } from './people.ts'

const THIEF = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'

const linkOf = ({ page }: Person) =>
  page.evaluate(async () => {
    const response = await fetch('/api/session/link', { method: 'POST' })
    return ((await response.json()) as { link: string }).link
  })

/** Signs in with a link that somebody else got hold of. */
async function steal(url: string, person: Person): Promise<Account> {
  const response = await fetch(`${url}/api/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': THIEF },
    body: JSON.stringify({ link: await linkOf(person) }),
  })
  assert.equal(response.status, 201)
  return (await response.json()) as Account
}

/** The same person, in a browser of its own. */
async function comeIn(browser: Browser, url: string, from: Person) {
  const second = await open(browser, `${url}/#link=${await linkOf(from)}`, PHONE)
  await button(second, /^Continue as/).click()
  await second.page.locator('#count:not(:empty)').waitFor({ state: 'attached' })
  return second
}

const told = ({ page }: Person) => page.locator('#device-news').getByText('Not you?')
const listed = ({ page }: Person) => page.locator('#device-list li b').allTextContents()
const signOut = (person: Person) =>
  person.page.evaluate(() => document.getElementById('sign-out')!.click())

test('a thief’s device is told at once, seen, and ended from the page', async (t) => {
  const { url } = await startServer(t)
  const ada = await enter(await launchBrowser(t), url, 'Ada')
  const thief = await steal(url, ada)
  const socket = await connect(t, url, thief)
  await told(ada).waitFor()
  const notice = await ada.page.locator('#device-news span').textContent()
  assert.match(notice ?? '', /Firefox on Linux, from 127\.0\.0\.1/)
  assert.deepEqual(await axe(ada), [])

  await ada.page.getByRole('button', { name: 'See devices' }).focus()
  await ada.page.keyboard.press('Enter')
  await soon(() => listed(ada).then((all) => all.includes('Firefox on Linux')), true)
  await told(ada).waitFor({ state: 'detached' })
  for (const colorScheme of ['light', 'dark'] as const) {
    await ada.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    assert.deepEqual(await axe(ada), [], colorScheme)
  }
  await ada.page.getByText('this device').waitFor()
  await button(ada, /^Sign out Firefox on Linux: In use now/).focus()
  await ada.page.keyboard.press('Enter')
  await ada.page.getByText('Firefox on Linux was signed out.').waitFor()
  assert.equal(await socket.closeCode(), 4501)
  assert.equal((await listed(ada)).length, 1)
  assert.equal(await button(ada, 'Sign out all others').isVisible(), false)
  const isInside = () => document.activeElement?.closest('dialog')?.id
  assert.equal(await ada.page.evaluate(isInside), 'devices')
  await ada.page.keyboard.press('Escape')
  assert.deepEqual(ada.complaints, [])
})

test('devices that come and go at once are told of, each; and those of a session from before', async (t) => {
  const env = { DATA_FILE: `${tempFolder(t)}/hearth.db` }
  const { url } = await startServer(t, { env })
  const db = runtime.openSqlite(env.DATA_FILE)
  t.after(() => db.close())
  const ada = await enter(await launchBrowser(t), url, 'Ada')
  // As an upgrade leaves it.
  db.exec('UPDATE sessions SET made_at = NULL')
  await ada.page.evaluate(() => {
    for (const key of Object.keys(localStorage))
      if (key.startsWith('devices.')) localStorage.removeItem(key)
  })
  const isKnown = () =>
    ada.page.evaluate(() => Object.keys(localStorage).some((k) => k.startsWith('devices.')))
  await ada.page.reload()
  await soon(isKnown, true)
  const body = { link: await linkOf(ada) }
  await ada.page.goto('about:blank')
  assert.equal((await post(`${url}/api/session`, body)).status, 201)
  await ada.page.goto(url)
  await told(ada).waitFor()

  const { token } = await steal(url, ada)
  const headers = { authorization: `Bearer ${token}` }
  const ended = await fetch(`${url}/api/session`, { method: 'DELETE', headers })
  assert.equal(ended.status, 204)
  const notice = () => ada.page.locator('#device-news span').textContent()
  await soon(
    async () => / from 127\.0\.0\.1\. Not you\? And 1 more\.$/.test((await notice()) ?? ''),
    true,
  )
  await button(ada, 'All were me').click()
  await told(ada).waitFor({ state: 'detached' })
  assert.deepEqual(ada.complaints, [])
})

test('who was away is told when coming back, until it was them', async (t) => {
  const { url } = await startServer(t)
  const ada = await enter(await launchBrowser(t), url, 'Ada')
  await soon(
    () => ada.page.evaluate(() => Object.keys(localStorage).some((k) => k.startsWith('devices.'))),
    true,
  )
  const body = { link: await linkOf(ada) }
  await ada.page.goto('about:blank')
  assert.equal((await post(`${url}/api/session`, body)).status, 201)
  await ada.page.goto(url)
  await told(ada).waitFor()
  await ada.page.reload()
  await told(ada).waitFor()
  await button(ada, 'It was me').click()
  await told(ada).waitFor({ state: 'detached' })
  const asked = ada.page.waitForResponse(`${url}/api/sessions`)
  await ada.page.reload()
  await asked
  await ada.page.locator('#count:not(:empty)').waitFor({ state: 'attached' })
  assert.equal(await told(ada).count(), 0)
  assert.deepEqual(ada.complaints, [])
})

test('signing out: here only, then everywhere, by the same question', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const phone = await comeIn(browser, url, ada)
  const tablet = await comeIn(browser, url, ada)
  await signOut(tablet)
  await tablet.page.getByText('You are signed in on 2 other devices.').waitFor()
  assert.deepEqual(await axe(tablet), [])
  await button(tablet, 'Here only').click()
  await tablet.page.getByLabel('Your name').waitFor()

  await ada.page.evaluate(() => document.getElementById('show-devices')!.click())
  await button(ada, 'Sign out all others').waitFor()
  assert.equal((await listed(ada)).length, 2)
  await ada.page.keyboard.press('Escape')

  await signOut(phone)
  await button(phone, 'Stay').click()
  await signOut(phone)
  await button(phone, 'Everywhere').click()
  await phone.page.getByLabel('Your name').waitFor()
  await ada.page.getByText('You were signed out.').waitFor()
  assert.ok(await signIn(url, 'Ada'), 'the name is free')
  for (const person of [ada, phone, tablet]) assert.deepEqual(person.complaints, [])
})

test('a guest who owns a private room is told what the last sign-out means', async (t) => {
  const { url } = await startServer(t)
  const ada = await enter(await launchBrowser(t), url, 'Ada')
  await ada.page.evaluate(() =>
    fetch('/api/rooms', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ room: 'vault' }),
    }),
  )
  await ada.page.reload()
  await ada.page.getByRole('link', { name: 'vault' }).waitFor()
  await signOut(ada)
  const question = ada.page.locator('#ask-text')
  await question.getByText('nobody owns vault').waitFor()
  assert.match((await question.textContent()) ?? '', /^The name Ada is free for others then/)
  await button(ada, 'Stay').click()
  await soon(() => question.isVisible(), false)
  await signOut(ada)
  await ada.page.locator('#ask').getByRole('button', { name: 'Sign out' }).click()
  await ada.page.getByLabel('Your name').waitFor()
  assert.equal((await post(`${url}/api/session`, { name: 'Ada' })).status, 201)
  assert.deepEqual(ada.complaints, [])
})
