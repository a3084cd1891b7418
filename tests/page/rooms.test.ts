/** Rooms in a real Chromium: made, shared, left, counted on every device; and what calls for attention. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchBrowser } from '../browser.ts'
import { newcomer, startServer } from '../helpers.ts'
import {
  axe,
  enter,
  FRAMES,
  LIVELY,
  message,
  open,
  PHONE,
  soon,
  until,
  type Person,
} from './people.ts'

const ENV = { ...LIVELY, ...FRAMES }

const press = ({ page }: Person, name: string | RegExp) =>
  page.getByRole('button', { name, exact: typeof name === 'string' }).click()
const inDialog = ({ page }: Person, name: string) =>
  page.getByRole('dialog').or(page.getByRole('alertdialog')).getByRole('button', { name }).click()
const inRoom = ({ page }: Person, room: string) =>
  page.locator('#room-title', { hasText: room }).waitFor()
const roomLink = ({ page }: Person, room: string) => page.locator(`#room-list a[href="/r/${room}"]`)
const listed = (person: Person, room: string, text: string) =>
  roomLink(person, room).filter({ hasText: text }).waitFor()
const goTo = async (person: Person, room: string) => {
  await person.page.getByLabel('Enter or start a room').fill(room)
  await person.page.keyboard.press('Enter')
  await inRoom(person, room)
}
const titled = ({ page }: Person, title: string) =>
  page.waitForFunction((title) => document.title === title, title)

/** @returns the address of a new invitation, the dialog being open */
async function invite(ada: Person) {
  await press(ada, 'Invite people')
  const address = ada.page.getByLabel('Invitation')
  // Before that it may be the one of last time.
  await address.waitFor()
  return address.inputValue()
}

test('private rooms: made, invited into, removed from, left', async (t) => {
  const { url } = await startServer(t, { env: ENV })
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const grace = await open(browser, url, PHONE)
  const people: Person[] = [ada, grace]

  await t.test('the dialog says what private means, and what is wrong with a name', async () => {
    await press(ada, 'New private room')
    await ada.page.getByText('Only people whom you invite can enter').waitFor()
    const name = ada.page.getByLabel('Name of the room')
    await name.fill('lobby')
    await name.press('Enter')
    await ada.page.getByText('There is a room of this name already.').waitFor()
    assert.deepEqual(await axe(ada), [])
    await name.fill('Vault No. 7')
    await press(ada, 'Make it')
    await ada.page.getByText('Letters a to z, digits and -, at most 32.').last().waitFor()
    await name.fill('The Vault')
    await press(ada, 'Make it')
    await inRoom(ada, 'the-vault')
    await listed(ada, 'the-vault', 'private')
  })

  await t.test('an invitation is a link, good for who is not signed in', async () => {
    const address = await invite(ada)
    assert.match(address, /\/r\/the-vault#invite=[\w-]{43}$/)
    await ada.page.getByText(/first person .* come in, until \w+/).waitFor()
    await press(ada, 'Copy')
    await ada.page.locator('#share-note:not(:empty)').waitFor()
    assert.deepEqual(await axe(ada), [])
    await ada.page.keyboard.press('Escape')
    await grace.page.goto(address)
    await grace.page.getByText('You are invited to the-vault.').waitFor()
    assert.equal(new URL(grace.page.url()).hash, '')
    await grace.page.getByLabel('Your name').fill('Grace')
    await grace.page.keyboard.press('Enter')
    await press(grace, 'Enter the-vault')
    await inRoom(grace, 'the-vault')
    await ada.page.getByRole('button', { name: 'Remove Grace' }).waitFor()
    await soon(() => grace.page.locator('#people-list button').count(), 0)
  })

  await t.test('who is removed is told; no invitation is good any more', async () => {
    await press(ada, 'Remove Grace')
    assert.deepEqual(await axe(ada), [])
    await inDialog(ada, 'Cancel')
    await until(ada, () => document.activeElement?.textContent === 'Remove')
    await soon(() => ada.page.getByRole('button', { name: 'Remove Grace' }).count(), 1)
    await press(ada, 'Remove Grace')
    await inDialog(ada, 'Remove')
    await ada.page.getByText('Grace is no longer in the-vault.').waitFor()
    await ada.page.getByRole('button', { name: 'Remove Grace' }).waitFor({ state: 'detached' })
    await grace.page.getByText('You are no longer in the-vault.').waitFor()
    await inRoom(grace, 'lobby')
  })

  await t.test('ended invitations are said to be so, and lead elsewhere', async () => {
    const over = await invite(ada)
    await press(ada, 'End all invitations')
    await ada.page.getByText('All invitations are over.').waitFor()
    await soon(() => ada.page.getByLabel('Invitation').isVisible(), false)
    await press(ada, 'Close')
    await grace.page.goto(over)
    await grace.page.getByText('This invitation to the-vault is no longer good.').waitFor()
    await inRoom(grace, 'lobby')
    const good = await invite(ada)
    await press(ada, 'Close')
    await grace.page.goto(good)
    await press(grace, 'Enter the-vault')
    await inRoom(grace, 'the-vault')
    await grace.page.getByText('It is quiet here').waitFor()
  })

  await t.test('leaving asks first; the owner comes back by name', async () => {
    await press(grace, /^People/)
    await press(grace, 'Leave this room')
    await grace.page.getByText('To come back you need a new invitation.').waitFor()
    assert.deepEqual(await axe(grace), [])
    await inDialog(grace, 'Stay')
    await until(grace, () => document.activeElement?.id === 'log')
    await press(grace, /^People/)
    await press(grace, 'Leave this room')
    await inDialog(grace, 'Leave')
    await inRoom(grace, 'lobby')
    await press(ada, 'Leave this room')
    await ada.page.getByText('The room is yours').waitFor()
    await inDialog(ada, 'Leave')
    await roomLink(ada, 'the-vault').waitFor({ state: 'detached' })
    await goTo(ada, 'the-vault')
    await ada.page.getByRole('button', { name: 'Invite people' }).waitFor()
  })
  assert.deepEqual(
    people.flatMap(({ complaints }) => complaints),
    [],
  )
})

interface Shown {
  title: string
  body: string
  tag: string
  onclick(): void
}
interface Stubbed {
  shown: Shown[]
  isAway: boolean
}

/** Notifications that are written down, and a focus that is where the test says. */
function stub() {
  const state = Object.assign(window as unknown as Stubbed, { shown: [], isAway: false })
  class Stub {
    static permission = localStorage.getItem('stub.granted') ?? 'default'
    static async requestPermission() {
      localStorage.setItem('stub.granted', 'granted')
      return (Stub.permission = 'granted')
    }
    constructor(title: string, options: object) {
      state.shown.push(Object.assign(this, { title, ...options }) as unknown as Shown)
    }
    close() {}
  }
  Object.defineProperty(window, 'Notification', { value: Stub })
  document.hasFocus = () => !state.isAway
}
const lookAway = ({ page }: Person, isAway: boolean) =>
  page.evaluate((isAway) => void Object.assign(window, { isAway }), isAway)
const shownTo = ({ page }: Person) =>
  page.evaluate(() =>
    (window as unknown as Stubbed).shown.map(({ title, body, tag }) => ({ title, body, tag })),
  )
const notified = ({ page }: Person, count: number) =>
  page.waitForFunction((n) => (window as unknown as Stubbed).shown.length === n, count)

test('one person on two devices, and what calls for attention', async (t) => {
  const { url } = await startServer(t, { env: ENV })
  const browser = await launchBrowser(t)
  const ada = await open(browser, 'about:blank')
  // The compiler of this file names its classes with a helper that the page does not have.
  await ada.page.context().addInitScript('globalThis.__name = (made) => made')
  await ada.page.context().addInitScript(stub)
  const noise: string[] = []
  ada.page.on('console', (message) => noise.push(message.text()))
  const bot = await newcomer(t, url, 'Bot')
  await bot.join('lobby')
  await bot.join('garden')

  await t.test('a first visit prints nothing at all', async () => {
    await ada.page.goto(url)
    await ada.page.getByLabel('Your name').fill('Ada')
    await ada.page.keyboard.press('Enter')
    await ada.page.locator('#people-list', { hasText: 'Ada' }).waitFor()
    assert.deepEqual(noise, [])
  })
  const { user } = await ada.page.evaluate(() => fetch('/api/session').then((r) => r.json()))
  const mention = (room: string, body: string) => bot.say(room, body, { mentions: [user.id] })

  await press(ada, 'Use on another device')
  const address = await ada.page.getByLabel('Address for the other device').inputValue()
  const phone = await open(browser, address, PHONE)
  await press(phone, 'Continue as Ada')
  await press(ada, 'Close')
  await inRoom(phone, 'lobby')

  await t.test('unread and mentions: read on one device is read on the other', async () => {
    await goTo(ada, 'garden')
    await roomLink(ada, 'lobby').click()
    await inRoom(ada, 'lobby')
    await bot.say('garden', 'one')
    await listed(ada, 'garden', '1 unread')
    await titled(ada, '(1) lobby – Chat Application')
    await soon(() => ada.page.getByText('Tell me next time').isVisible(), false)
    await mention('garden', 'two')
    await listed(ada, 'garden', '1 mention')
    await listed(ada, 'garden', '2 unread')
    await titled(ada, '@ (2) lobby – Chat Application')
    // The phone learns of the room when its owner takes it up again.
    await phone.page.evaluate(() => window.dispatchEvent(new Event('online')))
    await phone.page.locator('#all-unread', { hasText: '1' }).waitFor()
    await press(phone, /^Rooms/)
    await listed(phone, 'garden', '1 mention')
    assert.deepEqual(await axe(phone), [])
    await roomLink(phone, 'garden').click()
    await message(phone, 'two').waitFor()
    await roomLink(ada, 'garden').filter({ hasNotText: 'unread' }).waitFor()
    await titled(ada, 'Chat Application')
    await press(phone, /^People/)
    await press(phone, 'Leave this room')
    await roomLink(ada, 'garden').waitFor({ state: 'detached' })
  })

  await t.test('one is asked about notifications once one was mentioned', async () => {
    await mention('lobby', 'Ada, the first')
    await ada.page.getByText('Bot mentioned you. Tell me next time').waitFor()
    assert.deepEqual(await axe(ada), [])
    await press(ada, 'Turn on')
    await ada.page.getByText('Tell me next time').waitFor({ state: 'hidden' })
    await soon(() => ada.page.getByLabel('Notify me of mentions').isChecked(), true)
    assert.deepEqual(await shownTo(ada), [])
  })

  await t.test('hidden: one notification in one tab, which leads to the room', async () => {
    await goTo(ada, 'garden')
    await roomLink(ada, 'lobby').click()
    const tab = { page: await ada.page.context().newPage(), complaints: [] }
    await tab.page.goto(url)
    await inRoom(tab, 'lobby')
    await listed(tab, 'garden', 'garden')
    for (const one of [ada, tab]) await lookAway(one, true)
    await mention('garden', `Ada,\n  look! ${'x'.repeat(200)}`)
    await notified(tab, 1)
    const [{ title, body, tag }] = (await shownTo(tab)) as [Shown]
    assert.deepEqual([title, tag], ['Bot in garden', 'hearth.garden'])
    assert.match(body, /^Ada, look! x{108}…$/)
    assert.deepEqual(await shownTo(ada), [], 'the tab that was not used last is silent')
    await tab.page.evaluate(() => (window as unknown as Stubbed).shown[0]?.onclick())
    await inRoom(tab, 'garden')
    await tab.page.close()

    for (const body of ['again 1', 'again 2', 'again 3']) {
      const id = crypto.randomUUID()
      bot.send({ type: 'say', room: 'garden', id, body, mentions: [user.id] })
    }
    await until(ada, () => {
      return (window as unknown as Stubbed).shown.at(-1)?.body === 'again 3'
    })
    const shown = await shownTo(ada)
    assert.ok(shown.length < 3, 'what comes together is one notification')
    assert.match(shown[0]?.title ?? '', /^[23] mentions in garden$/)
    await lookAway(ada, false)
  })

  await t.test('muted: counted in the list, and nowhere else', async () => {
    const before = (await shownTo(ada)).length
    await roomLink(ada, 'garden').click()
    await message(ada, 'again 3').waitFor()
    await ada.page.getByLabel('Mute this room').check()
    await listed(ada, 'garden', 'muted')
    await roomLink(ada, 'lobby').click()
    await lookAway(ada, true)
    await mention('garden', 'to the muted')
    await listed(ada, 'garden', '1 mention')
    assert.deepEqual(await axe(ada), [])
    await bot.say('lobby', 'aloud')
    await message(ada, 'aloud').waitFor()
    assert.equal(await ada.page.title(), 'Chat Application')
    assert.equal((await shownTo(ada)).length, before)
  })

  await t.test('the last room is where one comes back to; a link wins', async () => {
    await roomLink(ada, 'garden').click()
    await inRoom(ada, 'garden')
    await ada.page.goto(url)
    await inRoom(ada, 'garden')
    await soon(() => ada.page.getByLabel('Mute this room').isChecked(), true)
    await ada.page.goto(`${url}/r/lobby`)
    await inRoom(ada, 'lobby')
    await press(ada, 'Link to this room')
    await soon(() => ada.page.getByLabel('Address of this room').inputValue(), `${url}/r/lobby`)
    await press(ada, 'Close')
  })

  await t.test('signing out asks when something is unsent, and leaves nothing behind', async () => {
    const tab = { page: await ada.page.context().newPage(), complaints: [] }
    await tab.page.goto(`${url}/r/garden`)
    await inRoom(tab, 'garden')
    const parcel = (id: string) => {
      const frame = { type: 'say', room: 'lobby', id, body: 'stuck' }
      return JSON.stringify({ frame, at: 1, strikes: 2, failed: 'no' })
    }
    const id = crypto.randomUUID()
    await tab.page.evaluate(
      ([key, value]) => localStorage.setItem(key!, value!),
      [`outbox.${user.id}.${id}`, parcel(id)],
    )
    await ada.page.bringToFront()
    await message(ada, 'stuck').waitFor()
    await press(ada, 'Sign out')
    await ada.page.getByText('1 message was not sent yet, and would be lost.').waitFor()
    assert.deepEqual(await axe(ada), [])
    await inDialog(ada, 'Stay')
    await press(ada, 'Sign out')
    await inDialog(ada, 'Here only')
    await ada.page.getByLabel('Your name').waitFor()
    await tab.page.getByText('You were signed out.').waitFor()
    await until(tab, () => Object.keys(localStorage).every((key) => key.startsWith('stub.')))
    await soon(() => phone.page.locator('#room-title').textContent(), 'lobby')
  })
  assert.deepEqual([...ada.complaints, ...phone.complaints, ...noise], [])
})
