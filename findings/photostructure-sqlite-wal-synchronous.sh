#!/usr/bin/env bash
# @photostructure/sqlite 1.2.1 (SQLite 3.53.0) and 2.6.0 (3.53.4), "drop-in replacement for
# node:sqlite", beside the node:sqlite of Node 24.21.0 (3.53.4).
#
# Behaviour: `PRAGMA journal_mode = WAL` lowers `synchronous` from FULL to NORMAL, since the package
# is built with SQLITE_DEFAULT_WAL_SYNCHRONOUS=1 (node:sqlite: 2). On a new file `PRAGMA synchronous`
# still reads 2 right after it, and 1 from the first transaction on. A level that is set by hand,
# before WAL or after, stays.
#
# Seen (2026-11-28, Debian 12, strace 6.1): levels after WAL, after the first transaction; syncs of
# 50 commits.
#   node:sqlite 3.53.4              2 2   50 syncs
#   @photostructure/sqlite 3.53.0   2 1   0 syncs
#   ... with synchronous = FULL     2 2   50 syncs
#
# Why it matters: on node:sqlite a commit is on disk when it returns. A program that moves to the
# package loses its newest commits in a power failure, although the level read at its start is FULL.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-fund --no-audit --prefix node node@24.21.0
for version in 1.2.1 2.6.0; do
  npm install --silent --no-fund --no-audit --prefix "$version" "@photostructure/sqlite@$version"
done
node=$folder/node/node_modules/node/bin/node
strace=$(command -v strace || true)
if [ -z "$strace" ]; then
  apt-get download -qq strace libunwind8 libdw1 libelf1 && for deb in ./*.deb; do dpkg-deb -x "$deb" deb; done
  export LD_LIBRARY_PATH=$folder/deb/usr/lib/$(uname -m)-linux-gnu
  strace=$folder/deb/usr/bin/strace
fi

cat >commits.cjs <<'JS'
const { mkdtempSync, writeSync } = require('node:fs')
const [, , name, level] = process.argv
const { DatabaseSync } = require(name)
const db = new DatabaseSync(`${mkdtempSync(`${__dirname}/db-`)}/file.db`)
const synchronous = () => db.prepare('PRAGMA synchronous').get().synchronous
db.exec('PRAGMA journal_mode = WAL')
if (level) db.exec(`PRAGMA synchronous = ${level}`)
const first = synchronous()
db.exec('CREATE TABLE numbers (n INTEGER)')
const put = db.prepare('INSERT INTO numbers VALUES (?)')
put.run(0)
const { v } = db.prepare('SELECT sqlite_version() AS v').get()
// Tells where the 50 begin and end in the trace.
writeSync(2, 'begin\n')
for (let n = 1; n <= 50; n += 1) put.run(n)
writeSync(2, 'end\n')
console.log(`${v} levels ${first} ${synchronous()}`)
JS

run() { # what it is called, then the arguments of commits.cjs
  local name=$1 said
  shift
  said=$("$strace" -f -qq -e trace=write,fsync,fdatasync -o trace "$node" --no-warnings commits.cjs "$@" 2>/dev/null)
  syncs=$(sed -n '/"begin/,/"end/p' trace | grep -cE 'f(data)?sync\(' || true)
  echo "$name $said syncs $syncs" | tee -a seen
}
run builtin node:sqlite
run package-1.2.1 "$folder/1.2.1/node_modules/@photostructure/sqlite"
run package-2.6.0 "$folder/2.6.0/node_modules/@photostructure/sqlite"
run package-1.2.1-full "$folder/1.2.1/node_modules/@photostructure/sqlite" FULL

diff - seen <<'SEEN' && echo 'as seen on 2026-11-28'
builtin 3.53.4 levels 2 2 syncs 50
package-1.2.1 3.53.0 levels 2 1 syncs 0
package-2.6.0 3.53.4 levels 2 1 syncs 0
package-1.2.1-full 3.53.0 levels 2 2 syncs 50
SEEN
