/**
 * How fast the page is, in a real Chromium, by hand: `npm run measure`. Prints one table; what the
 * figures mean and what they were is in docs/performance.md.
 */

import process from 'node:process'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser, CDPSession, Page } from 'playwright-core'
import { launchBrowser } from '../browser.ts'
import { type Account, type Client, GENEROUS, newcomer, signIn, startServer } from '../helpers.ts'
import { percentile, type TraceEvent, workBetween, workWithin } from './figures.ts'

const STOPWATCH = fileURLToPath(new URL('stopwatch.js', import.meta.url))
const RUNS = 5
const SCREENS = { width: 1280, height: 800 }
/** "Fast 3G" as browsers' developer tools have it: bit/s, ms. */
const FAST_3G = { rate: 1_600_000, latency: 150 }
/** One turn of a wheel that is spun. px */
const WHEEL_PX = 400
const KEYS = 150
const KEY_MS = 80
const ARRIVALS_PER_S = 50

declare global {
  interface Window {
    stopwatch: Stopwatch
  }
}
/** What stopwatch.js brings into the page; times in ms. */
export interface Stopwatch {
  /** When the first message was painted, since the navigation. */
  painted: number | undefined
  /** Times between frames, and of tasks above 50 ms. */
  frames: number[]
  tasks: number[]
  /** Of each key: what its handlers took, and the time until it was painted. */
  handled: number[]
  shown: number[]
  watchFrames(): void
  /** Leaves a measure named `key` for each: from its event to the paint after it. */
  watchKeys(): void
}

const closers: (() => unknown)[] = []
const t = { after: (close: () => unknown) => void closers.unshift(close) } as TestContext

/** The bots answer no ping, and who was here once stays in the list. */
const HOUR = 3_600_000
const limits = { ...GENEROUS, heartbeatMs: HOUR, silenceMs: HOUR, absenceMs: HOUR }

const { url } = await startServer(t, { limits })
const browser = await launchBrowser(t)
const bots = await Promise.all(['Ada', 'Grace', 'Linus'].map((name) => newcomer(t, url, name)))
const rows: Record<string, Record<string, string | number>> = {}
const parts: Record<string, () => Promise<void>> = { cold, scroll, typing }
const wanted = process.argv.slice(2)
for (const [name, part] of Object.entries(parts)) {
  if (wanted.length === 0 || wanted.includes(name)) await part()
}
console.table(rows)
for (const close of closers) await close()
process.exit()

/** From the first request to the first message painted, by a browser that has nothing yet. */
async function cold() {
  await fill('thousand', 1_000)
  for (const [name, network] of Object.entries({ loopback: undefined, 'fast 3G': FAST_3G })) {
    const runs = []
    for (let run = 0; run < RUNS; run++) runs.push(await openCold(browser, network))
    const times = runs.map(({ ms }) => ms)
    rows[`first message, cold, ${name}`] = {
      ...figures(times),
      note: `${runs[0]?.requests} requests, ${Math.round((runs[0]?.bytes ?? 0) / 1024)} KiB with headers`,
    }
  }
}

async function openCold(browser: Browser, network: typeof FAST_3G | undefined) {
  const account = await signIn(url, `Cold ${crypto.randomUUID().slice(0, 8)}`)
  const page = await openPage(browser, account)
  const cdp = await page.context().newCDPSession(page)
  const seen = { requests: 0, bytes: 0 }
  cdp.on('Network.requestWillBeSent', () => (seen.requests += 1))
  cdp.on('Network.loadingFinished', (event) => (seen.bytes += event.encodedDataLength))
  await cdp.send('Network.enable')
  if (network) {
    const { rate, latency } = network
    const conditions = { offline: false, latency, downloadThroughput: rate / 8 }
    await cdp.send('Network.emulateNetworkConditions', {
      ...conditions,
      uploadThroughput: rate / 8,
    })
  }
  await page.goto(`${url}/r/thousand`, { waitUntil: 'commit' })
  const ms = await page.waitForFunction(() => window.stopwatch.painted)
  const time = Number(await ms.jsonValue())
  await page.context().close()
  return { ms: time, ...seen }
}

/** From the newest of many messages to the oldest and back, with a wheel over them. */
async function scroll() {
  await fill('ten-thousand', 10_000)
  const page = await openPage(browser, await signIn(url, 'Reader'))
  await page.goto(`${url}/r/ten-thousand`)
  await page.locator('.message').first().waitFor()
  await page.locator('#intro', { hasText: 'Fetching older' }).waitFor({ state: 'attached' })
  await page.mouse.move(640, 400)
  const cdp = await browser.newBrowserCDPSession()
  for (const [name, by] of Object.entries({ 'to the oldest': -1, 'back again': 1 })) {
    const stop = await startTrace(cdp)
    await page.evaluate(() => window.stopwatch.watchFrames())
    const steps = await wheel(page, by)
    await report(page, `10,000 messages ${name}`, await stop(), `${steps} turns of the wheel`)
  }
  await page.context().close()
}

/** Turns the wheel until there is nothing more that way. @returns the number of turns */
async function wheel(page: Page, by: number) {
  for (let steps = 1; ; steps++) {
    await page.mouse.wheel(0, by * WHEEL_PX)
    const isThere = await page.evaluate((by) => {
      const { scrollTop, scrollHeight, clientHeight } = document.getElementById('log')!
      const isAtEnd = by < 0 ? scrollTop < 1 : scrollHeight - scrollTop - clientHeight < 2
      const rows = document.querySelectorAll('.message .text, .message .body')
      const row = rows[by < 0 ? 0 : rows.length - 1]
      return isAtEnd && row?.textContent.includes(by < 0 ? '#0' : '#9999')
    }, by)
    if (isThere) return steps
  }
}

/** Somebody writes while others say a lot. */
async function typing() {
  for (const crowd of [3, 200]) {
    const room = `busy-${crowd}`
    await fill(room, 600)
    const ghosts = await Promise.all(
      Array.from({ length: crowd - 4 }, (_, n) => newcomer(t, url, `Guest ${crowd} ${n}`)),
    )
    // They go again at once, and stay in the list: a short absence is not shown.
    for (const ghost of ghosts) await ghost.join(room).then(() => ghost.cut())
    const page = await openPage(browser, await signIn(url, `Writer ${crowd}`))
    await page.goto(`${url}/r/${room}`)
    await page
      .locator('#people-list li')
      .nth(crowd - 1)
      .waitFor({ state: 'attached' })
    await page.getByLabel('write message').focus()
    await page.evaluate(() => window.stopwatch.watchFrames())
    await page.evaluate(() => window.stopwatch.watchKeys())
    const cdp = await browser.newBrowserCDPSession()
    const stop = await startTrace(cdp)
    const silence = chatter(room)
    for (let key = 0; key < KEYS; key++) {
      await page.keyboard.press('abcdef '[key % 7]!)
      await new Promise((resolve) => setTimeout(resolve, KEY_MS))
    }
    silence()
    const trace = await stop()
    const { handled, shown } = await page.evaluate(() => ({ ...window.stopwatch }))
    const people = `${ARRIVALS_PER_S} messages/s, ${crowd} people`
    rows[`key, ${people}: its handlers`] = { ...figures(handled), note: `${handled.length} keys` }
    rows[`key, ${people}: main thread until painted`] = figures(workWithin(trace, 'key'))
    rows[`key, ${people}: time until painted`] = figures(shown)
    await report(page, people, trace)
    await page.context().close()
  }
}

/** What the frames cost, by the clock and of the main thread. */
async function report(page: Page, name: string, trace: TraceEvent[], note = '') {
  const { frames, tasks } = await page.evaluate(() => ({ ...window.stopwatch }))
  const long = frames.filter((ms) => ms > 50).length
  const notes = [note, `${frames.length} frames, ${long} above 50 ms`]
  rows[`${name}: frame`] = { ...figures(frames), note: notes.filter(Boolean).join(', ') }
  rows[`${name}: main thread per frame`] = {
    ...figures(workBetween(trace, 'frame')),
    note: `longest task by the clock: ${Math.max(0, ...tasks)}`,
  }
}

/** Says something 50 times a second. @returns ends it */
function chatter(room: string) {
  const state = { n: 0 }
  const timer = setInterval(() => {
    const bot = bots[state.n % bots.length]!
    bot.send({ type: 'say', room, id: crypto.randomUUID(), body: bodyOf(state.n++) })
  }, 1_000 / ARRIVALS_PER_S)
  return () => clearInterval(timer)
}

/** A room with so many messages by three people, such as people write them. */
async function fill(room: string, count: number) {
  for (const bot of bots) await bot.join(room, { limit: 0 })
  const block = 100
  for (let n = 0; n < count; n += block) {
    const bot = bots[(n / block) % bots.length]!
    await sayAll(bot, room, n, Math.min(count, n + block))
  }
}

async function sayAll(bot: Client, room: string, from: number, to: number) {
  const ids = Array.from({ length: to - from }, () => crypto.randomUUID())
  ids.forEach((id, i) => {
    const replyTo = from > 0 && i % 17 === 0 ? { replyTo: from - i } : {}
    const author = i % 5 === 0 ? bots[(from + i) % bots.length]! : bot
    author.send({ type: 'say', room, id, body: bodyOf(from + i), ...replyTo })
  })
  await bot.next('message', (event) => 'body' in event && !!event.body?.startsWith(`#${to - 1}`))
}

function bodyOf(n: number) {
  if (n % 23 === 0) return `#${n}\n\`\`\`\nconst answer = ${n}\nprint(answer)\n\`\`\``
  if (n % 11 === 0) return `#${n} see https://example.org/page/${n} and **tell** the _others_`
  return `#${n} ${'and so they sat and talked beside the fire until late '.repeat(1 + (n % 4) ** 2 / 3)}`
}

async function openPage(browser: Browser, { token }: Account) {
  const context = await browser.newContext({ viewport: SCREENS })
  await context.addCookies([{ name: 'hearth', value: token, url }])
  const page = await context.newPage()
  await page.addInitScript({ path: STOPWATCH })
  return page
}

/** Events of Chromium's own. @returns ends it and hands them out */
async function startTrace(cdp: CDPSession): Promise<() => Promise<TraceEvent[]>> {
  const events: TraceEvent[] = []
  cdp.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as TraceEvent[])))
  const includedCategories = ['disabled-by-default-devtools.timeline', 'blink.user_timing']
  await cdp.send('Tracing.start', { traceConfig: { includedCategories } })
  return async () => {
    const complete = new Promise((resolve) => cdp.once('Tracing.tracingComplete', resolve))
    await cdp.send('Tracing.end')
    await complete
    return events
  }
}

/** In ms, with one decimal. */
function figures(all: number[]) {
  const at = (share: number) => Number(percentile(all, share).toFixed(1))
  return { p50: at(0.5), p95: at(0.95), max: at(1) }
}
