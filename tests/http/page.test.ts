/** The page and its files: types, caching, compression. What they carry: headers.test.ts. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { openApp } from './app.ts'

test('the policy lets the import map of the page run, and no other inline script', async (t) => {
  const { get } = openApp(t)
  const response = await get('/')
  const policy = response.headers.get('content-security-policy') ?? ''
  const html = await response.text()
  const inline = [...html.matchAll(/<script(?![^>]*\bsrc=)[^>]*>([\s\S]*?)<\/script>/g)]
  assert.equal(inline.length, 1)
  const hash = createHash('sha256').update(inline[0]![1]!).digest('base64')
  assert.ok(policy.includes(`'sha256-${hash}'`), policy)
  assert.doesNotMatch(html, / on\w+=|javascript:|<style|\sstyle=/)
})

test('every path without an extension is the page', async (t) => {
  const { get } = openApp(t)
  const page = await (await get('/')).text()
  assert.match(page, /<title>Chat Application<\/title>/)
  assert.match(page, /Welcome to the chat application/)
  for (const path of ['/r/lobby', '/r/x', '/anything/at/all', '/r/', '//', '/?a=b.js']) {
    const response = await get(path)
    assert.equal(response.status, 200, path)
    assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
    assert.equal(await response.text(), page)
  }
})

test('every file that the page names is there, with its type', async (t) => {
  const { get } = openApp(t)
  const html = await (await get('/')).text()
  const map = JSON.parse(/<script type="importmap">([\s\S]*?)<\/script>/.exec(html)![1]!) as {
    imports: Record<string, string>
  }
  const named = [...html.matchAll(/(?:src|href)="(\/[^"]*\.\w+)"/g)].map((match) => match[1]!)
  const paths = [...named, ...Object.values(map.imports), '/protocol.js']
  assert.ok(paths.length >= 4)
  const types = {
    js: 'text/javascript',
    css: 'text/css',
    svg: 'image/svg+xml',
    webmanifest: 'application/',
  }
  for (const path of paths) {
    const response = await get(path)
    assert.equal(response.status, 200, path)
    const extension = path.split('.').at(-1) as keyof typeof types
    assert.ok(response.headers.get('content-type')?.startsWith(types[extension]), path)
  }
})

/** As browsers get a file, from https and from the own machine, once it is packed. */
async function brotliOf({ get }: Pick<ReturnType<typeof openApp>, 'get'>, path: string) {
  for (;;) {
    const response = await get(path, { 'accept-encoding': 'gzip, deflate, br, zstd' })
    const bytes = new Uint8Array(await response.arrayBuffer())
    const encoding = response.headers.get('content-encoding')
    if (encoding === 'br') return bytes
    assert.equal(encoding, 'gzip')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** What the page may weigh in all, compressed. bytes */
const MOST_BYTES = 100_000

test('the whole page weighs less than 100 KB', async (t) => {
  const app = openApp(t)
  const names = readdirSync(new URL('../../static/', import.meta.url)).filter(
    (name) => name !== 'hearth.js',
  ) // is for programs
  const paths = ['/vendor/valibot.js', ...names.map((name) => `/${name}`)]
  const sizes = await Promise.all(paths.map(async (path) => (await brotliOf(app, path)).byteLength))
  const weight = sizes.reduce((sum, size) => sum + size, 0)
  t.diagnostic(`${paths.length} files, ${weight} bytes`)
  assert.ok(weight < MOST_BYTES, `${weight} bytes`)
})

test('what the browser has is not sent again', async (t) => {
  const { get } = openApp(t)
  for (const path of ['/', '/protocol.js']) {
    const first = await get(path)
    const etag = first.headers.get('etag')!
    assert.match(etag, /^"[\w-]{43}"$/)
    assert.equal(first.headers.get('cache-control'), 'no-cache')
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const again = await get(path, { 'if-none-match': tag })
      assert.deepEqual([again.status, await again.text()], [304, ''])
      assert.equal(again.headers.get('etag'), etag)
    }
    assert.equal((await get(path, { 'if-none-match': '"other"' })).status, 200)
  }
})

test('compressed for who can read it', async (t) => {
  const { get } = openApp(t)
  const page = await (await get('/')).text()
  assert.equal(brotliDecompressSync(await brotliOf({ get }, '/')).toString(), page)
  for (const path of ['/', '/protocol.js', '/vendor/valibot.js']) {
    const plain = await get(path, { 'accept-encoding': 'identity' })
    assert.equal(plain.headers.get('content-encoding'), null)
    const packed = await get(path, { 'accept-encoding': 'gzip;q=0.9' })
    assert.equal(packed.headers.get('content-encoding'), 'gzip')
    assert.match(packed.headers.get('vary') ?? '', /accept-encoding/i)
    const bytes = gunzipSync(new Uint8Array(await packed.arrayBuffer()))
    assert.equal(bytes.toString(), await plain.text())
  }
})

test('HEAD is GET without a body', async (t) => {
  const { app } = openApp(t)
  for (const path of ['/', '/style.css']) {
    const head = await app.request(path, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
  }
})
