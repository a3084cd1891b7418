/** The page in a real Chromium, with at least two people wherever that can make a difference. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { launchBrowser } from '../browser.ts'
import { findDeno } from '../deno.js'
import { newcomer, startServer, tempFolder } from '../helpers.ts'
import { startProcess } from '../process.ts'
import {
  acknowledged,
  axe,
  bodies,
  enter,
  FRAMES,
  LIVELY,
  message,
  open,
  PHONE,
  say,
  soon,
  until,
} from './people.ts'

/** What a server as a process of its own is started with. */
const settings = (folder: string, port = 0) => ({
  ...LIVELY,
  ...FRAMES,
  PORT: String(port),
  DATA_FILE: join(folder, 'hearth.db'),
})

test('two people talk, see each other, and see who is typing', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const grace = await enter(browser, `${url}/r/lobby`, 'Grace')
  assert.equal(await ada.page.title(), 'Chat Application')
  assert.equal(new URL(ada.page.url()).pathname, '/r/lobby')
  await ada.page.getByText('It is quiet here').waitFor()
  await ada.page.locator('#people-list', { hasText: 'Grace' }).waitFor()
  await grace.page.locator('#people-list', { hasText: 'Ada' }).waitFor()

  await ada.page.getByLabel('write message').pressSequentially('Hel')
  await grace.page.getByText('Ada is typing…').waitFor()
  await say(ada, 'Hello Grace, see https://example.org/a?b=c.')
  await acknowledged(ada, 'Hello Grace')
  await acknowledged(grace, 'Hello Grace')
  await soon(() => grace.page.locator('#typing').textContent(), '')
  const link = grace.page.getByRole('link', { name: 'https://example.org/a?b=c' })
  await soon(() => link.getAttribute('rel'), 'noopener noreferrer')
  await soon(() => link.getAttribute('href'), 'https://example.org/a?b=c')

  await say(grace, '<img src=x onerror=alert(1)> & "quotes"')
  await acknowledged(ada, '<img src=x onerror=alert(1)> & "quotes"')
  await soon(() => ada.page.locator('.message img').count(), 0)
  assert.deepEqual(await bodies(ada), await bodies(grace))
  assert.deepEqual([...ada.complaints, ...grace.complaints], [])
})

test('changes by others are shown: edits, reactions, replies, deletes', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const bot = await newcomer(t, url, 'Bot')
  await bot.join('lobby')
  const first = await bot.say('lobby', 'helo')
  const id = () => crypto.randomUUID()
  const change = { room: 'lobby', target: first.seq }
  bot.send({ type: 'say', room: 'lobby', id: id(), body: 'An answer', replyTo: first.seq })
  bot.send({ type: 'edit', ...change, id: id(), body: 'hello' })
  bot.send({ type: 'react', ...change, id: id(), emoji: '🔥', on: true })
  await message(ada, 'hello').getByText('edited').waitFor()
  await ada.page.locator('.reactions li', { hasText: '🔥' }).waitFor()
  await ada.page.locator('blockquote', { hasText: 'hello' }).waitFor()
  await ada.page.reload()
  await ada.page.locator('.reactions li', { hasText: '🔥' }).waitFor()
  bot.send({ type: 'delete', ...change, id: id() })
  await ada.page.locator('.deleted', { hasText: 'This message was deleted.' }).waitFor()
  await soon(() => ada.page.locator('.reactions').count(), 0)
})

const hasNothingUnsent = () => Object.keys(localStorage).every((key) => !key.startsWith('outbox.'))

async function surviveKill(t: TestContext, deno: string | null) {
  const folder = tempFolder(t)
  const first = startProcess(t, settings(folder), deno)
  const url = await first.url()
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const grace = await enter(browser, url, 'Grace')
  await say(ada, 'one')
  await acknowledged(grace, 'one')
  await say(ada, 'two')
  first.kill('SIGKILL')
  await first.ended()
  await ada.page.getByText('Reconnecting…').waitFor()
  await say(ada, 'three')
  await say(grace, 'four')
  await soon(() => message(ada, 'three').getAttribute('class'), 'message own pending')
  await grace.page.reload().catch(() => {})

  await startProcess(t, settings(folder, Number(new URL(url).port)), deno).started()
  await grace.page.goto(`${url}/r/lobby`)
  for (const text of ['two', 'three', 'four']) {
    await acknowledged(ada, text)
    await acknowledged(grace, text)
  }
  await until(ada, () => document.getElementById('status')?.textContent === '')
  const said = await bodies(ada)
  assert.deepEqual(said.toSorted(), ['four', 'one', 'three', 'two'])
  assert.ok(said.indexOf('two') < said.indexOf('three'), 'in the order of writing')
  assert.deepEqual(await bodies(grace), said)
  assert.ok(await ada.page.evaluate(hasNothingUnsent))
  assert.deepEqual([...ada.complaints, ...grace.complaints], [])
}

test('Node is killed between two messages: nothing lost, nothing doubled', (t) =>
  surviveKill(t, null))

test('Deno is killed between two messages: nothing lost, nothing doubled', async (t) => {
  const deno = findDeno()
  if (!deno) return t.skip('SKIPPED: there is no Deno to run the server on')
  await surviveKill(t, deno)
})

test('a server that hangs is left when the network comes back, and found again', async (t) => {
  const server = startProcess(t, settings(tempFolder(t)))
  const browser = await launchBrowser(t)
  const ada = await enter(browser, await server.url(), 'Ada')
  server.kill('SIGSTOP')
  await ada.page.evaluate(() => window.dispatchEvent(new Event('online')))
  await ada.page.getByText('Reconnecting…').waitFor()
  await say(ada, 'written meanwhile')
  server.kill('SIGCONT')
  await acknowledged(ada, 'written meanwhile')
})

test('older pages come on scrolling up, and the reader stays where he is', async (t) => {
  const { url } = await startServer(t, { env: { ...LIVELY, ...FRAMES } })
  const bot = await newcomer(t, url, 'Bot')
  await bot.join('lobby')
  for (const n of Array.from({ length: 180 }, (_, i) => i + 1)) await bot.say('lobby', `No. ${n}!`)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  await message(ada, 'No. 180!').waitFor()
  const log = ada.page.locator('#log')
  const topOf = async (text: string) => (await message(ada, text).boundingBox())?.y ?? NaN

  const marked = (await bodies(ada))[3] ?? ''
  await log.evaluate((node) => (node.scrollTop = 100))
  const before = await topOf(marked)
  await ada.page.waitForFunction(() => document.querySelectorAll('.message').length > 60)
  assert.ok(Math.abs((await topOf(marked)) - before) <= 1, 'the reader was moved')

  await bot.say('lobby', 'while you were reading')
  await ada.page.getByRole('button', { name: '1 new message ↓' }).waitFor()
  assert.ok(Math.abs((await topOf(marked)) - before) <= 1, 'a new message moved the reader')
  for (const _ of [1, 2, 3, 4]) {
    const count = await ada.page.locator('.message').count()
    if (count === 181) break
    await log.evaluate((node) => (node.scrollTop = 0))
    await ada.page.waitForFunction((n) => document.querySelectorAll('.message').length > n, count)
  }
  const numbers = Array.from({ length: 180 }, (_, i) => `No. ${i + 1}!`)
  assert.deepEqual(await bodies(ada), [...numbers, 'while you were reading'])
  await ada.page.getByText('This is where lobby begins.').waitFor()
  await ada.page.getByRole('button', { name: '1 new message ↓' }).click()
  await bot.say('lobby', 'back at the end')
  await until(ada, () => {
    const node = document.getElementById('log')
    return node !== null && node.scrollHeight - node.scrollTop - node.clientHeight < 2
  })
  await ada.page.locator('#to-end').waitFor({ state: 'hidden' })
})

test('rooms: in the address, with unread counts that follow reading', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, `${url}/r/garden`, 'Ada')
  const grace = await enter(browser, `${url}/r/garden`, 'Grace')
  await ada.page.getByLabel('Enter or start a room').fill('Tea House')
  await ada.page.keyboard.press('Enter')
  await until(ada, () => location.pathname === '/r/tea-house')
  await say(grace, 'roses')
  await say(grace, 'tulips')
  const garden = ada.page.getByRole('link', { name: 'garden' })
  await garden.getByText('2 unread').waitFor()
  await ada.page.reload()
  await garden.getByText('2 unread').waitFor()
  assert.equal(new URL(ada.page.url()).pathname, '/r/tea-house')
  await garden.click()
  await acknowledged(ada, 'tulips')
  await garden.and(ada.page.locator(':not(:has-text("unread"))')).waitFor()
  await ada.page.goBack()
  await until(ada, () => document.getElementById('room-title')?.textContent === 'tea-house')
  await ada.page.getByRole('button', { name: 'Leave this room' }).click()
  await until(ada, () => location.pathname === '/r/garden')
  await ada.page.getByRole('link', { name: 'tea-house' }).waitFor({ state: 'detached' })
  assert.deepEqual(ada.complaints, [])
})

test('a link signs in a second device; signing out ends this one alone', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  await ada.page.getByRole('button', { name: 'Use on another device' }).click()
  await ada.page.getByRole('dialog').waitFor()
  const link = await ada.page.getByLabel('Address for the other device').inputValue()
  await ada.page.getByRole('button', { name: 'Close' }).click()
  const second = await open(browser, link, PHONE)
  await second.page.getByRole('button', { name: 'Continue as Ada' }).click()
  await second.page.locator('#intro', { hasText: 'quiet' }).waitFor()
  assert.equal(new URL(second.page.url()).hash, '')
  await say(second, 'from my phone')
  await acknowledged(ada, 'from my phone')
  assert.match((await message(ada, 'from my phone').getAttribute('class')) ?? '', /own/)
  const third = await open(browser, link)
  await third.page.getByText('That link was used, or is too old.').waitFor()
  await second.page.getByRole('button', { name: /^Rooms/ }).click()
  await second.page.getByRole('button', { name: 'Sign out' }).click()
  await second.page.getByRole('button', { name: 'Here only' }).click()
  await second.page.getByLabel('Your name').waitFor()
  await say(ada, 'still here')
  await acknowledged(ada, 'still here')
})

test('two tabs of one person do not disturb each other, and are signed out together', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const first = await enter(browser, url, 'Ada')
  const second = { page: await first.page.context().newPage(), complaints: [] }
  await second.page.goto(url)
  await second.page.getByText('It is quiet here').waitFor()
  for (const n of [1, 2, 3]) {
    await say(first, `first ${n}`)
    await say(second, `second ${n}`)
  }
  for (const tab of [first, second]) {
    for (const n of [1, 2, 3]) await acknowledged(tab, `first ${n}`)
    for (const n of [1, 2, 3]) await acknowledged(tab, `second ${n}`)
    assert.equal((await bodies(tab)).length, 6)
  }
  // One tab sees what another took out a little later: they are processes of their own.
  await until(first, hasNothingUnsent)
  await first.page.getByRole('button', { name: 'Sign out' }).click()
  await second.page.getByText('You were signed out.').waitFor()
  await first.page.getByLabel('Your name').fill('Grace')
  await first.page.keyboard.press('Enter')
  await message(first, 'second 3').waitFor()
  await soon(() => first.page.locator('.own').count(), 0)
  assert.deepEqual(first.complaints, [])
})

test('a server that is not there yet is waited for', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  // The page itself comes from a cache or a proxy; the server behind it does not answer.
  await ada.page.route('**/api/session*', (route) => route.abort())
  await ada.page.reload()
  await ada.page.getByText('The server cannot be reached.').waitFor()
  await soon(() => ada.page.getByLabel('Your name').isVisible(), false)
  await ada.page.unroute('**/api/session*')
  await ada.page.getByText('It is quiet here').waitFor()
})

test('the door says what is wrong', async (t) => {
  const { url } = await startServer(t, { env: { ACCESS_CODE: 'sesame' } })
  const browser = await launchBrowser(t)
  const { page } = await open(browser, url)
  const comeIn = page.getByRole('button', { name: 'Come in' })
  await page.getByLabel('Your name').fill('Ada')
  await soon(() => page.getByLabel('Access code').isVisible(), true)
  await comeIn.click()
  await page.getByText('A code is needed here.').waitFor()
  await page.getByLabel('Access code').fill('wrong')
  await comeIn.click()
  await page.getByText('That code is not right.').waitFor()
  await page.getByLabel('Access code').fill('sesame')
  await comeIn.click()
  await page.getByText('It is quiet here').waitFor()

  const other = await open(browser, url)
  await other.page.getByLabel('Your name').fill('ADA')
  await other.page.getByLabel('Access code').fill('sesame')
  await other.page.keyboard.press('Enter')
  await other.page.getByText('Somebody goes by that name, or one that looks like it.').waitFor()
})

test('the composer: Shift+Enter is a new line, Enter of a composition sends nothing', async (t) => {
  const { url } = await startServer(t)
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const text = ada.page.getByLabel('write message')
  await text.pressSequentially('first')
  const height = (await text.boundingBox())?.height ?? 0
  await text.press('Shift+Enter')
  await text.pressSequentially('second')
  assert.ok(((await text.boundingBox())?.height ?? 0) > height)
  await text.evaluate((node) => {
    node.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true }))
  })
  await soon(() => ada.page.locator('.message').count(), 0)
  await text.press('Enter')
  await acknowledged(ada, 'first')
  assert.deepEqual(await bodies(ada), ['first\nsecond'])
  await text.fill('x'.repeat(4001))
  await text.press('Enter')
  await ada.page.getByText('This cannot be sent: at most 4000 characters.').waitFor()
  assert.equal((await text.inputValue()).length, 4001, 'what was written stays')
})

test('axe finds nothing: phone and desktop, light and dark', async (t) => {
  const { url } = await startServer(t, { env: { ...LIVELY, ...FRAMES } })
  const bot = await newcomer(t, url, 'Bot')
  await bot.join('busy')
  const { seq } = await bot.say('busy', 'See https://example.org')
  const id = () => crypto.randomUUID()
  bot.send({ type: 'say', room: 'busy', id: id(), body: 'An answer', replyTo: seq })
  bot.send({ type: 'react', room: 'busy', id: id(), target: seq, emoji: '🔥', on: true })
  await bot.say('busy', '**bold** _italic_ `code` [label](https://example.org)')
  await bot.say('busy', `\`\`\`\n${'a long line of code '.repeat(20)}\n\`\`\``)
  await bot.say('busy', 'the last one')
  const browser = await launchBrowser(t)
  for (const [size, options] of Object.entries({ desktop: {}, phone: PHONE })) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const where = `${size}, ${colorScheme}`
      const ada = await open(browser, url, { ...options, colorScheme })
      await ada.page.getByLabel('Your name').waitFor()
      assert.deepEqual(await axe(ada), [], `sign in, ${where}`)
      await ada.page.getByLabel('Your name').fill(`${size} ${colorScheme}`)
      await ada.page.keyboard.press('Enter')
      await ada.page.getByText('It is quiet here').waitFor()
      assert.deepEqual(await axe(ada), [], `empty room, ${where}`)
      await ada.page.goto(`${url}/r/busy`)
      await message(ada, 'the last one').waitFor()
      await say(ada, `Mine: ${where}`)
      await acknowledged(ada, `Mine: ${where}`)
      assert.deepEqual(await axe(ada), [], `talk, ${where}`)
      if (size === 'phone') {
        await ada.page.getByRole('button', { name: /^Rooms/ }).click()
        assert.deepEqual(await axe(ada), [], `rooms, ${where}`)
      }
      await ada.page.context().close()
    }
  }
})
