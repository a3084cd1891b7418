/** Errors over HTTP (RFC 9457), and bodies that are checked before anyone sees them. */

import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import * as v from 'valibot'
import { explain, STATUS } from '../../static/protocol.js'
import type { ErrorCode } from '../protocol.ts'

export interface ProblemOptions {
  /** For a person; never a stack, a path or SQL. */
  detail?: string
  /** Where the protocol names a status of its own for a code. */
  status?: ContentfulStatusCode
  retryAfterMs?: number
}

export function problem(c: Context, code: ErrorCode, options: ProblemOptions = {}): Response {
  const { detail, status = STATUS[code] as ContentfulStatusCode, retryAfterMs } = options
  if (retryAfterMs !== undefined) c.header('Retry-After', String(Math.ceil(retryAfterMs / 1000)))
  const title = code.replaceAll('_', ' ')
  return c.json({ type: 'about:blank', title, status, code, detail, retryAfterMs }, status, {
    'Content-Type': 'application/problem+json',
  })
}

/**
 * The JSON body of a request.
 * @returns the parsed body, or the answer that refuses it
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
  const text = await c.req.text()
  const parsed = v.safeParse(schema, parseJson(text))
  if (parsed.success) return { body: parsed.output }
  return { refusal: problem(c, 'invalid', { detail: explain(parsed.issues) }) }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
