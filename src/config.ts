/** The environment, checked once; nothing else reads it. */

import { existsSync, realpathSync } from 'node:fs'
import * as v from 'valibot'
import { explain } from '../static/protocol.js'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'

const port = v.pipe(
  v.string(),
  v.digits('a number'),
  v.transform(Number),
  v.maxValue(65_535, 'at most 65535'),
)
const number = (least: number, most: number, fallback: number) =>
  v.optional(
    v.pipe(
      v.string(),
      v.decimal('a number'),
      v.transform(Number),
      v.minValue(least, `at least ${least}`),
      v.maxValue(most, `at most ${most}`),
    ),
    String(fallback),
  )
const whole = (least: number, most: number, fallback: number) =>
  v.pipe(number(least, most, fallback), v.integer('a whole number'))
const rate = (fallback: number) => number(1, 1_000_000, fallback)
const burst = (fallback: number) => whole(1, 1_000_000, fallback)
const connections = (fallback: number) => whole(1, 100_000, fallback)
const bool = v.pipe(
  v.picklist(['true', 'false'], 'true or false'),
  v.transform((text) => text === 'true'),
)
const flag = (fallback: 'true' | 'false') => v.optional(bool, fallback)
const secret = v.optional(v.pipe(v.string(), v.minLength(8, 'at least 8 characters')))
const text = v.optional(v.string())
/** The file itself, where its path is a link: locks lie beside it, and everybody must find the same. */
const dataFile = v.pipe(
  v.string(),
  v.check((path) => !path.startsWith('file:'), 'a path, not an address'),
  v.transform((path) => (existsSync(path) ? realpathSync(path) : path)),
)
const list = v.optional(
  v.pipe(
    v.string(),
    v.transform((names) => names.split(',').map((name) => name.trim())),
    v.array(v.pipe(v.string(), v.check(isOrigin, 'origins such as https://chat.example.org'))),
  ),
)

const postgres = v.optional(
  v.pipe(v.string(), v.check(isPostgres, 'an address such as postgres://user@host:5432/database')),
)
const nats = v.optional(
  v.pipe(
    v.string(),
    v.transform((names) => names.split(',').map((name) => name.trim())),
    v.array(v.pipe(v.string(), v.check(isNats, 'addresses such as nats://host:4222'))),
  ),
)

const jwks = v.optional(
  v.pipe(v.string(), v.check(isKeyAddress, 'an address such as https://login.example.org/keys')),
)

const LOG_LEVELS = ['debug', 'info', 'warning', 'error', 'off'] as const

const Environment = v.object({
  HOST: v.optional(v.string(), '127.0.0.1'),
  PORT: v.optional(port, '3000'),
  DATA_FILE: v.optional(dataFile, 'data/hearth.db'),
  DATABASE_URL: postgres,
  NATS_URL: nats,
  SEARCH: flag('true'),
  TLS_CERT: text,
  TLS_KEY: text,
  ALLOWED_ORIGINS: list,
  TRUST_PROXY: whole(0, 16, 0),
  TICKET_BIND_IP: flag('true'),
  TOKEN_EVERY_MESSAGE: flag('false'),
  ACCESS_CODE: text,
  ADMIN_TOKEN: secret,
  METRICS_TOKEN: secret,
  JWKS_URL: jwks,
  JWT_ISSUER: text,
  JWT_AUDIENCE: text,
  GUESTS: v.optional(bool),
  MESSAGE_RATE: rate(DEFAULT_LIMITS.messageRate),
  MESSAGE_BURST: burst(DEFAULT_LIMITS.messageBurst),
  FRAME_RATE: rate(DEFAULT_LIMITS.frameRate),
  FRAME_BURST: burst(DEFAULT_LIMITS.frameBurst),
  READ_RATE: rate(DEFAULT_LIMITS.readRate),
  READ_BURST: burst(DEFAULT_LIMITS.readBurst),
  SESSION_RATE: rate(DEFAULT_LIMITS.sessionsPerMinute),
  ROOM_RATE: rate(DEFAULT_LIMITS.roomChangesPerMinute),
  MAX_CONNECTIONS_PER_USER: connections(DEFAULT_LIMITS.connectionsPerUser),
  MAX_CONNECTIONS_PER_IP: connections(DEFAULT_LIMITS.connectionsPerIp),
  MAX_CONNECTIONS: connections(DEFAULT_LIMITS.connections),
  LOG_LEVEL: v.optional(v.picklist(LOG_LEVELS, LOG_LEVELS.join(', ')), 'info'),
})

export interface Config {
  hostname: string
  port: number
  /** Path of the SQLite file, or `:memory:`; not looked at when there is a `databaseUrl`. */
  dataFile: string
  /** The Postgres database that keeps the log, shared by all nodes. Holds a password. */
  databaseUrl: string | undefined
  /** Servers of the bus; without them Postgres is the bus as well. May hold a password. */
  natsUrls: readonly string[] | undefined
  /** Whether old messages are found by their words. */
  search: boolean
  /** PEM files of a certificate, with its chain, and its key: then https and wss are served. */
  tls: { certFile: string; keyFile: string } | undefined
  /** Origins that a browser may come from; `null`: our own loopback address, known once we listen. */
  allowedOrigins: readonly string[] | null
  /** How many proxies stand before us, each adding an address to `X-Forwarded-For`. */
  trustProxy: number
  ticketBindIp: boolean
  tokenEveryMessage: boolean
  accessCode: string | undefined
  adminToken: string | undefined
  /** Opens `/metrics`; without it there are none. */
  metricsToken: string | undefined
  /** Whose tokens sign people in besides: where the keys are, and what the tokens must say. */
  jwt: { jwksUrl: string; issuer: string; audience: string } | undefined
  /** Whether anybody may come in with a name alone. */
  guests: boolean
  logLevel: (typeof LOG_LEVELS)[number]
  limits: Limits
}

/** Settings that mean nothing without each other. */
const TOGETHER = [
  ['TLS_CERT', 'TLS_KEY'],
  ['JWKS_URL', 'JWT_ISSUER', 'JWT_AUDIENCE'],
] as const

/**
 * Reads the environment. Unknown variables are ignored, empty ones count as not set.
 * @returns the config, or every problem, each one line that never shows a value
 */
export function readConfig(
  env: Readonly<Record<string, string | undefined>>,
): { config: Config; problems?: undefined } | { config?: undefined; problems: string[] } {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const problems = TOGETHER.flatMap((names) => {
    const missing = names.filter((name) => given[name] === undefined)
    const isPart = missing.length > 0 && missing.length < names.length
    return isPart ? missing.map((name) => `${name}: required beside ${others(names, name)}`) : []
  })
  if (given.HOST && !isLoopback(given.HOST) && !given.ALLOWED_ORIGINS) {
    problems.push('ALLOWED_ORIGINS: required when HOST is not 127.0.0.1: the addresses of the page')
  }
  if (given.NATS_URL && !given.DATABASE_URL) {
    problems.push('NATS_URL: requires DATABASE_URL: nodes that share no log are not one chat')
  }
  const parsed = v.safeParse(Environment, given)
  problems.push(...(parsed.issues ?? []).map((issue) => explain([issue])))
  if (!parsed.success || problems.length > 0) return { problems }
  return { config: toConfig(parsed.output) }
}

function toConfig(settings: v.InferOutput<typeof Environment>): Config {
  return {
    hostname: settings.HOST,
    port: settings.PORT,
    dataFile: settings.DATA_FILE,
    databaseUrl: settings.DATABASE_URL,
    natsUrls: settings.NATS_URL,
    search: settings.SEARCH,
    tls:
      settings.TLS_CERT && settings.TLS_KEY
        ? { certFile: settings.TLS_CERT, keyFile: settings.TLS_KEY }
        : undefined,
    allowedOrigins: settings.ALLOWED_ORIGINS ?? null,
    trustProxy: settings.TRUST_PROXY,
    ticketBindIp: settings.TICKET_BIND_IP,
    tokenEveryMessage: settings.TOKEN_EVERY_MESSAGE,
    accessCode: settings.ACCESS_CODE,
    adminToken: settings.ADMIN_TOKEN,
    metricsToken: settings.METRICS_TOKEN,
    jwt:
      settings.JWKS_URL && settings.JWT_ISSUER && settings.JWT_AUDIENCE
        ? {
            jwksUrl: settings.JWKS_URL,
            issuer: settings.JWT_ISSUER,
            audience: settings.JWT_AUDIENCE,
          }
        : undefined,
    guests: settings.GUESTS ?? !settings.JWKS_URL,
    logLevel: settings.LOG_LEVEL,
    limits: {
      ...DEFAULT_LIMITS,
      messageRate: settings.MESSAGE_RATE,
      messageBurst: settings.MESSAGE_BURST,
      frameRate: settings.FRAME_RATE,
      frameBurst: settings.FRAME_BURST,
      readRate: settings.READ_RATE,
      readBurst: settings.READ_BURST,
      sessionsPerMinute: settings.SESSION_RATE,
      roomChangesPerMinute: settings.ROOM_RATE,
      connectionsPerUser: settings.MAX_CONNECTIONS_PER_USER,
      connectionsPerIp: settings.MAX_CONNECTIONS_PER_IP,
      connections: settings.MAX_CONNECTIONS,
    },
  }
}

/** What a page served from here sends as its `Origin`. */
export function loopbackOrigins(port: number, scheme: 'http' | 'https'): string[] {
  return ['127.0.0.1', 'localhost'].map((host) => new URL(`${scheme}://${host}:${port}`).origin)
}

function others(names: readonly string[], one: string) {
  return names.filter((name) => name !== one).join(' and ')
}

function isLoopback(host: string) {
  return host === '127.0.0.1'
}

function isPostgres(address: string) {
  return URL.canParse(address) && /^postgres(ql)?:\/\//.test(address)
}

function isNats(address: string) {
  return URL.canParse(address) && /^(nats|tls):\/\//.test(address)
}

/** Keys that came over plain http could be anybody's. */
function isKeyAddress(address: string) {
  if (!URL.canParse(address)) return false
  const { protocol, hostname } = new URL(address)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

function isOrigin(name: string) {
  return URL.canParse(name) && new URL(name).origin === name && /^https?:/.test(name)
}
