#!/usr/bin/env bash
# SQLite 3.53.0 (@photostructure/sqlite 1.2.1 on Node 20 and newer).
#
# Behaviour: a connection whose database file is deleted, or replaced by another, goes on committing
# without an error in WAL mode, into a file that nobody finds again. With a rollback journal the next
# commit fails: SQLITE_READONLY_DBMOVED (1032). The check is in the code that opens a journal, and a
# commit to a WAL opens none.
#
# Seen (2026-11-28, Debian 12): what the commit behind the deletion gave, and the rows that the same
# connection read then.
#   wal     deleted   committed 2
#   wal     replaced  committed 2
#   delete  deleted   error 1032
#   delete  replaced  error 1032
#
# Why it matters: a server in WAL mode that is restored over, or whose file is tidied away, tells its
# users that all is stored, and all of it is gone when it ends. Who promises something on a commit has
# to look at the file itself (`stat`: device and inode) behind each.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-fund --no-audit @photostructure/sqlite@1.2.1

cat >commits.mjs <<'JS'
import { copyFileSync, renameSync, rmSync } from 'node:fs'
import { DatabaseSync } from '@photostructure/sqlite'

const takes = {
  deleted: (file) => rmSync(file),
  replaced: (file) => {
    copyFileSync(file, `${file}.copy`)
    renameSync(`${file}.copy`, file)
  },
}
for (const mode of ['wal', 'delete']) {
  for (const [what, take] of Object.entries(takes)) {
    const file = `${import.meta.dirname}/${mode}-${what}.db`
    const db = new DatabaseSync(file)
    db.exec(`PRAGMA journal_mode = ${mode}; CREATE TABLE texts (text TEXT)`)
    const add = db.prepare('INSERT INTO texts VALUES (?)')
    add.run('before')
    take(file)
    let seen
    try {
      add.run('behind')
      seen = `committed ${db.prepare('SELECT count(*) AS count FROM texts').get().count}`
    } catch (error) {
      seen = `error ${error.errcode}`
    }
    console.log(mode.padEnd(7), what.padEnd(9), seen)
    db.close()
  }
}
JS
node commits.mjs | tee seen

diff - seen <<'SEEN' && echo 'as seen on 2026-11-28'
wal     deleted   committed 2
wal     replaced  committed 2
delete  deleted   error 1032
delete  replaced  error 1032
SEEN
