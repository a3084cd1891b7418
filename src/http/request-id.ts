/** A name for every request: in its answer, and in every line that the operator reads about it. */

import { createMiddleware } from 'hono/factory'
import { withFacts } from '../journal.ts'
import type { HearthEnv, Services } from './services.ts'

/** What a proxy may call a request. */
const PLAIN = /^[\w-]{8,64}$/
/** Of ours, in hexadecimal digits: enough that a day's requests are told apart. */
const LENGTH = 16

/** Names the request and gives it a journal of its own; a proxy of ours may have named it before. */
export function requestIds({ config, journal }: Pick<Services, 'config' | 'journal'>) {
  return createMiddleware<HearthEnv>(async (c, next) => {
    const given = config.trustProxy > 0 ? c.req.header('x-request-id') : undefined
    const request = given !== undefined && PLAIN.test(given) ? given : newId()
    c.set('requestId', request)
    c.set('journal', withFacts(journal, { request }))
    await next()
  })
}

/** A name of ours. */
export function newId() {
  return crypto.randomUUID().replaceAll('-', '').slice(-LENGTH)
}
