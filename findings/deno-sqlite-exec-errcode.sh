#!/usr/bin/env bash
# Deno 2.9.6 (node:sqlite, SQLite 3.53.2) beside Node 24.21.0 (SQLite 3.53.4).
#
# Behaviour: an error of a prepared statement has `errcode` and `errstr`, on both. One of
# `DatabaseSync.exec()`, or of opening a file, has them on Node, and on Deno only its text; the text
# of one of opening has the path behind it, too.
#
# Seen (2026-11-28, Debian 12): errcode of a UNIQUE constraint by run(), by exec(); of BEGIN
# IMMEDIATE on a locked file by run(), by exec(); of opening a file in a folder that is not there.
#   node 24.21.0   2067 2067 5 5 14
#   deno 2.9.6     2067 undefined 5 undefined undefined
#
# Why it matters: a program tells "busy, try again" and "disk full" from its own mistakes by
# `errcode`. Most begin a transaction by exec('BEGIN IMMEDIATE'), so on Deno the error they expect
# has none, and code that works on Node takes it for an unknown fault.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-fund --no-audit --prefix node node@24.21.0
npm install --silent --no-fund --no-audit --prefix deno "@deno/linux-$(uname -m | sed 's/x86_64/x64/;s/aarch64/arm64/')-glibc@2.9.6"

cat >codes.mjs <<'JS'
import { DatabaseSync } from 'node:sqlite'
const file = `${import.meta.dirname}/${globalThis.Deno ? 'deno' : 'node'}.db`
const db = new DatabaseSync(file)
db.exec("CREATE TABLE texts (text TEXT UNIQUE); INSERT INTO texts VALUES ('one')")
const code = (work) => {
  try {
    work()
  } catch (error) {
    return String(error.errcode)
  }
}
const both = (sql) => [code(() => db.prepare(sql).run()), code(() => db.exec(sql))]
const codes = both("INSERT INTO texts VALUES ('one')")
const other = new DatabaseSync(file)
other.exec('BEGIN IMMEDIATE')
codes.push(...both('BEGIN IMMEDIATE'))
codes.push(code(() => new DatabaseSync(`${import.meta.dirname}/nowhere/file.db`)))
other.close()
console.log(globalThis.Deno ? 'deno' : 'node', codes.join(' '))
JS

{
  node/node_modules/node/bin/node --no-warnings codes.mjs
  deno/node_modules/@deno/*/deno run --quiet --allow-read --allow-write codes.mjs
} | tee seen

diff - seen <<'SEEN' && echo 'as seen on 2026-11-28'
node 2067 2067 5 5 14
deno 2067 undefined 5 undefined undefined
SEEN
