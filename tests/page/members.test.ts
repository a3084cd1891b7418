/** Who is in a private room: listed, told of, put out though away, and the room handed on. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchBrowser } from '../browser.ts'
import { newcomer, post, signIn, startServer } from '../helpers.ts'
import {
  axe,
  button,
  enter,
  message,
  open,
  PHONE,
  say,
  soon,
  until,
  type Person,
} from './people.ts'

const news = ({ page }: Person) => page.locator('#news').textContent()
const rows = ({ page }: Person, list: 'people' | 'away' | 'past') =>
  page.locator(`#${list}-list li bdi`).allTextContents()
const inRoom = (person: Person, room: string) =>
  soon(() => person.page.locator('#room-title').textContent(), room)

test('members of a private room: seen, told of, removed while away, and given the room', async (t) => {
  const { url } = await startServer(t, { limits: { absenceMs: 0 } })
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const make = async () => {
    await button(ada, 'New private room').click()
    await ada.page.getByLabel('Name of the room').fill('den')
    await button(ada, 'Make it').click()
    await inRoom(ada, 'den')
  }
  const invite = async (kind: 'one person' | 'anybody') => {
    await button(ada, 'Invite people').click()
    const address = ada.page.getByLabel('Invitation', { exact: true })
    await address.waitFor()
    const before = await address.inputValue()
    if (kind === 'anybody') {
      await ada.page.getByLabel('For anybody').check()
      await ada.page.getByText(/^Anybody with this address can come in/).waitFor()
      assert.notEqual(await address.inputValue(), before)
    }
    assert.deepEqual(await axe(ada), [])
    const href = await address.inputValue()
    await ada.page.keyboard.press('Escape')
    return new URL(href).hash.replace('#invite=', '')
  }
  const program = async (name: string, key: string) => {
    const client = await newcomer(t, url, name)
    const path = `${url}/api/rooms/den/members`
    return { client, status: (await post(path, { invite: key }, client.account.token)).status }
  }
  await make()
  const forOne = await invite('one person')

  await t.test('who comes in without a page is told of, and listed as away', async () => {
    assert.equal((await program('Bob', forOne)).status, 204)
    await soon(() => news(ada), 'Bob came in by invitation.')
    await soon(() => rows(ada, 'away'), ['Bob'])
    assert.equal((await program('Eve', forOne)).status, 403)
    await soon(
      () => ada.page.locator('#people-list .hint').allTextContents(),
      ['you', 'owner', 'since Today'],
    )
    assert.deepEqual(await axe(ada), [])
  })

  await t.test('who was not looking hears of it when they come back, once', async () => {
    const many = await invite('anybody')
    await ada.page.getByRole('link', { name: 'lobby' }).click()
    await inRoom(ada, 'lobby')
    for (const name of ['Carl', 'Dora', 'Eva', 'Finn']) await program(name, many)
    await ada.page.reload()
    await inRoom(ada, 'lobby')
    assert.equal(await news(ada), '')
    await ada.page.getByRole('link', { name: 'den' }).click()
    await until(ada, () =>
      /^\w+, \w+ and 2 others came in by invitation\.$/.test(
        document.getElementById('news')?.textContent ?? '',
      ),
    )
    await soon(() => rows(ada, 'away'), ['Bob', 'Carl', 'Dora', 'Eva', 'Finn'])
    await ada.page.reload()
    await soon(() => rows(ada, 'away'), ['Bob', 'Carl', 'Dora', 'Eva', 'Finn'])
    assert.equal(await news(ada), '')
  })

  await t.test(
    'one who is away can be put out; ending invitations says how many are in',
    async () => {
      await button(ada, 'Remove Carl').click()
      await ada.page.getByRole('button', { name: 'Remove', exact: true }).last().click()
      await soon(() => news(ada), 'Carl is no longer in den.')
      await soon(() => rows(ada, 'away'), ['Bob', 'Dora', 'Eva', 'Finn'])
      await soon(() => rows(ada, 'past'), ['Carl'])
      await button(ada, 'Invite people').click()
      await button(ada, 'End all invitations').click()
      await ada.page.getByText('den has 5 members.').waitFor()
      await soon(() => ada.page.getByLabel('For anybody').isVisible(), false)
      await ada.page.keyboard.press('Escape')
    },
  )

  await t.test('the room is handed on, after a question; on a phone, by keyboard', async () => {
    const key = await invite('one person')
    const grace = await enter(browser, url, 'Grace', PHONE)
    await grace.page.goto(`${url}/r/den#invite=${key}`)
    await button(grace, 'Enter den').click()
    await inRoom(grace, 'den')
    await soon(() => rows(ada, 'people'), ['Ada', 'Grace'])
    await button(grace, /^People/).click()
    await soon(() => grace.page.locator('#people button', { hasText: /Remove|owner/ }).count(), 0)
    await say(ada, 'It was mine')
    const marks = (person: Person) =>
      message(person, 'It was mine').locator('.by .hint').allTextContents()
    for (const person of [ada, grace]) await soon(() => marks(person), ['owner'])
    const give = button(ada, 'Make owner: Grace')
    await give.focus()
    await ada.page.keyboard.press('Enter')
    await ada.page.getByText('You stay a member.').waitFor()
    assert.deepEqual(await axe(ada), [])
    await button(ada, 'Cancel').click()
    await give.click()
    await ada.page.getByRole('button', { name: 'Make owner', exact: true }).last().click()
    await soon(() => news(ada), 'Grace owns den now.')
    await soon(() => news(grace), 'You own den now.')
    for (const person of [ada, grace]) await soon(() => marks(person), [])
    await button(grace, 'Remove Ada').waitFor()
    await soon(() => button(ada, 'Invite people').isVisible(), false)
    await soon(() => ada.page.locator('#people button', { hasText: /Remove|owner/ }).count(), 0)
    assert.deepEqual(await axe(grace), [])
    assert.deepEqual(grace.complaints, [])
  })
  assert.deepEqual(ada.complaints, [])
})

test('who comes in, reads and leaves again is told of and listed, whatever was looked at', async (t) => {
  const { url } = await startServer(t)
  const ada = await enter(await launchBrowser(t), url, 'Ada')
  await button(ada, 'New private room').click()
  await ada.page.getByLabel('Name of the room').fill('den')
  await button(ada, 'Make it').click()
  await inRoom(ada, 'den')
  await soon(() => rows(ada, 'people'), ['Ada'])
  await button(ada, 'Invite people').click()
  const address = ada.page.getByLabel('Invitation', { exact: true })
  await address.waitFor()
  await ada.page.getByLabel('For anybody').check()
  await ada.page.getByText(/^Anybody with this address can come in/).waitFor()
  const invite = new URL(await address.inputValue()).hash.replace('#invite=', '')
  await ada.page.keyboard.press('Escape')
  /** As a program would: nobody sees it here. */
  const lookIn = async (name: string) => {
    const { token } = await signIn(url, name)
    const headers = { authorization: `Bearer ${token}` }
    assert.equal((await post(`${url}/api/rooms/den/members`, { invite }, token)).status, 204)
    const read = await fetch(`${url}/api/rooms/den/messages?limit=9`, { headers })
    assert.equal(read.status, 200)
    const ended = await fetch(`${url}/api/session`, { method: 'DELETE', headers })
    assert.equal(ended.status, 204)
  }

  await ada.page.getByRole('link', { name: 'lobby' }).click()
  await inRoom(ada, 'lobby')
  await soon(() => rows(ada, 'people'), ['Ada'])
  await lookIn('Eve')
  await soon(() => news(ada), 'Eve came into den.')
  await lookIn('Mole')
  await soon(() => news(ada), 'Eve and Mole came into den.')
  await ada.page.getByRole('link', { name: 'den' }).click()
  await until(ada, () =>
    /^(Eve and Mole|Mole and Eve) came in by invitation, and left again\.$/.test(
      document.getElementById('news')?.textContent ?? '',
    ),
  )
  await soon(() => rows(ada, 'past'), ['Eve', 'Mole'])
  assert.deepEqual(await ada.page.locator('#past-list .hint').allTextContents(), [
    'until Today',
    'until Today',
  ])
  assert.deepEqual([await rows(ada, 'people'), await rows(ada, 'away')], [['Ada'], []])
  assert.equal(await ada.page.locator('#past-list button').count(), 0)
  assert.deepEqual(await axe(ada), [])

  await ada.page.goto('about:blank')
  await lookIn('Eve')
  await ada.page.goto(`${url}/r/den`)
  await soon(() => news(ada), 'Eve came in by invitation, and left again.')
  await soon(() => rows(ada, 'past'), ['Eve', 'Eve', 'Mole'])
  assert.deepEqual(ada.complaints, [])
})

test('a public room has no list of members, and asks for none', async (t) => {
  const { url } = await startServer(t)
  const ada = await open(await launchBrowser(t), url)
  const asked: string[] = []
  ada.page.on('request', (request) => asked.push(request.url()))
  await ada.page.getByLabel('Your name').fill('Ada')
  await ada.page.keyboard.press('Enter')
  await soon(() => rows(ada, 'people'), ['Ada'])
  await soon(() => ada.page.getByText('Away').isVisible(), false)
  assert.deepEqual(
    asked.filter((address) => address.includes('/members')),
    [],
  )
})
