/** What people do with messages, in a real Chromium: two of them, and a room for each story. */

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
  say,
  soon,
  until,
} from './people.ts'
import type { Person } from './people.ts'

const id = () => crypto.randomUUID()
const isFocused = (locator: Locator) => locator.evaluate((node) => node === document.activeElement)
/** Moves the mouse there, also when it rests there already. */
const point = async (row: Locator) => {
  await row.page().mouse.move(0, 0)
  await row.hover()
}

test('what people do with messages', async (t) => {
  const { url } = await startServer(t, { env: { ...LIVELY, ...FRAMES } })
  const browser = await launchBrowser(t)
  const ada = await enter(browser, url, 'Ada')
  const grace = await enter(browser, url, 'Grace')
  const bot = await newcomer(t, url, 'Bot')
  /** Both go to a room, without loading the page anew. */
  const meet = async (room: string) => {
    for (const person of [ada, grace]) await goTo(person, room)
    await bot.join(room)
  }
  const sayLines = async (room: string, count: number, rest = '') => {
    const lines = Array.from({ length: count }, (_, i) => `line ${i + 1}${rest}`)
    for (const body of lines) bot.send({ type: 'say', room, id: id(), body })
    await bot.next('message', (event) => 'body' in event && event.body === lines.at(-1))
  }
  const goTo = async (person: Person, room: string) => {
    await person.page.getByLabel('Enter or start a room').fill(room)
    await person.page.keyboard.press('Enter')
    await person.page.locator('#room-title', { hasText: room }).waitFor()
    await person.page.locator('#count:not(:empty)').waitFor({ state: 'attached' })
    await composer(person).focus()
  }

  await t.test('the arrow up mends the last message; Escape lets it be', async () => {
    await meet('mend')
    await say(ada, 'first')
    await say(ada, 'I bring the wod')
    await acknowledged(grace, 'I bring the wod')
    await composer(ada).press('ArrowUp')
    await soon(() => composer(ada).inputValue(), 'I bring the wod')
    await ada.page.getByText('Changing your message').waitFor()
    assert.deepEqual(await axe(ada), [])
    await composer(ada).press('Escape')
    await soon(() => composer(ada).inputValue(), '')
    await acknowledged(ada, 'I bring the wod')
    await composer(ada).press('ArrowUp')
    await composer(ada).fill('I bring the wood')
    await composer(ada).press('Enter')
    await message(grace, 'I bring the wood').getByText('edited').waitFor()
    await acknowledged(ada, 'I bring the wood')
    await soon(() => ada.page.locator('.message').count(), 2)
    await soon(() => ada.page.locator('#mode').isVisible(), false)
  })

  await t.test('a delete asks first, and leaves a mark for everybody', async () => {
    await meet('delete')
    await say(ada, 'said in anger')
    await acknowledged(ada, 'said in anger')
    await point(message(ada, 'said in anger'))
    await button(ada, 'Delete').click()
    await soon(() => isFocused(button(ada, 'Keep')), true, 'the harmless one is at hand')
    await button(ada, 'Keep').click()
    await button(ada, 'Delete').click()
    await button(ada, 'Delete').last().click()
    for (const person of [ada, grace]) {
      await person.page.locator('.deleted:not(.pending)').waitFor()
      await soon(() => message(person, 'said in anger').count(), 0)
    }
    await point(message(grace, 'This message was deleted.'))
    await soon(() => grace.page.locator('#actions').isVisible(), false)
    await soon(() => button(grace, 'Delete').isVisible(), false)
  })

  await t.test('reactions: from the picker, of any emoji, on and off, with names', async () => {
    await meet('react')
    await say(ada, 'the fire is lit')
    await acknowledged(grace, 'the fire is lit')
    await point(message(grace, 'the fire is lit'))
    await button(grace, 'React').click()
    assert.deepEqual(await axe(grace), [])
    await button(grace, '🎉').click()
    const chip = ada.page.locator('.reactions button', { hasText: '🎉' })
    await chip.getByText('1 person: Grace').waitFor({ state: 'attached' })
    await soon(() => chip.getAttribute('aria-pressed'), 'false')
    await chip.click()
    await grace.page.getByText('2 people: you, Ada').waitFor({ state: 'attached' })
    await soon(() => chip.getAttribute('aria-pressed'), 'true')
    await soon(() => isFocused(chip), true, 'the focus stays where it was')
    await ada.page.keyboard.press('Enter')
    await grace.page.getByText('1 person: you').waitFor({ state: 'attached' })

    await message(ada, 'the fire is lit').focus()
    await ada.page.keyboard.press('+')
    await ada.page.getByLabel('Any emoji').fill('fire')
    await ada.page.keyboard.press('Enter')
    await soon(() => ada.page.getByLabel('Any emoji').getAttribute('aria-invalid'), 'true')
    await ada.page.getByLabel('Any emoji').fill('🪵')
    await ada.page.keyboard.press('Enter')
    await grace.page.locator('.reactions button', { hasText: '🪵' }).waitFor()
    await soon(() => isFocused(message(ada, 'the fire is lit')), true)
  })

  await t.test('an answer quotes what it answers, and leads there however far it is', async () => {
    await meet('answer')
    const { seq } = await bot.say('answer', 'Who has the key?')
    await sayLines('answer', 320)
    await acknowledged(ada, 'line 320')
    const send = { type: 'say', room: 'answer', id: id(), body: 'I have it', replyTo: seq }
    bot.send(send)
    const quote = message(ada, 'I have it').locator('blockquote')
    await quote.getByText('Who has the key?').waitFor()
    await quote.getByRole('link').click()
    const target = ada.page.locator('.target', { hasText: 'Who has the key?' })
    await target.waitFor()
    await soon(() => isFocused(target), true)
    assert.equal(new URL(ada.page.url()).pathname, `/r/answer/${seq}`)
    // What others say meanwhile does not move the reader; and from here one reads on to the end.
    await say(grace, 'still here')
    await button(ada, '1 new message ↓').waitFor()
    await ada.page.keyboard.press('r')
    await ada.page.getByText('Answering Bot').waitFor()
    await composer(ada).press('Escape')
    for (let pages = 0; pages < 40; pages++) {
      if (await message(ada, 'line 320').count()) break
      await ada.page.locator('#log').evaluate((node) => (node.scrollTop += 1_500))
      await ada.page.evaluate(() => new Promise(requestAnimationFrame))
    }
    await message(ada, 'line 320').waitFor()
    const numbers = (await ada.page.locator('.message .body').allTextContents()).flatMap((text) =>
      text.startsWith('line') ? [Number(text.slice(5))] : [],
    )
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => (numbers[0] ?? 0) + i),
      'no hole, nothing twice',
    )
    assert.ok((await ada.page.locator('.message').count()) <= 201)
    await button(ada, /↓/).click()
    await acknowledged(ada, 'still here')
    await ada.page.locator('#to-end').waitFor({ state: 'hidden' })
  })

  await t.test('a link to a message opens at it, for who was never here, too', async () => {
    const linus = await enter(browser, `${url}/r/answer/150`, 'Linus')
    await linus.page.locator('.target', { hasText: 'line 149' }).waitFor()
    const place = await linus.page.locator('.target').boundingBox()
    assert.ok(place && place.y > 100 && place.y < 600, 'in the middle of what is seen')
    await button(linus, /↓/).click()
    await acknowledged(linus, 'still here')
    await linus.page.goto(`${url}/r/answer/9999`)
    await acknowledged(linus, 'still here')
    assert.deepEqual(linus.complaints, [])
  })

  await t.test('whoever reads on to the end from long ago stays at the end', async () => {
    await bot.join('far')
    await sayLines('far', 650)
    const { page } = ada
    await page.goto(`${url}/r/far/20`)
    await page.locator('.target').waitFor()
    for (let pages = 0; pages < 200 && (await page.locator('#to-end').isVisible()); pages++) {
      await page.locator('#log').evaluate((node) => (node.scrollTop = node.scrollHeight))
      await page.evaluate(() => new Promise(requestAnimationFrame))
    }
    // By now there was time enough to fetch once more what was looked at first.
    for (const text of ['one more', 'and the last']) {
      await bot.say('far', text)
      await acknowledged(ada, text)
    }
  })

  await t.test('who missed too much to be told all of it stays where he read', async () => {
    const { page } = ada
    const net = { isDown: false, cut: async () => {} }
    await page.routeWebSocket(/\/ws$/, (socket) => {
      if (net.isDown) return void socket.close({ code: 4000 })
      socket.connectToServer()
      net.cut = () => socket.close({ code: 4000 })
    })
    await page.goto(`${url}/r/far/100`)
    const place = page.locator('#messages').getByText('line 100', { exact: true })
    await page.locator('.target').waitFor()
    await place.waitFor()
    await composer(ada).focus()
    net.isDown = true
    await net.cut()
    await sayLines('far', 1_001)
    net.isDown = false
    await page.evaluate(() => window.dispatchEvent(new Event('online')))
    await button(ada, '100 or more new messages ↓').waitFor()
    await place.waitFor()
    const isInSight = async () => {
      const { y = 0 } = (await place.boundingBox()) ?? {}
      return y > 100 && y < 600
    }
    await soon(isInSight, true)
    await soon(() => isFocused(composer(ada)), true)
  })

  await t.test('messages so long that few fit a page are found, too', async () => {
    await bot.join('long')
    await sayLines('long', 40, ' 木'.repeat(1_900))
    await ada.page.goto(`${url}/r/long/10`)
    await ada.page.locator('.target', { hasText: 'line 10' }).waitFor()
  })

  await t.test('who comes back starts at what is new, and has read it only then', async () => {
    await meet('news')
    await say(ada, 'before')
    await acknowledged(grace, 'before')
    await goTo(grace, 'elsewhere')
    for (let n = 1; n <= 70; n++) await bot.say('news', `new ${n}`)
    const link = grace.page.locator('#room-list a', { hasText: 'news' })
    await link.getByText('70').waitFor()
    await grace.page.reload()
    await link.getByText('70').waitFor()
    await link.click()
    const line = grace.page.locator('.line', { hasText: 'New messages' })
    await line.waitFor()
    const below = await line.evaluate((node) => node.nextElementSibling?.textContent ?? '')
    assert.match(below, /new 1$/)
    await message(grace, 'before').waitFor()
    const first = message(grace, 'new 1').first()
    await soon(() => first.isVisible(), true)
    await link.getByText('70').waitFor()
    await button(grace, '70 new messages ↓').click()
    await acknowledged(grace, 'new 70')
    await link.locator('.badge').waitFor({ state: 'detached' })
    await say(grace, 'all read')
    await line.waitFor({ state: 'detached' })
  })

  await t.test('nothing takes the focus: not what arrives, not what changes', async () => {
    await meet('focus')
    await say(ada, 'hold on')
    await acknowledged(ada, 'hold on')
    await composer(ada).pressSequentially('half a')
    await say(grace, 'meanwhile')
    await acknowledged(ada, 'meanwhile')
    await ada.page.keyboard.type(' thought')
    await soon(() => composer(ada).inputValue(), 'half a thought')
    await composer(ada).fill('')

    await message(ada, 'hold on').focus()
    const { seq } = await bot.next(
      'message',
      (event) => 'body' in event && event.body === 'hold on',
    )
    bot.send({ type: 'react', room: 'focus', id: id(), target: seq, emoji: '🔥', on: true })
    await message(ada, 'hold on').locator('.reactions').waitFor()
    await soon(() => isFocused(message(ada, 'hold on')), true)
    await button(ada, 'Copy link').focus()
    bot.send({ type: 'react', room: 'focus', id: id(), target: seq, emoji: '👍', on: true })
    await message(ada, 'hold on').locator('.reactions', { hasText: '👍' }).waitFor()
    await soon(() => isFocused(button(ada, 'Copy link')), true)
    await ada.page.keyboard.press('Escape')
    await ada.page.keyboard.press('Escape')
    await soon(() => isFocused(composer(ada)), true)
  })

  await t.test('only what others say here is read out, and nothing twice', async () => {
    await meet('aloud')
    await bot.say('aloud', 'before')
    await acknowledged(ada, 'before')
    await goTo(ada, 'elsewhere')
    await ada.page.evaluate(() => {
      const log = document.getElementById('log')
      const heard: string[] = ((window as unknown as { heard: string[] }).heard = [])
      new MutationObserver((changes) => {
        if (log?.ariaLive !== 'polite') return
        for (const { addedNodes } of changes) {
          for (const node of addedNodes) {
            const isOff = node instanceof Element && node.ariaLive === 'off'
            if (!isOff) heard.push(node.textContent?.match(/\[.*\]/)?.[0] ?? '')
          }
        }
      }).observe(log!, { subtree: true, childList: true })
    })
    await goTo(ada, 'aloud')
    await acknowledged(ada, 'before')
    await bot.say('aloud', '[one]')
    await acknowledged(ada, '[one]')
    await say(ada, '[own]')
    await acknowledged(ada, '[own]')
    await bot.say('aloud', '[two]')
    await acknowledged(ada, '[two]')
    const heard = await ada.page.evaluate(() => (window as unknown as { heard: string[] }).heard)
    assert.deepEqual(heard, ['[one]', '[two]'])
  })

  await t.test('an @ offers names, by key or tap; who is named sees it', async () => {
    await meet('names')
    for (const name of ['Gábor', 'Ken Gray']) await (await newcomer(t, url, name)).join('names')
    await ada.page.locator('#people-list', { hasText: 'Ken Gray' }).waitFor()
    const options = ada.page.getByRole('option')
    const text = composer(ada)
    await text.pressSequentially('Hi @g')
    assert.deepEqual(await options.locator('bdi').allTextContents(), ['Grace', 'Gábor', 'Ken Gray'])
    assert.equal(
      await text.getAttribute('aria-activedescendant'),
      await options.first().getAttribute('id'),
    )
    assert.deepEqual(await axe(ada), [])
    await text.press('ArrowUp')
    await text.press('Enter')
    await soon(() => text.inputValue(), 'Hi @Ken Gray ')
    await text.pressSequentially('and @gra')
    await options.first().click()
    await soon(() => text.inputValue(), 'Hi @Ken Gray and @Grace ')
    await text.pressSequentially('@k')
    await text.press('Escape')
    await text.pressSequentially('e')
    await soon(() => options.count(), 0, 'dismissed is dismissed')
    await text.press('Enter')
    await acknowledged(grace, 'Hi @Ken Gray and @Grace @ke')
    const marks = grace.page.locator('.mention')
    assert.deepEqual(await marks.allTextContents(), ['@Ken Gray', '@Grace'])
    await soon(() => grace.page.locator('.mention.me').textContent(), '@Grace')
    await text.pressSequentially('@')
    await text.evaluate((node) => {
      node.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true }))
    })
    assert.ok((await options.count()) > 0, 'an Enter of a composition is not for us')
    await text.press('Escape')
    await text.fill('')
  })

  await t.test('an old message is found by its words, and opens where it was said', async () => {
    await goTo(ada, 'answer')
    await ada.page.keyboard.press('Control+Shift+F')
    const field = ada.page.getByLabel('Words to find')
    await soon(() => isFocused(field), true)
    await field.pressSequentially('KEY who')
    const hits = ada.page.locator('#hits a')
    await hits.getByText('Who has the key?').waitFor()
    assert.deepEqual(await hits.locator('mark').allTextContents(), ['Who', 'key'])
    assert.deepEqual(await axe(ada), [])
    await hits.click()
    await ada.page.locator('.target', { hasText: 'Who has the key?' }).waitFor()
    await field.fill('line')
    await ada.page.getByText('50 or more found').waitFor()
    await soon(() => hits.first().locator('mark').textContent(), 'line')
    await button(ada, 'Older ones').click()
    await ada.page.getByText('100 or more found').waitFor()
    await soon(() => isFocused(hits.nth(50)), true, 'one reads on where the older ones begin')
    await field.fill('nobody said this')
    await ada.page.getByText('Nothing was found.').waitFor()
    // The first one empties the field.
    await ada.page.keyboard.press('Escape')
    await ada.page.keyboard.press('Escape')
    await field.waitFor({ state: 'hidden' })
  })

  await t.test('keys lead from room to room, and a sheet tells of them', async () => {
    await meet('zebra')
    await goTo(ada, 'yak')
    await bot.say('zebra', 'stripes')
    await ada.page.locator('#room-list a', { hasText: 'zebra' }).getByText('unread').waitFor()
    await ada.page.keyboard.press('Alt+Shift+ArrowDown')
    await acknowledged(ada, 'stripes')
    await ada.page.keyboard.press('Alt+ArrowUp')
    await until(ada, () => location.pathname === '/r/yak')
    await ada.page.keyboard.press('Control+k')
    await soon(() => isFocused(ada.page.getByLabel('Enter or start a room')), true)
    await ada.page.keyboard.press('Control+/')
    const sheet = ada.page.getByRole('dialog', { name: 'Keyboard shortcuts' })
    await sheet.waitFor()
    assert.deepEqual(await axe(ada), [])
    await ada.page.keyboard.press('Escape')
    await soon(() => sheet.isVisible(), false)
  })

  await t.test('a draft waits in its room, over a reload', async () => {
    await meet('draft')
    await composer(ada).fill('for later')
    await goTo(ada, 'elsewhere')
    await soon(() => composer(ada).inputValue(), '')
    await ada.page.reload()
    await ada.page.locator('#count:not(:empty)').waitFor({ state: 'attached' })
    await goTo(ada, 'draft')
    await soon(() => composer(ada).inputValue(), 'for later')
    await composer(ada).press('Enter')
    await acknowledged(grace, 'for later')
    await ada.page.reload()
    await acknowledged(ada, 'for later')
    await soon(() => composer(ada).inputValue(), '')
  })

  await t.test('a change that is refused says so, and can be dropped', async () => {
    await meet('refused')
    await say(ada, 'here today')
    await acknowledged(ada, 'here today')
    const { seq } = await bot.next(
      'message',
      (event) => 'body' in event && event.body === 'here today',
    )
    for (const emoji of [...'🍎🍐🍊🍋🍌🍉🍇🍓🫐🍈🍒🍑🥭🍍🥥🥝🍅🥑🥦🥬']) {
      bot.send({ type: 'react', room: 'refused', id: id(), target: seq, emoji, on: true })
    }
    await ada.page.locator('.reactions button', { hasText: '🥬' }).waitFor()
    await point(message(ada, 'here today'))
    await button(ada, 'React').click()
    await button(ada, '🔥').click()
    await ada.page.getByText('Not sent: at most 20 different emoji').waitFor()
    await button(ada, 'Discard').click()
    await acknowledged(ada, 'here today')
    await ada.page.locator('.problem', { hasText: 'Not sent' }).waitFor({ state: 'detached' })
  })

  await t.test('by keyboard alone: find a message, answer it, mend the answer', async () => {
    await meet('keys')
    await say(grace, 'which way?')
    await acknowledged(ada, 'which way?')
    await ada.page.keyboard.press('Shift+Tab')
    await soon(() => isFocused(ada.page.locator('#log')), true)
    await ada.page.keyboard.press('ArrowUp')
    await soon(() => isFocused(message(ada, 'which way?')), true)
    await ada.page.keyboard.press('r')
    await ada.page.keyboard.type('up the hil')
    await ada.page.keyboard.press('Enter')
    await acknowledged(grace, 'up the hil')
    await message(grace, 'up the hil').locator('blockquote').waitFor()
    // Keys are for the message that has the focus, wherever the mouse rests.
    await message(ada, 'up the hil').focus()
    await point(message(ada, 'which way?').first())
    await ada.page.keyboard.press('e')
    await ada.page.getByText('Changing your message').waitFor()
    await composer(ada).press('Escape')
    await acknowledged(ada, 'up the hil')
    await ada.page.keyboard.press('ArrowUp')
    await ada.page.keyboard.type('l')
    await ada.page.keyboard.press('Enter')
    await acknowledged(grace, 'up the hill')
  })

  assert.deepEqual([...ada.complaints, ...grace.complaints], [])
})
