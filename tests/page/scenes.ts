/**
 * Every state of the page, in the order in which one person goes through them on one evening: each
 * scene goes on where the one before it ended, and does what a person would do.
 */

import type { Locator, Page } from 'playwright-core'
import type { Story } from './story.ts'

export interface Stage extends Story {
  page: Page
  isPhone: boolean
  /** Servers that ask for a code, and that send people to a login elsewhere. */
  doors: { code: string; login: string }
}
/** @returns what is to be done after the picture */
export type Scene = (stage: Stage) => Promise<(() => unknown) | void>

export const ME = 'Rosa'
const LAST_WORDS = 'and I light the fire.'
const OLD_WORDS = 'The first swallows'

export const SCENES: Record<string, Scene> = {
  async 'sign-in'({ page, url }) {
    await page.goto(url)
    await page.getByLabel('Your name').waitFor()
  },
  async 'sign-in-taken'({ page }) {
    await page.getByLabel('Your name').fill('Ada')
    await page.keyboard.press('Enter')
    await page.getByText('Somebody goes by that name').waitFor()
  },
  async code({ page, doors }) {
    await page.goto(doors.code)
    await page.getByLabel('Access code').waitFor()
  },
  async 'own-login'({ page, doors }) {
    await page.goto(doors.login)
    await page.getByText('through your own application').waitFor()
  },
  async 'link-at-the-door'(stage) {
    await stage.page.goto(await stage.linkOf(stage.people.linus))
    await stage.page.getByText('This link signs you in as Linus.').waitFor()
    await stage.page.getByRole('button', { name: 'Continue as Linus', disabled: false }).waitFor()
  },
  async unreachable({ page, url }) {
    await page.route('**/api/session*', (route) => route.abort())
    await page.goto(url)
    await page.getByText('cannot be reached').waitFor()
    return () => page.unroute('**/api/session*')
  },

  async empty(stage) {
    await stage.page.goto(`${stage.url}/r/attic`)
    await comeIn(stage)
    await stage.page.getByText('It is quiet here').waitFor()
  },
  async loading(stage) {
    await stage.askFor(await myId(stage))
    stage.network.freeze()
    await enterRoom(stage, 'lobby')
    await stage.page.getByText(/Waiting|Fetching/).waitFor()
    return () => stage.network.pass()
  },
  async talk(stage) {
    await stage.page.getByText('the good cups').waitFor()
    for (const room of ['kitchen', 'garden']) await visit(stage, room)
    await goTo(stage, 'lobby')
    await say(stage, `Gladly. Give me ten minutes, ${LAST_WORDS}`)
    await stage.page.locator('.own:not(.pending)', { hasText: LAST_WORDS }).waitFor()
    await stage.talkOfTulips()
    const mentions = [await myId(stage)]
    await stage.people.margaret.say('kitchen', '@Rosa, the soup is ready.', { mentions })
    await stage.page.reload()
    await stage.page.getByText(LAST_WORDS).waitFor()
    await stage.page.locator('#room-list .mention').waitFor({ state: 'attached' })
    await stage.page.locator('#people-list', { hasText: ME }).waitFor({ state: 'attached' })
    stage.people.ada.send({ type: 'typing', room: 'lobby' })
    await stage.page.getByText('is typing').waitFor()
  },
  async 'talk-yesterday'({ page }) {
    await page.getByText('This is where lobby begins').scrollIntoViewIfNeeded()
    return () => page.getByLabel('write message').press('Escape')
  },

  async buttons(stage) {
    await pointAt(stage, 'That was it')
    await stage.page.getByRole('button', { name: 'Reply' }).waitFor()
  },
  async picker(stage) {
    await press(stage, 'React')
    await stage.page.getByLabel('Any emoji').waitFor()
    return () => stage.page.keyboard.press('Escape')
  },
  async delete(stage) {
    await pointAt(stage, LAST_WORDS)
    await press(stage, 'Delete')
    await stage.page.getByText('Delete it for everyone?').waitFor()
    return () => press(stage, 'Keep')
  },
  async editing(stage) {
    await press(stage, 'Edit')
    await stage.page.getByText('Changing your message').waitFor()
    return () => stage.page.keyboard.press('Escape')
  },
  async answering(stage) {
    await pointAt(stage, 'do you bring the tea')
    await press(stage, 'Reply')
    await stage.page
      .getByLabel('write message')
      .fill('Green or black?\nI have both, and some peppermint.')
    await stage.page.getByText('Answering Margaret').waitFor()
    return async () => {
      await stage.page.getByLabel('write message').fill('')
      await stage.page.keyboard.press('Escape')
    }
  },
  async names({ page }) {
    await page.getByLabel('write message').pressSequentially('Good evening @')
    await page.getByRole('option').first().waitFor()
    return () => page.getByLabel('write message').fill('')
  },

  async 'rooms-drawer'(stage) {
    await openDrawer(stage, 'Rooms')
    return () => closeDrawer(stage)
  },
  async 'people-drawer'(stage) {
    await openDrawer(stage, 'People')
    return () => closeDrawer(stage)
  },
  async shortcuts(stage) {
    await openDrawer(stage, 'Rooms')
    await press(stage, 'Keyboard shortcuts')
    return () => stage.page.keyboard.press('Escape')
  },
  async 'other-device'(stage) {
    await openDrawer(stage, 'Rooms')
    await press(stage, 'Use on another device')
    await stage.page.getByLabel('Address for the other device').waitFor()
    return () => stage.page.keyboard.press('Escape')
  },

  async 'new-messages'(stage) {
    await goTo(stage, 'garden')
    await stage.page.getByText('New messages').waitFor()
  },
  async 'search-nothing'(stage) {
    await goTo(stage, 'almanac')
    await stage.page.getByText('Winter is over').waitFor()
    await press(stage, 'Search')
    await stage.page.getByLabel('Words to find').fill('penguin')
    await stage.page.getByText('Nothing was found').waitFor()
  },
  async 'search-found'({ page }) {
    await page.getByLabel('Words to find').fill('swallow')
    await page.getByText('30 found').waitFor()
  },
  async 'old-message'(stage) {
    await touch(stage, stage.page.locator('#hits a', { hasText: 'Day 29' }))
    await stage.page.locator('.target', { hasText: OLD_WORDS }).waitFor()
    const panel = stage.page.locator('#search')
    if (!stage.isPhone) await touch(stage, panel.getByRole('button', { name: 'Close' }))
    await panel.waitFor({ state: 'hidden' })
  },
  async 'new-below'(stage) {
    await stage.people.margaret.say('almanac', 'Day 152. The stove stays cold.')
    await stage.page.getByRole('button', { name: '1 new message' }).waitFor()
  },
  async 'right-to-left'(stage) {
    await goTo(stage, 'bazaar')
    await stage.page.getByText('Thank you both').waitFor()
  },

  async 'new-room'(stage) {
    await openDrawer(stage, 'Rooms')
    await press(stage, 'New private room')
    await stage.page.getByLabel('Name of the room').fill('lobby')
    await press(stage, 'Make it')
    await stage.page.getByText('There is a room of this name').waitFor()
  },
  async invite(stage) {
    await stage.page.getByLabel('Name of the room').fill('reading-corner')
    await press(stage, 'Make it')
    await stage.page.locator('#room-title', { hasText: 'reading-corner' }).waitFor()
    await openDrawer(stage, 'People')
    await press(stage, 'Invite people')
    const address = stage.page.getByLabel('Invitation')
    const invite = (await address.inputValue()).split('=')[1] ?? ''
    return async () => {
      await press(stage, 'Close')
      await stage.accept(stage.people.grace, 'reading-corner', invite)
    }
  },
  async 'own-room'(stage) {
    await stage.people.grace.say('reading-corner', 'What do we read first?')
    await stage.page.getByText('What do we read first?').waitFor()
    await openDrawer(stage, 'People')
    await stage.page.getByLabel('Mute this room').check()
    await stage.page.getByRole('button', { name: 'Remove Grace' }).waitFor()
  },
  async question(stage) {
    await press(stage, 'Remove Grace')
    await stage.page.getByText('Remove Grace from').waitFor()
    return () => press(stage, 'Cancel')
  },
  async 'rooms-muted'(stage) {
    await goTo(stage, 'lobby')
    await stage.page.getByText(LAST_WORDS).waitFor()
    await stage.people.grace.say('reading-corner', 'Poems?')
    await openDrawer(stage, 'Rooms')
    await stage.page.getByText('muted').waitFor()
    return () => closeDrawer(stage)
  },
  async mentioned(stage) {
    const mentions = [await myId(stage)]
    await stage.people.grace.say('lobby', '@Rosa, the key is under the mat.', { mentions })
    await stage.page.getByText('Tell me next time').waitFor()
    return () => press(stage, 'Not now')
  },

  async offline(stage) {
    await stage.page.context().setOffline(true)
    stage.network.cut()
    await stage.page.getByText('Offline').waitFor()
    await say(stage, 'On the train, in a tunnel. Back in a minute.')
    await stage.page.locator('.pending').waitFor()
    return async () => {
      stage.network.pass()
      await stage.page.context().setOffline(false)
      await stage.page.locator('.pending').waitFor({ state: 'detached' })
    }
  },
  async failed(stage) {
    await refuseWhatIsSaid(stage.page)
    await stage.page.reload()
    await stage.page.getByText(LAST_WORDS).waitFor()
    await say(stage, 'Too good to be sent.')
    await stage.page.getByRole('button', { name: 'Try again' }).waitFor()
    await stage.page.locator('#people-list', { hasText: ME }).waitFor({ state: 'attached' })
    return () => press(stage, 'Discard')
  },
  async 'link-when-in'(stage) {
    await stage.page.goto(await stage.linkOf(stage.people.linus))
    await stage.page.getByRole('button', { name: 'Become Linus', disabled: false }).waitFor()
    return () => press(stage, /^No, stay/)
  },
  async 'turned-back'(stage) {
    await enterRoom(stage, 'vault')
    await stage.page.getByText('You come in by invitation').waitFor()
  },
  async banned(stage) {
    await stage.ban(await myId(stage))
    await stage.page.getByText('You were banned').waitFor()
  },
}

/** Beside the talk on a wide screen, so not states of their own there. */
export const ON_PHONES = new Set(['rooms-drawer', 'people-drawer'])

/* ------------------------------------------------------------------ what a person does */

/** On a phone no mouse rests anywhere. */
const touch = ({ isPhone }: Stage, locator: Locator) => (isPhone ? locator.tap() : locator.click())

const press = (stage: Stage, name: string | RegExp) =>
  touch(stage, stage.page.getByRole('button', { name, exact: typeof name === 'string' }))

async function comeIn(stage: Stage) {
  const { page } = stage
  await page.getByLabel('Your name').fill(ME)
  await press(stage, 'Come in')
  await page.locator('#people-list', { hasText: ME }).waitFor({ state: 'attached' })
}

async function myId({ page }: Stage): Promise<string> {
  const { user } = await page.evaluate(() => fetch('/api/session').then((r) => r.json()))
  return user.id
}

async function openDrawer(stage: Stage, name: 'Rooms' | 'People') {
  if (stage.isPhone) await press(stage, new RegExp(`^${name}`))
}

async function closeDrawer({ page, isPhone }: Stage) {
  if (isPhone) await page.keyboard.press('Escape')
}

async function enterRoom(stage: Stage, room: string) {
  await openDrawer(stage, 'Rooms')
  await stage.page.getByLabel('Enter or start a room').fill(room)
  await stage.page.keyboard.press('Enter')
}

async function goTo(stage: Stage, room: string) {
  await enterRoom(stage, room)
  await stage.page.locator('#room-title', { hasText: room }).waitFor()
  await stage.page.locator('#count:not(:empty)').waitFor({ state: 'attached' })
}

/** Goes there and reads what there is. */
async function visit(stage: Stage, room: string) {
  await goTo(stage, room)
  await stage.page.locator('.message').first().waitFor()
  const badge = stage.page.locator(`#room-list a[href="/r/${room}"] .badge`)
  await badge.waitFor({ state: 'detached' })
}

async function say({ page }: Stage, text: string) {
  await page.getByLabel('write message').fill(text)
  await page.keyboard.press('Enter')
}

async function pointAt({ page, isPhone }: Stage, text: string) {
  const body = page.locator('.message', { hasText: text }).locator('.body')
  if (isPhone) await body.tap({ position: { x: 4, y: 8 } })
  else await body.hover({ position: { x: 4, y: 8 } })
}

/** A server that takes no message: this one would, so a stranger on the way says no. */
function refuseWhatIsSaid(page: Page) {
  return page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer()
    socket.onMessage((data) => {
      const { type, id, room } = JSON.parse(String(data))
      if (type !== 'say') return server.send(data)
      const message = 'the server does not take it'
      socket.send(JSON.stringify([{ type: 'error', code: 'invalid', message, of: type, id, room }]))
    })
  })
}
