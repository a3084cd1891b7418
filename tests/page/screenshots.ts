/**
 * Pictures of the page as it really is: `npm run screenshots -- [folder]`. The one of the README
 * goes to docs/page.png; all states, at both widths and by day and night, go to the folder.
 */

import { mkdirSync } from 'node:fs'
import type { TestContext } from 'node:test'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { launchBrowser } from '../browser.ts'
import { newcomer, post, signIn, startServer, type Client } from '../helpers.ts'

const folder = process.argv[2]
const WIDTHS = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } }
const SCHEMES = ['light', 'dark'] as const
const ADMIN = 'a-token-for-the-admin'
const LIVELY = {
  ...{ MESSAGE_RATE: '1000', MESSAGE_BURST: '1000', SESSION_RATE: '1000', ADMIN_TOKEN: ADMIN },
}

const closers: (() => unknown)[] = []
const t = { after: (close: () => unknown) => void closers.unshift(close) } as TestContext

const { url } = await startServer(t, { env: LIVELY })
const browser = await launchBrowser(t)
const margaret = await holdTalk()
const rosa = await open(browser, { viewport: WIDTHS.desktop, colorScheme: 'light' })
await comeIn(rosa, 'Rosa')
await takePart(rosa, margaret)
await rosa.screenshot({ path: 'docs/page.png' })
if (folder) await takeAll(folder)
for (const close of closers) await close()
process.exit()

async function takeAll(folder: string) {
  mkdirSync(folder, { recursive: true })
  const admin = await signIn(url, 'Root', { admin: ADMIN })
  await post(`${url}/api/rooms`, { room: 'vault' }, admin.token)
  const elsewhere = await startServer(t, { env: { ...LIVELY, GUESTS: 'false' } })
  const coded = await startServer(t, { env: { ...LIVELY, ACCESS_CODE: 'sesame' } })
  for (const [width, viewport] of Object.entries(WIDTHS)) {
    for (const colorScheme of SCHEMES) {
      const path = (state: string) => `${folder}/${width}-${colorScheme}-${state}.png`
      const page = await open(browser, { viewport, colorScheme })
      await page.screenshot({ path: path('sign-in') })
      await comeIn(page, `Ida ${width} ${colorScheme}`)
      await page.screenshot({ path: path('talk') })
      await page.goto(`${url}/r/attic`)
      await page.getByText('It is quiet here').waitFor()
      await page.screenshot({ path: path('empty') })
      await takeRooms(page, `den-${width}-${colorScheme}`, path)
      await page.goto(`${url}/r/vault`)
      await page.getByText('You come in by invitation').waitFor()
      await page.screenshot({ path: path('turned-back') })
      await ban(page, admin.token)
      await page.getByText('You were banned').waitFor()
      await page.screenshot({ path: path('banned') })
      await page.goto(elsewhere.url)
      await page.getByText('through your own application').waitFor()
      await page.screenshot({ path: path('own-login') })
      await page.goto(coded.url)
      await page.getByLabel('code').waitFor()
      await page.screenshot({ path: path('code') })
      await page.context().close()
    }
  }
}

/** A room of one's own, and what one does there. */
async function takeRooms(page: Page, room: string, path: (state: string) => string) {
  const isPhone = page.viewportSize()?.width === WIDTHS.phone.width
  const drawer = async (name: RegExp) => {
    if (isPhone) await page.getByRole('button', { name }).click()
  }
  const press = (name: string) => page.getByRole('button', { name }).click()
  await drawer(/^Rooms/)
  await press('New private room')
  await page.getByLabel('Name of the room').fill('lobby')
  await press('Make it')
  await page.getByText('There is a room of this name').waitFor()
  await page.screenshot({ path: path('new-room') })
  await page.getByLabel('Name of the room').fill(room)
  await press('Make it')
  await page.locator('#room-title', { hasText: room }).waitFor()
  await drawer(/^People/)
  await press('Invite people')
  await page.screenshot({ path: path('invite') })
  const address = await page.getByLabel('Invitation').inputValue()
  await press('Close')
  const guest = await newcomer(t, url, `Ken ${room}`)
  const invite = address.split('=')[1]
  await post(`${url}/api/rooms/${room}/members`, { invite }, guest.account.token)
  await guest.join(room)
  await page.locator('#people-list', { hasText: 'Ken' }).waitFor({ state: 'attached' })
  await drawer(/^People/)
  await page.getByLabel('Mute this room').check()
  await page.screenshot({ path: path('own-room') })
  await press('Remove Ken')
  await page.screenshot({ path: path('question') })
  await press('Cancel')
  const { user } = await page.evaluate(() => fetch('/api/session').then((r) => r.json()))
  await page.goto(`${url}/r/porch-${room}`)
  await page.getByText('It is quiet here').waitFor()
  await guest.say(room, 'Psst', { mentions: [user.id] })
  await guest.join(`porch-${room}`)
  await guest.say(`porch-${room}`, 'Are you there?', { mentions: [user.id] })
  await page.getByText('Tell me next time').waitFor()
  await page.screenshot({ path: path('mentioned') })
  await drawer(/^Rooms/)
  await page.locator('#room-list .mention').waitFor()
  await page.screenshot({ path: path('rooms') })
}

async function ban(page: Page, token: string) {
  const { user } = await page.evaluate(() => fetch('/api/session').then((r) => r.json()))
  const headers = { authorization: `Bearer ${token}` }
  await fetch(`${url}/api/users/${user.id}`, { method: 'DELETE', headers })
}

/** Four people, some of whom come back to what they said. @returns the last of them */
async function holdTalk(): Promise<Client> {
  const names = ['Ada', 'Grace', 'Linus', 'Margaret']
  const [ada, grace, linus, margaret] = (await Promise.all(
    names.map(async (name) => {
      const client = await newcomer(t, url, name)
      await client.join('lobby')
      await client.join('garden')
      return client
    }),
  )) as [Client, Client, Client, Client]
  const change = async (client: Client, frame: object) => {
    const id = crypto.randomUUID()
    client.send({ room: 'lobby', id, ...frame })
    await client.next('message', (event) => event.id === id)
  }
  await grace.say('lobby', 'Good evening! Is the stove room free on Thursday?')
  await ada.say('lobby', 'It is. I put your name on the list: https://example.org/list')
  const meeting = await linus.say('lobby', 'One more thing: the meeting moved to four.')
  await linus.say('lobby', 'Please tell the others when you see them,\nnot everybody reads this.')
  const reply = { type: 'say', body: 'Will do.', replyTo: meeting.seq }
  await change(margaret, reply)
  await change(grace, { type: 'react', target: meeting.seq, emoji: '👍', on: true })
  await change(ada, { type: 'react', target: meeting.seq, emoji: '👍', on: true })
  await change(margaret, { type: 'react', target: meeting.seq, emoji: '🔥', on: true })
  const slip = await grace.say('lobby', 'I bring the wod.')
  await change(grace, { type: 'edit', target: slip.seq, body: 'I bring the wood.' })
  await ada.say('lobby', 'And I bring the tea. See you at the hearth.')
  return margaret
}

async function open(browser: Browser, options: BrowserContextOptions): Promise<Page> {
  const page = await (await browser.newContext({ locale: 'en-GB', ...options })).newPage()
  await page.goto(url)
  await page.getByLabel('Your name').waitFor()
  return page
}

async function comeIn(page: Page, name: string) {
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Come in' }).click()
  await page.getByText('See you at the hearth.').waitFor()
  // The list of people comes with the join, and Rosa's own name with it.
  await page.locator('#people-list', { hasText: name }).waitFor({ state: 'attached' })
}

/** One who has said something, and has something to read elsewhere. */
async function takePart(page: Page, other: Client) {
  await page.getByLabel('Enter or start a room').fill('garden')
  await page.keyboard.press('Enter')
  await page.getByText('It is quiet here').waitFor()
  await page.getByRole('link', { name: 'lobby' }).click()
  await page.getByLabel('write message').fill('Then I light the fire at half past three.')
  await page.keyboard.press('Enter')
  await page.locator('.message.own:not(.pending)').waitFor()
  await other.say('garden', 'The tulips are in.')
  await page.locator('#room-list .badge').waitFor()
}
