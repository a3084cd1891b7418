/** Backup and restore of the SQLite file, and the new epoch behind either database's. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chownSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { runtime } from '#runtime'
import { backup } from '../../tools/backup.ts'
import { newEpoch, restore } from '../../tools/restore.ts'
import { UsageError } from '../../tools/command.ts'
import { stepsAfter, VERSION } from '../../src/store/schema.ts'
import { connect, GENEROUS, newcomer, signIn, startServer, tempFolder } from '../helpers.ts'
import { ann, say } from '../store/drafts.ts'
import { startPostgres } from '../postgres.ts'
import { startProcess } from '../process.ts'
import { findPostgres } from '../programs.ts'
import { assertRefused, faults, newFile, run, withLog } from './places.ts'

test('a backup of a server that writes is whole, and restores to another log', async (t) => {
  const env = await newFile(t)
  const file = `${tempFolder(t)}/deep/backup.db`
  const hearth = await startServer(t, { env, limits: GENEROUS })
  const ben = await newcomer(t, hearth.url, 'Ben')
  const { joined } = await ben.join('lobby')
  let isOver = false
  const talking = (async () => {
    while (!isOver) await Promise.all([1, 2, 3, 4, 5].map(() => ben.say('lobby', 'words')))
  })()
  await ben.until(() => ben.all('message').length > 20)
  const heard = ben.all('message').length
  const { told } = await run(backup, env, file)
  isOver = true
  await talking
  assert.match(told, /whole/)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(dirname(file)), ['backup.db'])
  const kept = await withLog(t, { DATA_FILE: copyOf(file) }, async ({ log }) => {
    assert.equal(log.epoch, joined.epoch)
    const { head } = await log.page('lobby', 1)
    assert.ok(head >= heard)
    return head
  })
  await ben.say('lobby', 'after the backup')
  await assertRefused(run(backup, env, file), file, 'already')

  const last = ben.all('message').at(-1)!
  await assertRefused(run(restore, env, file), 'already')
  await assertRefused(run(restore, env, file, '--replace'), env.DATA_FILE!, 'in use')
  await hearth.close()
  const before = readFileSync(env.DATA_FILE!)
  const { told: restored } = await run(restore, env, file, '--replace')
  const aside = /kept as (\S+)/.exec(restored)![1]!
  assert.deepEqual(readFileSync(aside), before)
  assert.deepEqual(await faults(env), [])

  const { url } = await startServer(t, { env, limits: GENEROUS })
  const back = await connect(t, url, ben.account)
  const position = { after: last.seq, last: last.id, epoch: joined.epoch }
  const again = await back.join('lobby', position)
  assert.deepEqual([again.joined.reset, again.joined.head], [true, kept])
  assert.notEqual(again.joined.epoch, joined.epoch)
  assert.equal((await back.say('lobby', 'go on')).seq, kept + 1)
})

/** Opening one brings it to WAL, and would lock it. */
function copyOf(file: string) {
  const copy = `${file}.copy`
  writeFileSync(copy, readFileSync(file))
  return copy
}

test('the log of a killed server, or one that is broken, is kept as it is', async (t) => {
  const env = await newFile(t)
  const file = `${tempFolder(t)}/backup.db`
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one')]))
  await run(backup, env, file)
  const server = startProcess(t, { PORT: '0', ...env })
  const url = await server.url()
  const ben = await newcomer(t, url, 'Ben')
  await ben.join('lobby')
  await ben.say('lobby', 'only in the -wal')
  server.kill('SIGKILL')
  await server.ended()
  const replace = async () =>
    /kept as (\S+)/.exec((await run(restore, env, file, '--replace')).told)![1]!
  const kept = await replace()
  await withLog(t, { DATA_FILE: kept }, async ({ log }) => {
    assert.equal((await log.page('lobby', 9)).messages[1]?.body, 'only in the -wal')
  })
  await withLog(t, env, async ({ log }) => assert.equal((await log.page('lobby', 9)).head, 1))
  writeFileSync(env.DATA_FILE!, 'broken '.repeat(1_000))
  assert.match(readFileSync(await replace(), 'utf8'), /^(broken )+$/)
  assert.deepEqual(await faults(env), [])
})

test('a backup is restored where nothing is', async (t) => {
  const env = await newFile(t)
  const file = `${tempFolder(t)}/backup.db`
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one')]))
  await run(backup, env, file)
  const other = await newFile(t)
  await run(restore, other, file)
  assert.deepEqual(readdirSync(dirname(other.DATA_FILE!)).sort(), [
    ...['hearth.db', 'hearth.db.lock', 'hearth.db.tools.lock'],
  ])
  await withLog(t, other, async ({ log }) => {
    assert.equal((await log.page('lobby', 1)).messages[0]?.body, 'one')
  })
})

test("what root backs up and restores is the owner's of the folder", async (t) => {
  const env = await newFile(t)
  const folder = dirname(env.DATA_FILE!)
  if (statSync(folder).uid !== 0) return t.skip('only root can give it away')
  chownSync(folder, 65_534, 65_534)
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one')]))
  await run(backup, env, `${folder}/backup.db`)
  await run(restore, env, `${folder}/backup.db`, '--replace')
  for (const name of readdirSync(folder))
    assert.equal(statSync(`${folder}/${name}`).uid, 65_534, name)
})

test('a log that somebody reads is not replaced: its last commits may wait in the -wal', async (t) => {
  const env = await newFile(t)
  const file = `${tempFolder(t)}/backup.db`
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one')]))
  await run(backup, env, file)
  const reader = runtime.openSqlite(env.DATA_FILE!)
  t.after(reader.close)
  reader.exec('BEGIN; SELECT * FROM messages')
  reader.prepare('SELECT * FROM messages').all()
  await withLog(t, env, ({ log }) => log.append([say(ann, 'two')]))
  await assertRefused(run(restore, env, file, '--replace'), 'somebody reads')
  assert.ok(!existsSync(`${env.DATA_FILE}.part`))
  reader.exec('COMMIT')
  await withLog(t, env, async ({ log }) => {
    assert.equal((await log.page('lobby', 9)).head, 2)
  })
  await run(restore, env, file, '--replace')
})

test('what is no backup is refused, and what is there stays', async (t) => {
  const env = await newFile(t)
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one'), say(ann, 'two')]))
  const before = readFileSync(env.DATA_FILE!)
  const folder = tempFolder(t)
  writeFileSync(`${folder}/text`, 'these are my notes '.repeat(300))
  await run(backup, env, `${folder}/torn`)
  const db = runtime.openSqlite(`${folder}/torn`)
  db.exec('DELETE FROM messages WHERE seq = 1')
  db.close()
  await run(backup, env, `${folder}/newer`)
  const newer = runtime.openSqlite(`${folder}/newer`)
  newer.exec(`PRAGMA user_version = ${VERSION + 1}`)
  newer.close()
  await assertRefused(run(restore, env, `${folder}/text`, '--replace'), 'text')
  await assertRefused(run(restore, env, `${folder}/torn`, '--replace'), 'lobby', '2')
  await assertRefused(run(restore, env, `${folder}/newer`, '--replace'), 'newer')
  await assertRefused(run(restore, env, `${folder}/nothing`, '--replace'), 'nothing')
  writeFileSync(`${folder}/empty`, '')
  const foreign = runtime.openSqlite(`${folder}/foreign`)
  foreign.exec('CREATE TABLE notes (line TEXT)')
  foreign.close()
  for (const name of ['empty', 'foreign']) {
    await assertRefused(
      run(restore, env, `${folder}/${name}`, '--replace'),
      name,
      'no log of Hearth',
    )
  }
  await assertRefused(run(backup, env, ''), 'a name')
  const ownPart = `${env.DATA_FILE}.part`
  await run(backup, env, ownPart)
  await assertRefused(run(restore, env, ownPart, '--replace'), 'written over')
  rmSync(ownPart)
  assert.deepEqual(readFileSync(env.DATA_FILE!), before)
  assert.ok(!existsSync(`${env.DATA_FILE}.part`))
  await assertRefused(run(backup, await newFile(t), `${folder}/x`), 'there is no')
  assert.ok(!existsSync(`${folder}/x`))
})

test('a log that is broken is not backed up', async (t) => {
  const env = await newFile(t)
  await withLog(t, env, ({ log }) => log.append([say(ann, 'one'), say(ann, 'two')]))
  const db = runtime.openSqlite(env.DATA_FILE!)
  db.exec("UPDATE messages SET body = 'other' WHERE seq = 2")
  db.close()
  const file = `${tempFolder(t)}/backup.db`
  await assertRefused(run(backup, env, file), 'lobby: 2', 'digest')
  assert.deepEqual(readdirSync(dirname(file)), [])
})

test('the backup of an earlier version is brought to this one', async (t) => {
  const file = `${tempFolder(t)}/old.db`
  const old = runtime.openSqlite(file)
  old.exec(stepsAfter(0, 'sqlite')[0]!)
  old.exec("PRAGMA user_version = 1; INSERT INTO rooms (room) VALUES ('lobby')")
  old.close()
  const env = await newFile(t)
  await run(restore, env, file)
  assert.deepEqual(await faults(env), [])
})

test('Postgres has its own tools, and a new epoch behind them when no server runs', async (t) => {
  const server = await startPostgres(t)
  const env = { DATABASE_URL: await server.newDatabase() }
  for (const [command, program] of [
    [backup, 'pg_dump'],
    [restore, 'pg_restore'],
  ] as const) {
    const refused = run(command, env, 'file')
    await assertRefused(refused, program, '"$DATABASE_URL"')
    await assert.rejects(refused, UsageError)
  }
  const hearth = await startServer(t, { env })
  const ben = await newcomer(t, hearth.url, 'Ben')
  const { joined } = await ben.join('lobby')
  const rows = () => server.query(env.DATABASE_URL, 'SELECT 1 FROM nodes')
  while ((await rows()).length === 0) await ben.isRead()
  await assertRefused(run(newEpoch, env), 'in use')
  await hearth.close()
  // A server that has ended is missed for a moment, as its people come back elsewhere.
  await server.query(env.DATABASE_URL, 'TRUNCATE nodes')
  await run(newEpoch, env)
  const { url } = await startServer(t, { env })
  const back = await connect(t, url, ben.account)
  const again = await back.join('lobby', { after: 0, epoch: joined.epoch })
  assert.equal(again.joined.reset, true)
  await signIn(url, 'Zoe')
})

test('the commands of docs/data.md save and restore Postgres', async (t) => {
  const bin = findPostgres()
  if (!bin) return t.skip('there is no pg_dump')
  const server = await startPostgres(t, {}, bin)
  const DATABASE_URL = await server.newDatabase()
  const [dump, load] = readFileSync(new URL('../../docs/data.md', import.meta.url), 'utf8')
    .split('```sh')[1]!
    .split('\n')
    .filter((line) => line.startsWith('pg_'))
  const shell = (line: string) => {
    const options = {
      cwd,
      env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, DATABASE_URL },
      encoding: 'utf8' as const,
    }
    const { status, stderr } = spawnSync('sh', ['-c', line], options)
    assert.equal(status, 0, stderr)
  }
  const cwd = tempFolder(t)
  const env = { DATABASE_URL }
  const hearth = await startServer(t, { env })
  const ben = await newcomer(t, hearth.url, 'Ben')
  const { joined } = await ben.join('lobby')
  await ben.say('lobby', 'one')
  shell(dump!)
  const { seq, id } = await ben.say('lobby', 'two')
  await hearth.close()
  await server.query(DATABASE_URL, 'TRUNCATE nodes')
  shell(load!)
  await server.query(DATABASE_URL, 'TRUNCATE nodes')
  await run(newEpoch, env)
  assert.deepEqual(await faults(env), [])
  const { url } = await startServer(t, { env })
  const back = await connect(t, url, ben.account)
  const again = await back.join('lobby', { after: seq, last: id, epoch: joined.epoch })
  assert.deepEqual([again.joined.reset, again.joined.head], [true, 1])
  assert.equal((await back.say('lobby', 'three')).seq, 2)
})
