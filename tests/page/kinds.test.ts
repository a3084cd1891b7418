/** Who is an admin stands beside the name: in messages, found ones, the list of people; a guest's has nothing. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchBrowser } from '../browser.ts'
import { connect, signIn, startServer } from '../helpers.ts'
import { button, enter, message, say, soon } from './people.ts'

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
