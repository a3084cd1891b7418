/** Requests that each take a connection of their own, unless told, and so come to any server. */

import { request, type Agent, type IncomingMessage } from 'node:http'
import * as v from 'valibot'
import { Session, Ticket } from '../../static/protocol.js'
import type { Account } from '../helpers.ts'

/** A request that takes longer is given up: one that is tried again, one that is not. ms */
const TICKET_MS = 4_000
const SIGN_IN_MS = 20_000
/** Answers that are no reason to try again: the session is lost, or we are wrong. */
const FINAL = new Set([400, 401, 403, 404, 409, 415])

export class HttpError extends Error {
  readonly isFinal: boolean

  constructor(status: number, text: string) {
    super(`${status}: ${text}`)
    this.isFinal = FINAL.has(status)
  }
}

export interface Asked {
  method?: 'GET' | 'POST'
  token?: string | undefined
  headers?: Record<string, string>
  /** Sent as JSON. */
  body?: object
  /** Keeps connections, to be used again. */
  agent?: Agent
  /** Breaks the connection, also under the answer. */
  signal: AbortSignal
}

/** The head of an answer, whose body is still to come. */
export interface Opened {
  response: IncomingMessage
  /** Our end of the connection. */
  localPort: number
}

/** A whole answer. */
export interface Answer {
  status: number
  text: string
  /** As in `Retry-After`, else 0. */
  retryAfterMs: number
  localPort: number
}

/** Sends a request. Fails when the connection breaks before the head of the answer. */
export function open(url: string, asked: Asked): Promise<Opened> {
  const { method = 'GET', token, body, signal, agent = false } = asked
  const headers = {
    ...asked.headers,
    ...(body && { 'content-type': 'application/json' }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, agent, headers, signal }, (response) => {
      // Whoever reads the body hears of its end by `close`.
      response.on('error', () => {})
      resolve({ response, localPort: response.socket.localPort ?? 0 })
    })
    sent.on('error', reject)
    sent.end(body && JSON.stringify(body))
  })
}

/** Sends a request and reads its answer. Fails when the connection breaks before its end. */
export async function ask(url: string, asked: Asked): Promise<Answer> {
  const { response, localPort } = await open(url, asked)
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  await new Promise<void>((resolve, reject) => {
    response.on('end', resolve)
    response.on('close', () => reject(new Error('the answer was cut')))
  })
  return { status: response.statusCode ?? 0, text, retryAfterMs: retryAfterOf(response), localPort }
}

/** ms */
export function retryAfterOf({ headers }: IncomingMessage) {
  return 1_000 * Number(headers['retry-after'] ?? 0)
}

async function post(url: string, body: object, patience: number, token?: string): Promise<unknown> {
  const signal = AbortSignal.timeout(patience)
  const { status, text } = await ask(url, { method: 'POST', body, token, signal })
  if (status !== 201) throw new HttpError(status, text)
  return JSON.parse(text)
}

export async function requestTicket(url: string, token: string): Promise<string> {
  return v.parse(Ticket, await post(`${url}/api/ticket`, {}, TICKET_MS, token)).ticket
}

export async function signInAnywhere(url: string, name: string): Promise<Account> {
  const { user, token } = v.parse(Session, await post(`${url}/api/session`, { name }, SIGN_IN_MS))
  if (token === undefined) throw new Error('a session without a token')
  return { user, token }
}
