/** Doors that are closed to somebody, or close behind him: a quiet word, and no second knock. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runtime } from '#runtime'
import { launchBrowser } from '../browser.ts'
import { newcomer, post, signIn, startServer, tempFolder } from '../helpers.ts'
import { acknowledged, open, say, soon, until, type Person } from './people.ts'

const ADMIN = 'a-token-for-the-admin'
const CAME_IN = 'It is quiet here'

/** Counts what the page sends of a type to a room, from now on. */
function countFrames({ page }: Person) {
  const sent: string[] = []
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.push(`${payload}`)))
  return (type: string, room: string) =>
    sent.filter((text) => text.includes(`"${type}"`) && text.includes(`"${room}"`)).length
}

const news = ({ page }: Person) => page.locator('#news').textContent()

test('private rooms: closed, open by invitation, closed again; then banned', async (t) => {
  const DATA_FILE = `${tempFolder(t)}/hearth.db`
  const { url } = await startServer(t, { env: { ADMIN_TOKEN: ADMIN, DATA_FILE } })
  const owner = await newcomer(t, url, 'Olga')
  const token = owner.account.token
  // As somebody could make it before servers kept it for everybody.
  const db = runtime.openSqlite(DATA_FILE)
  db.exec(`UPDATE rooms SET private = 1, owner = '${owner.account.user.id}' WHERE room = 'lobby'`)
  db.close()
  assert.equal((await post(`${url}/api/rooms`, { room: 'vault' }, token)).status, 201)
  for (const room of ['lobby', 'vault']) await owner.join(room)
  const invite = async (room: string) => {
    const response = await post(`${url}/api/rooms/${room}/invites`, {}, token)
    return ((await response.json()) as { invite: string }).invite
  }
  const browser = await launchBrowser(t)
  const ada = await open(browser, url)
  const { page } = ada
  const frames = countFrames(ada)
  const admit = async (room: string) => {
    const path = `/api/rooms/${room}/members`
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const body = JSON.stringify({ invite: await invite(room) })
    const ask = ([path, init]: [string, RequestInit]) => fetch(path, init).then((r) => r.status)
    assert.equal(await page.evaluate(ask, [path, { ...init, body }] as [string, RequestInit]), 204)
  }
  const user = () => page.evaluate(() => fetch('/api/session').then((r) => r.json()))

  await t.test('there is no other room: the door is closed, and nothing can be said', async () => {
    await page.getByLabel('Your name').fill('Ada')
    await page.keyboard.press('Enter')
    await page.getByText('This door is closed').waitFor()
    await page.getByText('lobby is a private room. You come in by invitation.').waitFor()
    await soon(() => page.getByLabel('write message').isVisible(), false)
    assert.equal(frames('join', 'lobby'), 1)
  })

  await t.test('one that is closed leads back to one that is open', async () => {
    await admit('lobby')
    await page.goto(`${url}/r/vault`)
    await page.getByText('vault is a private room. You come in by invitation.').waitFor()
    await page.getByText(CAME_IN).waitFor()
    assert.equal(new URL(page.url()).pathname, '/r/lobby')
    assert.equal(frames('join', 'vault'), 1)
    await soon(() => page.getByRole('link', { name: 'vault' }).count(), 0)
    await page.getByLabel('Enter or start a room').fill('garden')
    await page.keyboard.press('Enter')
    await until(ada, () => document.getElementById('room-title')?.textContent === 'garden')
    assert.equal(await news(ada), '')
    await page.getByRole('button', { name: 'Leave this room' }).click()
  })

  await t.test('by invitation, with a mark in the list', async () => {
    await admit('vault')
    await page.goto(`${url}/r/vault`)
    await page.getByText(CAME_IN).waitFor()
    await page.getByRole('link', { name: 'vault private', exact: true }).waitFor()
    await say(ada, 'a secret')
    await acknowledged(ada, 'a secret')
  })

  await t.test('who is removed is told so, and elsewhere', async () => {
    const before = frames('join', 'vault')
    const { id } = ((await user()) as { user: { id: string } }).user
    const removed = await fetch(`${url}/api/rooms/vault/members/${id}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    })
    assert.equal(removed.status, 204)
    await page.getByText('You are no longer in vault.').waitFor()
    await until(ada, () => location.pathname === '/r/lobby')
    await soon(() => page.getByText('a secret').count(), 0)
    await page.getByLabel('Enter or start a room').fill('vault')
    await page.keyboard.press('Enter')
    await page.getByText('vault is a private room. You come in by invitation.').waitFor()
    await until(ada, () => location.pathname === '/r/lobby')
    assert.ok(frames('join', 'vault') === before + 1, 'it knocks again and again')
  })

  await t.test('who is banned is told so, and stays outside', async () => {
    const { id } = ((await user()) as { user: { id: string } }).user
    const admin = await signIn(url, 'Admin', { admin: ADMIN })
    await fetch(`${url}/api/users/${id}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${admin.token}` },
    })
    await page.getByText('You were banned from this chat.').waitFor()
    await soon(() => page.getByLabel('Your name').isVisible(), false)
    const requests: string[] = []
    page.on('request', (request) => requests.push(request.url()))
    await page.evaluate(() => window.dispatchEvent(new Event('online')))
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 700)))
    assert.deepEqual(requests, [], 'it does not try again')
  })
  assert.deepEqual(ada.complaints, [])
})

test('a chat that is entered through another application says so, and has no form', async (t) => {
  const { url } = await startServer(t, { env: { GUESTS: 'false' } })
  const ada = await open(await launchBrowser(t), url)
  await ada.page.locator('#welcome :is(form, #notice:not(:empty))').first().waitFor()
  const name = ada.page.getByLabel('Your name')
  // The server may say so at once, or when somebody tries.
  if (await name.isVisible()) {
    await name.fill('Ada')
    await ada.page.keyboard.press('Enter')
  }
  await ada.page.getByText('You come in through your own application').waitFor()
  await soon(() => name.isVisible(), false)
  await soon(() => ada.page.getByLabel('Access code').isVisible(), false)
  assert.deepEqual(ada.complaints, [])
})
