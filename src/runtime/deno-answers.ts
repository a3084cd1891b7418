/**
 * Answers that their reader lets lie. Deno speaks HTTP/2 to whoever begins with it, with TLS or
 * without, and keeps as many whole answers as are asked for. Neither can be set, and an answer whose
 * reader takes nothing cannot be ended. So what waits is counted, and more is refused.
 */

import type { HoldAnswer } from './runtime.ts'

/**
 * Only of a body that is a stream does Deno say when it is over. That takes 35 µs and 40 KB more, a
 * fifth of an ordinary request. So one of so many is a stream, by chance, and stands for all.
 */
const ONE_OF = 8
/** What an answer takes beside its body. bytes */
const BESIDE = 8_192
/** Of which Deno takes five, when nobody reads. bytes */
const PIECE = 16_384

/**
 * Sees to it that an answer is counted until it is read.
 * @param over  ends with the answer, if its body is a stream
 * @param random  from 0 to 1
 */
export function holdAnswer(
  response: Response,
  hold: HoldAnswer,
  over: Promise<void>,
  random = Math.random(),
): Response | Promise<Response> {
  return random * ONE_OF < 1 ? toStream(response, hold, over) : response
}

async function toStream(response: Response, hold: HoldAnswer, over: Promise<void>) {
  const bytes = new Uint8Array(await response.arrayBuffer())
  const { status } = response
  const headers = new Headers(response.headers)
  if (bytes.length === 0) return new Response(null, { status, headers })
  holdStream(bytes.length, hold, over)
  headers.set('content-length', String(bytes.length))
  return new Response(inPieces(bytes), { status, headers })
}

/** As `holdAnswer`, of one whose body is a stream already; it counts as much. */
export function holdStream(bytes: number, hold: HoldAnswer, over: Promise<void>) {
  const release = hold(ONE_OF * (BESIDE + bytes))
  over.then(release, release)
}

function inPieces(bytes: Uint8Array<ArrayBuffer>) {
  let start = 0
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    controller.enqueue(bytes.subarray(start, (start += PIECE)))
    if (start >= bytes.length) controller.close()
  }
  return new ReadableStream({ pull }, { highWaterMark: 0 })
}
