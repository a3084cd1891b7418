/** The page and its files: headers, caching, compression, and paths that try to get out. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { assertProblem, openApp } from './app.ts'

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

test('every answer carries the headers that protect it', async (t) => {
  const { get } = openApp(t)
  for (const path of [
    '/',
    '/r/lobby',
    '/protocol.js',
    '/style.css',
    '/missing.js',
    '/api/nothing',
  ]) {
    const { headers } = await get(path)
    for (const [name, value] of Object.entries(HEADERS))
      assert.equal(headers.get(name), value, path)
    const policy = headers.get('content-security-policy') ?? ''
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]) {
      assert.ok(policy.includes(part), policy)
    }
    assert.doesNotMatch(policy, /unsafe|\*|upgrade-insecure/)
    for (const name of [
      'access-control-allow-origin',
      'strict-transport-security',
      'x-powered-by',
    ]) {
      assert.equal(headers.get(name), null, `${path} ${name}`)
    }
  }
})

test('when every origin is https, answers say so', async (t) => {
  const { get } = openApp(t, { env: { ALLOWED_ORIGINS: 'https://a.example' } })
  const { headers } = await get('/')
  assert.match(headers.get('strict-transport-security') ?? '', /^max-age=63072000/)
  assert.match(headers.get('content-security-policy') ?? '', /upgrade-insecure-requests/)
})

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
  for (const path of ['/', '/protocol.js', '/vendor/valibot.js']) {
    const plain = await get(path, { 'accept-encoding': 'identity' })
    assert.equal(plain.headers.get('content-encoding'), null)
    const packed = await get(path, { 'accept-encoding': 'br, gzip;q=0.9' })
    assert.equal(packed.headers.get('content-encoding'), 'gzip')
    assert.match(packed.headers.get('vary') ?? '', /accept-encoding/i)
    const bytes = gunzipSync(new Uint8Array(await packed.arrayBuffer()))
    assert.equal(bytes.toString(), await plain.text())
  }
})

test('HEAD is GET without a body; other methods find nothing', async (t) => {
  const { app, send } = openApp(t)
  const head = await app.request('/', { method: 'HEAD' })
  assert.deepEqual([head.status, await head.text()], [200, ''])
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    await assertProblem(await send(method, '/r/lobby'), 404, 'not_found')
  }
})

test('no path leads to another file', async (t) => {
  const { get } = openApp(t)
  const tricks = [
    ...['/../package.json', '/..%2fpackage.json', '/%2e%2e/package.json', '/%2e%2e%2fpackage.json'],
    ...[
      '/..\\package.json',
      '/..%5cpackage.json',
      '/static/index.html',
      '/src/main.ts',
      '//etc/x.conf',
    ],
    ...[
      '/protocol.js/../../package.json',
      '/protocol.js%00.html',
      '/%00.js',
      '/index.html/',
      '/.git/x.y',
    ],
    ...[
      '/vendor/../protocol.ts',
      '/protocol.js.map',
      '/PROTOCOL.JS',
      '/%70rotocol.jsx',
      '/data/hearth.db',
    ],
    ...['/protocol.js%2f', '/a.b', '/..;/package.json', '/__proto__.js', '/constructor.js'],
  ]
  for (const path of tricks) {
    const response = await get(path)
    const text = await response.text()
    assert.doesNotMatch(text, /"devDependencies"|import |SQLite format/, path)
    if (response.status !== 200) assert.equal(response.status, 404, path)
    else assert.match(text, /<title>Chat Application<\/title>/, path)
  }
})
