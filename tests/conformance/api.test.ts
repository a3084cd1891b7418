import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import * as protocol from '../../static/protocol.js'
import { post, startServer, signIn } from '../helpers.ts'
import { RawSocket } from './raw.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

async function problemOf(response: Response) {
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  const { status, code, detail } = v.parse(protocol.Problem, await response.json())
  assert.equal(status, response.status)
  assert.doesNotMatch(detail ?? '', /node_modules|SQLITE|at .*:\d+/)
  return `${status} ${code}`
}

test('the cookie is for this site and for HTTP alone', async (t) => {
  const { url } = await startServer(t)
  const response = await post(`${url}/api/session`, { name: 'Ann' })
  const { token } = (await response.json()) as { token: string }
  const [pair, ...flags] = (response.headers.get('set-cookie') ?? '').split('; ')
  assert.match(pair ?? '', new RegExp(`^hearth-[0-9a-f]{8}=${token}$`))
  assert.deepEqual(flags.toSorted(), ['HttpOnly', 'Max-Age=34560000', 'Path=/', 'SameSite=Strict'])
})

test('with https origins the cookie is Secure and of this host', async (t) => {
  const { url } = await startServer(t, { env: { ALLOWED_ORIGINS: 'https://chat.example' } })
  const response = await post(`${url}/api/session`, { name: 'Ann' })
  const { token } = (await response.json()) as { token: string }
  const [pair, ...flags] = (response.headers.get('set-cookie') ?? '').split('; ')
  assert.match(pair ?? '', new RegExp(`^__Host-hearth-[0-9a-f]{8}=${token}$`))
  assert.ok(['HttpOnly', 'Path=/', 'SameSite=Strict', 'Secure'].every((f) => flags.includes(f)))
  const get = (cookie: string) => fetch(`${url}/api/session`, { headers: { cookie } })
  assert.equal((await get(pair ?? '')).status, 200)
  assert.equal((await get(`__Host-hearth=${token}`)).status, 200)
  assert.equal((await get(`hearth=${token}`)).status, 401)
})

test('a cookie writes only from our own pages; a bearer token needs no origin', async (t) => {
  const { url } = await startServer(t)
  const { token } = await signIn(url, 'Ann')
  const cookie = `theme=dark; hearth=${token}`
  const ticket = async (headers: Record<string, string>) => {
    const response = await fetch(`${url}/api/ticket`, { method: 'POST', headers })
    return response.ok ? response.status : problemOf(response)
  }
  assert.equal(await ticket({ cookie, origin: url }), 201)
  assert.equal(await ticket({ cookie, origin: url.replace('127.0.0.1', 'localhost') }), 201)
  for (const origin of [
    'https://evil.example',
    'null',
    `${url}.evil.example`,
    'http://127.0.0.1',
  ]) {
    assert.equal(await ticket({ cookie, origin }), '403 forbidden')
  }
  assert.equal(await ticket({ cookie }), '403 forbidden')
  assert.equal(await ticket({ authorization: `Bearer ${token}` }), 201)
  const read = await fetch(`${url}/api/session`, { headers: { cookie } })
  assert.equal(read.status, 200)
})

test('nobody signs in from a foreign page', async (t) => {
  const { url } = await startServer(t)
  const response = await fetch(`${url}/api/session`, {
    method: 'POST',
    headers: { ...JSON_TYPE, origin: 'https://evil.example' },
    body: '{"name":"Ann"}',
  })
  assert.equal(await problemOf(response), '403 forbidden')
  assert.equal(response.headers.get('access-control-allow-origin'), null)
  assert.equal(response.headers.get('set-cookie'), null)
})

test('a body is JSON, and says so', async (t) => {
  const { url } = await startServer(t)
  const sign = async (body: string, headers: Record<string, string> = JSON_TYPE) =>
    problemOf(await fetch(`${url}/api/session`, { method: 'POST', headers, body }))
  const json = '{"name":"Ann"}'
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
    assert.equal(await sign(json, { 'content-type': type }), '415 invalid')
  }
  for (const body of ['', '{', 'null', '[]', '"Ann"', '{"name":7}', '{}', `[${json}]`]) {
    assert.equal(await sign(body), '400 invalid', body)
  }
  const typed = { 'content-type': 'Application/JSON; charset=utf-8' }
  const good = await fetch(`${url}/api/session`, { method: 'POST', headers: typed, body: json })
  assert.equal(good.status, 201)
})

test('a body is at most 64 KiB, announced or not', async (t) => {
  const { url } = await startServer(t)
  const body = JSON.stringify({ name: 'Ann', padding: 'x'.repeat(65_536) })
  const response = await fetch(`${url}/api/session`, { method: 'POST', headers: JSON_TYPE, body })
  assert.equal(await problemOf(response), '413 too_long')
  const fits = JSON.stringify({ name: 'Ann', padding: '' })
  const most = JSON.stringify({ name: 'Ann', padding: 'x'.repeat(65_536 - fits.length) })
  const good = await fetch(`${url}/api/session`, { method: 'POST', headers: JSON_TYPE, body: most })
  assert.equal(good.status, 201)
  const raw = new RawSocket(t, url)
  raw.write(
    'POST /api/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
      `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  )
  assert.equal(await raw.head(), 413)
})

test('answers of /api are not kept by anybody', async (t) => {
  const { url } = await startServer(t)
  const response = await post(`${url}/api/session`, { name: 'Ann' })
  assert.equal(response.headers.get('cache-control'), 'no-store')
})

test('a ticket says what it is and when it ends, and is new each time', async (t) => {
  const { url } = await startServer(t)
  const { token } = await signIn(url, 'Ann')
  const make = async () =>
    v.parse(protocol.Ticket, await (await post(`${url}/api/ticket`, {}, token)).json())
  const [a, b] = [await make(), await make()]
  assert.match(a.ticket, /^[\w-]{43}$/)
  assert.notEqual(a.ticket, b.ticket)
  const left = Date.parse(a.expiresAt) - Date.now()
  assert.ok(left > 25_000 && left <= 30_000)
})
