/** `kill -9` in the middle of it all, again and again; then the log has to tell the truth. */

import process from 'node:process'
import { test } from 'node:test'
import { runAsTest } from './chaos/short.ts'

test('one server, killed again and again: nothing is lost, nothing is seen twice', async (t) => {
  const options = {
    services: 'sqlite',
    runtimes: [process.versions.deno ? process.execPath : null],
    faults: ['kill -9 of one'],
    lasts: [7_000, 7_001],
    quietMs: 500,
    crowd: { senders: 6, observers: 3 },
  } as const
  await runAsTest(t, options, { kills: 3, acks: 200, repeats: 10, resumes: 20 })
})
