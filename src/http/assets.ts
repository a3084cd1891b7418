/** The page: a handful of known files, read once, so no path of a request ever reaches the disk. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Context } from 'hono'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
}
const STATIC = fileURLToPath(new URL('../../static/', import.meta.url))
const VALIBOT = join(createRequire(import.meta.url).resolve('valibot'), '../index.min.mjs')

interface Asset {
  type: string
  etag: string
  body: Uint8Array<ArrayBuffer>
  /** Made at the first request for it. */
  gzip: Uint8Array<ArrayBuffer> | null
}

export interface Assets {
  /** The hash of the page's import map, for a Content-Security-Policy. */
  importMapHash: string
  /** The file at a path; the page for any path without an extension; null for neither. */
  serve(c: Context): Response | null
}

export function loadAssets(): Assets {
  const files = new Map<string, Asset>()
  for (const name of readdirSync(STATIC)) files.set(`/${name}`, load(join(STATIC, name)))
  files.set('/vendor/valibot.js', load(VALIBOT, '.js'))
  const page = files.get('/index.html')!
  return {
    importMapHash: importMapHash(new TextDecoder().decode(page.body)),
    serve: (c) => {
      const { path } = c.req
      const hasExtension = path.includes('.', path.lastIndexOf('/'))
      const asset = hasExtension ? files.get(path) : page
      return asset ? respond(c, asset) : null
    },
  }
}

function load(file: string, extension = extname(file)): Asset {
  const body = new Uint8Array(readFileSync(file))
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
  return { body, etag, type: TYPES[extension] ?? 'application/octet-stream', gzip: null }
}

/** Fresh from the server's memory each time, and not sent again when the browser has it. */
function respond(c: Context, asset: Asset): Response {
  c.header('ETag', asset.etag)
  c.header('Cache-Control', 'no-cache')
  c.header('Vary', 'Accept-Encoding')
  if (c.req.header('if-none-match')?.includes(asset.etag)) return c.body(null, 304)
  c.header('Content-Type', asset.type)
  if (!/\bgzip\b/.test(c.req.header('accept-encoding') ?? '')) return c.body(asset.body)
  asset.gzip ??= new Uint8Array(gzipSync(asset.body))
  c.header('Content-Encoding', 'gzip')
  return c.body(asset.gzip)
}

function importMapHash(html: string) {
  const map = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html)?.[1] ?? ''
  return `'sha256-${createHash('sha256').update(map).digest('base64')}'`
}
