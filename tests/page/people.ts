/** People in front of the page, each with a browser context of their own. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'

/** Limits that stand in no test's way. */
export const LIVELY = { MESSAGE_RATE: '10000', MESSAGE_BURST: '10000', SESSION_RATE: '10000' }
export const FRAMES = {
  FRAME_RATE: '10000',
  FRAME_BURST: '10000',
  READ_RATE: '1000',
  READ_BURST: '1000',
}
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true }
const PATIENCE_MS = 15_000

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What Chromium says by itself of a 401 or of a server that is gone; the page cannot stop it. */
const EXPECTED = /Failed to load resource|WebSocket connection to/

export interface Person {
  page: Page
  /** Everything the page complained of: violations of the CSP, errors, warnings. */
  complaints: string[]
}

export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}) {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (!EXPECTED.test(message.text())) complaints.push(message.text())
  })
  await page.goto(url)
  return { page, complaints }
}

export async function enter(
  browser: Browser,
  url: string,
  name: string,
  options?: BrowserContextOptions,
) {
  const person = await open(browser, url, options)
  await person.page.getByLabel('Your name').fill(name)
  await person.page.getByRole('button', { name: 'Come in' }).click()
  await person.page.locator('#count:not(:empty)').waitFor({ state: 'attached' })
  return person
}

export async function say({ page }: Person, text: string) {
  await page.getByLabel('write message').fill(text)
  await page.keyboard.press('Enter')
}

export const composer = ({ page }: Person) => page.getByLabel('write message')
export const button = ({ page }: Person, name: string | RegExp) =>
  page.getByRole('button', { name })
export const message = ({ page }: Person, text: string) =>
  page.locator('.message', { hasText: text })
export const acknowledged = (person: Person, text: string) =>
  message(person, text).and(person.page.locator(':not(.pending)')).waitFor()
export const bodies = ({ page }: Person) => page.locator('.message .body').allTextContents()

/** Waits until the page says so. */
export const until = ({ page }: Person, condition: () => boolean) => page.waitForFunction(condition)

/**
 * Asks until the answer is as expected: what one page was told, another, or the next frame of the
 * same, shows a moment later.
 */
export async function soon<T>(ask: () => Promise<T>, expected: T, why?: string) {
  const end = performance.now() + PATIENCE_MS
  let answer = await ask()
  while (!isDeepStrictEqual(answer, expected) && performance.now() < end) {
    await pause(20)
    answer = await ask()
  }
  assert.deepEqual(answer, expected, why)
}

/** What axe finds wrong with the page as it is now. */
export async function axe({ page }: Person): Promise<string[]> {
  await page.evaluate(AXE)
  return page.evaluate(async () => {
    const { violations } = await (window as unknown as WithAxe).axe.run()
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' ')}`)
  })
}

interface WithAxe {
  axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
}
