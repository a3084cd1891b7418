/** The page for everyone: small screens, fingers, few colours, other scripts, screen readers. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Locator } from 'playwright-core'
import { launchBrowser } from '../browser.ts'
import { newcomer, startServer } from '../helpers.ts'
import {
  acknowledged,
  axe,
  button,
  composer,
  enter,
  FRAMES,
  LIVELY,
  message,
  PHONE,
  say,
  soon,
  until,
} from './people.ts'
import type { Person } from './people.ts'

const id = () => crypto.randomUUID()
const styleOf = (locator: Locator) =>
  locator.evaluate((node) => {
    const { color, outlineStyle, textDecorationLine, backgroundColor } = getComputedStyle(node)
    const { fontWeight, borderInlineStartWidth, transitionDuration } = getComputedStyle(node)
    const lines = { outlineStyle, textDecorationLine, borderInlineStartWidth }
    return { ...lines, color, backgroundColor, fontWeight, transitionDuration }
  })

/** What one needs and cannot see the whole of, from left to right. */
const cutOff = ({ page }: Person) =>
  page.evaluate(() => {
    const nodes = [...document.querySelectorAll('button, input, textarea, h2, p, pre, #log')]
    const seen = nodes.filter((node) => node.checkVisibility() && !node.matches('.by, .sr'))
    const cut = seen.filter((node) => {
      const { left, right } = node.getBoundingClientRect()
      const scrolls = node.matches('input, textarea, pre')
      const isOutside = left < -0.5 || right > innerWidth + 0.5
      return isOutside || (!scrolls && node.scrollWidth > node.clientWidth + 1)
    })
    const isWide = document.documentElement.scrollWidth > innerWidth
    return [
      ...(isWide ? ['the page'] : []),
      ...cut.map(({ id, className, textContent }) =>
        `${id} ${className} ${textContent}`.slice(0, 80),
      ),
    ]
  })

const isInReach = async ({ page }: Person, node: Locator) => {
  const box = await node.boundingBox()
  const height = page.viewportSize()?.height ?? 0
  return box !== null && box.y >= 0 && box.y + box.height <= height
}

/** Buttons and fields lower than a fingertip. */
const lowTargets = ({ page }: Person) =>
  page.evaluate(() => {
    const all = [...document.querySelectorAll('button, input, textarea, [role=option], .side a')]
    const seen = all.filter((node) => node.checkVisibility() && !node.closest('label'))
    const low = seen.filter((node) => node.getBoundingClientRect().height < 39.5)
    return low.map((node) => node.outerHTML.slice(0, 80))
  })

test('the page for everyone', async (t) => {
  const hearth = await startServer(t, { env: { ...LIVELY, ...FRAMES } })
  const { url } = hearth
  const browser = await launchBrowser(t)
  const bot = await newcomer(t, url, 'נועם')
  await bot.join('all')
  const first = await bot.say('all', 'مرحبا بالجميع، هذه رسالة with English inside')
  await bot.say('all', 'שלום לכולם!', { replyTo: first.seq })
  await bot.say('all', `\`\`\`\n${'a long line of code '.repeat(20)}\n\`\`\``)
  await bot.say('all', `An address https://example.org/${'very'.repeat(30)} and words`)
  const gone = await bot.say('all', 'to be forgotten')
  bot.send({ type: 'delete', room: 'all', id: id(), target: gone.seq })
  const ada = await enter(browser, `${url}/r/all`, 'Ada')
  const { page } = ada
  await say(ada, 'My own words')
  await acknowledged(ada, 'My own words')
  const { seq } = await bot.next('message', (e) => 'body' in e && e.body === 'My own words')
  bot.send({ type: 'react', room: 'all', id: id(), target: seq, emoji: '🔥', on: true })
  await page.locator('.reactions button').click()
  await page.locator('.reactions [aria-pressed=true]').waitFor()

  await t.test('small or at 200 %: nothing is cut off, all is in reach', async () => {
    for (const [width, height] of [
      [640, 400],
      [320, 640],
    ] as const) {
      await page.setViewportSize({ width, height })
      assert.deepEqual(await cutOff(ada), [], `talk, ${width}`)
      assert.ok(await isInReach(ada, composer(ada)))
      await message(ada, 'My own words').locator('.text, .body').first().click()
      await button(ada, 'React').click()
      assert.deepEqual(await cutOff(ada), [], `buttons of a message, ${width}`)
      await page.keyboard.press('Escape')
      await page.keyboard.press('Escape')
      for (const [name, last] of [
        ['Rooms', 'Sign out'],
        ['People', 'Link to this room'],
      ] as const) {
        await button(ada, new RegExp(`^${name}`)).click()
        await button(ada, last).scrollIntoViewIfNeeded()
        assert.ok(await isInReach(ada, button(ada, last)), `${last}, ${width}`)
        assert.deepEqual(await cutOff(ada), [], `${name}, ${width}`)
        await page.keyboard.press('Escape')
      }
      await page.keyboard.press('Control+/')
      const close = page.getByRole('dialog').getByRole('button', { name: 'Close' })
      await close.scrollIntoViewIfNeeded()
      assert.ok(await isInReach(ada, close))
      assert.deepEqual(await cutOff(ada), [], `dialog, ${width}`)
      await page.keyboard.press('Escape')
    }
    await page.setViewportSize({ width: 1280, height: 800 })
  })

  await t.test('few colours, more contrast, no motion: states are still told apart', async () => {
    const own = message(ada, 'My own words')
    await page.locator('blockquote a').click()
    const target = page.locator('.target')
    await target.waitFor()
    for (const media of [
      { forcedColors: 'active', contrast: null },
      { forcedColors: null, contrast: 'more' },
    ] as const) {
      await page.emulateMedia({ ...media, reducedMotion: 'reduce' })
      const what = JSON.stringify(media)
      assert.equal((await styleOf(own.locator('.by bdi'))).textDecorationLine, 'underline', what)
      assert.equal((await styleOf(target)).outlineStyle, 'solid', what)
      const pressed = await styleOf(page.locator('[aria-pressed=true]'))
      const plain = await styleOf(page.locator('#open-search'))
      assert.notEqual(pressed.backgroundColor, plain.backgroundColor, what)
      assert.equal(plain.transitionDuration, '0s')
      const room = await styleOf(page.locator('#room-list [aria-current]'))
      assert.equal(room.borderInlineStartWidth, '3px', what)
      await button(ada, 'Search').focus()
      await page.keyboard.press('Shift')
      assert.equal((await styleOf(page.locator('#open-search'))).outlineStyle, 'solid', what)
    }
    assert.deepEqual(await axe(ada), [])
    await page.emulateMedia({ contrast: 'more', colorScheme: 'dark' })
    assert.deepEqual(await axe(ada), [])
    await page.emulateMedia({ contrast: null, forcedColors: null, reducedMotion: null })
  })

  await t.test('each text goes its own way, and the page stays as it is', async () => {
    const way = (locator: Locator) =>
      locator.evaluate((node) => {
        const { direction, display } = getComputedStyle(node)
        return `${direction} ${display}`
      })
    assert.equal(await way(message(ada, 'هذه').locator('.body').first()), 'rtl block')
    assert.equal(await way(message(ada, 'שלום').locator('.body')), 'rtl block')
    assert.equal(await way(message(ada, 'My own').locator('.body')), 'ltr block')
    assert.match(await way(page.locator('blockquote [dir]')), /^rtl/)
    assert.match(await way(page.locator('body')), /^ltr/)
    assert.match(await way(page.locator('.by bdi', { hasText: 'נועם' }).first()), /^rtl/)
    await composer(ada).fill('שלום @')
    await page.keyboard.type('נ')
    assert.match(await way(composer(ada)), /^rtl/)
    assert.match(await way(page.locator('[role=option] bdi')), /^rtl/)
    await composer(ada).fill('')
    bot.send({ type: 'typing', room: 'all' })
    await page.locator('#typing bdi', { hasText: 'נועם' }).waitFor()
    assert.match(await way(page.locator('#typing')), /^ltr/)
    await button(ada, 'Search').click()
    await page.getByLabel('Words to find').fill('שלום')
    assert.equal(await way(page.locator('#hits [dir]')), 'rtl block')
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')
  })

  await t.test('a screen reader finds its way: landmarks, headings, names, order', async () => {
    const places = await page.evaluate(() =>
      [...document.querySelectorAll('header, nav, main, aside, h1, h2')]
        .filter((node) => node.checkVisibility())
        .map((node) => node.id || node.localName),
    )
    const order = 'header h1 rooms h2 talk header room-title people h2'
    assert.deepEqual(places, order.split(' '))
    const cdp = await page.context().newCDPSession(page)
    const { nodes } = await cdp.send('Accessibility.getFullAXTree')
    const nameless = nodes.filter(
      ({ role, name, properties = [] }) =>
        role?.value !== 'RootWebArea' &&
        !name?.value &&
        properties.some((one) => one.name === 'focusable' && one.value.value === true),
    )
    const roles = nameless.map(({ role }) => role?.value as string)
    // A message is read as what is in it.
    assert.deepEqual([...new Set(roles)], ['listitem'])
    await page.locator('#room-list a').first().focus()
    const way: string[] = []
    for (let tabs = 0; tabs < 40 && way.at(-1) !== 'room-link'; tabs++) {
      await page.keyboard.press('Tab')
      way.push(await page.evaluate(() => document.activeElement?.id ?? ''))
    }
    const stops = ['room-name', 'sign-out', 'open-search', 'log', 'text', 'mute', 'room-link']
    assert.deepEqual(
      way.filter((one) => stops.includes(one)),
      stops,
    )
  })

  await t.test('with a finger: answer, react, edit, delete, above the keyboard', async () => {
    const phone = { ...PHONE, isMobile: true }
    const grace = await enter(browser, `${url}/r/all`, 'Grace', phone)
    const send = async (text: string) => {
      await composer(grace).fill(text)
      await button(grace, 'Send').tap()
    }
    await message(grace, 'My own words').locator('.body').tap()
    assert.deepEqual(await lowTargets(grace), [])
    await button(grace, 'React').tap()
    assert.deepEqual(await lowTargets(grace), [])
    assert.deepEqual(await cutOff(grace), [])
    await button(grace, '🎉').tap()
    await page.locator('.reactions', { hasText: '🎉' }).waitFor()
    await button(grace, 'Reply').tap()
    await grace.page.getByText('Answering Ada').waitFor()
    assert.deepEqual(await lowTargets(grace), [])
    await send('By thumb')
    await acknowledged(ada, 'By thumb')
    await acknowledged(grace, 'By thumb')
    await message(grace, 'By thumb').locator('.body').tap()
    await button(grace, 'Edit').tap()
    await send('By both thumbs')
    await acknowledged(ada, 'By both thumbs')
    await acknowledged(grace, 'By both thumbs')

    await grace.page.setViewportSize({ width: 390, height: 480 })
    assert.ok(await isInReach(grace, composer(grace)), 'above the keyboard')
    await until(grace, () => {
      const last = document.querySelector('.message:last-child')!.getBoundingClientRect()
      return last.bottom <= document.querySelector('.foot')!.getBoundingClientRect().top + 1
    })
    const cdp = await grace.page.context().newCDPSession(grace.page)
    await cdp.send('Emulation.setSafeAreaInsetsOverride', { insets: { bottom: 34, left: 40 } })
    await until(grace, () => {
      const { paddingBottom, paddingLeft } = getComputedStyle(document.querySelector('.foot')!)
      return paddingBottom === '34px' && paddingLeft === '40px'
    })
    await grace.page.setViewportSize(PHONE.viewport)

    await message(grace, 'By both thumbs').locator('.body').tap()
    await button(grace, 'Delete').tap()
    await button(grace, 'Delete').last().tap()
    await message(ada, 'By both thumbs').waitFor({ state: 'detached' })
    for (const [name, close] of [
      [/^Rooms/, 'rooms'],
      [/^People/, 'people'],
      ['Search', 'search'],
    ] as const) {
      await button(grace, name).tap()
      assert.deepEqual(await lowTargets(grace), [], close)
      if (close !== 'rooms') assert.deepEqual(await axe(grace), [], close)
      await grace.page.locator(`#${close}`).getByRole('button', { name: 'Close' }).tap()
    }
    assert.deepEqual(grace.complaints, [])
  })

  await t.test('axe finds nothing where something went wrong, by day and night', async () => {
    for (const emoji of [...'🍎🍐🍊🍋🍌🍉🍇🍓🫐🍈🍒🍑🥭🍍🥥🥝🍅🥑🥦🥬']) {
      bot.send({ type: 'react', room: 'all', id: id(), target: first.seq, emoji, on: true })
    }
    await message(ada, 'هذه').locator('.reactions', { hasText: '🥬' }).waitFor()
    await message(ada, 'هذه').first().focus()
    await page.keyboard.press('+')
    await page.getByRole('button', { name: '🎉', exact: true }).click()
    await page.getByText('Not sent: at most 20').waitFor()
    await hearth.close()
    await page.context().setOffline(true)
    await page.locator('#status', { hasText: 'Offline' }).waitFor()
    await say(ada, 'kept for later')
    await page.locator('.pending').waitFor()
    await soon(() => page.locator('.deleted').count(), 2)
    await page.locator('blockquote a').first().click()
    await page.locator('.target').waitFor()
    for (const colorScheme of ['light', 'dark'] as const) {
      // Without motion, as a colour on its way from one scheme to the other has no contrast.
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      assert.deepEqual(await axe(ada), [], colorScheme)
    }
  })
  assert.deepEqual(ada.complaints, [])
})
