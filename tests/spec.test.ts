/** /openapi.json and /protocol.json: valid by their own rules, complete, and true of real answers. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import * as v from 'valibot'
import { ClientFrame, Emoji, Name, ServerEvent } from '../static/protocol.js'
import { bodySchemas, protocolSchema } from '../src/spec/schemas.ts'
import { openApi } from '../src/spec/spec.ts'
import { emoji, entries, frames } from './arbitraries.ts'
import { GENEROUS, signIn, startServer, type ServerOptions } from './helpers.ts'
import { openApp } from './http/app.ts'
import { mutateFrame } from './mutations.ts'
import { createRandom } from './random.ts'

interface Described {
  content?: Record<string, { schema: { $ref?: string } }>
  headers?: Record<string, object>
}
interface Spec {
  paths: Record<string, Record<string, { responses: Record<string, Described> }>>
}

const BASE = 'https://hearth.example'
const spec = openApi() as Spec & object

function newAjv() {
  const ajv = new Ajv2020({ strictTypes: false, allErrors: false })
  // Its types are of the default export that CommonJS has not.
  ;(addFormats as unknown as (ajv: Ajv2020) => void)(ajv)
  return ajv
}

const ajv = newAjv()
ajv.addVocabulary(['openapi', 'info', 'servers', 'paths', 'components', 'security'])
ajv.addSchema(spec, `${BASE}/openapi.json`)
ajv.addSchema(protocolSchema(), `${BASE}/protocol.json`)

/** Whether a value is as the documents have it. @param pointer  from their root */
function isValid(document: 'openapi' | 'protocol', pointer: string, value: unknown) {
  const validate = ajv.getSchema(`${BASE}/${document}.json#${pointer}`)
  assert.ok(validate, pointer)
  return validate(value) === true
}

test('the document of HTTP is valid OpenAPI 3.1', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(openApi()) as never)
  assert.ok(valid, JSON.stringify(errors))
})

test('the document of the frames is valid JSON Schema 2020-12, without a word that is unknown', () => {
  const strict = new Ajv2020({ strict: true, allowUnionTypes: true })
  ;(addFormats as unknown as (ajv: Ajv2020) => void)(strict)
  strict.compile(protocolSchema())
})

test('its paths and methods are those of the app, every one', (t) => {
  const { app } = openApp(t)
  const ofApp = app.routes.filter(({ method }) => method !== 'ALL')
  const keys = new Set(
    ofApp.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
  )
  const described = Object.entries(spec.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  assert.deepEqual(described.sort(), [...keys, 'GET /ws'].sort())
})

for (const name of ['openapi', 'protocol'] as const) {
  test(`/${name}.json is there for anybody, and not sent twice`, async (t) => {
    const { get } = openApp(t)
    const response = await get(`/${name}.json`)
    assert.equal(response.headers.get('content-type'), 'application/json')
    const made = name === 'openapi' ? openApi() : protocolSchema()
    assert.deepEqual(await response.json(), JSON.parse(JSON.stringify(made)))
    const etag = response.headers.get('etag') ?? ''
    assert.equal((await get(`/${name}.json`, { 'if-none-match': etag })).status, 304)
  })
}

/* ------------------------------------------------------------------ schemas */

const isFrame = (value: unknown) => isValid('protocol', '/$defs/ClientFrame', value)

test('a frame that the server takes is one by the document, too, and the other way round', () => {
  fc.assert(fc.property(frames, isFrame), { numRuns: 500 })
  const check = (frame: object, seed: number) => {
    const mutated: unknown = JSON.parse(mutateFrame(JSON.stringify(frame), createRandom(seed)))
    const text = JSON.stringify(mutated)
    // What the document cannot say: that a text is measured in NFC.
    if (text !== text.normalize('NFC')) return
    assert.equal(isFrame(mutated), v.is(ClientFrame, mutated), text.slice(0, 300))
  }
  fc.assert(fc.property(frames, fc.nat(), check), { numRuns: 3_000 })
})

test('an entry as the log has it is an event by the document', () => {
  const check = (entry: object) => {
    assert.ok(v.is(ServerEvent, entry))
    assert.ok(isValid('protocol', '/$defs/ServerFrame', [entry]))
    assert.ok(!isValid('protocol', '/$defs/ServerFrame', [{ ...entry, seq: 0 }]))
  }
  fc.assert(fc.property(entries, check), { numRuns: 300 })
})

test('names and emoji: the document refuses what the server refuses', () => {
  const names = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.constantFrom('', ' ', ' Ann ', 'a\u202eb', 'x'.repeat(32), 'x'.repeat(33), '👩'.repeat(32)),
  )
  const check = (text: string) => {
    if (text !== text.normalize('NFC')) return
    assert.equal(isValid('openapi', '/components/schemas/Name', text), v.is(Name, text))
  }
  fc.assert(fc.property(names, check), { numRuns: 2_000 })
  const signs = fc.oneof(emoji, fc.string({ unit: 'grapheme', maxLength: 3 }))
  const isSame = (text: string) =>
    assert.equal(isValid('openapi', '/components/schemas/Emoji', text), v.is(Emoji, text))
  fc.assert(fc.property(signs, isSame), { numRuns: 500 })
  assert.ok(Object.values(bodySchemas()).every((schema) => Object.keys(schema).length > 0))
})

/* ------------------------------------------------------------------ real answers */

type Ask = (
  key: string,
  options?: {
    token?: string
    body?: unknown
    headers?: Record<string, string>
    in?: Record<string, string>
    query?: string
  },
) => Promise<{ status: number; body: unknown; response: Response }>

const METRICS_TOKEN = 'open-open-open-open'
const seen = new Set<string>()

/** A real server whose every answer has to be as the document says. */
async function startDescribed(t: TestContext, options: ServerOptions) {
  const { url } = await startServer(t, options)
  const ask: Ask = async (key, { token, body, headers = {}, in: where = {}, query = '' } = {}) => {
    const [method = '', path = ''] = key.split(' ')
    const target = path.replace(/\{(\w+)\}/g, (_, name: string) => where[name] ?? name)
    const response = await fetch(`${url}${target}${query}`, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const { status } = response
    seen.add(`${key} ${status}`)
    return { status, body: await assertDescribed(key, method, path, response), response }
  }
  return { url, ask }
}

/** @returns its body */
async function assertDescribed(key: string, method: string, path: string, response: Response) {
  const { status } = response
  const described = spec.paths[path]?.[method.toLowerCase()]?.responses[status]
  assert.ok(described, `${key} ${status} is not in the document: ${response.statusText}`)
  for (const name of Object.keys(described.headers ?? {})) {
    assert.ok(response.headers.has(name), `${key} ${status}: ${name}`)
  }
  const type = response.headers.get('content-type')?.split(';')[0]
  assert.equal(type, Object.keys(described.content ?? {})[0], `${key} ${status}`)
  if (type === undefined || type === 'text/event-stream') return response.body?.cancel()
  const text = await response.text()
  const body: unknown = type.endsWith('json') ? JSON.parse(text) : text
  const escaped = path.replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D')
  const media = type.replace('/', '~1').replace('+', '%2B')
  const pointer = `/paths/${escaped}/${method.toLowerCase()}/responses/${status}/content/${media}/schema`
  assert.ok(isValid('openapi', pointer, body), `${key} ${status}: ${text}`)
  return body
}

/** Asks for everything that may be asked for, well and badly. */
async function askAll(ask: Ask, url: string) {
  const ann = await signIn(url, 'Ann')
  const { token } = ann
  const bob = await signIn(url, 'Bob')
  const admin = await signIn(url, 'Root', { admin: 'sesame-sesame' })
  const mine = { token, in: { room: 'den', user: bob.user.id } }
  const his = { ...mine, token: bob.token }
  const badRoom = { ...mine, in: { room: 'No', user: 'nobody' } }
  const long = { body: `"${'x'.repeat(70_000)}"` }
  const plain = { body: '{}', headers: { 'content-type': 'text/plain' } }
  const foreign = { headers: { origin: 'https://evil.example' } }

  await ask('POST /api/session', { body: { name: 'Eve' } })
  await ask('POST /api/session', { body: { name: 'Ann' } })
  await ask('POST /api/session', { body: { link: 'x'.repeat(43) } })
  await ask('POST /api/session', { body: { name: 'Mallory', admin: 'guess' } })
  await ask('GET /api/session', { token })
  await ask('GET /api/session', { query: '?quiet=true' })
  const { body: link } = await ask('POST /api/session/link', { token })
  await ask('POST /api/session', { token, body: link })
  await ask('POST /api/session/link/whose', { body: link })
  await ask('POST /api/session/link/whose', { body: { link: 'x'.repeat(43) } })
  await ask('POST /api/session', { body: link })
  const { body: devices } = await ask('GET /api/sessions', { token })
  const { id } = (devices as { id: string; current?: true }[]).find((one) => !one.current)!
  await ask('DELETE /api/sessions/{id}', { token, in: { id } })
  await ask('DELETE /api/sessions/{id}', { token, in: { id } })
  await ask('DELETE /api/sessions', { token })
  await ask('POST /api/ticket', { token, body: {} })
  await ask('POST /api/rooms', { token, body: { room: 'den' } })
  await ask('POST /api/rooms', { token, body: { room: 'den' } })
  await ask('GET /api/rooms', { token })
  await ask('POST /api/rooms/{room}/invites', { ...his, body: {} })
  const { body: made } = await ask('POST /api/rooms/{room}/invites', { ...mine, body: {} })
  await ask('POST /api/rooms/{room}/invites/look', { ...his, body: made })
  await ask('POST /api/rooms/{room}/invites/look', { ...his, body: { invite: 'x'.repeat(43) } })
  await ask('POST /api/rooms/{room}/members', { ...his, body: { invite: 'x'.repeat(43) } })
  await ask('GET /api/rooms/{room}/members', his)
  await ask('POST /api/rooms/{room}/members', { ...his, body: made })
  await ask('GET /api/rooms/{room}/members', his)
  await ask('GET /api/rooms/{room}/members', { ...his, in: { room: 'lobby' } })
  const said = { ...mine, body: { id: crypto.randomUUID(), body: 'hello' } }
  const say = 'POST /api/rooms/{room}/messages'
  assert.equal((await ask(say, said)).status, 201)
  assert.equal((await ask(say, said)).status, 200)
  await ask(say, { ...said, body: { ...said.body, body: 'other' } })
  await ask(say, { ...mine, body: { body: 'an answer', replyTo: 99 } })
  await ask(say, { ...mine, body: { body: 'x'.repeat(4_001) } })
  await ask('GET /api/rooms/{room}/messages', mine)
  await ask('GET /api/rooms/{room}/messages', { ...mine, query: '?after=0' })
  await ask('GET /api/rooms/{room}/search', { ...mine, query: '?q=hello' })
  await ask('GET /api/rooms/{room}/events', mine)
  await ask('PUT /api/rooms/{room}/owner', { ...his, body: { user: bob.user.id } })
  await ask('PUT /api/rooms/{room}/owner', { ...mine, body: { user: crypto.randomUUID() } })
  await ask('PUT /api/rooms/{room}/owner', { ...mine, body: { user: ann.user.id } })
  await ask('POST /api/rooms', { ...his, body: { room: 'hall', private: false } })
  await ask('POST /api/rooms', { token: admin.token, body: { room: 'hall', private: false } })
  await ask('DELETE /api/rooms/{room}/members/{user}', his)
  await ask('DELETE /api/rooms/{room}/members/{user}', mine)
  await ask('DELETE /api/rooms/{room}/members/{user}', mine)
  await ask('DELETE /api/rooms/{room}/invites', his)
  await ask('DELETE /api/rooms/{room}/invites', mine)
  for (const name of ['messages', 'search', 'events']) {
    await ask(`GET /api/rooms/{room}/${name}`, { ...his, query: name === 'search' ? '?q=x' : '' })
  }
  await ask(say, { ...his, body: { body: 'let me in' } })
  await ask('DELETE /api/users/{user}', mine)
  await ask('DELETE /api/users/{user}', { ...mine, token: admin.token })
  const nobody = { token: admin.token, in: { user: crypto.randomUUID() } }
  await ask('DELETE /api/users/{user}', nobody)
  await ask('DELETE /api/users/{user}', { ...nobody, in: { user: 'nobody' } })
  for (const name of ['openapi', 'protocol']) {
    const { response } = await ask(`GET /${name}.json`)
    await ask(`GET /${name}.json`, {
      headers: { 'if-none-match': response.headers.get('etag') ?? '' },
    })
  }
  await ask('GET /ws')
  await ask('GET /livez')
  await ask('GET /readyz')
  await ask('GET /metrics')
  await ask('GET /metrics', { token: METRICS_TOKEN })
  // What is wrong with a request whatever it is for.
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const [method, { responses }] of Object.entries(operations)) {
      const key = `${method.toUpperCase()} ${path}`
      if (responses[401] && path !== '/ws') await ask(key, { token: 'nobody' })
      if (responses[403] && method !== 'get') await ask(key, { ...mine, ...foreign })
      if (responses[400] && path.includes('{room}')) await ask(key, badRoom)
      if (responses[413]) await ask(key, { ...mine, ...long })
      if (responses[415]) await ask(key, { ...mine, ...plain })
      if (responses[415]) await ask(key, { ...mine, body: '{]' })
    }
  }
  await ask('DELETE /api/session', { token })
}

/** Where there is a limit, it is reached at once. */
const NARROW = {
  ...{ readRate: 0.001, readBurst: 1, messageRate: 0.001, messageBurst: 1 },
  ...{ roomChangesPerMinute: 1, sessionsPerMinute: 1, connectionsPerUser: 0.1 },
  devicesPerMinute: 1,
}
/** An address that may ask once. */
const SPENT = { connectionsPerIp: 1, requestRate: 0.001, requestBurst: 1 }

async function askTooOften(ask: Ask) {
  const { body } = await ask('POST /api/session', { body: { name: 'Ann' } })
  const { token = '' } = body as { token?: string }
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const [method, { responses }] of Object.entries(operations)) {
      if (!responses[429] || path === '/ws') continue
      const of = { token, in: { room: 'lobby', user: crypto.randomUUID() } }
      const rest = method === 'post' ? { body: { body: 'hello' } } : { query: '?q=x' }
      const key = `${method.toUpperCase()} ${path}`
      for (let n = 0; n < 3 && !seen.has(`${key} 429`); n += 1) await ask(key, { ...of, ...rest })
    }
  }
}

/** Told by other tests, which need a handshake, a stream that ends, or a log that fails. */
const ELSEWHERE = /^GET \/ws |events 204$| 503$/

test('real answers are as the document says, and it says nothing that was not seen', async (t) => {
  const env = { ADMIN_TOKEN: 'sesame-sesame', METRICS_TOKEN }
  const { url, ask } = await startDescribed(t, { env, limits: GENEROUS })
  await askAll(ask, url)
  const narrow = await startDescribed(t, { limits: NARROW })
  await askTooOften(narrow.ask)
  await narrow.ask('GET /metrics')
  await askTooOften((await startDescribed(t, { limits: SPENT })).ask)
  const described = Object.entries(spec.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { responses }]) =>
      Object.keys(responses).map((status) => `${method.toUpperCase()} ${path} ${status}`),
    ),
  )
  const unseen = described.filter((key) => !seen.has(key) && !ELSEWHERE.test(key))
  assert.deepEqual(unseen, [])
})
