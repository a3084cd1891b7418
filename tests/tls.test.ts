/** https and wss: what is served over them, to whom, and what does not break them. */

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { connect as connectTcp } from 'node:net'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { WebSocket } from 'ws'
import { createCertificate, type Certificate } from './certificate.ts'
import { handshake, RawSocket, request } from './conformance/raw.ts'
import { Client, startServer, tempFolder, type ServerOptions } from './helpers.ts'
import { startProcess } from './process.ts'

const IS_DENO = Boolean(process.versions.deno)
const YEAR_S = 31_536_000

interface Asked {
  method?: string
  token?: string
  body?: object
}

async function startTls(t: TestContext, options: ServerOptions = {}) {
  const certificate = await createCertificate(t)
  const hearth = await startServer(t, { ...options, env: { ...options.env, ...certificate.env } })
  return { ...hearth, certificate }
}

/** One request of a client that trusts this certificate and no other. */
function ask(url: string, { cert }: Certificate, { method = 'GET', token, body }: Asked = {}) {
  return new Promise<{ status: number; text: string; header(name: string): string }>(
    (resolve, reject) => {
      const headers = {
        ...(body && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      }
      const asked = httpsRequest(url, { method, headers, ca: cert, agent: false }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        const header = (name: string) => String(answer.headers[name])
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text, header }))
      })
      asked.on('error', reject)
      asked.end(body && JSON.stringify(body))
    },
  )
}

async function signInOverTls(url: string, certificate: Certificate, name: string) {
  const answer = await ask(`${url}/api/session`, certificate, { method: 'POST', body: { name } })
  assert.equal(answer.status, 201)
  return { answer, account: JSON.parse(answer.text) as Client['account'] }
}

async function newcomerOverTls(t: TestContext, url: string, certificate: Certificate) {
  const { account } = await signInOverTls(url, certificate, 'Ann')
  const asked = { method: 'POST', token: account.token, body: {} }
  const { ticket } = JSON.parse((await ask(`${url}/api/ticket`, certificate, asked)).text)
  const socket = new WebSocket(
    `${url.replace('https', 'wss')}/ws`,
    ['hearth.v1', `ticket.${ticket}`],
    { ca: certificate.cert, origin: url },
  )
  const client = new Client(account, socket)
  t.after(() => client.cut())
  await client.next('welcome')
  return client
}

/** A TLS connection, and all that came over it. */
async function tlsSocket(t: TestContext, url: string, { cert }: Certificate) {
  const { hostname, port } = new URL(url)
  const socket: TLSSocket = connectTls({ host: hostname, port: Number(port), ca: cert })
  t.after(() => socket.destroy())
  const came = { text: '' }
  socket.on('data', (bytes: Buffer) => (came.text += bytes.toString('latin1')))
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  await new Promise<void>((resolve) => socket.on('secureConnect', () => resolve()))
  return { socket, came, closed }
}

test('a real server: the page, signing in and a socket, and each says that it is secure', async (t) => {
  const certificate = await createCertificate(t)
  const env = { PORT: '0', DATA_FILE: ':memory:', ...certificate.env }
  const url = await startProcess(t, env).says(/Hearth is at (https:\S+\d)/)

  const page = await ask(url, certificate)
  assert.equal(page.status, 200)
  assert.match(page.text, /Chat Application/)
  const hsts = /^max-age=(\d+); includeSubDomains/.exec(page.header('strict-transport-security'))
  assert.ok(Number(hsts?.[1]) >= YEAR_S, page.header('strict-transport-security'))
  assert.match(page.header('content-security-policy'), /upgrade-insecure-requests/)

  const { answer } = await signInOverTls(url, certificate, 'Bob')
  const [value, ...attributes] = answer.header('set-cookie').split('; ')
  assert.match(value!, /^__Host-hearth-[0-9a-f]{8}=[\w-]{43}$/)
  for (const name of ['Path=/', 'HttpOnly', 'Secure', 'SameSite=Strict']) {
    assert.ok(attributes.includes(name), answer.header('set-cookie'))
  }

  const ann = await newcomerOverTls(t, url, certificate)
  await ann.join('lobby')
  assert.equal((await ann.say('lobby', 'behind the door')).seq, 1)
})

/** The first message of a client (RFC 8446, 4.1.2) that can do these versions. */
function clientHello(versions: readonly number[]) {
  const list = (bytes: number[], size: number) =>
    [...Array(size).keys()].map((n) => (bytes.length >> (8 * (size - 1 - n))) & 255).concat(bytes)
  const extension = (type: number, bytes: number[]) => [0, type, ...list(bytes, 2)]
  const isNew = versions.includes(0x0304)
  const legacy = Math.min(Math.max(...versions), 0x0303)
  const extensions = [
    ...extension(10, list([0, 0x1d, 0, 0x17], 2)),
    ...extension(13, list([4, 3, 8, 4, 4, 1, 2, 3], 2)),
    ...extension(11, list([0], 1)),
    // Without a share of a key the server asks for one, in the version that it wants.
    ...(isNew ? [...extension(43, list([3, 4], 1)), ...extension(51, list([], 2))] : []),
  ]
  const suites = [0x13, 1, 0x13, 2, 0xc0, 0x2b, 0xc0, 0x2c, 0xc0, 9, 0xc0, 0x0a, 0, 0x2f]
  const body = [
    ...[legacy >> 8, legacy & 255, ...Array<number>(32).fill(7), 0],
    ...[...list(suites, 2), 1, 0, ...list(extensions, 2)],
  ]
  const message = [1, ...list(body, 3)]
  return Buffer.from([0x16, 3, 1, ...list(message, 2)])
}

/** What the server says to it. @returns the version it chose, or the number of its alert */
function hello(t: TestContext, url: string, versions: readonly number[]) {
  const socket = connectTcp(Number(new URL(url).port), '127.0.0.1')
  t.after(() => socket.destroy())
  socket.write(clientHello(versions))
  return new Promise<string>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('data', (answer: Buffer) => {
      if (answer[0] === 0x15) return resolve(`alert ${answer[6]}`)
      const isNew = answer.includes(Buffer.from([0, 43, 0, 2, 3, 4]))
      resolve(isNew ? '0304' : answer.subarray(9, 11).toString('hex'))
    })
  })
}

test('TLS 1.3 and 1.2 are spoken, and nothing older', async (t) => {
  const { url } = await startTls(t)
  assert.equal(await hello(t, url, [0x0304, 0x0303]), '0304')
  assert.equal(await hello(t, url, [0x0303]), '0303')
  // 70: protocol_version (RFC 8446, 6.2).
  for (const old of [0x0302, 0x0301]) assert.equal(await hello(t, url, [old]), 'alert 70')
})

test('what is no TLS, and who goes in the middle of it, harms nobody', async (t) => {
  const { url, certificate } = await startTls(t)
  const whole = clientHello([0x0304, 0x0303])
  const plain = new RawSocket(t, url)
  plain.write(request('/'))
  await plain.end()
  assert.doesNotMatch(plain.text, /HTTP\/1.1 200|Chat/)
  for (let round = 0; round < 10; round += 1) {
    const raws = Array.from({ length: 100 }, () => new RawSocket(t, url))
    const ends = raws.map((raw, n) => {
      const noise = crypto.getRandomValues(Buffer.alloc(200))
      const broken = Buffer.from(whole)
      broken[10 + n] = broken[10 + n]! ^ 255
      const bytes = [Buffer.concat([Buffer.from([0x16, 3, 1, 0, 200]), noise]), broken, whole]
      raw.socket.write(n % 4 === 3 ? whole.subarray(0, n) : bytes[n % 4]!, () => {
        if (n % 2 === 0) raw.socket.resetAndDestroy()
        else raw.socket.end()
      })
      return raw.end()
    })
    await Promise.all(ends)
  }
  const ann = await newcomerOverTls(t, url, certificate)
  await ann.join('lobby')
})

test('who never ends the TLS handshake: Node ends it, Deno waits, nobody else notices', async (t) => {
  const { url, certificate } = await startTls(t, { limits: { handshakeMs: 500 } })
  const raws = Array.from({ length: 50 }, () => new RawSocket(t, url))
  for (const { socket } of raws.slice(25)) socket.write(clientHello([0x0303]).subarray(0, 20))
  const ann = await newcomerOverTls(t, url, certificate)
  if (!IS_DENO) await Promise.all(raws.map((raw) => raw.end()))
  await ann.join('lobby')
})

test('a refused handshake ends its connection over TLS too', async (t) => {
  const { url, certificate } = await startTls(t)
  const { socket, came, closed } = await tlsSocket(t, url, certificate)
  const knock = handshake('x'.repeat(43), { Origin: url })
  socket.write(knock + knock)
  await closed
  assert.match(came.text, /^HTTP\/1\.1 401 /)
  assert.equal(came.text.split('HTTP/1.1 ').length, 2)
})

test('a page from http is a stranger to a server with https', async (t) => {
  const { url, certificate } = await startTls(t)
  const { socket, came, closed } = await tlsSocket(t, url, certificate)
  socket.write(handshake('x'.repeat(43), { Origin: url.replace('https', 'http') }))
  await closed
  assert.match(came.text, /^HTTP\/1\.1 403 /)
})

test('the end does not wait for peers: silent, idle, or a socket that ignores the goodbye', async (t) => {
  const { url, certificate, close } = await startTls(t)
  const ann = await newcomerOverTls(t, url, certificate)
  const idle = await tlsSocket(t, url, certificate)
  idle.socket.write(request('/'))
  const silent = new RawSocket(t, url)
  await ask(url, certificate)
  const before = performance.now()
  await close()
  assert.ok(performance.now() - before < 8_000)
  assert.equal(await ann.closeCode(), 4000)
  if (!IS_DENO) await Promise.all([idle.closed, silent.end()])
})

test('a bad certificate ends the start with a line that names the setting and no secret', async (t) => {
  const [ours, other] = await Promise.all([createCertificate(t), createCertificate(t)])
  const broken = `${tempFolder(t)}/broken.pem`
  writeFileSync(broken, 'hunter2')
  const { TLS_CERT, TLS_KEY } = ours.env
  for (const [env, message] of [
    [{ TLS_CERT, TLS_KEY: other.env.TLS_KEY }, /TLS_CERT and TLS_KEY .*mismatch/i],
    [{ TLS_CERT: broken, TLS_KEY }, /TLS_CERT and TLS_KEY /],
    [{ TLS_CERT, TLS_KEY: broken }, /TLS_CERT and TLS_KEY /],
    [{ TLS_CERT, TLS_KEY: `${broken}.not` }, /^Error: TLS_KEY: .*ENOENT/],
  ] as const) {
    await assert.rejects(startServer(t, { env }), (error: Error) => {
      assert.match(String(error), message)
      return !/hunter2|PRIVATE KEY|\n/.test(error.message)
    })
  }
  const processes = [
    [{ TLS_CERT, TLS_KEY: broken }, 1, /TLS_CERT and TLS_KEY /],
    [{ TLS_CERT }, 2, /^TLS_KEY: required/m],
  ] as const
  for (const [env, code, message] of processes) {
    const server = startProcess(t, { PORT: '0', DATA_FILE: ':memory:', ...env })
    assert.equal(await server.ended(), code)
    const { stdout, stderr } = server.output
    assert.equal(stdout, '')
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /hunter2|PRIVATE KEY|^\s+at /m)
    assert.equal(stderr.trimEnd().split('\n').length, code)
  }
})
