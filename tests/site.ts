/** Reverse proxies in front of Hearth, with the very settings in deploy/, and clients behind TLS. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import process from 'node:process'
import type { TestContext } from 'node:test'
import { generate } from 'selfsigned'
import { WebSocket } from 'ws'
import { tempFolder, type Account } from './helpers.ts'
import { freePort, ROOT } from './process.ts'
import { findProgram } from './programs.ts'

export const NAME = 'chat.example.org'
export const ORIGIN = `https://${NAME}`
export const PATIENCE_MS = 5_000
/** Instead of the ten seconds for the head of a request. */
export const HEADER_MS = 700

export interface Site {
  http: number
  https: number
  /** Ports of the servers behind it. */
  upstreams: number[]
  /** Connections that one address may have. */
  most: number
  folder: string
}

export interface Proxy {
  program: string
  /** What makes it print its version. */
  version: string
  package: string
  file: string
  /** What the machine of the test needs otherwise; each is found exactly so often. */
  change(site: Site): [from: string | RegExp, to: string, times: number][]
  argv(file: string): string[]
  /** Whether it limits the connections of one address. */
  limitsConnections: boolean
}

export const NGINX: Proxy = {
  program: 'nginx',
  version: '-v',
  package: 'nginx-light',
  file: 'nginx.conf',
  change: ({ http, https, upstreams, most, folder }) => [
    ['http {\n', `pid ${folder}/pid;\nhttp {\n  access_log off;\n${nginxFolders(folder)}`, 1],
    ['worker_rlimit_nofile 65536;', '', 1],
    ['worker_connections 32768;', 'worker_connections 256;', 1],
    [
      'server 127.0.0.1:3000 ',
      upstreams.map((port) => `server 127.0.0.1:${port} `).join('max_fails=0; '),
      1,
    ],
    ['listen 80;', `listen 127.0.0.1:${http};`, 1],
    ['listen 443 ssl http2;', `listen 127.0.0.1:${https} ssl http2;`, 1],
    [/listen \[::\]:.*;/g, '', 2],
    [/\/etc\/letsencrypt\/live\/chat.example.org\//g, `${folder}/`, 2],
    ['client_header_timeout 10s;', `client_header_timeout ${HEADER_MS}ms;`, 1],
    ['limit_conn addresses 128;', `limit_conn addresses ${most};`, 1],
  ],
  argv: (file) => ['-c', file, '-p', join(file, '..'), '-e', 'stderr', '-g', 'daemon off;'],
  limitsConnections: true,
}

export const CADDY: Proxy = {
  program: 'caddy',
  version: 'version',
  package: 'caddy',
  file: 'Caddyfile',
  change: ({ http, https, upstreams, folder }) => [
    [
      '\tgrace_period 3s',
      `\tadmin off\n\thttp_port ${http}\n\thttps_port ${https}\n\tgrace_period 100ms`,
      1,
    ],
    [
      '\nhttps://chat.example.org {\n',
      `$&\ttls ${folder}/fullchain.pem ${folder}/privkey.pem\n`,
      1,
    ],
    ['127.0.0.1:3000', upstreams.map((port) => `127.0.0.1:${port}`).join(' '), 1],
    ['read_header 10s', `read_header ${HEADER_MS}ms`, 1],
  ],
  argv: (file) => ['run', '--config', file, '--adapter', 'caddyfile'],
  limitsConnections: false,
}

/** Where nginx may write without being root. */
function nginxFolders(folder: string) {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return kinds.map((kind) => `  ${kind}_temp_path ${folder}/${kind};\n`).join('')
}

/** Where its program is. */
export function find({ program, version, package: debian }: Proxy) {
  return findProgram(program, version, debian)
}

function adapt(proxy: Proxy, site: Site) {
  let text = readFileSync(join(ROOT, 'deploy', proxy.file), 'utf8')
  for (const [from, to, times] of proxy.change(site)) {
    assert.equal(text.split(from).length - 1, times, `${proxy.file}: ${from}`)
    text = text.replace(from, to)
  }
  const file = join(site.folder, proxy.file)
  writeFileSync(file, text)
  return file
}

/** Starts the proxy with its file in a folder of its own; killed when the test is over. */
export async function startReverseProxy(t: TestContext, proxy: Proxy, site: Site) {
  const env = { ...process.env, HOME: site.folder, XDG_DATA_HOME: site.folder }
  const child = spawn(find(proxy)!, proxy.argv(adapt(proxy, site)), {
    env: { ...env, XDG_CONFIG_HOME: site.folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  let isOver = false
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const end = new Promise<void>((resolve) =>
    child.on('close', () => resolve(((isOver = true), undefined))),
  )
  t.after(async () => {
    if (!isOver && child.pid !== undefined) process.kill(child.pid, 'SIGTERM')
    await end
  })
  const deadline = performance.now() + PATIENCE_MS * 2
  const isUp = () =>
    ask(site, 'GET', '/favicon.svg').then(
      () => true,
      () => false,
    )
  while (!(await isUp())) {
    assert.ok(!isOver && performance.now() < deadline, `${proxy.program} does not start:\n${log}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** What a client of the site needs to know: where it is, and whom to believe. */
export const toSite = (site: Site) => ({
  host: '127.0.0.1',
  port: site.https,
  servername: NAME,
  ca: readFileSync(join(site.folder, 'fullchain.pem')),
})

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

export function ask(
  site: Site,
  method: string,
  path: string,
  { headers = {}, body = '', secure = true } = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const options = { method, path, agent: false as const, headers: { host: NAME, ...headers } }
    const outgoing = secure
      ? request({ ...toSite(site), ...options })
      : plainRequest({ host: '127.0.0.1', port: site.http, ...options })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const { statusCode: status = 0, headers } = incoming
        resolve({ status, headers, text: Buffer.concat(chunks).toString() })
      })
    })
    outgoing.end(body)
  })
}

/** A POST of JSON, as somebody who may claim to come from elsewhere. */
export function tell(
  site: Site,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
) {
  const all = { 'content-type': 'application/json', ...headers }
  return ask(site, 'POST', path, { headers: all, body: JSON.stringify(body) })
}

export const bearer = ({ token }: Account) => ({ authorization: `Bearer ${token}` })
export const claim = (address: string) => ({ 'x-forwarded-for': address })

export async function signIn(site: Site, name: string): Promise<Account> {
  const { status, text } = await tell(site, '/api/session', { name })
  assert.equal(status, 201, text)
  return JSON.parse(text) as Account
}

export async function newTicket(site: Site, account: Account, headers = {}): Promise<string> {
  const { status, text } = await tell(site, '/api/ticket', {}, { ...bearer(account), ...headers })
  assert.equal(status, 201, text)
  return (JSON.parse(text) as { ticket: string }).ticket
}

export function openSocket(site: Site, ticket: string, headers = {}) {
  return new WebSocket(`wss://127.0.0.1:${site.https}/ws`, ['hearth.v1', `ticket.${ticket}`], {
    ...toSite(site),
    headers: { host: NAME, ...headers },
  })
}

/** A proxy in front of servers that are there, with a certificate of its own. */
export async function startSite(
  t: TestContext,
  proxy: Proxy,
  upstreams: number[],
  most: number,
): Promise<Site> {
  const folder = tempFolder(t)
  const names = [{ type: 2 as const, value: NAME }]
  const pems = await generate([{ name: 'commonName', value: NAME }], {
    keyType: 'ec',
    extensions: [
      // Deno believes no other certificate that it is told to believe.
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: names },
    ],
  })
  writeFileSync(join(folder, 'fullchain.pem'), pems.cert)
  writeFileSync(join(folder, 'privkey.pem'), pems.private, { mode: 0o600 })
  const site = { http: await freePort(), https: await freePort(), upstreams, most, folder }
  await startReverseProxy(t, proxy, site)
  return site
}
