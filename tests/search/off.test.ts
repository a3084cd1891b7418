/** A log whose search is switched off, and on again. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { runtime } from '#runtime'
import { openStorage } from '../../src/storage.ts'
import { tempFolder, TestClock, testConfig } from '../helpers.ts'
import { ann, erase, say, tell } from '../store/drafts.ts'

async function open(t: TestContext, file: string, SEARCH: string) {
  const clock = new TestClock()
  const config = testConfig({ clock, env: { DATA_FILE: file, SEARCH } })
  const storage = await openStorage({ config, clock, onFault: assert.fail })
  t.after(() => storage.log.close())
  return storage
}

/** What is in the index of a file. */
function wordsIn(file: string) {
  const db = runtime.openSqlite(file)
  const words = db.prepare('SELECT text FROM words ORDER BY rowid').all() as { text: string }[]
  db.close()
  return words.map(({ text }) => text)
}

test('without search nothing is taken in, a delete cleans all the same, and later all is found', async (t) => {
  const file = `${tempFolder(t)}/hearth.db`
  const before = await open(t, file, 'true')
  await before.log.append([say(ann, 'secret'), say(ann, 'kept')])
  assert.equal((await before.search!.search('lobby', 'kept', 9)).messages.length, 1)
  await before.log.close()
  assert.deepEqual(wordsIn(file), ['1/secret', '1/kept'])

  const without = await open(t, file, 'false')
  assert.equal(without.search, undefined)
  assert.deepEqual(tell(await without.log.append([say(ann, 'new'), erase(ann, 1)])), [3, 4])
  await without.log.close()
  assert.deepEqual(wordsIn(file), ['1/kept'])

  const after = await open(t, file, 'true')
  const found = async (query: string) =>
    (await after.search!.search('lobby', query, 9)).messages.map(({ body }) => body)
  assert.deepEqual([await found('new'), await found('secret')], [['new'], []])
})
