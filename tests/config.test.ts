/** The environment: every variable, good and bad. */

import assert from 'node:assert/strict'
import { realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { loopbackOrigins, readConfig } from '../src/config.ts'
import { DEFAULT_LIMITS } from '../src/limits.ts'
import { tempFolder } from './helpers.ts'

const read = (env: Record<string, string | undefined>) => {
  const { config, problems } = readConfig(env)
  assert.ok(config, problems?.join('\n'))
  return config
}
const problems = (env: Record<string, string>) => readConfig(env).problems ?? []

const DECIMALS = ['MESSAGE_RATE', 'FRAME_RATE', 'READ_RATE', 'SESSION_RATE', 'ROOM_RATE']
const BURSTS = ['MESSAGE_BURST', 'FRAME_BURST', 'READ_BURST']
const CONNECTIONS = ['MAX_CONNECTIONS_PER_USER', 'MAX_CONNECTIONS_PER_IP', 'MAX_CONNECTIONS']

const BAD: Record<string, string[]> = {
  PORT: ['x', '-1', '65536', '3000.5', '0x10', '1e3', ' '],
  ALLOWED_ORIGINS: [
    'x',
    '*',
    'null',
    'https://a.example/',
    'https://A.example',
    'ws://a.example',
    'https://a.example,',
  ],
  TRUST_PROXY: ['-1', '17', '1.5', 'true', 'loopback'],
  TICKET_BIND_IP: ['yes', '1', 'TRUE', 'False'],
  TOKEN_EVERY_MESSAGE: ['no', '0'],
  ADMIN_TOKEN: ['short', '1234567'],
  METRICS_TOKEN: ['short', '1234567'],
  LOG_LEVEL: ['verbose', 'INFO', 'trace'],
  ...Object.fromEntries(DECIMALS.map((name) => [name, ['0', '-1', '1000001', 'x', 'NaN', '1e3']])),
  ...Object.fromEntries(
    BURSTS.map((name) => [name, ['0', '-1', '2.5', '1000001', 'x', 'Infinity']]),
  ),
  ...Object.fromEntries(CONNECTIONS.map((name) => [name, ['0', '-1', '1.5', '100001', 'x']])),
  DATABASE_URL: ['localhost', 'mysql://localhost/hearth', 'https://localhost', 'postgres:x'],
  NATS_URL: ['localhost:4222', 'http://localhost', 'nats://one, two', 'nats://one,'],
  GUESTS: ['yes', '1'],
  JWKS_URL: ['a.example/jwks', 'http://a.example/jwks', 'file:///etc/passwd', 'ftp://a.example'],
}

/** What some variables require beside them. */
const COMPLETE = {
  DATABASE_URL: 'postgres://localhost/hearth',
  ...{ JWKS_URL: 'https://a.example/keys', JWT_ISSUER: 'https://a.example', JWT_AUDIENCE: 'chat' },
}

test('the data file is the file itself, where its path is a link, and no address', (t) => {
  const folder = realpathSync(tempFolder(t))
  symlinkSync(`${folder}/hearth.db`, `${folder}/link.db`)
  assert.equal(read({ DATA_FILE: `${folder}/link.db` }).dataFile, `${folder}/link.db`)
  writeFileSync(`${folder}/hearth.db`, '')
  assert.equal(read({ DATA_FILE: `${folder}/link.db` }).dataFile, `${folder}/hearth.db`)
  const { problems } = readConfig({ DATA_FILE: 'file:/data/hearth.db?mode=memory' })
  assert.match(problems?.join() ?? '', /DATA_FILE.*a path/)
})

test('an empty environment is a good one', () => {
  for (const env of [{}, { PORT: '', HOST: '', ADMIN_TOKEN: '' }, { PATH: '/bin', port: 'x' }]) {
    const config = read(env)
    assert.deepEqual(
      [config.hostname, config.port, config.dataFile],
      ['127.0.0.1', 3000, 'data/hearth.db'],
    )
    assert.deepEqual([config.allowedOrigins, config.trustProxy], [null, 0])
    assert.deepEqual([config.ticketBindIp, config.tokenEveryMessage], [true, false])
    const { adminToken, metricsToken, accessCode } = config
    for (const secret of [adminToken, metricsToken, accessCode]) assert.equal(secret, undefined)
    assert.deepEqual([config.tls, config.jwt, config.guests], [undefined, undefined, true])
    assert.deepEqual([config.logLevel, config.search], ['info', true])
    assert.deepEqual(config.limits, DEFAULT_LIMITS)
  }
})

test('every variable is heard', () => {
  const config = read({
    ...{ HOST: '0.0.0.0', PORT: '0', DATA_FILE: ':memory:' },
    ...{ DATABASE_URL: 'postgres://u:p@h:5433/d', NATS_URL: 'nats://one:4222, tls://two' },
    ALLOWED_ORIGINS: 'https://a.example, http://b.example:8080',
    ...{ TRUST_PROXY: '2', TICKET_BIND_IP: 'false', TOKEN_EVERY_MESSAGE: 'true' },
    ...{ ACCESS_CODE: 'x', ADMIN_TOKEN: '12345678', LOG_LEVEL: 'off' },
    METRICS_TOKEN: '87654321',
    SEARCH: 'false',
    ...{ TLS_CERT: 'c.pem', TLS_KEY: 'k.pem', JWKS_URL: 'https://a.example/keys' },
    ...{ JWT_ISSUER: 'https://a.example', JWT_AUDIENCE: 'chat' },
    ...Object.fromEntries(
      [...DECIMALS, ...BURSTS, ...CONNECTIONS].map((name, n) => [name, `${n + 100}`]),
    ),
  })
  assert.deepEqual([config.hostname, config.port, config.dataFile], ['0.0.0.0', 0, ':memory:'])
  assert.deepEqual(config.allowedOrigins, ['https://a.example', 'http://b.example:8080'])
  assert.deepEqual(
    [config.trustProxy, config.ticketBindIp, config.tokenEveryMessage],
    [2, false, true],
  )
  assert.deepEqual(
    [config.accessCode, config.adminToken, config.logLevel],
    ['x', '12345678', 'off'],
  )
  assert.deepEqual([config.metricsToken, config.search], ['87654321', false])
  assert.equal(config.databaseUrl, 'postgres://u:p@h:5433/d')
  assert.deepEqual(config.natsUrls, ['nats://one:4222', 'tls://two'])
  assert.deepEqual(config.tls, { certFile: 'c.pem', keyFile: 'k.pem' })
  const jwksUrl = 'https://a.example/keys'
  assert.deepEqual(config.jwt, { jwksUrl, issuer: 'https://a.example', audience: 'chat' })
  const { limits } = config
  assert.deepEqual(
    [limits.messageRate, limits.frameRate, limits.readRate, limits.sessionsPerMinute],
    [100, 101, 102, 103],
  )
  assert.equal(limits.roomChangesPerMinute, 104)
  assert.deepEqual([limits.messageBurst, limits.frameBurst, limits.readBurst], [105, 106, 107])
  assert.deepEqual(
    [limits.connectionsPerUser, limits.connectionsPerIp, limits.connections],
    [108, 109, 110],
  )
})

test('the ends of the ranges are good', () => {
  for (const name of [...DECIMALS, ...BURSTS])
    for (const value of ['1', '1000000']) read({ [name]: value })
  for (const name of CONNECTIONS) for (const value of ['1', '100000']) read({ [name]: value })
  for (const PORT of ['0', '65535']) read({ PORT })
  assert.equal(read({ MESSAGE_RATE: '2.5' }).limits.messageRate, 2.5)
})

test('a bad value is one line that names the variable and shows no value', () => {
  for (const [name, values] of Object.entries(BAD)) {
    for (const value of values) {
      const lines = problems({ ...COMPLETE, [name]: value })
      assert.equal(lines.length, 1, `${name}=${value}: ${lines.join(' | ')}`)
      const [line = ''] = lines
      assert.ok(line.startsWith(name), line)
      assert.ok(!line.includes('\n'))
      if (value.length > 3) assert.ok(!line.includes(value), line)
    }
  }
})

test('all problems come together', () => {
  const env = Object.fromEntries(Object.entries(BAD).map(([name, [value = '']]) => [name, value]))
  const lines = problems(env)
  for (const name of Object.keys(BAD)) {
    assert.equal(lines.filter((line) => line.startsWith(`${name}`)).length >= 1, true, name)
  }
  const two = problems({ HOST: '0.0.0.0', PORT: 'x', NATS_URL: 'nats://localhost' })
  assert.deepEqual(two.map((line) => line.split(/[:.]/)[0]).sort(), [
    'ALLOWED_ORIGINS',
    'NATS_URL',
    'PORT',
  ])
})

test('a host that others reach needs to know where its page is', () => {
  for (const HOST of ['0.0.0.0', '::', 'localhost', '192.168.1.5']) {
    const [line] = problems({ HOST })
    assert.ok(line?.startsWith('ALLOWED_ORIGINS'), line)
    read({ HOST, ALLOWED_ORIGINS: 'https://a.example' })
  }
})

test('nodes with a bus and without a common log are refused', () => {
  const [line, ...more] = problems({ NATS_URL: 'nats://localhost' })
  assert.match(line ?? '', /^NATS_URL: requires DATABASE_URL/)
  assert.deepEqual(more, [])
  read({ NATS_URL: 'nats://localhost', DATABASE_URL: 'postgresql://localhost/hearth' })
})

test('settings that mean nothing without each other come together', () => {
  const names = (env: Record<string, string>) => problems(env).map((line) => line.split(':')[0])
  assert.deepEqual(names({ TLS_CERT: 'cert.pem' }), ['TLS_KEY'])
  assert.deepEqual(names({ TLS_KEY: 'key.pem' }), ['TLS_CERT'])
  assert.deepEqual(names({ JWKS_URL: 'https://a.example' }), ['JWT_ISSUER', 'JWT_AUDIENCE'])
  assert.deepEqual(names({ JWT_ISSUER: 'a', JWT_AUDIENCE: 'b' }), ['JWKS_URL'])
})

test('with foreign tokens guests stay out, unless they are wanted', () => {
  assert.equal(read(COMPLETE).guests, false)
  assert.equal(read({ ...COMPLETE, GUESTS: 'true' }).guests, true)
  assert.equal(read({ GUESTS: 'false' }).guests, false)
  read({ ...COMPLETE, JWKS_URL: 'http://127.0.0.1:8080/keys' })
})

test('no message shows a secret', () => {
  const secrets = {
    ADMIN_TOKEN: 'hunter2',
    METRICS_TOKEN: 'hunter2',
    DATABASE_URL: 'mysql://u:hunter2@h/d',
    NATS_URL: 'https://u:hunter2@h',
    PORT: 'hunter2',
  }
  const more = {
    LOG_LEVEL: 'hunter2',
    ALLOWED_ORIGINS: 'https://u:hunter2@h',
    TICKET_BIND_IP: 'hunter2',
  }
  const text = problems({ ...secrets, ...more, ACCESS_CODE: 'hunter2', HOST: 'hunter2' }).join('\n')
  assert.ok(!text.includes('hunter2'), text)
})

test('our own page comes from the loopback address', () => {
  const secure = ['https://127.0.0.1:3000', 'https://localhost:3000']
  assert.deepEqual(loopbackOrigins(3000, 'https'), secure)
  assert.deepEqual(loopbackOrigins(80, 'http'), ['http://127.0.0.1', 'http://localhost'])
})
