/** Somebody on the bus who hears everything, and says it again, too late, twice, garbled. */

import { connect } from '@nats-io/transport-node'
import type { Random } from '../random.ts'

/** How much is kept to be said again. */
const REMEMBERED = 500
const EVERY_MS = 5

/** @returns how much it said */
export async function slander(port: number, random: Random, over: Promise<void>): Promise<string> {
  const nats = await connect({ servers: `127.0.0.1:${port}`, noEcho: true })
  const heard: { subject: string; data: Uint8Array }[] = []
  const own = new Set<string>()
  let said = 0
  nats.subscribe('hearth.>', {
    callback: (_, { subject, data }) => {
      if (heard.push({ subject, data }) > REMEMBERED) heard.splice(random.below(REMEMBERED), 1)
    },
  })
  const timer = setInterval(() => {
    if (heard.length === 0) return
    const { subject, data } = random.pick(heard)
    const bytes = random.chance(0.3) ? garble(data, random) : data
    own.add(subject)
    nats.publish(subject, bytes)
    said += 1
  }, EVERY_MS)
  await over
  clearInterval(timer)
  await nats.close()
  return `${said} hints on ${own.size} subjects`
}

/** Cut off, overwritten, or something else altogether. */
function garble(data: Uint8Array, random: Random): Uint8Array {
  const bytes = data.slice()
  const kind = random.below(3)
  if (kind === 0) return bytes.subarray(0, random.below(bytes.length))
  if (kind === 1) return bytes.fill(random.below(256), random.below(bytes.length))
  return new TextEncoder().encode(
    JSON.stringify(random.pick([null, [], {}, { type: 'head' }, 'x'])),
  )
}
