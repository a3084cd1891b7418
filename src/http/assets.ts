/** The page: a handful of known files, read once, so no path of a request ever reaches the disk. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, gzipSync } from 'node:zlib'
import type { Context } from 'hono'
import { problem } from './problem.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
}
const STATIC = fileURLToPath(new URL('../../static/', import.meta.url))
const VALIBOT = join(createRequire(import.meta.url).resolve('valibot'), '../index.min.mjs')

/** The page loads what lies beside it and nothing else; its one inline script is the import map. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
]
const METHODS = ['GET', 'HEAD']

interface Asset {
  type: string
  etag: string
  /** Its own Content-Security-Policy; without one it gets that of every answer. */
  policy?: string
  body: Uint8Array<ArrayBuffer>
  /** Made at the first request for it. */
  gzip?: Uint8Array<ArrayBuffer>
  /** A seventh smaller. Takes so long that it is made beside the loop; until then gzip goes out. */
  brotli?: Uint8Array<ArrayBuffer> | 'coming'
}

export interface Assets {
  /**
   * The file at a path; the page for any path without an extension; null for neither. Methods but
   * GET and HEAD are refused.
   */
  serve(c: Context): Response | null
}

/** @param secure  whether the page is only ever reached over https */
export function loadAssets(secure: boolean): Assets {
  const files = new Map<string, Asset>()
  for (const name of readdirSync(STATIC)) files.set(`/${name}`, load(join(STATIC, name)))
  files.set('/vendor/valibot.js', load(VALIBOT, '.js'))
  const page = files.get('/index.html')!
  page.policy = pagePolicy(new TextDecoder().decode(page.body), secure)
  return {
    serve: (c) => {
      const { path } = c.req
      const hasExtension = path.includes('.', path.lastIndexOf('/'))
      const asset = hasExtension ? files.get(path) : page
      if (!asset) return null
      return METHODS.includes(c.req.method) ? respond(c, asset) : refuseMethod(c, METHODS)
    },
  }
}

/** A document that is made at its first request, and loads what makes it then. */
export function serveMade(make: () => Promise<object>): (c: Context) => Promise<Response> {
  let asset: Promise<Asset> | undefined
  const write = async () => {
    return assetOf(new TextEncoder().encode(JSON.stringify(await make())), 'application/json')
  }
  return async (c) => respond(c, await (asset ??= write()))
}

/** 405 with the methods that there are. */
export function refuseMethod(c: Context, methods: readonly string[]): Response {
  c.header('Allow', methods.join(', '))
  return problem(c, 'invalid', { status: 405, detail: `${methods.join(', ')} only` })
}

function load(file: string, extension = extname(file)): Asset {
  return assetOf(new Uint8Array(readFileSync(file)), TYPES[extension])
}

function assetOf(body: Uint8Array<ArrayBuffer>, type = 'application/octet-stream'): Asset {
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
  return { body, etag, type }
}

/** Fresh from the server's memory each time, and not sent again when the browser has it. */
function respond(c: Context, asset: Asset): Response {
  c.header('ETag', asset.etag)
  c.header('Cache-Control', 'no-cache')
  c.header('Vary', 'Accept-Encoding')
  if (asset.policy) c.header('Content-Security-Policy', asset.policy)
  if (c.req.header('if-none-match')?.includes(asset.etag)) return c.body(null, 304)
  c.header('Content-Type', asset.type)
  const packed = packedFor(c.req.header('accept-encoding') ?? '', asset)
  if (packed) c.header('Content-Encoding', packed.encoding)
  return c.body(packed?.bytes ?? asset.body)
}

/** The shortest that there is for who reads these encodings; null: as it is. */
function packedFor(accepted: string, asset: Asset) {
  if (/\bbr\b/.test(accepted)) {
    if (asset.brotli === undefined) void addBrotli(asset)
    else if (asset.brotli !== 'coming') return { encoding: 'br', bytes: asset.brotli }
  }
  if (!/\bgzip\b/.test(accepted)) return null
  asset.gzip ??= new Uint8Array(gzipSync(asset.body, { level: 9 }))
  return { encoding: 'gzip', bytes: asset.gzip }
}

async function addBrotli(asset: Asset) {
  asset.brotli = 'coming'
  asset.brotli = new Uint8Array(await promisify(brotliCompress)(asset.body))
}

function pagePolicy(html: string, secure: boolean) {
  const map = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html)?.[1] ?? ''
  const hash = createHash('sha256').update(map).digest('base64')
  const parts = secure ? [...PAGE_POLICY, 'upgrade-insecure-requests'] : PAGE_POLICY
  return parts.join('; ').replace("script-src 'self'", `$& 'sha256-${hash}'`)
}
