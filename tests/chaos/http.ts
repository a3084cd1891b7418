/** Requests that each take a connection of their own, so that each may come to another server. */

import { request } from 'node:http'
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

function post(url: string, body: object, patience: number, token?: string): Promise<unknown> {
  const headers = {
    'content-type': 'application/json',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(patience)
    const sent = request(url, { method: 'POST', agent: false, headers, signal }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('close', () => reject(new Error('the answer was cut')))
      response.on('end', () => {
        if (response.statusCode === 201) resolve(JSON.parse(text))
        else reject(new HttpError(response.statusCode ?? 0, text))
      })
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}

export async function requestTicket(url: string, token: string): Promise<string> {
  return v.parse(Ticket, await post(`${url}/api/ticket`, {}, TICKET_MS, token)).ticket
}

export async function signInAnywhere(url: string, name: string): Promise<Account> {
  const { user, token } = v.parse(Session, await post(`${url}/api/session`, { name }, SIGN_IN_MS))
  if (token === undefined) throw new Error('a session without a token')
  return { user, token }
}
