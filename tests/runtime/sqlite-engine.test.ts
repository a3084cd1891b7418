/** Which SQLite is taken, and what is said where none can be. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseEngine, isSound, NoSoundSqlite } from '../../src/runtime/sqlite-engine.js'
import { openSqlite, sqliteEngine } from '../../src/runtime/sqlite.js'
import { ENGINES, MODULE, runScript } from './engines.ts'

test('what is sound goes by the number of SQLite', () => {
  const sound = ['3.51.3', '3.51.10', '3.52.0', '3.53.0', '4.0.0', '3.50.7', '3.50.12', '3.44.6']
  const unsound = ['3.51.2', '3.50.6', '3.50', '3.49.9', '3.45.1', '3.44.5', '3.43.7', '2.99.9', '']
  assert.deepEqual(sound.filter(isSound), sound)
  assert.deepEqual(unsound.filter(isSound), [])
})

/** Modules by name; null where there is none. */
function load(versions: Record<string, string | null>) {
  return (name: string) => {
    const version = versions[name]
    if (!version) throw new Error(`Cannot find module '${name}'\nRequire stack:\n- /somewhere`)
    class DatabaseSync {
      prepare() {
        return { get: () => ({ version }) }
      }
      close() {}
    }
    return { DatabaseSync } as unknown as ReturnType<typeof chooseEngine>
  }
}

test('the first sound one is taken', () => {
  const choose = (versions: Record<string, string | null>) => {
    const { name, version } = chooseEngine(Object.keys(versions), load(versions))
    return `${name} ${version}`
  }
  assert.equal(choose({ builtin: '3.53.2', npm: '3.53.0' }), 'builtin 3.53.2')
  assert.equal(choose({ builtin: '3.51.2', npm: '3.53.0' }), 'npm 3.53.0')
  assert.equal(choose({ builtin: null, npm: '3.53.0' }), 'npm 3.53.0')
})

test('where none is sound, one line says what was found and what helps', () => {
  const versions = { 'node:sqlite': '3.51.2', '@photostructure/sqlite': null }
  assert.throws(
    () => chooseEngine(undefined, load(versions)),
    (error) => {
      assert.ok(error instanceof NoSoundSqlite)
      const { message } = error
      const words = ['node:sqlite has 3.51.2', "Cannot find module '@photostructure/sqlite'"]
      for (const word of [...words, '22.22.3', '24.15', 'Deno >= 2.9', 'npm ci']) {
        assert.ok(message.includes(word), message)
      }
      assert.doesNotMatch(message, /\n|somewhere/)
      return true
    },
  )
})

test('the one taken here is sound, and tells its name and version', (t) => {
  const { name, version } = sqliteEngine()
  const db = openSqlite(':memory:')
  t.after(() => db.close())
  assert.deepEqual(db.prepare('SELECT sqlite_version() AS v').get(), { v: version })
  // The package is what a Node without a sound one gets: it has to load on each.
  assert.ok(ENGINES.includes('@photostructure/sqlite'))
  assert.ok(ENGINES.includes(name) && isSound(version), `${name} ${version}`)
  t.diagnostic(`${name} ${version} of ${ENGINES.join(', ')}`)
})

test('nothing is loaded before a file is opened; no warning, but that of others', (t) => {
  const { stdout, stderr } = runScript(
    t,
    `import { createRequire } from 'node:module'
    const { cache } = createRequire('${MODULE}')
    const isLoaded = () => Object.keys(cache).some((path) => path.includes('photostructure')) ||
      process.moduleLoadList?.includes('NativeModule sqlite') === true
    const before = isLoaded()
    m.openSqlite(':memory:').close()
    console.log(before, isLoaded() || 'deno' in process.versions)
    process.emitWarning('somebody else')`,
  )
  assert.equal(stdout, 'false true')
  assert.match(stderr, /somebody else/)
  assert.doesNotMatch(stderr, /SQLite|experimental/i)
})
