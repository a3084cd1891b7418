/**
 * Pictures of the page as it really is: `npm run screenshots -- [folder]`. Those of the README go to
 * docs/; with a folder, every state at both widths, by day and by night, goes there.
 */

import { mkdirSync } from 'node:fs'
import type { TestContext } from 'node:test'
import type { BrowserContextOptions } from 'playwright-core'
import { launchBrowser } from '../browser.ts'
import { startServer } from '../helpers.ts'
import { LIVELY, PHONE } from './people.ts'
import { ON_PHONES, SCENES, type Stage } from './scenes.ts'
import { NOW, tellStory } from './story.ts'

const SIZES = {
  phone: PHONE,
  desktop: { viewport: { width: 1280, height: 800 } },
  wide: { viewport: { width: 1920, height: 1080 } },
}
const SCHEMES = ['light', 'dark'] as const
/** The page is in the same evening as the server. */
const SHIFT = `{
  const Real = Date
  const shift = ${Date.parse(NOW) - Date.now()}
  globalThis.Date = class extends Real {
    constructor(...parts) {
      if (parts.length > 0) super(...parts)
      else super(Real.now() + shift)
    }
    static now() {
      return Real.now() + shift
    }
  }
}`

type Size = keyof typeof SIZES
type Look = { size: Size; colorScheme: (typeof SCHEMES)[number] }
interface Shooting extends Look {
  /** The last scene to play. */
  last?: string
  /** @returns where the picture of a scene goes, if it is wanted */
  path: (scene: string) => string | false
}

const closers: (() => unknown)[] = []
const t = { after: (close: () => unknown) => void closers.unshift(close) } as TestContext
const browser = await launchBrowser(t)
const folder = process.argv[2]
const doors = folder ? await openDoors() : { code: '', login: '' }

if (folder) {
  mkdirSync(folder, { recursive: true })
  const named = ({ size, colorScheme }: Look) => ({
    ...{ size, colorScheme },
    path: (scene: string) => `${folder}/${size}-${colorScheme}-${scene}.png`,
  })
  for (const colorScheme of SCHEMES) {
    for (const size of ['phone', 'desktop'] as const) await shoot(named({ size, colorScheme }))
  }
  await shoot({ ...named({ size: 'wide', colorScheme: 'light' }), last: 'talk' })
}
await shootFor('docs/page.png', { size: 'desktop', colorScheme: 'light' })
await shootFor('docs/page-phone.png', { size: 'phone', colorScheme: 'dark' })
for (const close of closers) await close()
process.exit()

/** One picture of the conversation. */
function shootFor(file: string, look: Look) {
  const path = (scene: string) => scene === 'talk' && file
  return shoot({ ...look, last: 'talk', path })
}

/** A story of its own, so that it is the same each time. */
async function shoot({ size, colorScheme, last, path }: Shooting) {
  const look: BrowserContextOptions = { ...SIZES[size], colorScheme }
  const place: BrowserContextOptions = { locale: 'en-GB', timezoneId: 'UTC' }
  const context = await browser.newContext({ ...look, ...place, reducedMotion: 'reduce' })
  context.setDefaultTimeout(10_000)
  await context.addInitScript(SHIFT)
  const page = await context.newPage()
  const isPhone = size === 'phone'
  const stage: Stage = { ...(await tellStory(t)), page, isPhone, doors }
  for (const [name, play] of Object.entries(SCENES)) {
    if (!isPhone && ON_PHONES.has(name)) continue
    const file = path(name)
    const clear = await play(stage)
    if (file) await page.screenshot({ path: file })
    await clear?.()
    if (name === last) break
  }
  await context.close()
}

/** Servers that ask at the door for more than a name. */
async function openDoors() {
  const code = await startServer(t, { env: { ...LIVELY, ACCESS_CODE: 'sesame' } })
  const login = await startServer(t, { env: { ...LIVELY, GUESTS: 'false' } })
  return { code: code.url, login: login.url }
}
