/** Links that sign one in, or invite: opened from anywhere they only ask, and say who is behind it. */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Locator, Page } from 'playwright-core'
import { launchBrowser } from '../browser.ts'
import {
  connect,
  holdAppends,
  newcomer,
  post,
  signIn,
  startServer,
  type Account,
} from '../helpers.ts'
import { acknowledged, axe, button, composer, enter, LIVELY, message, open } from './people.ts'
import { PHONE, say, soon, until, type Person } from './people.ts'

/** A page of another site (the chat is at 127.0.0.1) that sends whoever visits it elsewhere. */
async function startSite(t: TestContext) {
  const state = { target: '' }
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end(
      `<title>Holidays</title><script>location = ${JSON.stringify(state.target)}</script>`,
    )
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return (target: string) => {
    state.target = target
    return `http://localhost:${port}/`
  }
}

async function setUp(t: TestContext) {
  const { url, hub } = await startServer(t, { env: LIVELY })
  const mallory = await signIn(url, 'Mallory')
  const linkOf = async ({ token }: Account) => {
    const answer = await (await post(`${url}/api/session/link`, {}, token)).json()
    return (answer as { link: string }).link
  }
  const isGood = async (link: string) => {
    return (await post(`${url}/api/session/link/whose`, { link })).status === 200
  }
  const isFree = async (name: string) => {
    return (await post(`${url}/api/session`, { name })).status === 201
  }
  const addressOf = async (account = mallory) => `${url}/r/lobby#link=${await linkOf(account)}`
  return { url, hub, mallory, linkOf, isGood, isFree, addressOf, browser: await launchBrowser(t) }
}

const secretOf = (address: string) => address.split('link=')[1]!
const question = ({ page }: Person) => page.getByRole('alertdialog')
const answer = (person: Person, name: string) =>
  question(person).getByRole('button', { name }).click()
const whoIs = ({ page }: { page: Page }) =>
  page.evaluate(async () => {
    const answer = await (await fetch('/api/session?quiet=true')).json()
    return (answer as { user?: { name: string } }).user?.name ?? null
  })
const isOut = ({ page }: Person) => page.getByText('You were signed out.').waitFor()

test('another site opens a link for somebody signed in: a question, and no is the answer', async (t) => {
  const { url, browser, addressOf, isGood } = await setUp(t)
  const site = await startSite(t)
  const address = await addressOf()
  const vic = await enter(browser, url, 'Vic')
  await vic.page.goto(site(address)).catch(() => {})
  await question(vic).getByText('You are Vic here. Become Mallory?').waitFor()
  await question(vic).getByText('Vic will be signed out, and is signed in nowhere else').waitFor()
  await question(vic).getByText('Whoever made this link is Mallory, too').waitFor()
  assert.equal(new URL(vic.page.url()).hash, '')
  assert.deepEqual(await axe(vic), [])
  await until(vic, () => document.activeElement?.textContent === 'No, stay Vic')
  await vic.page.keyboard.press('Enter')
  await composer(vic).waitFor()
  assert.equal(await whoIs(vic), 'Vic')
  assert.ok(await isGood(secretOf(address)), 'nothing was used up')
  await vic.page.reload()
  await composer(vic).waitFor()
  await soon(() => question(vic).count(), 0, 'and the address does not ask again')
  assert.deepEqual(vic.complaints, [])
})

test('who says yes is somebody else in all tabs, and nothing of before stays', async (t) => {
  const { url, browser, addressOf, isGood, isFree } = await setUp(t)
  const address = await addressOf()
  const vic = await enter(browser, url, 'Vic')
  const other = { page: await vic.page.context().newPage(), complaints: [] }
  await other.page.goto(url)
  await composer(other).waitFor()
  await composer(vic).fill('a draft')
  await vic.page.goto(address)
  await answer(vic, 'Become Mallory')
  await composer(vic).waitFor()
  await soon(() => whoIs(vic), 'Mallory')
  await isOut(other)
  assert.ok(!(await isGood(secretOf(address))))
  assert.ok(await isFree('Vic'), 'the old session is over')
  const kept = () =>
    vic.page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('draft')))
  await soon(kept, [])
  await say(vic, 'so here I am')
  await acknowledged(vic, 'so here I am')
  await message(vic, 'so here I am').getByText('Mallory').waitFor()
})

test('signed out: a button says who, and nothing happens before it is pressed', async (t) => {
  const { url, browser, addressOf, isGood } = await setUp(t)
  const site = await startSite(t)
  const address = await addressOf()
  const vic = await open(browser, url, PHONE)
  await vic.page.goto(site(address)).catch(() => {})
  await vic.page.getByText('This link signs you in as Mallory.').waitFor()
  assert.equal(new URL(vic.page.url()).hash, '')
  assert.deepEqual([await whoIs(vic), await isGood(secretOf(address))], [null, true])
  assert.deepEqual(await axe(vic), [])
  await button(vic, 'No, come in as somebody else').click()
  await vic.page.getByLabel('Your name').fill('Vic')
  await vic.page.keyboard.press('Enter')
  await composer(vic).waitFor()
  assert.deepEqual([await whoIs(vic), await isGood(secretOf(address))], ['Vic', true])
  const phone = await open(browser, address)
  await button(phone, 'Continue as Mallory').click()
  await composer(phone).waitFor()
  assert.deepEqual([await whoIs(phone), await isGood(secretOf(address))], ['Mallory', false])
  await phone.page.goto('about:blank')
  await phone.page.goto(address)
  await phone.page.getByText('That link was used, or is too old.').waitFor()
  assert.deepEqual([vic.complaints, phone.complaints], [[], []])
})

test('a link in an open page: asked there, while the talk goes on', async (t) => {
  const { url, browser, linkOf, mallory, isGood } = await setUp(t)
  const vic = await enter(browser, url, 'Vic')
  const bot = await newcomer(t, url, 'Bot')
  await bot.join('lobby')
  const link = await linkOf(mallory)
  const openLink = () => vic.page.evaluate((link) => void (location.hash = `link=${link}`), link)
  await openLink()
  await question(vic).waitFor()
  assert.equal(new URL(vic.page.url()).hash, '')
  await bot.say('lobby', 'meanwhile')
  await acknowledged(vic, 'meanwhile')
  await vic.page.keyboard.press('Escape')
  await soon(() => question(vic).count(), 0)
  await vic.page.goBack()
  await soon(() => question(vic).count(), 0, 'no entry of the history keeps it')
  assert.deepEqual([await whoIs(vic), await isGood(link)], ['Vic', true])
  await openLink()
  await answer(vic, 'Become Mallory')
  await soon(() => vic.page.locator('#me').textContent(), 'Mallory')
  await say(vic, 'as Mallory')
  await acknowledged(vic, 'as Mallory')
  const own = await linkOf(mallory)
  await vic.page.evaluate((link) => void (location.hash = `link=${link}`), own)
  await vic.page.getByText('This link is for who you are here already.').waitFor()
  assert.deepEqual([await question(vic).count(), await isGood(own)], [0, true])
  assert.deepEqual(vic.complaints, [])
})

test('yes cannot be pressed by a click that was meant for another page', async (t) => {
  const { url, browser, addressOf } = await setUp(t)
  const vic = await enter(browser, url, 'Vic')
  // Playwright's own clock: time passes when the test says so.
  await vic.page.clock.install()
  await vic.page.goto(await addressOf())
  const yes = question(vic).getByRole('button', { name: 'Become Mallory' })
  await question(vic).waitFor()
  await soon(() => yes.isDisabled(), true)
  await vic.page.clock.runFor(1_000)
  await soon(() => yes.isDisabled(), false)
  await vic.page.evaluate(() => window.dispatchEvent(new Event('focus')))
  assert.equal(await yes.isDisabled(), true, 'a window before this one was closed')
  await vic.page.clock.runFor(1_000)
  await soon(() => yes.isDisabled(), false)
})

/** Presses at where something stands now, whatever is there by then; or keys that are held down. */
async function pressOnAndOn({ page }: Person, yes: Locator) {
  // From now on time passes only when the test says so, and the wait begins with the window in front.
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 10_000)
  await page.evaluate(() => window.dispatchEvent(new Event('focus')))
  const { x, y, width, height } = (await yes.boundingBox())!
  for (const press of [
    () => page.mouse.click(x + width / 2, y + height / 2),
    () => page.keyboard.press('a'),
  ]) {
    for (let n = 0; n < 4; n += 1) {
      await page.clock.runFor(600)
      await press()
      assert.equal(await yes.isDisabled(), true, 'pressed before it could be read')
    }
  }
  await page.clock.runFor(1_000)
  await soon(() => yes.isDisabled(), false)
}

test('… nor by one who clicks on and on, in a game that the site before began', async (t) => {
  const { url, browser, mallory, addressOf, isGood } = await setUp(t)
  const address = await addressOf()
  const stranger = await open(browser, url)
  await stranger.page.clock.install()
  await stranger.page.goto('about:blank')
  await stranger.page.goto(address)
  const go = button(stranger, 'Continue as Mallory')
  await go.waitFor()
  await pressOnAndOn(stranger, go)
  assert.deepEqual([await whoIs(stranger), await isGood(secretOf(address))], [null, true])

  const vic = await enter(browser, url, 'Vic')
  await vic.page.clock.install()
  await vic.page.goto(address)
  await question(vic).waitFor()
  await pressOnAndOn(vic, question(vic).getByRole('button', { name: 'Become Mallory' }))
  assert.deepEqual([await whoIs(vic), await isGood(secretOf(address))], ['Vic', true])

  await post(`${url}/api/rooms`, { room: 'trap' }, mallory.token)
  const answer = await post(`${url}/api/rooms/trap/invites`, {}, mallory.token)
  const { invite } = (await answer.json()) as { invite: string }
  await vic.page.goto('about:blank')
  await vic.page.goto(`${url}/r/trap#invite=${invite}`)
  await question(vic).getByText('invites you').waitFor()
  await pressOnAndOn(vic, question(vic).getByRole('button', { name: 'Enter trap' }))
})

test('yes is said of whom the question names: another tab became somebody else', async (t) => {
  const { url, browser, addressOf, isGood } = await setUp(t)
  const address = await addressOf()
  const vic = await enter(browser, url, 'Vic')
  const tab = { page: await vic.page.context().newPage(), complaints: [] }
  await tab.page.goto(address)
  await question(tab).getByText('You are Vic here. Become Mallory?').waitFor()
  const inPage = { page: await vic.page.context().newPage(), complaints: [] }
  await inPage.page.goto(url)
  await composer(inPage).waitFor()
  await inPage.page.evaluate((hash) => void (location.hash = hash), new URL(address).hash)
  await question(inPage).waitFor()

  await button(vic, 'Sign out').click()
  await vic.page.getByLabel('Your name').fill('Wanda')
  await vic.page.keyboard.press('Enter')
  await composer(vic).waitFor()
  await isOut(inPage)
  await soon(() => question(inPage).count(), 0, 'the question left with whom it was about')
  await answer(tab, 'Become Mallory')
  await question(tab).getByText('You are Wanda here. Become Mallory?').waitFor()
  assert.deepEqual([await whoIs(tab), await isGood(secretOf(address))], ['Wanda', true])
  await answer(tab, 'No, stay Wanda')
  await soon(() => tab.page.locator('#me').textContent(), 'Wanda')
  assert.deepEqual(vic.complaints, [])
})

test('what was not sent yet is spoken of, and kept by who stays', async (t) => {
  const { url, browser, addressOf, hub } = await setUp(t)
  const vic = await enter(browser, url, 'Vic')
  const release = holdAppends(hub.log)
  await say(vic, 'not sent yet')
  await message(vic, 'not sent yet').waitFor()
  await vic.page.goto(await addressOf())
  await question(vic).getByText('1 message was not sent yet, and would be lost.').waitFor()
  await answer(vic, 'No, stay Vic')
  release()
  await acknowledged(vic, 'not sent yet')
})

test('the door’s form, while another tab came in: a question as well', async (t) => {
  const { url, browser, isFree } = await setUp(t)
  const tab = await open(browser, url)
  await tab.page.getByLabel('Your name').waitFor()
  const other = { page: await tab.page.context().newPage(), complaints: [] }
  await other.page.goto(url)
  await other.page.getByLabel('Your name').fill('Ann')
  await other.page.keyboard.press('Enter')
  await composer(other).waitFor()
  const comeIn = async () => {
    await tab.page.getByLabel('Your name').fill('Bob')
    await tab.page.keyboard.press('Enter')
    await question(tab).getByText('You are Ann here. Become Bob?').waitFor()
  }
  await comeIn()
  await answer(tab, 'No, stay Ann')
  await composer(tab).waitFor()
  assert.equal(await tab.page.locator('#me').textContent(), 'Ann')
  await button(other, 'Sign out').click()
  await isOut(tab)
  await other.page.getByLabel('Your name').fill('Ann')
  await other.page.keyboard.press('Enter')
  await composer(other).waitFor()
  await comeIn()
  await answer(tab, 'Become Bob')
  await composer(tab).waitFor()
  await isOut(other)
  assert.equal(await whoIs(tab), 'Bob')
  assert.ok(await isFree('Ann'))
})

test('an invitation from another site: whose room it is, and nobody there has seen who looked', async (t) => {
  const { url, browser, mallory } = await setUp(t)
  const site = await startSite(t)
  await post(`${url}/api/rooms`, { room: 'trap' }, mallory.token)
  const owner = await connect(t, url, mallory)
  await owner.join('trap')
  const response = await post(`${url}/api/rooms/trap/invites`, {}, mallory.token)
  const address = `${url}/r/trap#invite=${((await response.json()) as { invite: string }).invite}`
  const vic = await enter(browser, url, 'Vic')
  await vic.page.goto(site(address)).catch(() => {})
  await question(vic).getByText('Mallory invites you to trap.').waitFor()
  assert.equal(new URL(vic.page.url()).hash, '')
  assert.deepEqual(await axe(vic), [])
  await until(vic, () => document.activeElement?.textContent === 'No, thanks')
  await vic.page.keyboard.press('Enter')
  await composer(vic).waitFor()
  await soon(() => vic.page.locator('#room-title').textContent(), 'lobby')
  await say(vic, 'still here')
  await acknowledged(vic, 'still here')
  await owner.settle()
  assert.doesNotMatch(JSON.stringify(owner.events), /Vic/)

  await vic.page.goto(address)
  await answer(vic, 'Enter trap')
  await vic.page.locator('#room-title', { hasText: 'trap' }).waitFor()
  await vic.page.locator('#people-list', { hasText: 'Mallory' }).waitFor({ state: 'attached' })
  await vic.page.goto('about:blank')
  await vic.page.goto(address)
  await vic.page.locator('#people-list', { hasText: 'Mallory' }).waitFor({ state: 'attached' })
  assert.equal(await question(vic).count(), 0, 'who is a member just goes there')
  // In a page that is open, too.
  await vic.page.evaluate((hash) => void (location.hash = hash), new URL(address).hash)
  await until(vic, () => location.hash === '')
  assert.equal(await question(vic).count(), 0)
  assert.deepEqual(vic.complaints, [])
})

test('an invitation in an open page, and what is said in the chat of either kind of link', async (t) => {
  const { url, browser, mallory, addressOf } = await setUp(t)
  await post(`${url}/api/rooms`, { room: 'trap' }, mallory.token)
  const response = await post(`${url}/api/rooms/trap/invites`, {}, mallory.token)
  const { invite } = (await response.json()) as { invite: string }
  const vic = await enter(browser, url, 'Vic')
  const bot = await connect(t, url, mallory)
  await bot.join('lobby')
  await bot.say(
    'lobby',
    `my photos: [holidays](${await addressOf()}) and ${url}/r/trap#invite=${invite}`,
  )
  await acknowledged(vic, 'my photos')
  assert.equal(await message(vic, 'my photos').locator('a[href*="#"]').count(), 0)
  const openTrap = `history.pushState(null, '', '/r/trap'); location.hash = 'invite=${invite}'`
  await vic.page.evaluate(openTrap)
  await answer(vic, 'No, thanks')
  await soon(() => question(vic).count(), 0)
  await soon(() => vic.page.locator('#room-title').textContent(), 'lobby')
  await vic.page.evaluate(openTrap)
  await answer(vic, 'Enter trap')
  await vic.page.locator('#room-title', { hasText: 'trap' }).waitFor()
  assert.equal(new URL(vic.page.url()).pathname, '/r/trap')
  assert.deepEqual(vic.complaints, [])
})
