/** Errors over HTTP (RFC 9457), and bodies that are checked before anyone sees them. */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import * as v from 'valibot'
import { explain, isTooLong, STATUS } from '../../static/protocol.js'
import type { ErrorCode } from '../protocol.ts'
import { addressOf, isUpgrade, type HearthEnv, type Services } from './services.ts'

export interface ProblemOptions {
  /** For a person; never a stack, a path or SQL. */
  detail?: string
  /** Where the protocol names a status of its own for a code. */
  status?: ContentfulStatusCode
  retryAfterMs?: number
  /** What the door asks for. */
  needs?: 'code' | 'login'
}

export function problem(c: Context, code: ErrorCode, options: ProblemOptions = {}): Response {
  const { detail, status = STATUS[code] as ContentfulStatusCode, retryAfterMs } = options
  if (retryAfterMs !== undefined) c.header('Retry-After', String(Math.ceil(retryAfterMs / 1000)))
  c.set('refusal', { code, reason: detail })
  return c.json(problemOf(code, options), status, { 'Content-Type': 'application/problem+json' })
}

/** The body of such an answer. */
export function problemOf(code: ErrorCode, options: ProblemOptions) {
  const { detail, status = STATUS[code], retryAfterMs, needs } = options
  const title = code.replaceAll('_', ' ')
  return { type: 'about:blank', title, status, code, detail, retryAfterMs, needs }
}

/** Writes a line for every request that was answered with a problem. */
export function refusalsTo({ config }: Pick<Services, 'config'>) {
  return createMiddleware<HearthEnv>(async (c, next) => {
    await next()
    const refusal = c.get('refusal')
    if (!refusal) return
    c.var.journal.refusal(isUpgrade(c) ? 'handshake' : 'request', {
      ...refusal,
      method: c.req.method,
      path: c.req.path,
      address: addressOf(c, config),
      user: c.get('session')?.user.id,
      origin: c.req.header('origin'),
    })
  })
}

/**
 * The JSON body of a request.
 * @returns the parsed body, or the answer that refuses it
 * @throws {CutBody}
 */
export async function readBody<S extends v.GenericSchema>(
  c: Context,
  schema: S,
): Promise<
  { body: v.InferOutput<S>; refusal?: undefined } | { body?: undefined; refusal: Response }
> {
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    return { refusal: problem(c, 'invalid', { status: 415, detail: 'send application/json' }) }
  }
  const text = await c.req.text().catch(throwCutBody)
  const parsed = v.safeParse(schema, parseJson(text))
  if (parsed.success) return { body: parsed.output }
  const code = isTooLong(parsed.issues) ? 'too_long' : 'invalid'
  return { refusal: problem(c, code, { detail: explain(parsed.issues) }) }
}

/** A body that did not come whole. Its sender went or broke off, or we are about to end. */
export class CutBody extends Error {}

export function throwCutBody(): never {
  throw new CutBody('the body did not come whole')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
